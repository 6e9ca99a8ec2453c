// SPDX-License-Identifier: BSD-2-Clause
#include "run/snapshot_schedule.h"

#include <algorithm>

namespace tcptrail {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1'000 * kMs;
constexpr std::uint64_t kNever = UINT64_MAX;

constexpr std::uint64_t kRegularNs = 60 * kSecond;
// A recording is asked later which ports were blocked at some moment.
constexpr std::uint64_t kRecordNs = 10 * kSecond;
// The record of a refused call waits for its blockers, but no longer than 500 ms: they are read
// before they have gone.
constexpr std::uint64_t kBlockedLongestNs = 200 * kMs;
// The end of a TIME_WAIT is to be reported within 1.5 s: a round this far away serves as a scan.
constexpr std::uint64_t kRoundServesNs = 1'400 * kMs;

}  // namespace

SnapshotSchedule::SnapshotSchedule(bool record, std::optional<std::uint64_t> round_ns)
    : record_(record),
      rounds_wanted_(round_ns.has_value()),
      after_gap_(kSecond),
      regular_(record ? kRecordNs : kRegularNs),
      rounds_(round_ns.value_or(0)),
      blocked_(0, kBlockedLongestNs, kSecond),
      scans_(kSecond) {}

// The one place that says when; UINT64_MAX = it is not needed.
std::uint64_t SnapshotSchedule::when(SnapshotKind kind, const SnapshotNeeds& needs) const {
  switch (kind) {
    case SnapshotKind::kFull:
      if (needs.gap) return after_gap_.next_ns();
      return record_ || needs.connections ? regular_.next_ns() : kNever;
    case SnapshotKind::kRound:
      return rounds_wanted_ ? rounds_.next_ns() : kNever;
    case SnapshotKind::kBlocked:
      return needs.blocked ? blocked_.next_ns() : kNever;
    case SnapshotKind::kScan:
      return needs.minisockets ? scans_.next_ns() : kNever;
  }
  return kNever;
}

bool SnapshotSchedule::due(SnapshotKind kind, std::uint64_t now_ns,
                           const SnapshotNeeds& needs) const {
  return now_ns >= when(kind, needs);
}

std::uint64_t SnapshotSchedule::next(const SnapshotNeeds& needs) const {
  // Connections to which nothing happens are worth no wakeup.
  SnapshotNeeds woken_for = needs;
  woken_for.connections = false;
  std::uint64_t next = kNever;
  for (const SnapshotKind kind : kSnapshotKinds) next = std::min(next, when(kind, woken_for));
  return next;
}

void SnapshotSchedule::taken(SnapshotKind kind, std::uint64_t began_ns, std::uint64_t cpu_ns) {
  switch (kind) {
    case SnapshotKind::kFull:
      for (SnapshotPacer* pacer : {&after_gap_, &regular_, &scans_}) pacer->taken(began_ns, cpu_ns);
      break;
    case SnapshotKind::kRound: {
      rounds_.taken(began_ns, cpu_ns);
      // Where rounds are late because snapshots are expensive here, scans do not add to that.
      const bool serves = rounds_.slowed_to_ns() || rounds_.next_ns() <= began_ns + kRoundServesNs;
      scans_.not_before(serves ? rounds_.next_ns() : began_ns + kSecond);
      break;
    }
    case SnapshotKind::kBlocked:
      blocked_.taken(began_ns, cpu_ns);
      break;
    case SnapshotKind::kScan:
      scans_.taken(began_ns, cpu_ns);
      break;
  }
}

std::optional<std::uint64_t> SnapshotSchedule::slowed_to_ns(SnapshotKind kind) const {
  if (kind == SnapshotKind::kRound) return rounds_.slowed_to_ns();
  if (kind == SnapshotKind::kScan) return scans_.slowed_to_ns();
  return std::nullopt;
}

}  // namespace tcptrail
