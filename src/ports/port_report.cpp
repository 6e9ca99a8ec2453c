// SPDX-License-Identifier: BSD-2-Clause
#include "ports/port_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <compare>
#include <map>

#include "ports/exhaustion.h"
#include "ports/port_remedies.h"

namespace tcptrail {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;

using Sockets = std::vector<const PortSocket*>;

PortSocket socket_of(const tcptrail_owned_record& r) {
  PortSocket s;
  s.cookie = r.base.cookie;
  s.seen_ns = r.base.ts_boot_ns;
  s.tuple = tuple_of(r.base);
  s.bound = bound_address(s.tuple.laddr, s.tuple.family, (r.base.flags & TCPTRAIL_F_INET6) != 0,
                          (r.bind & TCPTRAIL_BIND_V6ONLY) != 0);
  s.uid = r.uid;
  s.bound_dev_if = r.bound_dev_if;
  s.reuseaddr = r.reuseaddr != 0;
  s.reuseport = r.reuseport != 0;
  s.state = TcpState{r.base.new_state};
  if (s.state == TcpState::kClose) s.state = TcpState::kBound;
  // Without a descriptor ESTABLISHED and CLOSE_WAIT are in a listener's queue.
  const bool closing = s.state == TcpState::kFinWait1 || s.state == TcpState::kFinWait2 ||
                       s.state == TcpState::kClosing || s.state == TcpState::kLastAck;
  s.orphan = closing && r.has_socket == 0;
  const unsigned phase = r.tw & TCPTRAIL_TW_PHASE;
  if (s.state == TcpState::kTimeWait && phase != TCPTRAIL_TW_NONE) {
    s.minisocket = true;
    if (phase == TCPTRAIL_TW_FIN_WAIT2) s.state = TcpState::kFinWait2;
    s.expires_ns = s.seen_ns + r.expires_ms * kNsPerMs;
    s.step_ms = r.step_ms;
    s.timestamps = (r.bind & TCPTRAIL_BIND_TIMESTAMPS) != 0;
    s.reuse_since_ns = s.seen_ns - std::min<std::uint64_t>(s.seen_ns, r.reuse_age_ms * kNsPerMs);
  }
  return s;
}

std::optional<std::uint64_t> expires_in_ms(const PortSocket& s, std::uint64_t now_ns) {
  if (!s.minisocket) return std::nullopt;
  return s.expires_ns > now_ns ? (s.expires_ns - now_ns) / kNsPerMs : 0;
}

// The end that is furthest away first: no timer, then the latest.
bool stays_longer(const PortSocket* a, const PortSocket* b) {
  const auto rank = [](const PortSocket* s) { return s->minisocket ? s->expires_ns : UINT64_MAX; };
  if (rank(a) != rank(b)) return rank(a) > rank(b);
  return (a->state == TcpState::kListen) > (b->state == TcpState::kListen);
}

std::vector<PortOwner> owners_of(const PortSnapshot& snapshot, const Sockets& sockets) {
  std::map<std::uint32_t, PortOwner> by_pid;
  const auto count = [&](const Process& process, std::optional<bool> alive) {
    PortOwner& owner = by_pid[process.pid];
    owner.process = process;
    owner.alive = alive;
    ++owner.count;
  };
  for (const PortSocket* s : sockets) {
    const auto holders = snapshot.holders(s->cookie);
    for (const Process& process : holders) count(process, true);
    if (!holders.empty()) continue;
    if (const PortOwner past = snapshot.past_owner(*s); past.process.pid != 0)
      count(past.process, past.alive);
  }
  std::vector<PortOwner> owners;
  owners.reserve(by_pid.size());
  for (auto& [pid, owner] : by_pid) owners.push_back(owner);
  std::stable_sort(owners.begin(), owners.end(),
                   [](const PortOwner& a, const PortOwner& b) { return a.count > b.count; });
  return owners;
}

// Those with most sockets first.
std::vector<std::pair<TcpState, std::uint64_t>> states_of(const Sockets& sockets) {
  std::map<TcpState, std::uint64_t> counts;
  for (const PortSocket* s : sockets) ++counts[s->state];
  std::vector<std::pair<TcpState, std::uint64_t>> states(counts.begin(), counts.end());
  std::stable_sort(states.begin(), states.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return states;
}

bool passes(const PortSnapshot& snapshot, const Filters& filters, const PortSocket& s) {
  FilterInput facts;
  facts.tuple = s.tuple;
  facts.netns = snapshot.netns();
  facts.ended = true;
  facts.listener = s.tuple.rport == 0;
  if (!s.minisocket) facts.uid = s.uid;
  // Finding the owners of a hundred thousand minisockets takes its time.
  if (filters.pids.empty() && filters.comm_glob.empty())
    return match(filters, facts) == Match::kYes;
  const auto holders = snapshot.holders(s.cookie);
  if (holders.empty()) {
    if (const PortOwner past = snapshot.past_owner(s); past.process.pid != 0) {
      facts.owner = past.process;
      facts.owner_source = OwnerSource::kClose;
    }
    return match(filters, facts) == Match::kYes;
  }
  return std::any_of(holders.begin(), holders.end(), [&](const Process& process) {
    facts.owner = process;
    facts.owner_source = OwnerSource::kClose;
    return match(filters, facts) == Match::kYes;
  });
}

bool client_port(const PortTable& table, std::uint16_t port) {
  const PortBucket* bucket = table.bucket(port);
  return bucket != nullptr && !bucket->pinned();
}

// 0: a service that cannot come back; 1: other ports that bind() chose; 2: a service that
// lives; 3: ports that connect() chose.
unsigned severity(const PortRecord& record, const PortTable& table) {
  const bool listens = std::any_of(record.states.begin(), record.states.end(),
                                   [](const auto& s) { return s.first == TcpState::kListen; });
  if (listens) return 2;
  if (client_port(table, record.lport)) return 3;
  return record.bind_reuseaddr ? 1 : 0;
}

struct EndpointKey {
  Family family;
  Address address;
  friend bool operator==(const EndpointKey&, const EndpointKey&) = default;
};

}  // namespace

std::vector<BlockerRecord> blocker_records(const PortSnapshot& snapshot,
                                           std::vector<const PortSocket*> sockets,
                                           std::uint64_t now_ns) {
  const std::size_t shown = std::min(sockets.size(), kMaxBlockers);
  std::partial_sort(sockets.begin(), sockets.begin() + static_cast<std::ptrdiff_t>(shown),
                    sockets.end(), stays_longer);
  sockets.resize(shown);
  std::vector<BlockerRecord> records;
  records.reserve(shown);
  for (const PortSocket* s : sockets) {
    BlockerRecord record;
    record.state = s->state;
    record.cookie = s->cookie;
    record.tuple = s->tuple;
    record.reuseaddr = s->reuseaddr;
    record.reuseport = s->reuseport;
    record.expires_in_ms = expires_in_ms(*s, now_ns);
    if (const auto holders = snapshot.holders(s->cookie); !holders.empty()) {
      record.owner = holders.front();
      record.owner_alive = true;
    } else if (const PortOwner past = snapshot.past_owner(*s); past.process.pid != 0) {
      record.owner = past.process;
      record.owner_alive = past.alive;
    }
    records.push_back(record);
  }
  return records;
}

std::optional<IdlePeer> peer_that_stays(const PortSnapshot& snapshot,
                                        std::span<const PortSocket* const> blockers,
                                        std::uint64_t now_ns) {
  std::size_t looked = 0;
  for (const PortSocket* s : blockers) {
    if (s->state != TcpState::kFinWait2) continue;
    if (++looked > kMaxBlockers) break;
    const Tuple other = s->tuple.reversed();
    for (const PortSocket& peer : snapshot.table().on_port(other.lport)) {
      if (peer.state != TcpState::kCloseWait || peer.tuple != other) continue;
      const auto holders = snapshot.holders(peer.cookie);
      if (holders.empty()) continue;
      IdlePeer idle{holders.front(), std::nullopt};
      if (const auto since = snapshot.in_state_since(peer.cookie); since && *since <= now_ns)
        idle.for_ns = now_ns - *since;
      return idle;
    }
  }
  return std::nullopt;
}

void PortSnapshot::clear() {
  table_.clear();
  holders_.clear();
}

void PortSnapshot::apply(const Event& event, const std::optional<Process>& closed_by) {
  if (event.base.netns != netns_) return;  // at the same place in both kinds
  if (event.kind() == TCPTRAIL_SEEN_HOLDER) {
    std::vector<Process>& known = holders_[event.holder.cookie];
    const Process process{event.holder.pid, comm_of(event.holder.comm)};
    const auto same = [&](const Process& p) { return p.pid == process.pid; };
    if (process.pid != 0 && std::none_of(known.begin(), known.end(), same))
      known.push_back(process);
    return;
  }
  if (event.kind() != TCPTRAIL_SEEN_SOCKET || event.base.lport == 0) return;
  const tcptrail_owned_record& r = event.owned;
  PortSocket socket = socket_of(r);
  socket.closed_by = closed_by;
  table_.add(socket);
  if ((r.bind & TCPTRAIL_BIND_BUCKET) == 0) return;
  PortBucket bucket;
  bucket.fastreuse = r.fastreuse;
  bucket.fastreuseport = r.fastreuseport;
  bucket.fastuid = r.fastuid;
  std::copy(std::begin(r.fast_addr), std::end(r.fast_addr), bucket.fast.bytes.begin());
  bucket.fast.inet6 = (r.bind & TCPTRAIL_BIND_FAST_INET6) != 0;
  bucket.fast.v6only = (r.bind & TCPTRAIL_BIND_FAST_V6ONLY) != 0;
  table_.set_bucket(r.base.lport, bucket);
}

std::span<const Process> PortSnapshot::holders(std::uint64_t cookie) const {
  const auto found = holders_.find(cookie);
  if (cookie == 0 || found == holders_.end()) return {};
  return found->second;
}

PortRecord answer_bind(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                       const BindQuestion& question, std::uint64_t now_ns) {
  const PortTable& table = snapshot.table();
  PortRecord record;
  record.boot_ns = now_ns;
  record.netns = snapshot.netns();
  record.lport = question.port;
  // `::ffff:a.b.c.d` of an AF_INET6 socket keeps its form.
  record.family = question.address.inet6 ? Family::kIpv6 : Family::kIpv4;
  if (question.address.inet6)
    record.laddr.bytes = question.address.bytes;
  else
    std::copy(question.address.bytes.begin() + 12, question.address.bytes.end(),
              record.laddr.bytes.begin());

  const BindRefusal refused = refusal(question, sysctls);
  if (refused == BindRefusal::kNone) {
    record.bind_plain = bind_succeeds(table, sysctls, question, BindOptions::kPlain);
    record.bind_reuseaddr = bind_succeeds(table, sysctls, question, BindOptions::kReuseAddr);
    record.bind_reuseport = bind_succeeds(table, sysctls, question, BindOptions::kReusePort);
  }
  Sockets blockers;
  if (refused == BindRefusal::kNone && question.port != 0)
    blockers = bind_blockers(table, question, BindOptions::kPlain);
  record.states = states_of(blockers);
  record.blocker_count = blockers.size();
  if (record.bind_plain)
    record.free_in_ms = 0;
  else if (!blockers.empty())
    record.free_in_ms = all_gone_in_ms(blockers, now_ns);
  record.owners = owners_of(snapshot, blockers);
  if (!record.bind_plain) {
    BindCase c;
    c.question = question;
    c.refusal = refused;
    c.reuseaddr_ok = record.bind_reuseaddr;
    c.reuseport_ok = record.bind_reuseport;
    c.blockers = blockers;
    c.client_port = client_port(table, question.port);
    c.free_in_ms = record.free_in_ms;
    c.peer_that_stays = peer_that_stays(snapshot, blockers, now_ns);
    c.holders = [&](std::uint64_t cookie) { return snapshot.holders(cookie); };
    record.remedies = bind_remedies(c, sysctls);
  }
  record.blockers = blocker_records(snapshot, std::move(blockers), now_ns);
  return record;
}

namespace {

DestinationRecord destination_record(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                                     const Tuple& tuple, const ConnectAnswer& verdict,
                                     std::uint64_t now_ns) {
  DestinationRecord record;
  record.boot_ns = now_ns;
  record.netns = snapshot.netns();
  record.tuple = tuple;
  record.tuple.lport = 0;
  record.connect = verdict.ok;
  record.used = verdict.used;
  record.time_wait = verdict.time_wait;
  record.available = verdict.available;
  record.range_low = sysctls.range_low;
  record.range_high = sysctls.range_high;
  record.reserved = reserved_in_range(sysctls);
  record.free_in_ms = verdict.free_in_ms;
  const unsigned range = sysctls.range_high - sysctls.range_low + 1;
  if (!verdict.ok || verdict.available < range / 5) {
    const ConnectCase c{.question = {record.tuple},
                        .verdict = verdict,
                        .now_ns = now_ns,
                        .holders = [&](std::uint64_t cookie) { return snapshot.holders(cookie); }};
    record.remedies = connect_remedies(c, sysctls);
  }
  return record;
}

// Endpoints of clients that are alike, until all are known.
class ClientPorts {
 public:
  ClientPorts(const PortSnapshot& snapshot, const PortSysctls& sysctls, std::uint64_t now_ns)
      : snapshot_(snapshot), sysctls_(sysctls), now_ns_(now_ns) {}

  void add(const EndpointKey& endpoint, const BindQuestion& question) {
    const PortTable& table = snapshot_.table();
    const Sockets blockers = bind_blockers(table, question, BindOptions::kPlain);
    if (blockers.empty()) return;
    const Key key{endpoint.family, endpoint.address.bytes,
                  bind_succeeds(table, sysctls_, question, BindOptions::kReuseAddr),
                  bind_succeeds(table, sysctls_, question, BindOptions::kReusePort),
                  owner(*blockers.front())};
    Group& group = groups_[key];
    if (group.ports++ == 0) group.first = question;
    group.last = question.port;
    group.blockers.insert(group.blockers.end(), blockers.begin(), blockers.end());
  }

  void report(std::vector<PortRecord>& ports) const {
    for (const auto& [key, group] : groups_) {
      PortRecord record;
      if (group.ports == 1) {
        record = answer_bind(snapshot_, sysctls_, group.first, now_ns_);
      } else {
        record.boot_ns = now_ns_;
        record.netns = snapshot_.netns();
        record.family = key.family;
        record.laddr.bytes = key.address;
        record.lport = group.first.port;
        record.last_port = group.last;
        record.ports = group.ports;
        record.states = states_of(group.blockers);
        record.bind_reuseaddr = key.reuseaddr;
        record.bind_reuseport = key.reuseport;
        record.blocker_count = group.blockers.size();
        record.free_in_ms = all_gone_in_ms(group.blockers, now_ns_);
        record.owners = owners_of(snapshot_, group.blockers);
        record.remedies = {client_ports_remedy(sysctls_)};
      }
      ports.push_back(std::move(record));
    }
  }

 private:
  struct Key {
    Family family;
    std::array<std::uint8_t, 16> address;
    bool reuseaddr;
    bool reuseport;
    std::uint32_t pid;
    auto operator<=>(const Key&) const = default;
  };
  struct Group {
    BindQuestion first;
    std::uint16_t last = 0;
    unsigned ports = 0;
    Sockets blockers;
  };

  [[nodiscard]] std::uint32_t owner(const PortSocket& s) const {
    const auto holders = snapshot_.holders(s.cookie);
    return holders.empty() ? snapshot_.past_owner(s).process.pid : holders.front().pid;
  }

  const PortSnapshot& snapshot_;
  const PortSysctls& sysctls_;
  std::uint64_t now_ns_;
  std::map<Key, Group> groups_;
};

void report_endpoints(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                      const Filters& filters, std::uint64_t now_ns, PortList list,
                      PortReport& report) {
  const std::span<const PortSocket> all = snapshot.table().all();
  std::vector<EndpointKey> endpoints;
  ClientPorts clients(snapshot, sysctls, now_ns);
  for (std::size_t i = 0; i < all.size();) {
    const auto here = snapshot.table().on_port(all[i].tuple.lport);
    i += here.size();
    endpoints.clear();
    for (const PortSocket& s : here) {
      const EndpointKey key{s.tuple.family, s.tuple.laddr};
      if (std::find(endpoints.begin(), endpoints.end(), key) == endpoints.end() &&
          passes(snapshot, filters, s))
        endpoints.push_back(key);
    }
    const bool together = list == PortList::kClientsTogether &&
                          client_port(snapshot.table(), here.front().tuple.lport);
    for (const EndpointKey& key : endpoints) {
      BindQuestion question;
      question.port = here.front().tuple.lport;
      const bool inet6 = key.family == Family::kIpv6;
      const bool v6only =
          inet6 && std::all_of(here.begin(), here.end(), [&](const PortSocket& s) {
            return !(s.tuple.family == key.family && s.tuple.laddr == key.address) ||
                   s.bound.v6only;
          });
      question.address = address_to_bind(key.address, key.family, inet6, v6only);
      if (together) {
        clients.add(key, question);
        continue;
      }
      PortRecord record = answer_bind(snapshot, sysctls, question, now_ns);
      if (!record.bind_plain) report.ports.push_back(std::move(record));
    }
  }
  clients.report(report.ports);
  std::vector<std::pair<unsigned, std::size_t>> order;
  order.reserve(report.ports.size());
  for (std::size_t i = 0; i < report.ports.size(); ++i)
    order.emplace_back(severity(report.ports[i], snapshot.table()), i);
  std::stable_sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first < b.first;
    return report.ports[a.second].blocker_count > report.ports[b.second].blocker_count;
  });
  std::vector<PortRecord> sorted;
  sorted.reserve(order.size());
  for (const auto& [rank, index] : order) sorted.push_back(std::move(report.ports[index]));
  report.ports = std::move(sorted);
}

// What the rate makes of it: ports that come back in time are no loss.
void predict(DestinationRecord& record, std::span<const PortSocket* const> group,
             const PortTable& table, const PortSysctls& sysctls) {
  std::vector<const PortSocket*> held;
  unsigned usable = record.available;
  std::uint16_t last = 0;
  for (const PortSocket* s : group) {
    const std::uint16_t port = s->tuple.lport;
    if (port == last || sysctls.reserved[port] || table.pinned(port) ||
        !in_ephemeral_range(sysctls, port))
      continue;
    last = port;
    held.push_back(s);
    if (!may_reuse(*s, sysctls, false, record.boot_ns)) ++usable;
  }
  record.exhausted_in_s = exhausted_in_s(held, usable, *record.rate_per_s, sysctls, record.boot_ns);
}

void report_destinations(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                         const Filters& filters, std::uint64_t now_ns, PortList list,
                         const ConnectRate& rate, PortReport& report) {
  // The sockets to each, in order of port.
  std::vector<Sockets> groups;
  std::unordered_map<Tuple, std::size_t, TupleHash> known;
  for (const PortSocket& s : snapshot.table().all()) {
    if (s.tuple.lport < sysctls.range_low || s.tuple.lport > sysctls.range_high ||
        !stands_between(s, s.tuple))
      continue;
    Tuple destination = s.tuple;
    destination.lport = 0;
    const auto [at, is_new] = known.try_emplace(destination, groups.size());
    if (is_new) groups.emplace_back();
    groups[at->second].push_back(&s);
  }

  const EphemeralPorts ephemeral(snapshot.table(), sysctls);
  for (const Sockets& group : groups) {
    // The connections that a server in the range has accepted are no use of ephemeral ports.
    if (std::all_of(group.begin(), group.end(),
                    [&](const PortSocket* s) { return snapshot.table().pinned(s->tuple.lport); }))
      continue;
    if (std::none_of(group.begin(), group.end(),
                     [&](const PortSocket* s) { return passes(snapshot, filters, *s); }))
      continue;
    const ConnectAnswer verdict = ephemeral.verdict(group, now_ns);
    DestinationRecord record =
        destination_record(snapshot, sysctls, group.front()->tuple, verdict, now_ns);
    // People are told the owners with the ports.
    if (list == PortList::kEach) record.owners = owners_of(snapshot, verdict.blockers);
    if (rate) record.rate_per_s = rate(record.tuple);
    if (record.rate_per_s) predict(record, group, snapshot.table(), sysctls);
    report.destinations.push_back(std::move(record));
  }
  std::stable_sort(report.destinations.begin(), report.destinations.end(),
                   [](const DestinationRecord& a, const DestinationRecord& b) {
                     if (a.available != b.available) return a.available < b.available;
                     return a.used > b.used;
                   });
}

}  // namespace

PortReport report_ports(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                        const Filters& filters, std::uint64_t now_ns, PortList list,
                        const ConnectRate& rate) {
  PortReport report;
  report_endpoints(snapshot, sysctls, filters, now_ns, list, report);
  report_destinations(snapshot, sysctls, filters, now_ns, list, rate, report);
  return report;
}

void report_time_wait(const PortSnapshot& snapshot, const Filters& filters, std::uint64_t now_ns,
                      const std::function<void(const TimeWaitRecord&)>& put) {
  for (const PortSocket& s : snapshot.table().all()) {
    if (!s.minisocket || !passes(snapshot, filters, s)) continue;
    TimeWaitRecord record;
    record.boot_ns = now_ns;
    record.event = TimeWaitEvent::kPresent;
    record.phase =
        s.state == TcpState::kTimeWait ? TimeWaitPhase::kTimeWait : TimeWaitPhase::kFinWait2;
    record.cookie = s.cookie;
    record.netns = snapshot.netns();
    record.tuple = s.tuple;
    record.owner = snapshot.past_owner(s).process;
    record.reuseaddr = s.reuseaddr;
    record.reuseport = s.reuseport;
    record.expires_in_ms = expires_in_ms(s, now_ns);
    put(record);
  }
}

DestinationRecord answer_connect(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                                 const ConnectQuestion& question, std::uint64_t now_ns) {
  const ConnectAnswer verdict = connect_verdict(snapshot.table(), sysctls, question, now_ns);
  DestinationRecord record = destination_record(snapshot, sysctls, question.tuple, verdict, now_ns);
  record.owners = owners_of(snapshot, verdict.blockers);
  return record;
}

}  // namespace tcptrail
