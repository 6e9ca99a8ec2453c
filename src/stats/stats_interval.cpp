// SPDX-License-Identifier: BSD-2-Clause
#include "stats/stats_interval.h"

#include <algorithm>
#include <cstring>

#include "tcp/filter.h"

namespace tcptrail {
namespace {

// What follows the NUL in a comm is whatever was there before.
Comm clean(const Process& process) {
  Comm comm;
  if (process.pid == 0) return comm;
  const std::string_view name = process.comm.view();
  std::memcpy(comm.bytes.data(), name.data(), name.size());
  return comm;
}

}  // namespace

StatsInterval::StatsInterval(std::size_t max_groups) : max_groups_(max_groups) {}

Group& StatsInterval::group(GroupKey key) {
  auto known = index_.find(key);
  if (known == index_.end() && groups_.size() >= max_groups_) {
    key.comm = {};
    key.service_port = key.error = 0;
    key.rest = true;
    ++rest_;
    known = index_.find(key);
  }
  if (known != index_.end()) return groups_[known->second];
  index_.emplace(key, groups_.size());
  groups_.emplace_back();
  groups_.back().key = key;
  return groups_.back();
}

void StatsInterval::add(const ConnectionRecord& r) {
  unsigned seen = 0;
  for (const StateSpan& span : r.states) {
    const std::size_t state = index(span.state);
    seen |= 1U << state;
    states_[state].add(span.ns);
  }
  for (std::size_t i = 1; i < r.path.size(); ++i) ++edges_[index(r.path[i - 1])][index(r.path[i])];
  using enum TcpState;
  constexpr unsigned kBeforeOpen =
      1U << static_cast<unsigned>(kSynSent) | 1U << static_cast<unsigned>(kSynRecv) |
      1U << static_cast<unsigned>(kClose) | 1U << static_cast<unsigned>(kListen) |
      1U << static_cast<unsigned>(kNewSynRecv);
  const bool failed = (seen & ~kBeforeOpen) == 0 && seen != 0;

  Group& g = group({.comm = clean(r.owner),
                    .service_port = r.service_port.value_or(0),
                    .error = r.error,
                    .role = r.role,
                    .closer = r.closer,
                    .how = r.how});
  for (Group* to : {&g, &total_}) {
    ++to->connections;
    if (failed) ++to->failed;
    if (!r.complete) ++to->incomplete;
    if (r.time_wait.phase == TimeWaitPhase::kTimeWait) ++to->time_wait;
    if (r.time_wait.phase == TimeWaitPhase::kFinWait2) ++to->fin_wait2;
    if (!r.counters) continue;
    to->tx_bytes += r.counters->tx_bytes;
    to->rx_bytes += r.counters->rx_bytes;
    to->retransmits += r.counters->retransmits;
  }
  if (ended_badly(r)) ++bad_;
  if (r.duration_ns) {
    g.duration.add(pages_, *r.duration_ns);
    duration_.add(*r.duration_ns);
  }
  if (r.connect_ns) {
    g.connect.add(pages_, *r.connect_ns);
    connect_.add(*r.connect_ns);
  }
  if (r.counters)
    talkers_.add(r.tuple.raddr, r.tuple.family, r.counters->tx_bytes, r.counters->rx_bytes);
}

void StatsInterval::add(const BlockedRecord& r) {
  const bool connect = r.op == BlockedOp::kConnect;
  Group& g = group({.comm = clean(r.caller),
                    .service_port = connect ? r.tuple.rport : r.tuple.lport,
                    .error = r.error,
                    .role = connect ? Role::kActive : Role::kPassive,
                    .refused_call = true});
  g.blocked += r.count;
  total_.blocked += r.count;
}

void StatsInterval::add(const TimeWaitRecord& r) {
  const auto reason = static_cast<std::size_t>(r.reason);
  if (r.event == TimeWaitEvent::kLeave && r.phase == TimeWaitPhase::kTimeWait &&
      reason < leaves_.size())
    ++leaves_[reason];
}

void StatsInterval::clear() {
  for (Group& g : groups_) {
    g.duration.clear(pages_);
    g.connect.clear(pages_);
  }
  groups_.clear();
  index_.clear();
  for (DenseHistogram& state : states_)
    if (state.count() != 0) state.clear();
  if (duration_.count() != 0) duration_.clear();
  if (connect_.count() != 0) connect_.clear();
  edges_ = {};
  talkers_.clear();
  leaves_ = {};
  total_ = {};
  bad_ = rest_ = 0;
  partial = false;
}

std::vector<const Group*> StatsInterval::groups() const {
  std::vector<const Group*> sorted;
  for (const Group& g : groups_) sorted.push_back(&g);
  std::sort(sorted.begin(), sorted.end(), [](const Group* a, const Group* b) {
    if (a->connections != b->connections) return a->connections > b->connections;
    if (a->blocked != b->blocked) return a->blocked > b->blocked;
    return std::memcmp(&a->key, &b->key, sizeof a->key) < 0;
  });
  return sorted;
}

}  // namespace tcptrail
