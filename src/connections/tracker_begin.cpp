// SPDX-License-Identifier: BSD-2-Clause
// The part of the tracker that begins to follow connections, makes room for them in a
// full table, and forgets them.
#include <algorithm>

#include "connections/connection_tracker.h"

namespace tcptrail {
namespace {

using enum TcpState;

constexpr std::size_t kGenerationsKept = 1U << 16;

}  // namespace

// A transition is counted once: as seen where a record tells it, else as lost. What `life` has seen
// of a connection that it pushes out is told by nothing; `trace` has printed it.
void ConnectionTracker::evict_oldest() {
  const Conn& victim = table_[table_.first()];
  if (victim.match == Match::kYes && !options_.want_transitions) {
    transitions_ -= victim.transitions;
    evicted_ += victim.transitions;
  }
  if (victim.match == Match::kUndecided) evicted_ += victim.transitions;
  forget(table_.first());
}

// A transition of a connection that the full table has pushed out, or never took.
void ConnectionTracker::pass_by(const Event& event) {
  if (event.has(TCPTRAIL_F_AGAIN) && recent_.has_passed(event)) {
    ++duplicates_;
    return;
  }
  recent_.add_passed(event);
  Conn view;
  view.tuple = tuple_of(event.base);
  view.netns = event.base.netns;
  view.in_tree = event.has(TCPTRAIL_F_IN_TREE);
  const Match match = apply_filter(event.cookie(), view, event.new_state() == kClose);
  if (match == Match::kYes && options_.want_transitions)
    put_transition(event.cookie(), view, event, std::nullopt);
  else if (match != Match::kNo)
    ++evicted_;
}

std::uint32_t ConnectionTracker::create(const Event& event) {
  if (table_.size() >= options_.max_connections) evict_oldest();
  // Under this name another socket sends its RSTs from here on.
  if (options_.cookie_is_address) end_waiting(event.cookie(), ResetAfter::kNo);
  const std::uint32_t index = table_.insert(event.cookie());
  Conn& conn = table_[index];
  conn.tuple = tuple_of(event.base);
  conn.netns = event.base.netns;
  conn.generation = take_generation(event.cookie());
  return index;
}

std::uint32_t ConnectionTracker::begin_active(const Event& event) {
  const std::uint32_t index = create(event);
  Conn& conn = table_[index];
  conn.role = Role::kActive;
  closing_.enter(conn, kClose, event.boot_ns());
  return index;
}

std::uint32_t ConnectionTracker::begin_passive(const Event& event) {
  const std::uint32_t index = create(event);
  Conn& conn = table_[index];
  conn.role = Role::kPassive;
  closing_.enter(conn, kListen, event.boot_ns());
  return index;
}

// The first event of a socket is not its first transition: it is older than the
// trace, or events were lost.
std::uint32_t ConnectionTracker::begin_in_the_middle(const Event& event) {
  const std::uint32_t index = create(event);
  Conn& conn = table_[index];
  if (event.old_state() == kSynRecv && early_child_ns_ != 0) {
    // Before Linux 6.14 this is where a child gets its identity.
    conn.role = Role::kPassive;
    closing_.enter(conn, kListen, early_child_ns_);
    closing_.enter(conn, kSynRecv, early_child_ns_);
    return index;
  }
  if (event.old_state() == kSynSent) conn.role = Role::kActive;
  if (older_sockets_possible_ ||
      std::binary_search(netns_refused_.begin(), netns_refused_.end(), event.base.netns)) {
    conn.began = Began::kBeforeTrace;
  } else {
    conn.complete = false;
    wants_snapshot_ = true;
  }
  closing_.enter(conn, event.old_state(), event.boot_ns());
  conn.entered_known = false;
  conn.fin_closer = fin_closer_in(event.old_state());
  return index;
}

// The state that the event leaves is not the one that the last event entered.
// What lies between is lost; that the socket was in the state is a fact.
void ConnectionTracker::repair_gap(Conn& conn, const Event& event) {
  conn.complete = false;
  wants_snapshot_ = true;
  closing_.enter(conn, event.old_state(), event.boot_ns());
  conn.entered_known = false;
  if (conn.fin_closer == Closer::kUnknown) conn.fin_closer = fin_closer_in(event.old_state());
}

std::uint32_t ConnectionTracker::take_generation(std::uint64_t cookie) {
  const std::uint32_t index = ended_generations_.find(cookie);
  if (index == ended_generations_.kNone) return 0;
  const std::uint32_t generation = ended_generations_[index] + 1;
  ended_generations_.erase(index);
  return generation;
}

void ConnectionTracker::remember_generation(std::uint64_t cookie, std::uint32_t generation) {
  if (ended_generations_.find(cookie) != ended_generations_.kNone) return;
  if (ended_generations_.size() >= kGenerationsKept)
    ended_generations_.erase(ended_generations_.first());
  ended_generations_[ended_generations_.insert(cookie)] = generation;
}

void ConnectionTracker::forget(std::uint32_t index) {
  Conn& conn = table_[index];
  if (conn.met && conn.peer_cookie == 0) peers_.leave(index);
  closing_.drop(conn);
  held_.drop(table_.key(index));
  table_.erase(index);
}

}  // namespace tcptrail
