// SPDX-License-Identifier: BSD-2-Clause
// Keeps a run while it happens. The Recorder stands before the model and the
// RecordedQueries between the model and the machine: the model is told first, so
// that what it asks meanwhile stands before the item in the file, which is where
// a replay needs it. Inputs: the calls of the run loop and of the model; output:
// items for the RecordingWriter. Called by src/run.
#pragma once

#include "recording/writer.h"
#include "tcp/machine_queries.h"
#include "tcp/model_input.h"

namespace tcptrail {

class RecordedQueries final : public MachineQueries {
 public:
  RecordedQueries(MachineQueries& machine, RecordingWriter& writer)
      : machine_(machine), writer_(writer) {}
  // What the model hears is what the file can hold.
  std::string cgroup_path(std::uint64_t id) override;
  std::optional<bool> is_alive(const Process& process) override;
  std::optional<PortSysctls> port_sysctls(std::uint32_t netns) override;

 private:
  MachineQueries& machine_;
  RecordingWriter& writer_;
};

// Asks for what this run's view may not need and another view of the recording
// will: the name of every cgroup, the port settings of every namespace of a snapshot.
class Recorder final : public ForwardingInput {
 public:
  Recorder(ModelInput& next, RecordedQueries& facts, RecordingWriter& writer)
      : ForwardingInput(next, writer), next_(next), facts_(facts), writer_(writer) {}
  void event(const Event& event) override;
  void end_snapshot(std::uint64_t boot_ns, const SnapshotScope& scope) override;

 private:
  ModelInput& next_;
  RecordedQueries& facts_;
  RecordingWriter& writer_;
};

}  // namespace tcptrail
