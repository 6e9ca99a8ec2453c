// SPDX-License-Identifier: BSD-2-Clause
#include "connections/connection_tracker.h"

#include <algorithm>

namespace tcptrail {
namespace {

using enum TcpState;

// Between the two transitions of a listen() that fails.
constexpr std::uint64_t kListenRefusedNs = 50'000;

// Whether the filter asks how a connection ended: then nothing of it can be shown before.
bool asks_for_the_end(const Filters& f) {
  return !f.closed_by.empty() || !f.how.empty() || f.min_duration_ns || f.errors_only;
}

bool begins_connection(TcpState old, TcpState next) {
  return (old == kClose && next == kSynSent) || (old == kListen && next == kSynRecv);
}

bool is_about_listener(TcpState old, TcpState next) {
  return next == kListen || (next == kClose && (old == kListen || old == kClose));
}

}  // namespace

ConnectionTracker::ConnectionTracker(TrackerOptions options, RecordSink& sink)
    : options_(std::move(options)),
      sink_(sink),
      filter_asks_for_end_(asks_for_the_end(options_.filters)),
      no_filter_(!filter_asks_for_end_ && match(options_.filters, {}) == Match::kYes) {}

void ConnectionTracker::apply(const Event& event) {
  if (!waiting_.empty()) advance_to(event.boot_ns());
  switch (event.kind()) {
    case TCPTRAIL_TRANSITION:
    case TCPTRAIL_TRANSITION_OWNED:
    case TCPTRAIL_TRANSITION_END:
      on_transition(event);
      break;
    case TCPTRAIL_RESET_SENT:
    case TCPTRAIL_RESET_RECEIVED:
      on_reset(event);
      break;
    case TCPTRAIL_ACCEPT:
    case TCPTRAIL_SEEN_HOLDER:
      on_holder(event);
      break;
    case TCPTRAIL_SEEN_SOCKET:
      on_seen(event);
      break;
    case TCPTRAIL_DESTROY: {
      // The address may belong to another socket from here on.
      if (const std::uint32_t index = table_.find(event.cookie()); index != table_.kNone)
        give_up(index, event.boot_ns());
      if (const std::uint32_t old = ended_generations_.find(event.cookie());
          old != ended_generations_.kNone)
        ended_generations_.erase(old);
      break;
    }
    default:
      break;
  }
}

void ConnectionTracker::on_transition(const Event& event) {
  const TcpState old = event.old_state();
  const TcpState next = event.new_state();
  if (is_about_listener(old, next)) return on_listener_transition(event);
  if (old == kListen && event.has(TCPTRAIL_F_EARLY_CHILD)) {
    // Identity and tuple are still the listener's: it counts, and its time is the child's
    // beginning.
    early_child_ns_ = event.boot_ns();
    Conn child;
    child.tuple = tuple_of(event.base);
    child.netns = event.base.netns;
    child.match = no_filter_ ? Match::kYes : Match::kUndecided;
    put_transition(0, child, event, std::nullopt);
    return;
  }

  const std::uint64_t cookie = event.cookie();
  std::uint32_t index = table_.find(cookie);
  Conn* conn = index != table_.kNone ? &table_[index] : nullptr;
  if (is_duplicate(event, conn)) {
    ++duplicates_;
    return;
  }
  std::optional<std::uint64_t> in_old_ns;
  if (index != table_.kNone && !begins_connection(old, next)) {
    if (conn->state != old)
      repair_gap(*conn, event);
    else if (conn->entered_known && conn->steps > 0)
      in_old_ns = event.boot_ns() - closing_.step(*conn, conn->steps - 1U).boot_ns();
  } else {
    if (index != table_.kNone) {  // its CLOSE was lost
      give_up(index, event.boot_ns());
      wants_snapshot_ = true;
    }
    // Followed from here on it would push out one that is known from its beginning.
    if (!begins_connection(old, next) && !(old == kSynRecv && early_child_ns_ != 0) &&
        table_.size() >= options_.max_connections)
      return pass_by(event);
    index = next == kSynSent ? begin_active(event)
            : old == kListen ? begin_passive(event)
                             : begin_in_the_middle(event);
    conn = &table_[index];
  }

  // No call site reports such a pair: whatever happened, the history is not whole.
  if (!is_legal_transition(old, next)) conn->complete = false;
  learn(*conn, event);
  const bool fin_waits = old == kFinWait1 && event.has(TCPTRAIL_F_FIN_BEHIND_HOLE);
  const Closer closer = fin_closer_from(old, next, event.has(TCPTRAIL_F_FIN_SENT), fin_waits);
  if (conn->fin_closer == Closer::kUnknown) conn->fin_closer = closer;
  if (next != old) {
    closing_.enter(*conn, next, event.boot_ns());
    conn->entered_known = true;
  }
  conn->before = old;
  conn->last_ns = event.boot_ns();
  conn->missing = false;
  learn_owner(*conn, event);
  learn_closing_process(*conn, event);
  const bool has_ports = conn->tuple.lport != 0 && conn->tuple.rport != 0;
  // CLOSE->SYN_SENT of a bound socket has its port, and may be refused it.
  const bool settled = old == kSynSent
                           ? next != kClose || (event.end.facts & TCPTRAIL_END_NO_SEGS_OUT) == 0
                           : !conn->met && next != kClose && next != kSynSent;
  if (old == kSynSent && next == kEstablished && event.has(TCPTRAIL_F_REPAIRED))
    conn->role = listeners_.covers(conn->netns, conn->tuple, event.boot_ns()) ? Role::kPassive
                                                                              : Role::kUnknown;
  if (!conn->met && next != kClose && has_ports) link_peer(index);
  if (settled && has_ports && options_.observer != nullptr)
    options_.observer->got_tuple(cookie, *conn, event.boot_ns());

  if (next == kClose) name_unaccepted(*conn, event);  // the filter may ask for this owner
  const Match match = apply_filter(cookie, *conn, next == kClose);
  if (match != Match::kNo) put_transition(cookie, *conn, event, in_old_ns);

  if (next == kClose) {
    end(index, event.end);
  } else if (match == Match::kNo && (!options_.filters.lports.empty() || options_.filters.uid)) {
    // The programs drop the rest of this connection: nothing would end it here.
    forget(index);
  }
}

// The socket is locked from the one copy to the other: nothing has happened to it in between.
bool ConnectionTracker::is_duplicate(const Event& event, const Conn* conn) const {
  if (!event.has(TCPTRAIL_F_AGAIN)) return false;
  if (conn != nullptr) return conn->state == event.new_state() && conn->before == event.old_state();
  return event.new_state() == kClose && recent_.has_closed(event.cookie());
}

void ConnectionTracker::on_listener_transition(const Event& event) {
  const std::uint64_t cookie = event.cookie();
  Listener* listener = listeners_.find(cookie);
  if (event.has(TCPTRAIL_F_AGAIN) &&
      (event.new_state() == kListen ? listener != nullptr && listener->since != 0
                                    : recent_.has_closed(cookie))) {
    ++duplicates_;
    return;
  }
  std::optional<std::uint64_t> in_old_ns;
  Conn view;  // a listener is no connection, but its rows look the same
  view.tuple = tuple_of(event.base);
  view.netns = event.base.netns;
  view.in_tree = event.has(TCPTRAIL_F_IN_TREE);

  if (event.new_state() == kListen) {
    listener = &listeners_.add(cookie, event.base.netns, view.tuple);
    listener->since = event.boot_ns();
    listener->in_tree = view.in_tree;
    if (event.kind() == TCPTRAIL_TRANSITION_OWNED) {
      listener->uid = event.owned.uid;
      listener->reuseaddr = event.owned.reuseaddr != 0;
      listener->reuseport = event.owned.reuseport != 0;
      listener->v6only = (event.owned.bind & TCPTRAIL_BIND_V6ONLY) != 0;
      listener->device = event.owned.bound_dev_if;
    }
    if (event.has(TCPTRAIL_F_OWN)) {
      listener->owner = process_of(event);
      listener->owner_source = OwnerSource::kListen;
    }
    view.owner = listener->owner;
    view.owner_source = listener->owner_source;
  } else {
    // close() marks the socket shut down before this; a killer (ss -K) and shutdown() do not.
    const bool closed_by_owner =
        event.kind() == TCPTRAIL_TRANSITION_END && event.has(TCPTRAIL_F_OWN) &&
        (event.end.facts & (TCPTRAIL_END_SHUT_RCV | TCPTRAIL_END_SHUT_SEND)) != 0;
    if (listener != nullptr) {
      // inet_csk_listen_start() takes LISTEN back when get_port() refuses. What else leaves LISTEN
      // without a shutdown is shutdown(SHUT_RD), in a call of its own.
      const bool at_once =
          listener->since != 0 && event.boot_ns() - listener->since < kListenRefusedNs;
      if (options_.infer_refused_listen && at_once && !closed_by_owner &&
          event.kind() == TCPTRAIL_TRANSITION_END && event.has(TCPTRAIL_F_OWN) &&
          event.end.error == 0)
        options_.observer->listen_refused(*listener, event.end);
      if (listener->since != 0 && event.old_state() == kListen)
        in_old_ns = event.boot_ns() - listener->since;
      view.owner = listener->owner;
      view.owner_source = listener->owner_source;
      view.in_tree |= listener->in_tree;
    }
    if (closed_by_owner) {
      view.owner = process_of(event);
      view.owner_source = OwnerSource::kClose;
      if (listener != nullptr) listener->owner = view.owner;
    }
    listeners_.close(cookie, event.boot_ns());
    recent_.add_close(cookie);
  }

  const FilterInput facts{
      .tuple = view.tuple,
      .netns = view.netns,
      .owner = view.owner,
      .owner_source = view.owner_source,
      .uid = std::nullopt,
      .cgroup_id = event.kind() == TCPTRAIL_TRANSITION_OWNED ? event.owned.cgroup_id : 0,
      .in_tree = bool{view.in_tree},
      .listener = true,
      .ended = true};
  view.match = no_filter_ ? Match::kYes : match(options_.filters, facts);
  if (view.match == Match::kYes) put_transition(cookie, view, event, in_old_ns);
}

void ConnectionTracker::put_transition(std::uint64_t cookie, Conn& conn, const Event& event,
                                       std::optional<std::uint64_t> in_old_ns) {
  ++conn.transitions;
  if (conn.match == Match::kYes) ++transitions_;
  if (!options_.want_transitions) return;
  const TransitionRecord record{.boot_ns = event.boot_ns(),
                                .cookie = options_.cookie_is_address ? 0 : cookie,
                                .generation = conn.generation,
                                .netns = conn.netns,
                                .tuple = conn.tuple,
                                .old_state = event.old_state(),
                                .new_state = event.new_state(),
                                .in_old_ns = in_old_ns,
                                .owner = conn.owner,
                                .owner_source = conn.owner_source};
  if (conn.match == Match::kYes)
    sink_.on(record);
  else if (cookie != 0)
    held_.add(cookie, record);
}

// What was held back is printed or dropped as soon as the filter is decided. With a
// filter on the ending a match only means that the ending will decide.
Match ConnectionTracker::apply_filter(std::uint64_t cookie, Conn& conn, bool ended) {
  if (conn.match != Match::kUndecided) return conn.match;
  if (no_filter_) return conn.match = Match::kYes;
  const FilterInput facts{.tuple = conn.tuple,
                          .netns = conn.netns,
                          .owner = conn.owner,
                          .owner_source = conn.owner_source,
                          .uid = conn.has_uid ? std::optional(conn.uid) : std::nullopt,
                          .cgroup_id = conn.cgroup_id,
                          .in_tree = conn.in_tree ? std::optional(true) : std::nullopt,
                          .listener = false,
                          .ended = ended};
  const Match now = match(options_.filters, facts);
  if (now == Match::kYes && filter_asks_for_end_) return Match::kUndecided;
  conn.match = now;
  show_or_drop_held(cookie, conn);
  return now;
}

// The filter is decided, for the first time.
void ConnectionTracker::show_or_drop_held(std::uint64_t cookie, const Conn& conn) {
  if (conn.match == Match::kUndecided) return;
  if (conn.match == Match::kNo) return held_.drop(cookie);
  transitions_ += conn.transitions;
  held_.print(cookie, sink_);
}

const Conn* ConnectionTracker::find(std::uint64_t cookie) const {
  const std::uint32_t index = table_.find(cookie);
  return index != table_.kNone ? &table_[index] : nullptr;
}

std::optional<std::uint64_t> ConnectionTracker::began_ns(std::uint64_t cookie) const {
  const Conn* conn = find(cookie);
  if (conn == nullptr || conn->began != Began::kObserved || !conn->complete || conn->steps == 0)
    return std::nullopt;
  return closing_.step(*conn, 0).boot_ns();
}

std::optional<std::uint64_t> ConnectionTracker::in_state_since(std::uint64_t cookie) const {
  const Conn* conn = find(cookie);
  if (conn == nullptr || !conn->entered_known || conn->steps == 0) return std::nullopt;
  return closing_.step(*conn, conn->steps - 1U).boot_ns();
}

std::uint64_t ConnectionTracker::open() const {
  std::uint64_t count = 0;
  for (std::uint32_t index = table_.first(); index != table_.kNone; index = table_.next(index))
    if (table_[index].match == Match::kYes) ++count;
  return count;
}

void ConnectionTracker::sum_up(SummaryRecord& summary) const {
  summary.transitions = transitions_;
  summary.connections = connections_;
  summary.open = open();
  summary.incomplete = incomplete_;
}

}  // namespace tcptrail
