// SPDX-License-Identifier: BSD-2-Clause
#include "ports/blocked.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "ports/port_remedies.h"

namespace tcptrail {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
// Records of their own that attempts get each second; the rest is counted together.
constexpr std::uint64_t kSinglesPerSecond = 200;
constexpr std::size_t kMaxPending = 1024;

BindOptions options_of(bool reuseaddr, bool reuseport) {
  if (reuseaddr && reuseport) return BindOptions::kBoth;
  if (reuseaddr) return BindOptions::kReuseAddr;
  return reuseport ? BindOptions::kReusePort : BindOptions::kPlain;
}

// When one of their ports has lost all of its holders. `sockets` in order of port.
std::optional<std::uint64_t> first_port_free_in_ms(std::span<const PortSocket* const> sockets,
                                                   std::uint64_t now_ns) {
  std::optional<std::uint64_t> best;
  for (std::size_t i = 0, end = 0; i < sockets.size(); i = end) {
    while (end < sockets.size() && sockets[end]->tuple.lport == sockets[i]->tuple.lport) ++end;
    const auto gone = all_gone_in_ms(sockets.subspan(i, end - i), now_ns);
    if (gone && (!best || *gone < *best)) best = gone;
  }
  return best;
}

// The sockets of the port as they were at the time of the call; 0 = of every port. What came since,
// and the caller's own socket, cannot have been in its way.
template <typename Later>
PortTable table_without(const PortTable& table, std::uint16_t port, const Later& is_later) {
  PortTable before;
  for (const PortSocket& s : port != 0 ? table.on_port(port) : table.all()) {
    if (is_later(s)) continue;
    before.add(s);
    if (const PortBucket* bucket = table.bucket(s.tuple.lport))
      before.set_bucket(s.tuple.lport, *bucket);
  }
  before.finish();
  return before;
}

BindOptions with(BindOptions options, BindOptions more) {
  return options == BindOptions::kPlain || options == more ? more : BindOptions::kBoth;
}

}  // namespace

BlockedAttempts::BlockedAttempts(Filters filters, MachineQueries& facts, RecordSink& sink)
    : filters_(std::move(filters)), facts_(facts), sink_(sink) {}

// Filters on how a connection ended have nothing to say of one that never was; an
// attempt is no less an error for it.
bool BlockedAttempts::passes(const Attempt& attempt, std::optional<bool> in_tree) const {
  const bool no_port_wanted =
      std::find(filters_.how.begin(), filters_.how.end(), How::kNoPort) != filters_.how.end();
  if (!filters_.closed_by.empty() || filters_.min_duration_ns ||
      (!filters_.how.empty() && !no_port_wanted))
    return false;
  FilterInput facts;
  facts.tuple = attempt.tuple;
  facts.netns = attempt.netns;
  facts.owner = attempt.caller;
  facts.owner_source = OwnerSource::kClose;  // it will not turn out to be another's
  facts.uid = attempt.uid;
  facts.in_tree = in_tree;
  facts.listener = attempt.op != BlockedOp::kConnect;
  facts.ended = true;
  return match(filters_, facts) == Match::kYes;
}

void BlockedAttempts::refused(const Event& event) {
  const tcptrail_refused_record& r = event.refused;
  Attempt attempt;
  attempt.boot_ns = event.boot_ns();
  attempt.cookie = event.cookie();
  attempt.op = r.op == TCPTRAIL_OP_LISTEN ? BlockedOp::kListen : BlockedOp::kBind;
  attempt.error = r.error;
  attempt.caller = {r.base.pid, comm_of(r.comm)};
  attempt.netns = r.base.netns;
  attempt.tuple = tuple_of(r.base);
  const bool inet6 = event.has(TCPTRAIL_F_INET6);
  attempt.bound =
      attempt.op == BlockedOp::kBind
          ? address_to_bind(attempt.tuple.laddr, attempt.tuple.family, inet6, r.v6only != 0)
          : bound_address(attempt.tuple.laddr, attempt.tuple.family, inet6, r.v6only != 0);
  attempt.options = options_of(r.reuseaddr != 0, r.reuseport != 0);
  attempt.uid = r.uid;
  attempt.device = r.bound_dev_if;
  if (passes(attempt, event.has(TCPTRAIL_F_IN_TREE) ? std::optional(true) : std::nullopt))
    add(attempt);
}

void BlockedAttempts::listen_refused(const Listener& listener, const tcptrail_end_record& end) {
  Attempt attempt;
  attempt.boot_ns = end.base.ts_boot_ns;
  attempt.cookie = end.base.cookie;
  attempt.op = BlockedOp::kListen;
  attempt.error = EADDRINUSE;
  attempt.caller = listener.owner;
  attempt.netns = listener.netns;
  attempt.tuple = listener.tuple;
  attempt.bound = bound_address(listener.tuple.laddr, listener.tuple.family,
                                (end.base.flags & TCPTRAIL_F_INET6) != 0, false);
  attempt.options = options_of(listener.reuseaddr, listener.reuseport);
  attempt.uid = listener.uid;
  if (passes(attempt, listener.in_tree ? std::optional(true) : std::nullopt)) add(attempt);
}

void BlockedAttempts::no_port(const Conn& conn, const tcptrail_end_record& end) {
  Attempt attempt;
  attempt.boot_ns = end.base.ts_boot_ns;
  attempt.cookie = end.base.cookie;
  attempt.op = BlockedOp::kConnect;
  attempt.error = EADDRNOTAVAIL;
  attempt.caller = conn.owner;
  attempt.netns = conn.netns;
  attempt.tuple = conn.tuple;
  attempt.uid = conn.uid;
  attempt.port_range = end.port_range;
  if (passes(attempt, conn.in_tree ? std::optional(true) : std::nullopt)) add(attempt);
}

void BlockedAttempts::add(Attempt attempt) {
  if (attempt.boot_ns - singles_since_ns_ >= kSecondNs) {
    singles_since_ns_ = attempt.boot_ns;
    singles_ = kSinglesPerSecond;
  }
  if (singles_ > 0 && pending_.size() < asked_ + kMaxPending) {
    --singles_;
    pending_.push_back(attempt);
    return;
  }
  const auto same = [&](const Attempt& known) {
    return known.op == attempt.op && known.caller.pid == attempt.caller.pid &&
           known.netns == attempt.netns && known.tuple == attempt.tuple;
  };
  // What is being answered already would have to wait for the next look, and, in a flood, for the
  // one after it.
  const auto end =
      std::make_reverse_iterator(pending_.begin() + static_cast<std::ptrdiff_t>(asked_));
  // The newest of its kind is the one that may have grown already.
  auto found = std::find_if(pending_.rbegin(), end, same);
  if (found == end && pending_.size() < asked_ + kMaxPending) {
    pending_.push_back(attempt);
    return;
  }
  // More kinds than can be kept apart: who and where is given up, how many is not.
  if (found == end) {
    attempt.caller = {};
    attempt.tuple.lport = 0;
    found = std::find_if(pending_.rbegin(), end, same);
    if (found == end)
      found = std::find_if(pending_.rbegin(), end,
                           [&](const Attempt& known) { return known.op == attempt.op; });
    if (found == end) found = pending_.rbegin();
    found->caller = {};
  }
  ++found->count;
  found->boot_ns = attempt.boot_ns;
}

std::vector<std::uint32_t> BlockedAttempts::netns_wanted() const {
  std::vector<std::uint32_t> all;
  for (const Attempt& attempt : pending_) all.push_back(attempt.netns);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

void BlockedAttempts::on_snapshots(std::uint64_t boot_ns, std::span<const PortSnapshot> snapshots) {
  // What is refused during the snapshot waits for the next one.
  const auto later = pending_.begin() + static_cast<std::ptrdiff_t>(std::exchange(asked_, 0));
  for (const PortSnapshot& snapshot : snapshots) {
    const auto is_here = [&](const Attempt& a) { return a.netns == snapshot.netns(); };
    if (std::none_of(pending_.begin(), later, is_here)) continue;
    const auto sysctls = facts_.port_sysctls(snapshot.netns());
    if (!sysctls) continue;
    for (auto attempt = pending_.begin(); attempt != later; ++attempt)
      if (is_here(*attempt)) {
        write(*attempt, &snapshot, &*sysctls, boot_ns);
        attempt->count = 0;
      }
  }
  for (auto attempt = pending_.begin(); attempt != later; ++attempt)
    if (attempt->count != 0) write(*attempt, nullptr, nullptr, boot_ns);
  pending_.erase(pending_.begin(), later);
}

void BlockedAttempts::give_up(std::uint64_t boot_ns) {
  begin_snapshot();
  on_snapshots(boot_ns, {});
}

// Whether the socket cannot have been in the way of the call: it is the caller's own, or younger.
// bind() gives a port before the first transition, so there the time of bind() decides.
bool BlockedAttempts::is_later(const Attempt& attempt, const PortSnapshot& snapshot,
                               const PortSocket& socket) {
  if (socket.cookie != 0 && socket.cookie == attempt.cookie) return true;
  if (attempt.op != BlockedOp::kConnect && socket.port_lock)
    return socket.portless_us >= attempt.boot_ns / 1000;
  const auto began = snapshot.began(socket.cookie);
  return began && *began > attempt.boot_ns;
}

void BlockedAttempts::write(const Attempt& attempt, const PortSnapshot* snapshot,
                            const PortSysctls* sysctls, std::uint64_t boot_ns) {
  BlockedRecord record;
  record.boot_ns = attempt.boot_ns;
  record.op = attempt.op;
  record.error = attempt.error;
  record.count = attempt.count;
  record.caller = attempt.caller;
  record.netns = attempt.netns;
  record.tuple = attempt.tuple;
  if (sysctls != nullptr)
    join(attempt, *snapshot, *sysctls, record);
  else
    record.remedies.emplace_back(
        "What is in the way is not known: the sockets of this network namespace could not be "
        "read.");
  // What had gone when somebody looked was free then. Timers count from the record's own time
  // already.
  if (record.free_in_ms == 0U)
    record.free_in_ms =
        boot_ns > attempt.boot_ns ? (boot_ns - attempt.boot_ns + 999'999) / 1'000'000 : 0;
  sink_.on(record);
}

void BlockedAttempts::join(const Attempt& attempt, const PortSnapshot& snapshot,
                           const PortSysctls& sysctls, BlockedRecord& record) {
  const PortTable& now = snapshot.table();
  const std::uint16_t port = attempt.tuple.lport;
  const auto later = [&](const PortSocket& s) { return is_later(attempt, snapshot, s); };
  const auto here = port != 0 ? now.on_port(port) : now.all();
  PortTable before;
  const bool any_later = std::any_of(here.begin(), here.end(), later);
  if (any_later) before = table_without(now, port, later);
  const PortTable& table = any_later ? before : now;
  if (attempt.op == BlockedOp::kConnect)
    join_connect(attempt, snapshot, table, with_own_range(sysctls, attempt.port_range), record);
  else
    join_bind(attempt, snapshot, table, sysctls, record);
}

void BlockedAttempts::join_bind(const Attempt& attempt, const PortSnapshot& snapshot,
                                const PortTable& table, const PortSysctls& sysctls,
                                BlockedRecord& record) {
  const std::uint64_t now_ns = attempt.boot_ns;
  BindCase c;
  c.question.address = attempt.bound;
  c.question.port = attempt.tuple.lport;
  c.question.uid = attempt.uid;
  c.question.device = attempt.device;
  c.asker = attempt.caller;
  c.asked = attempt.options;
  std::vector<const PortSocket*> blockers;
  if (attempt.error == EADDRNOTAVAIL) {
    c.refusal = BindRefusal::kNotLocal;
  } else if (c.question.port == 0) {
    for (const PortSocket& s : table.all())
      if (in_ephemeral_range(sysctls, s.tuple.lport) &&
          addresses_overlap(c.question.address, s.bound))
        blockers.push_back(&s);
  } else {
    blockers = bind_blockers(table, c.question, c.asked);
    c.reuseaddr_ok =
        bind_succeeds(table, sysctls, c.question, with(c.asked, BindOptions::kReuseAddr));
    c.reuseport_ok =
        bind_succeeds(table, sysctls, c.question, with(c.asked, BindOptions::kReusePort));
    if (const auto v6only = with_v6only(c.question))
      c.v6only_ok = bind_succeeds(table, sysctls, *v6only, c.asked);
    const PortBucket* bucket = table.bucket(c.question.port);
    c.client_port = bucket != nullptr && !bucket->pinned();
    c.peer_that_stays = peer_that_stays(snapshot, blockers, now_ns);
  }
  c.blockers = blockers;
  record.blocker_count = blockers.size();
  if (!blockers.empty()) {
    record.free_in_ms = c.question.port != 0 ? all_gone_in_ms(blockers, now_ns)
                                             : first_port_free_in_ms(blockers, now_ns);
    c.free_in_ms = record.free_in_ms;
    c.holders = [&](std::uint64_t cookie) { return snapshot.holders(cookie); };
    record.remedies = bind_remedies(c, sysctls);
  } else if (c.refusal != BindRefusal::kNone) {
    record.remedies = bind_remedies(c, sysctls);
  } else if (snapshot.table().on_port(c.question.port).size() !=
             table.on_port(c.question.port).size()) {
    // A holder that has gone since, or two calls at the same moment on two CPUs.
    record.remedies.emplace_back(
        fmt::format("The socket that was in the way is gone, or took the port at the same moment: "
                    "`tcptrail ports {}` shows who has it now.",
                    c.question.port));
  } else {
    record.free_in_ms = 0;
    record.remedies.emplace_back("What was in the way has gone in the meantime: try again.");
  }
  record.blockers = blocker_records(snapshot, std::move(blockers), now_ns);
}

void BlockedAttempts::join_connect(const Attempt& attempt, const PortSnapshot& snapshot,
                                   const PortTable& table, const PortSysctls& sysctls,
                                   BlockedRecord& record) {
  const std::uint64_t now_ns = attempt.boot_ns;
  std::vector<const PortSocket*> blockers;
  if (attempt.tuple.lport != 0) {
    for (const PortSocket& s : table.on_port(attempt.tuple.lport))
      if (stands_between(s, attempt.tuple)) blockers.push_back(&s);
    if (!blockers.empty()) {
      record.free_in_ms = all_gone_in_ms(blockers, now_ns);
      record.remedies = bound_connect_remedies(*blockers.front(),
                                               snapshot.holders(blockers.front()->cookie), now_ns);
    }
  } else {
    ConnectAnswer answer = connect_answer(table, sysctls, {attempt.tuple}, now_ns);
    if (!answer.ok) {
      record.free_in_ms = answer.free_in_ms;
      record.remedies = connect_remedies(
          {.question = {attempt.tuple},
           .answer = answer,
           .now_ns = now_ns,
           .holders = [&](std::uint64_t cookie) { return snapshot.holders(cookie); }},
          sysctls);
    }
    blockers = std::move(answer.blockers);
  }
  record.blocker_count = blockers.size();
  record.blockers = blocker_records(snapshot, std::move(blockers), now_ns);
  if (record.remedies.empty()) {
    record.remedies.emplace_back(
        attempt.tuple.lport != 0
            ? "The socket with the same endpoints is gone, or the socket has a device of its own "
              "(SO_BINDTODEVICE)."
            : "A socket without options finds a port now. Possible causes: a port was released, "
              "ip_local_port_range was changed, or this socket has a device of its own "
              "(SO_BINDTODEVICE).");
  }
}

}  // namespace tcptrail
