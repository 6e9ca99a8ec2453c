// SPDX-License-Identifier: BSD-2-Clause
// Everything that a run tells the model, in order: the events of the ring, what
// belongs to a snapshot, and how far time has come. The live loop and the reader
// of a recording call it; the model and the writer of a recording implement it.
// Whoever gives the model the same calls (and the same MachineQueries) gets the
// same records, byte for byte.
#pragma once

#include <cstdint>
#include <vector>

#include "tcp/event.h"
#include "tcp/record.h"

namespace tcptrail {

// How a snapshot ended. Lists are sorted inode numbers.
struct SnapshotScope {
  std::vector<std::uint32_t> netns_read;     // to their end
  std::vector<std::uint32_t> netns_refused;  // could not be entered
  std::vector<std::uint32_t> netns_gone;     // asked for by number, and no longer there
  // TIME_WAIT and FIN_WAIT2 minisockets only (SEEN_TIMEWAIT, and SEEN_SOCKET of SYN_SENT);
  // false: every socket (SEEN_SOCKET) and who holds it (SEEN_HOLDER).
  bool minisockets_only = false;
};

class ModelInput {
 public:
  virtual ~ModelInput() = default;
  virtual void event(const Event& event) = 0;
  // What is seen between these two belongs to one snapshot.
  virtual void begin_snapshot(std::uint64_t boot_ns, bool minisockets_only) = 0;
  virtual void end_snapshot(std::uint64_t boot_ns, const SnapshotScope& scope) = 0;
  // No event before `boot_ns` will come any more.
  virtual void advance_to(std::uint64_t boot_ns) = 0;
  // `ports --watch`: show the last snapshot now.
  virtual void round(std::uint64_t boot_ns) = 0;
  virtual void loss(const LossRecord& record) = 0;
  // CLOCK_REALTIME minus CLOCK_BOOTTIME, from here on.
  virtual void clock_offset(std::int64_t ns) = 0;
  // At the end of the run: nothing waits any longer.
  virtual void finish(std::uint64_t boot_ns) = 0;
};

}  // namespace tcptrail
