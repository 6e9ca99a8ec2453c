// SPDX-License-Identifier: BSD-2-Clause
// What a live run does once before its loop: names become numbers, programs load,
// the recording begins, privileges go. Inputs: the options; outputs: the session
// and the writer. Called by src/run/live.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "cli/options.h"
#include "kernel/features.h"
#include "kernel/plan.h"
#include "kernel/session.h"
#include "recording/writer.h"
#include "util/result.h"

namespace tcptrail {

// Network namespaces and the cgroup, from the names on the command line.
Result<void> resolve_filters(Options& options);

struct LivePrograms {
  Features features;
  Plan plan;
  std::unique_ptr<Session> session;
};
// `command_pid`: -- CMD; 0 = none. Prints warnings.
Result<LivePrograms> start_programs(const Options& options, std::uint32_t command_pid);

ProgramCapabilities capabilities_of(const Plan& plan);

// Into options.record_path, which must be another file than `out`, where the view goes.
Result<std::unique_ptr<RecordingWriter>> start_recording(const Options& options,
                                                         const LivePrograms& programs,
                                                         const OutFile& out,
                                                         std::uint64_t started_ns,
                                                         std::int64_t clock_offset_ns);

// What is left to do needs little; where even that cannot be arranged, it is said.
void give_up_privileges(const Options& options, const LivePrograms& programs, const OutFile& out);

}  // namespace tcptrail
