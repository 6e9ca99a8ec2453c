// SPDX-License-Identifier: BSD-2-Clause
// Reads the kernel's tables during a live run, when the schedule says so: through
// the ring, with a mark for the model before and after. Inputs: what the model and
// the recording want; output: calls of the model's input. Called by src/run/live.
#pragma once

#include <cstdint>
#include <functional>

#include "cli/options.h"
#include "kernel/session.h"
#include "model/model.h"
#include "recording/writer.h"
#include "run/snapshot_schedule.h"
#include "util/out_file.h"

namespace tcptrail {

class SnapshotTaker {
 public:
  struct Parts {
    Session& session;
    const Model& model;
    ModelInput& input;
    const RecordingWriter* writer;  // null = nothing is recorded
    OutFile& out;
    std::function<void()> drain;  // takes everything out of the ring
  };
  // What is passed must outlive it.
  SnapshotTaker(const Options& options, Parts parts);

  // Every socket, before the first event is shown.
  void take_first();
  void take_due();
  // What the end of the run still has a use for.
  void take_last();
  // When take_due() has something to do; UINT64_MAX = never, as things stand.
  [[nodiscard]] std::uint64_t next_ns() const { return schedule_.next(needs()); }

 private:
  [[nodiscard]] SnapshotNeeds needs() const;
  SnapshotScope take(SnapshotKind kind);
  SnapshotScope read_tables(const SnapshotRequest& request);
  void tell_slow(SnapshotKind kind);

  const Options& options_;
  Parts parts_;
  SnapshotSchedule schedule_;
  bool told_slow_scans_ = false;
  bool told_slow_rounds_ = false;
};

}  // namespace tcptrail
