// SPDX-License-Identifier: BSD-2-Clause
// The part of the model that ends connections: the verdict, and the record.
#include <algorithm>
#include <array>

#include "connections/connection_tracker.h"

namespace tcptrail {
namespace {

using enum TcpState;

// tcp_v4_send_reset() runs in the softirq that closed the socket; a hard
// interrupt may come between.
constexpr std::uint64_t kResetWindowNs = 5'000'000;
constexpr std::size_t kCgroupNamesKept = 4096;

// Shares its byte with what only a minisocket has.
std::uint8_t soft_error_of(const tcptrail_end_record& end) {
  return (end.tw & TCPTRAIL_TW_PHASE) == TCPTRAIL_TW_NONE ? end.soft_error : std::uint8_t{0};
}

// The SYN took a sequence number, and only the active end has sent one.
std::uint64_t payload_sent(Role role, const tcptrail_end_record& end) {
  const bool syn = role == Role::kActive && (end.facts & TCPTRAIL_END_SYN_COUNTED) != 0 &&
                   (end.facts & TCPTRAIL_END_REPAIR) == 0 && end.tx_bytes != 0;
  return end.tx_bytes - (syn ? 1 : 0);
}

}  // namespace

void ConnectionTracker::on_reset(const Event& event) {
  const std::uint32_t index = table_.find(event.cookie());
  if (event.kind() == TCPTRAIL_RESET_RECEIVED) {
    if (index != table_.kNone) note_reset_received(index);
    return;
  }
  if (index != table_.kNone) {  // sent before its CLOSE
    table_[index].reset_sent = true;
    table_[index].reset_reason = event.reset.reason;
    return;
  }
  end_waiting(event.cookie(), ResetAfter::kYes, event.reset.reason);
}

// A socket that connects anew from the same port finds the old connection: its SYN is answered
// with an ACK of that one (RFC 5961), and the ACK with the RST that arrives here.
void ConnectionTracker::note_reset_received(std::uint32_t index) {
  Conn& conn = table_[index];
  conn.reset_received = true;
  if (conn.tuple.lport == 0 || conn.tuple.rport == 0) return;
  const std::uint32_t next = peers_.successor_of_peer(index);
  conn.met_new_syn = next != Peers::kNone && table_[next].state == kSynSent;
}

void ConnectionTracker::end_waiting(std::uint64_t cookie, ResetAfter reset_after,
                                    std::uint8_t reason) {
  const auto it = std::find_if(waiting_.begin(), waiting_.end(),
                               [&](const Waiting& w) { return w.cookie == cookie; });
  if (it == waiting_.end()) return;
  it->conn.reset_reason = reason;
  write_waiting(*it, reset_after);
  waiting_.erase(it);
  const auto peer = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) {
    return w.for_peer && w.conn.peer_cookie == cookie;
  });
  if (peer == waiting_.end()) return;
  write_waiting(*peer, ResetAfter::kNo);
  waiting_.erase(peer);
}

void ConnectionTracker::write_waiting(Waiting& waiting, ResetAfter reset_after) {
  held_.give_back(waiting.cookie, std::move(waiting.held));
  write(waiting.cookie, waiting.conn, waiting.end, reset_after);
  closing_.drop(waiting.conn);
}

void ConnectionTracker::advance_to(std::uint64_t boot_ns) {
  while (!waiting_.empty() && waiting_.front().end.base.ts_boot_ns + kResetWindowNs < boot_ns) {
    write_waiting(waiting_.front(), ResetAfter::kNo);
    waiting_.pop_front();
  }
}

void ConnectionTracker::finish(std::uint64_t boot_ns) {
  advance_to(UINT64_MAX);
  give_up_missing(boot_ns);
}

void ConnectionTracker::give_up(std::uint32_t index, std::uint64_t boot_ns) {
  write_vanished(table_.key(index), table_[index], boot_ns);
  forget(index);
}

void ConnectionTracker::end(std::uint32_t index, const tcptrail_end_record& end) {
  const std::uint64_t cookie = table_.key(index);
  Conn& conn = table_[index];
  recent_.add_close(cookie);
  if ((end.facts & TCPTRAIL_END_DEAD) == 0) remember_generation(cookie, conn.generation);
  if (options_.observer != nullptr && TcpState{end.base.old_state} == kLastAck && end.error == 0 &&
      (end.facts & TCPTRAIL_END_ALL_ACKED) != 0)
    options_.observer->fin_acknowledged(conn, end.base.ts_boot_ns);
  if (conn.match != Match::kNo)
    write(cookie, conn, end, options_.resets_traced ? ResetAfter::kNotYet : ResetAfter::kUntraced);
  if ((end.facts & TCPTRAIL_END_REPAIR) != 0) free_peer_of(conn);
  forget(index);
}

// A socket that TCP_REPAIR closes leaves its peer to the one that is restored in its place.
void ConnectionTracker::free_peer_of(const Conn& conn) {
  if (conn.peer_cookie == 0) return;
  const std::uint32_t peer = table_.find(conn.peer_cookie);
  if (peer == table_.kNone) return;
  table_[peer].peer_cookie = 0;
  peers_.meet(peer);
}

// A child that ends in the accept queue was never anybody's. Known may be whose close() of a
// listener ended it, or which listener it came through.
void ConnectionTracker::name_unaccepted(Conn& conn, const Event& event) {
  const tcptrail_end_record& end = event.end;
  const bool accepted =
      (end.facts & TCPTRAIL_END_NO_SOCKET) == 0 || (end.facts & TCPTRAIL_END_DEAD) != 0;
  if (conn.role != Role::kPassive || accepted) return;
  if (conn.has_listener_uid) conn.has_uid = true;  // and there it stays
  Process holder;
  bool closed_it = event.has(TCPTRAIL_F_LISTEN_STOP);
  if (closed_it) {
    holder = process_of(event);
  } else {
    const auto device =
        event.has(TCPTRAIL_F_KILLER) ? std::nullopt : std::optional(end.bound_dev_if);
    const Listener* listener =
        listeners_.only_one_for(conn.netns, conn.tuple, device, closing_.step(conn, 0).boot_ns());
    if (listener == nullptr) return;
    holder = listener->owner;
    closed_it = listener->closed != 0 && end.error == 0;
    conn.in_tree = conn.in_tree || listener->in_tree;
  }
  if (holder.pid == 0) return;
  if (conn.owner.pid == 0) {
    conn.owner = holder;
    conn.owner_source = OwnerSource::kListen;
  }
  if (closed_it && closing_.local_close(conn).pid == 0) closed_by(conn, holder);
}

std::string_view ConnectionTracker::reset_reason(const Conn& conn) const {
  const std::vector<std::string>& words = options_.reset_reasons;
  return conn.reset_reason < words.size() ? std::string_view(words[conn.reset_reason])
                                          : std::string_view();
}

void ConnectionTracker::write(std::uint64_t cookie, Conn& conn, const tcptrail_end_record& end,
                              ResetAfter reset_after) {
  const CloseVerdict verdict =
      close_verdict({.old_state = TcpState{end.base.old_state},
                     .fin_closer = conn.fin_closer,
                     .fin_sent = (end.base.flags & TCPTRAIL_F_FIN_SENT) != 0,
                     .own = (end.base.flags & TCPTRAIL_F_OWN) != 0,
                     .error = end.error,
                     .facts = end.facts,
                     .tw = end.tw,
                     .soft_error = soft_error_of(end),
                     .reset_received = conn.reset_received,
                     .met_new_syn = conn.met_new_syn,
                     .reset_sent = conn.reset_sent,
                     .reset_after = reset_after,
                     .reset_reason = reset_reason(conn)});
  // The RST mostly comes after the CLOSE, and with it the kernel's reason.
  const bool reason_to_come = verdict.how == How::kRstSent && !conn.reset_sent &&
                              reset_after == ResetAfter::kNotYet && !options_.reset_reasons.empty();
  const bool for_peer = verdict.how == How::kRstReceived && reset_after == ResetAfter::kNotYet &&
                        std::any_of(waiting_.begin(), waiting_.end(),
                                    [&](const Waiting& w) { return w.cookie == conn.peer_cookie; });
  if (verdict.wait_for_reset || reason_to_come || for_peer) {
    Waiting waiting{conn, cookie, end, {}, for_peer};
    ClosingStates::hand_over(conn, waiting.conn);
    waiting.held = held_.take(cookie);
    waiting_.push_back(std::move(waiting));
    return;
  }

  ConnectionRecord record;
  record.boot_ns = end.base.ts_boot_ns;
  record.end = end.base.ts_boot_ns;
  record.closer = verdict.closer;
  record.how = verdict.how;
  record.error = verdict.error;
  record.evidence = verdict.evidence;
  record.reset_reason = reset_reason(conn);
  switch (verdict.closer) {
    case Closer::kLocal:
      record.closer_process = closing_.local_close(conn);
      break;
    case Closer::kRemote:
      record.closer_process = closing_.remote_close(conn);
      break;
    case Closer::kBoth:
      record.closer_process = closing_.local_close(conn);
      if (record.closer_process.pid == 0) record.closer_process = closing_.remote_close(conn);
      break;
    default:
      break;
  }
  record.counters = Counters{
      .tx_bytes = payload_sent(conn.role, end),
      .rx_bytes = end.rx_bytes,
      .tx_segs = end.tx_segs,
      .rx_segs = end.rx_segs,
      .retransmits = end.retransmits,
      .rtt_us = end.rtt_us == 0 ? std::nullopt : std::optional(end.rtt_us),
      .min_rtt_us = end.min_rtt_us == UINT32_MAX ? std::nullopt : std::optional(end.min_rtt_us),
      .mss = end.mss};
  record.time_wait = time_wait_outcome(verdict, end);
  if (record.time_wait.phase == TimeWaitPhase::kTimeWait)
    closing_.replace_last_step(conn, Step(end.base.ts_boot_ns, kTimeWait));
  put_connection(cookie, conn, record);
  if (options_.observer == nullptr || conn.match != Match::kYes) return;
  if (record.time_wait.phase != TimeWaitPhase::kNone)
    options_.observer->left_minisocket(cookie, record, end);
  if (verdict.how == How::kNoPort) options_.observer->found_no_port(conn, end);
}

// Its end was not seen: everything that only the end tells stays unknown.
void ConnectionTracker::write_vanished(std::uint64_t cookie, Conn& conn, std::uint64_t boot_ns) {
  if (apply_filter(cookie, conn, true) == Match::kNo) return;
  conn.complete = false;
  ConnectionRecord record;
  record.boot_ns = boot_ns;
  record.closer = conn.fin_closer;
  record.evidence = Evidence::kEndNotSeen;
  put_connection(cookie, conn, record);
}

void ConnectionTracker::put_connection(std::uint64_t cookie, Conn& conn, ConnectionRecord& record) {
  std::array<TcpState, kMaxSteps> path;
  std::array<StateSpan, kMaxSteps> states;
  std::size_t spans = 0;
  for (std::size_t i = 0; i < conn.steps; ++i) {
    const Step step = closing_.step(conn, i);
    path[i] = step.state();
    const bool was_left = i + 1 < conn.steps;
    const bool origin = i == 0 && (path[i] == kClose || path[i] == kListen);
    if (was_left && !origin)
      states[spans++] = {path[i], closing_.step(conn, i + 1).boot_ns() - step.boot_ns()};
    if (path[i] == kEstablished && i > 0 && path[i - 1] == kSynSent && conn.role == Role::kActive)
      record.connect_ns = step.boot_ns() - closing_.step(conn, i - 1).boot_ns();
  }
  record.cookie = options_.cookie_is_address ? 0 : cookie;
  record.peer_cookie = options_.cookie_is_address ? 0 : conn.peer_cookie;
  record.generation = conn.generation;
  record.netns = conn.netns;
  record.tuple = conn.tuple;
  record.role = conn.role;
  record.owner = conn.owner;
  record.owner_source = conn.owner_source;
  if (conn.has_uid) record.uid = conn.uid;
  record.cgroup_id = conn.cgroup_id;
  if (conn.cgroup_id != 0 && options_.cgroup_path) {
    if (cgroup_names_.size() >= kCgroupNamesKept) cgroup_names_.clear();
    const auto [it, is_new] = cgroup_names_.try_emplace(conn.cgroup_id);
    if (is_new) it->second = options_.cgroup_path(conn.cgroup_id);
    record.cgroup = it->second;
  }
  record.began = conn.began;
  record.start = conn.steps > 0 ? closing_.step(conn, 0).boot_ns() : record.boot_ns;
  if (record.end) record.duration_ns = *record.end - record.start;
  record.states = {states.data(), spans};
  record.path = {path.data(), conn.steps};
  record.complete = conn.complete;
  if (conn.role == Role::kActive && conn.tuple.rport != 0) record.service_port = conn.tuple.rport;
  if (conn.role == Role::kPassive && conn.tuple.lport != 0) record.service_port = conn.tuple.lport;
  if (!no_filter_) {
    const bool was_undecided = conn.match == Match::kUndecided;
    conn.match = match_final(options_.filters, record) ? Match::kYes : Match::kNo;
    if (was_undecided) show_or_drop_held(cookie, conn);
    if (conn.match == Match::kNo) return;
  }
  ++connections_;
  if (!record.complete) ++incomplete_;
  sink_.on(record);
}

}  // namespace tcptrail
