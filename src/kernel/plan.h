// SPDX-License-Identifier: BSD-2-Clause
// Which programs load and why the others do not: a pure function of the
// features and of what was asked for. `doctor` prints it, session follows it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/features.h"

namespace tcptrail {

struct PlanRequest {
  bool snapshot = true;
  bool command_tree = false;  // -- CMD
  bool trace = true;          // false: only look (`ports`), no program is attached
  bool blocked = true;        // refused attempts are wanted
  bool time_wait = true;      // the ends of TIME_WAIT are
};

struct PlannedProgram {
  std::string_view name;  // as in the BPF object
  bool load = false;
  std::string why_not;  // empty when it loads
};

struct Plan {
  bool typed = true;  // the tp_btf object, or the classic one
  bool cookie = true;
  bool task_btf = true;
  bool probe_reads = true;
  bool resets = true;
  bool refused_calls = true;
  bool snapshot = true;
  bool holders = true;
  bool socket_hooks = true;    // in place of the tracepoints of accept(), bind() and listen()
  bool timewait_hooks = true;  // an object of its own
  bool births = false;         // the hooks stand in for the walk
  std::vector<PlannedProgram> programs;
  // What is less true now, a sentence each.
  std::vector<std::string> limits;

  [[nodiscard]] bool loads(std::string_view program) const;
};

Plan make_plan(const Features& features, const PlanRequest& request);

}  // namespace tcptrail
