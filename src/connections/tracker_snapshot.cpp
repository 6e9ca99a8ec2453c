// SPDX-License-Identifier: BSD-2-Clause
// The part of the model that reads snapshots: connections and listeners older
// than the trace, and those whose end was lost.
#include <algorithm>

#include "connections/connection_tracker.h"

namespace tcptrail {

using enum TcpState;

void ConnectionTracker::begin_snapshot(std::uint64_t boot_ns) {
  ++snapshot_number_;
  snapshot_began_ns_ = boot_ns;
  wants_snapshot_ = false;
}

std::uint32_t ConnectionTracker::begin_seen(const Event& event) {
  const std::uint32_t index = create(event);
  Conn& conn = table_[index];
  if (older_sockets_possible_)
    conn.began = Began::kBeforeTrace;
  else
    conn.complete = false;
  if (event.new_state() == kSynSent) conn.role = Role::kActive;
  closing_.enter(conn, event.new_state(), event.boot_ns());
  conn.entered_known = false;
  conn.fin_closer = fin_closer_in(event.new_state());
  conn.cgroup_id = event.owned.cgroup_id;
  conn.uid = event.owned.uid;
  conn.has_uid = event.owned.has_socket != 0;
  if (conn.tuple.lport != 0 && conn.tuple.rport != 0) link_peer(index);
  return index;
}

void ConnectionTracker::on_seen(const Event& event) {
  const TcpState state = event.new_state();
  if (state == kTimeWait || state == kClose) return;
  if (state == kListen) {
    Listener* listener = listeners_.find(event.cookie());
    if (listener == nullptr)
      listener = &listeners_.add(event.cookie(), event.base.netns, tuple_of(event.base));
    listener->seen_in_snapshot = snapshot_number_;
    listener->v6only = (event.owned.bind & TCPTRAIL_BIND_V6ONLY) != 0;
    listener->device = event.owned.bound_dev_if;
    return;
  }
  const std::uint32_t index = table_.find(event.cookie());
  if (index == table_.kNone) {
    const std::uint32_t begun = begin_seen(event);
    Conn& conn = table_[begun];
    conn.last_ns = event.boot_ns();
    // Only what is decided for good may go; an owner is learned from the holders that follow.
    if (apply_filter(event.cookie(), conn, false) == Match::kNo) forget(begun);
    return;
  }
  Conn& conn = table_[index];
  conn.missing = false;
  conn.last_ns = event.boot_ns();
  if (conn.state == state) return;
  conn.complete = false;
  closing_.enter(conn, state, event.boot_ns());
  conn.entered_known = false;
  if (conn.fin_closer == Closer::kUnknown) conn.fin_closer = fin_closer_in(state);
}

// The kernel takes a socket out of its table just before it reports CLOSE. One that
// is missing may therefore be about to be heard of: it is given up only when it is
// still silent at the next snapshot, or at the end of the run.
void ConnectionTracker::end_snapshot(std::uint64_t boot_ns,
                                     std::span<const std::uint32_t> netns_read,
                                     std::span<const std::uint32_t> netns_refused) {
  older_sockets_possible_ = false;
  netns_refused_.assign(netns_refused.begin(), netns_refused.end());
  std::uint32_t next = CookieTable<Conn>::kNone;
  for (std::uint32_t index = table_.first(); index != table_.kNone; index = next) {
    next = table_.next(index);
    Conn& conn = table_[index];
    if (conn.last_ns >= snapshot_began_ns_) continue;
    if (!std::binary_search(netns_read.begin(), netns_read.end(), conn.netns)) continue;
    if (conn.missing) {
      give_up(index, boot_ns);
    } else {
      conn.missing = true;
      wants_snapshot_ = true;
    }
  }
  listeners_.keep_seen(snapshot_number_, snapshot_began_ns_);
  infer_roles();
}

void ConnectionTracker::give_up_missing(std::uint64_t boot_ns) {
  std::uint32_t next = CookieTable<Conn>::kNone;
  for (std::uint32_t index = table_.first(); index != table_.kNone; index = next) {
    next = table_.next(index);
    if (table_[index].missing) give_up(index, boot_ns);
  }
}

// A connection that is older than the trace: passive when a listener covers its
// local end, active when its other end is passive.
void ConnectionTracker::infer_roles() {
  for (std::uint32_t index = table_.first(); index != table_.kNone; index = table_.next(index)) {
    Conn& conn = table_[index];
    if (conn.role == Role::kUnknown &&
        listeners_.covers(conn.netns, conn.tuple, closing_.step(conn, 0).boot_ns()))
      conn.role = Role::kPassive;
  }
  for (std::uint32_t index = table_.first(); index != table_.kNone; index = table_.next(index)) {
    Conn& conn = table_[index];
    if (conn.role != Role::kUnknown || conn.peer_cookie == 0) continue;
    const std::uint32_t peer = table_.find(conn.peer_cookie);
    if (peer != table_.kNone && table_[peer].role == Role::kPassive) conn.role = Role::kActive;
  }
}

}  // namespace tcptrail
