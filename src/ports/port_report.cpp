// SPDX-License-Identifier: BSD-2-Clause
#include "ports/port_report.h"

#include <algorithm>
#include <array>
#include <compare>
#include <map>
#include <unordered_map>

#include "ports/exhaustion.h"
#include "ports/port_remedies.h"
#include "ports/port_rules.h"

namespace tcptrail {
namespace {

using Sockets = std::vector<const PortSocket*>;

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

// 0: a service that cannot come back; 1: other ports that bind() chose; 2: a service that
// lives; 3: ports that connect() chose.
unsigned severity(const PortRecord& record, const PortTable& table) {
  const bool listens = std::any_of(record.states.begin(), record.states.end(),
                                   [](const auto& s) { return s.first == TcpState::kListen; });
  if (listens) return 2;
  if (table.is_client_port(record.lport)) return 3;
  return record.bind_reuseaddr ? 1 : 0;
}

struct EndpointKey {
  Family family;
  Address address;
  friend bool operator==(const EndpointKey&, const EndpointKey&) = default;
};

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
                          snapshot.table().is_client_port(here.front().tuple.lport);
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
    const ConnectAnswer answer = ephemeral.answer(group, now_ns);
    DestinationRecord record =
        destination_record(snapshot, sysctls, group.front()->tuple, answer, now_ns);
    // People are told the owners with the ports.
    if (list == PortList::kEach) record.owners = owners_of(snapshot, answer.blockers);
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

}  // namespace tcptrail
