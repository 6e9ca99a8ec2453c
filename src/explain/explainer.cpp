// SPDX-License-Identifier: BSD-2-Clause
#include "explain/explainer.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace tcptrail {
namespace {

template <class T>
void forget(CookieTable<T>& table, std::uint64_t cookie) {
  if (const std::uint32_t index = table.find(cookie); index != table.kNone) table.erase(index);
}

}  // namespace

template <class T>
T& Explainer::remember(CookieTable<T>& table, std::uint64_t cookie) {
  forget(table, cookie);
  if (table.size() >= kept_) table.erase(table.first());
  return table[table.insert(cookie)];
}

void Explainer::on(const TransitionRecord& r) {
  if (r.cookie == 0) return;
  const auto waits = [](TcpState state) {
    return state == TcpState::kCloseWait || state == TcpState::kFinWait2;
  };
  if (waits(r.new_state))
    remember(waiting_, r.cookie) = {r.new_state, r.boot_ns, r.netns, r.tuple, r.owner};
  else if (waits(r.old_state))
    forget(waiting_, r.cookie);
}

void Explainer::owner_found(std::uint64_t cookie, const Process& owner) {
  if (cookie == 0) return;
  if (const std::uint32_t index = waiting_.find(cookie); index != waiting_.kNone)
    waiting_[index].owner = owner;
}

std::optional<OtherEnd> Explainer::other_end(std::uint64_t peer_cookie,
                                             std::uint64_t from_ns) const {
  if (peer_cookie == 0) return std::nullopt;
  if (const std::uint32_t index = ended_.find(peer_cookie);
      index != ended_.kNone && ended_[index].boot_ns >= from_ns) {
    const Ended& e = ended_[index];
    return OtherEnd{.owner = e.owner,
                    .close_wait_since = 0,
                    .ended = true,
                    .closer = e.closer,
                    .how = e.how,
                    .evidence = e.evidence,
                    .time_wait = e.time_wait,
                    .fin_wait2_ns = e.fin_wait2_ns};
  }
  if (const std::uint32_t index = waiting_.find(peer_cookie);
      index != waiting_.kNone && waiting_[index].state == TcpState::kCloseWait) {
    OtherEnd other;
    other.owner = waiting_[index].owner;
    other.close_wait_since = waiting_[index].since;
    return other;
  }
  return std::nullopt;
}

Explanation Explainer::on(const ConnectionRecord& r) {
  ExplainContext context{clock_};
  std::optional<TakenOver> taken_over;
  if (const std::uint32_t index = r.cookie == 0 ? leaves_.kNone : leaves_.find(r.cookie);
      index != leaves_.kNone && leaves_[index].boot_ns <= r.boot_ns) {
    taken_over = leaves_[index].taken_over;
    leaves_.erase(index);
    context.taken_over = &*taken_over;
  }
  const std::optional<OtherEnd> other = other_end(r.peer_cookie, r.start);
  if (other) context.other_end = &*other;
  Explanation explanation = explain(r, context);

  if (r.cookie == 0) return explanation;
  forget(waiting_, r.cookie);
  remember(explained_, r.cookie) = r.boot_ns;
  if (other && other->ended) {
    forget(ended_, r.peer_cookie);
  } else if (r.peer_cookie != 0) {
    std::uint64_t waited = 0;
    for (const StateSpan& span : r.states)
      if (span.state == TcpState::kFinWait2) waited += span.ns;
    remember(ended_, r.cookie) = {r.owner,     r.closer, r.how,     r.evidence,
                                  r.time_wait, waited,   r.boot_ns, r.peer_cookie};
  }
  return explanation;
}

Explanation Explainer::on(const BlockedRecord& r) const {
  return explain(r, ExplainContext{clock_});
}

std::optional<Explanation> Explainer::on(const TimeWaitRecord& r) {
  if (r.event != TimeWaitEvent::kLeave) return std::nullopt;
  const bool reused =
      r.reason == LeaveReason::kReusedBySyn || r.reason == LeaveReason::kReusedByConnect;
  // A leave can be noticed late: when the successor's explanation is out already, it is told by
  // itself.
  const std::uint32_t told =
      r.successor_cookie == 0 ? explained_.kNone : explained_.find(r.successor_cookie);
  const bool too_late = told != explained_.kNone && explained_[told] >= r.boot_ns;
  if (reused && r.successor_cookie != 0 && !too_late) {
    remember(leaves_, r.successor_cookie) = {{r.cookie, r.reason, r.phase, r.held_ns, r.owner},
                                             r.boot_ns};
    return std::nullopt;
  }
  ExplainContext context{clock_};
  std::optional<OtherEnd> other;
  if (const std::uint32_t index = ended_.find(r.cookie); r.cookie != 0 && index != ended_.kNone)
    other = other_end(ended_[index].peer_cookie, 0);
  if (other) context.other_end = &*other;
  return explain(r, context);
}

std::vector<Explanation> Explainer::finish(std::uint64_t boot_ns) const {
  std::map<std::tuple<std::uint32_t, std::uint32_t, TcpState>, KeptOpen> by_process;
  for (std::uint32_t index = waiting_.first(); index != waiting_.kNone;
       index = waiting_.next(index)) {
    const Waiting& w = waiting_[index];
    const std::uint64_t age = boot_ns > w.since ? boot_ns - w.since : 0;
    if (age < kCloseWaitNs) continue;  // it may be about to close
    KeptOpen& kept = by_process[{w.netns, w.owner.pid, w.state}];
    if (kept.count++ == 0)
      kept = {w.owner,
              w.netns,
              w.state,
              w.tuple,
              waiting_.key(index),
              1,
              age,
              boot_ns > start_ns_ ? boot_ns - start_ns_ : 0};
    if (age <= kept.oldest_ns) continue;
    kept.oldest_ns = age;
    kept.oldest = w.tuple;
    kept.oldest_cookie = waiting_.key(index);
  }
  std::vector<KeptOpen> sorted;
  sorted.reserve(by_process.size());
  for (const auto& [key, kept] : by_process) sorted.push_back(kept);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const KeptOpen& a, const KeptOpen& b) { return a.count > b.count; });
  std::vector<Explanation> out;
  out.reserve(sorted.size());
  for (const KeptOpen& kept : sorted) out.push_back(explain(kept, boot_ns));
  return out;
}

}  // namespace tcptrail
