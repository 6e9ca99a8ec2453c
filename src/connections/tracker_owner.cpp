// SPDX-License-Identifier: BSD-2-Clause
// The part of the tracker that learns from an event what stands beside the state: the
// owner, the process that closes, the other end.
#include "connections/connection_tracker.h"

namespace tcptrail {
namespace {

using enum TcpState;

// Calls that end the owner's interest: the descriptor is closed, or shut down for sending.
bool is_closing_call(TcpState old, TcpState next) {
  return next == kFinWait1 || next == kLastAck || next == old ||
         (next == kClose && old != kFinWait2 && old != kClosing && old != kLastAck);
}

}  // namespace

void ConnectionTracker::learn(Conn& conn, const Event& event) {
  // connect() chooses the port after CLOSE->SYN_SENT. One that found none shows that of the
  // socket's last connection.
  const bool found_none =
      event.kind() == TCPTRAIL_TRANSITION_END && (event.end.facts & TCPTRAIL_END_NO_SEGS_OUT) != 0;
  if (conn.tuple.lport == 0 && event.base.lport != 0 && !found_none)
    conn.tuple = tuple_of(event.base);
  if (event.has(TCPTRAIL_F_IN_TREE)) conn.in_tree = true;
  if (event.kind() == TCPTRAIL_TRANSITION_OWNED) {
    conn.cgroup_id = event.owned.cgroup_id;
    if (event.owned.has_socket != 0 || !conn.has_uid) {  // an orphan says nothing new
      conn.uid = event.owned.uid;
      conn.has_uid = event.owned.has_socket != 0;
      conn.has_listener_uid = !conn.has_uid;
    }
  }
}

void ConnectionTracker::learn_owner(Conn& conn, const Event& event) {
  if (!event.has(TCPTRAIL_F_OWN)) return;
  const TcpState old = event.old_state();
  const TcpState next = event.new_state();
  const Process process = process_of(event);
  if (process.pid == 0) return;  // nobody's: the tracer's look (src/run/live.cpp)
  if (next == kSynSent) {
    conn.owner = process;
    conn.owner_source = OwnerSource::kConnect;
  } else if (is_closing_call(old, next)) {
    const bool other_than_known = conn.owner.pid != 0 && conn.owner.pid != process.pid;
    const bool known_by_a_call = conn.owner_source != OwnerSource::kUnknown;
    conn.owner = process;
    conn.owner_source = other_than_known && known_by_a_call            ? OwnerSource::kInherited
                        : conn.owner_source == OwnerSource::kInherited ? OwnerSource::kInherited
                                                                       : OwnerSource::kClose;
  } else if (conn.owner.pid == 0) {
    // Inside a call on the socket: it holds a descriptor, whatever the call was.
    conn.owner = process;
    conn.owner_source = OwnerSource::kSnapshot;
  }
}

void ConnectionTracker::learn_closing_process(Conn& conn, const Event& event) {
  if (!event.has(TCPTRAIL_F_OWN | TCPTRAIL_F_KILLER)) return;
  const TcpState old = event.old_state();
  const TcpState next = event.new_state();
  if (next != kFinWait1 && next != kLastAck && !(next == kClose && is_closing_call(old, next)))
    return;
  if (closing_.local_close(conn).pid != 0) return;
  closed_by(conn, process_of(event));
}

void ConnectionTracker::closed_by(Conn& conn, const Process& process) {
  closing_.set_local_close(conn, process);
  if (conn.peer_cookie == 0) return;
  const std::uint32_t index = table_.find(conn.peer_cookie);
  if (index != table_.kNone) closing_.set_remote_close(table_[index], process);
}

void ConnectionTracker::link_peer(std::uint32_t index) {
  Conn& conn = table_[index];
  conn.met = true;
  const std::uint32_t other_index = peers_.meet(index);
  if (other_index == Peers::kNone) return;
  Conn& other = table_[other_index];
  conn.peer_cookie = table_.key(other_index);
  other.peer_cookie = table_.key(index);
  if (const Process closer = closing_.local_close(other); closer.pid != 0)
    closing_.set_remote_close(conn, closer);
  if (const Process closer = closing_.local_close(conn); closer.pid != 0)
    closing_.set_remote_close(other, closer);
}

void ConnectionTracker::on_holder(const Event& event) {
  const Process process{event.holder.pid, comm_of(event.holder.comm)};
  const bool accepted = event.kind() == TCPTRAIL_ACCEPT;
  const std::uint32_t index = table_.find(event.cookie());
  if (index == table_.kNone) {
    Listener* listener = listeners_.find(event.cookie());
    if (listener != nullptr && listener->owner.pid == 0) {
      listener->owner = process;
      listener->owner_source = OwnerSource::kSnapshot;
    }
    return;
  }
  Conn& conn = table_[index];
  if (event.has(TCPTRAIL_F_IN_TREE)) conn.in_tree = true;
  if (accepted) {
    conn.uid = event.holder.uid;
    conn.has_uid = true;
  }
  const bool better =
      conn.owner.pid == 0 || (accepted && conn.owner_source == OwnerSource::kSnapshot);
  if (better) {
    conn.owner = process;
    conn.owner_source = accepted ? OwnerSource::kAccept : OwnerSource::kSnapshot;
    sink_.owner_found(event.cookie(), process);
  }
  apply_filter(event.cookie(), conn, false);
}

}  // namespace tcptrail
