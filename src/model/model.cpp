// SPDX-License-Identifier: BSD-2-Clause
#include "model/model.h"

#include <algorithm>
#include <cstring>

namespace tcptrail {

TrackerOptions Model::lifecycle_options() {
  TrackerOptions o;
  o.filters = options_.filters;
  o.want_transitions = options_.want_transitions;
  o.resets_traced = options_.resets_traced;
  o.reset_reasons = options_.reset_reasons;
  o.cookie_is_address = options_.cookie_is_address;
  o.max_connections = options_.max_connections;
  o.cgroup_path = [this](std::uint64_t id) { return facts_.cgroup_path(id); };
  o.observer = this;
  o.infer_refused_listen = options_.want_blocked && !options_.listen_traced;
  return o;
}

Model::Model(const ModelOptions& options, MachineQueries& facts, RecordSink& sink)
    : options_(options),
      facts_(facts),
      sink_(sink),
      time_waits_({.filters = options.filters,
                   .follow = options.follow_time_wait,
                   .scanned = options.follow_time_wait && options.snapshots,
                   .only_traced = options.only_traced,
                   .cookie_is_address = options.cookie_is_address,
                   .max_entries = options.max_connections},
                  sink),
      blocked_(options.filters, facts, sink),
      watch_(options.filters, options.port_list, options.list_time_waits, facts, sink),
      tracker_(lifecycle_options(), sink) {}

void Model::event(const Event& event) {
  if (due(event.boot_ns())) advance_to(event.boot_ns());
  switch (event.kind()) {
    case TCPTRAIL_SEEN_TIMEWAIT:
      time_waits_.seen(event, tracker_.find(event.timewait.cookie));
      return;
    case TCPTRAIL_TIMEWAIT_END:
      time_waits_.ended(event);
      return;
    case TCPTRAIL_REFUSED:
      if (options_.want_blocked) blocked_.refused(event);
      return;
    case TCPTRAIL_SEEN_SOCKET:
      if (event.new_state() == TcpState::kTimeWait) {
        const TimeWait* known = time_waits_.seen(event, tracker_.find(event.cookie()));
        const auto closed_by = known != nullptr ? std::optional(known->owner) : std::nullopt;
        for (PortSnapshot& snapshot : port_snapshots_) snapshot.apply(event, closed_by);
        return;
      }
      for (PortSnapshot& snapshot : port_snapshots_) snapshot.apply(event);
      // A connect() that took a minisocket's tuple over and has not been answered yet shows it only
      // here.
      if (event.new_state() == TcpState::kSynSent)
        time_waits_.taken_over(event.base.netns, tuple_of(event.base), event.cookie(),
                               Role::kActive, event.boot_ns());
      if (!minisockets_only_) tracker_.apply(event);
      return;
    case TCPTRAIL_SEEN_HOLDER:
      for (PortSnapshot& snapshot : port_snapshots_) snapshot.apply(event);
      tracker_.apply(event);
      return;
    default:
      tracker_.apply(event);
  }
}

// Of a storm's lookups, those in the ledger miss every cache: it has an entry for each connection
// of the last minute.
void Model::prefetch(const tcptrail_record& record) {
  using enum TcpState;
  const TcpState old{record.old_state};
  const TcpState next{record.new_state};
  switch (record.kind) {
    case TCPTRAIL_TRANSITION:
    case TCPTRAIL_TRANSITION_OWNED:  // got_tuple()
      if ((old == kListen && next == kSynRecv) || (old == kSynSent && next == kEstablished))
        time_waits_.prefetch(record.netns, tuple_of(record));
      break;
    case TCPTRAIL_TRANSITION_END:
      if (old == kFinWait2 || old == kClosing)
        time_waits_.prefetch(record.netns, tuple_of(record));  // left_minisocket()
      if (old == kLastAck)
        time_waits_.prefetch(record.netns, tuple_of(record).reversed());  // fin_acknowledged()
      break;
    case TCPTRAIL_SEEN_TIMEWAIT: {
      tcptrail_timewait_record minisocket;
      static_assert(sizeof minisocket == sizeof record);
      std::memcpy(&minisocket, &record, sizeof minisocket);
      time_waits_.prefetch(minisocket.netns, tuple_of(minisocket));
      break;
    }
    default:
      break;
  }
}

void Model::begin_snapshot(std::uint64_t boot_ns, bool minisockets_only) {
  minisockets_only_ = minisockets_only;
  time_waits_.begin_scan(boot_ns);
  if (minisockets_only) return;
  tracker_.begin_snapshot(boot_ns);
  blocked_.begin_snapshot();
  std::vector<std::uint32_t> wanted = blocked_.netns_wanted();
  wanted.insert(wanted.end(), options_.watched_netns.begin(), options_.watched_netns.end());
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  std::erase_if(port_snapshots_, [&](const PortSnapshot& s) {
    return !std::binary_search(wanted.begin(), wanted.end(), s.netns());
  });
  for (PortSnapshot& snapshot : port_snapshots_) snapshot.clear();
  for (const std::uint32_t netns : wanted) {
    if (std::any_of(port_snapshots_.begin(), port_snapshots_.end(),
                    [&](const PortSnapshot& s) { return s.netns() == netns; }))
      continue;
    port_snapshots_.emplace_back(netns);
    port_snapshots_.back().set_past_owner(
        [this, netns](const PortSocket& socket) { return past_owner(netns, socket); });
    port_snapshots_.back().set_began(
        [this](std::uint64_t cookie) { return tracker_.began_ns(cookie); });
    port_snapshots_.back().set_in_state_since(
        [this](std::uint64_t cookie) { return tracker_.in_state_since(cookie); });
  }
  std::sort(port_snapshots_.begin(), port_snapshots_.end(),
            [](const PortSnapshot& a, const PortSnapshot& b) { return a.netns() < b.netns(); });
}

void Model::end_snapshot(std::uint64_t boot_ns, const SnapshotScope& scope) {
  time_waits_.end_scan(boot_ns, scope);
  if (minisockets_only_) return;
  tracker_.end_snapshot(boot_ns, scope.netns_read, scope.netns_refused);
  std::erase_if(port_snapshots_, [&](const PortSnapshot& s) {
    return !std::binary_search(scope.netns_read.begin(), scope.netns_read.end(), s.netns());
  });
  for (PortSnapshot& snapshot : port_snapshots_) snapshot.finish();
  alive_.clear();
  blocked_.on_snapshots(boot_ns, port_snapshots_);
  // Nobody asks for them again but the rounds.
  if (!options_.watch_ports) port_snapshots_.clear();
}

bool Model::due(std::uint64_t boot_ns) const {
  return tracker_.waiting() || (!options_.snapshots && blocked_.any()) ||
         time_waits_.next_decision_ns() <= boot_ns || sink_.next_tick() <= boot_ns;
}

std::optional<std::uint64_t> Model::wakes_at() const {
  if (tracker_.waiting() || (!options_.snapshots && blocked_.any())) return 0;
  const std::uint64_t next = std::min(sink_.next_tick(), time_waits_.next_decision_ns());
  return next != UINT64_MAX ? std::optional(next) : std::nullopt;
}

void Model::advance_to(std::uint64_t boot_ns) {
  tracker_.advance_to(boot_ns);
  time_waits_.advance_to(boot_ns);
  if (!options_.snapshots) blocked_.give_up(boot_ns);
  if (sink_.next_tick() <= boot_ns) sink_.tick(boot_ns);
}

void Model::round(std::uint64_t boot_ns) {
  alive_.clear();
  for (PortSnapshot& snapshot : port_snapshots_) snapshot.drop_gone(boot_ns);
  watch_.show(boot_ns, port_snapshots_);
}

void Model::finish(std::uint64_t boot_ns) {
  tracker_.finish(boot_ns);
  time_waits_.finish();
  blocked_.give_up(boot_ns);
}

// Who closed it, and whether that process still exists: of a minisocket, or of a socket that is
// still being closed.
PortOwner Model::past_owner(std::uint32_t netns, const PortSocket& socket) {
  PortOwner owner;
  const TimeWait* entry =
      socket.minisocket && !socket.closed_by
          ? time_waits_.find(netns, socket.tuple, options_.cookie_is_address ? 0 : socket.cookie)
          : nullptr;
  if (socket.closed_by)
    owner.process = *socket.closed_by;
  else if (entry != nullptr)
    owner.process = entry->owner;
  else if (const Conn* conn = tracker_.find(socket.cookie))
    owner.process = conn->owner;
  if (owner.process.pid == 0) return owner;
  const auto [it, is_new] = alive_.try_emplace(owner.process.pid);
  if (is_new) it->second = facts_.is_alive(owner.process);
  owner.alive = it->second;
  return owner;
}

// ---- what the connections tell -------------------------------------------------

void Model::got_tuple(std::uint64_t cookie, const Conn& conn, std::uint64_t boot_ns) {
  time_waits_.taken_over(conn.netns, conn.tuple, cookie, conn.role, boot_ns);
  // One that was refused gives its port back at once.
  if (options_.watch_ports && conn.role == Role::kActive && conn.state != TcpState::kClose)
    watch_.connected(conn);
}

void Model::fin_acknowledged(const Conn& conn, std::uint64_t boot_ns) {
  time_waits_.got_fin(conn.netns, conn.tuple.reversed(), boot_ns);
}

void Model::left_minisocket(std::uint64_t cookie, const ConnectionRecord& connection,
                            const tcptrail_end_record& end) {
  TimeWait born;
  born.tuple = connection.tuple;
  born.netns = connection.netns;
  born.since_ns = connection.boot_ns;
  born.owner = connection.owner;
  born.phase = connection.time_wait.phase;
  if (connection.time_wait.expected_end) {  // the walk found it
    born.expires_ns = *connection.time_wait.expected_end;
    born.step_32ms = end.tw_step_32ms;
    born.bits = end.tw & (TCPTRAIL_TW_REUSEADDR | TCPTRAIL_TW_REUSEPORT | TCPTRAIL_TW_WHOLE_PORT);
    born.bits_known = true;
  }
  time_waits_.enter(cookie, connection.role, born);
}

void Model::found_no_port(const Conn& conn, const tcptrail_end_record& end) {
  if (options_.want_blocked) blocked_.no_port(conn, end);
}

void Model::listen_refused(const Listener& listener, const tcptrail_end_record& end) {
  blocked_.listen_refused(listener, end);
}

}  // namespace tcptrail
