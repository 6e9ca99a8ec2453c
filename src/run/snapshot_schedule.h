// SPDX-License-Identifier: BSD-2-Clause
// When a live run reads the kernel's tables, and which part of them. Four kinds
// of reading have a pacer each, so that each takes less than a tenth of a core;
// one kind that serves another puts it off. Inputs: the time, what the run needs
// now, the CPU time that each reading took. Pure; used by snapshot_taker.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "run/snapshot_pacer.h"

namespace tcptrail {

// In the order in which they are taken when several are due.
enum class SnapshotKind {
  kFull,     // every socket: finds connections whose end was lost
  kRound,    // `ports --watch`: every socket of the watched namespaces
  kBlocked,  // every socket of namespaces in which a call was refused: finds its blockers
  kScan,     // minisockets only: finds their ends
};
inline constexpr std::array kSnapshotKinds = {SnapshotKind::kFull, SnapshotKind::kRound,
                                              SnapshotKind::kBlocked, SnapshotKind::kScan};

// What a reading would be good for now.
struct SnapshotNeeds {
  bool gap = false;          // an end was lost, or a new part of a recording begins
  bool connections = false;  // some are followed
  bool blocked = false;      // a refused call waits for its blockers
  bool minisockets = false;  // some are followed whose end is to be reported
};

class SnapshotSchedule {
 public:
  // `record`: full snapshots are for the readers of a recording too, and so more frequent.
  // `round_ns`: of `ports --watch`.
  explicit SnapshotSchedule(bool record, std::optional<std::uint64_t> round_ns = {});

  [[nodiscard]] bool due(SnapshotKind kind, std::uint64_t now_ns, const SnapshotNeeds& needs) const;
  // When to wake up for the next one; UINT64_MAX = never, as things stand.
  [[nodiscard]] std::uint64_t next(const SnapshotNeeds& needs) const;
  // One that began at `began_ns` took `cpu_ns`.
  void taken(SnapshotKind kind, std::uint64_t began_ns, std::uint64_t cpu_ns);
  // The interval of rounds or of scans, where it is longer than asked for; the others promise none.
  [[nodiscard]] std::optional<std::uint64_t> slowed_to_ns(SnapshotKind kind) const;

 private:
  [[nodiscard]] std::uint64_t when(SnapshotKind kind, const SnapshotNeeds& needs) const;

  bool record_;
  bool rounds_wanted_;
  SnapshotPacer after_gap_;  // full ones, soon after a gap in some chain ...
  SnapshotPacer regular_;    // ... and now and then without one, for losses that nothing counts
  SnapshotPacer rounds_;
  SnapshotPacer blocked_;
  SnapshotPacer scans_;
};

}  // namespace tcptrail
