// SPDX-License-Identifier: BSD-2-Clause
// Which programs load and why the others do not: a pure function of the
// features and of what was asked for. `doctor` prints it, bpf_objects follows it.
// Here too: the table of all programs, which everybody else who names one reads.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/features.h"

namespace tcptrail {

// Where a program hangs, which says which object has it.
enum class ProgramKind {
  kEvent,       // a tracepoint of TCP or of the scheduler: in both objects, typed where it can be
  kCall,        // the tracepoint at the return of a system call: in both objects
  kFunction,    // a function of sockets, in place of kCall: in the typed object
  kMinisocket,  // a function of minisockets: in the object timewait
  kIterator,    // read for a snapshot and never attached: in the typed object
};

// What it is for: it does not load where nobody asks for that.
enum class ProgramUse {
  kConnections,
  kIdentity,  // by address, where there are no cookies
  kRefusedCalls,
  kCommand,  // -- CMD
  kSnapshot,
  kHolders,
  kTimeWaits,
  kBirths,
};

struct Program {
  std::string_view name;  // as in the BPF object
  ProgramKind kind;
  // Those of the first object are attached in this order, smallest first: what explains a
  // transition comes before the transitions. The minisockets' are attached after them.
  int order;
  ProgramUse use;
  std::optional<Feature> feature;  // that it needs, beside what its kind needs
  // kFunction and kMinisocket: what is hooked, and whether a kernel may lack it because another
  // program sees as much.
  std::string_view function = {};
  bool may_be_missing = false;
  // What is less true when it cannot be attached; empty: that is an error.
  std::string_view without = {};
};

// In the order in which `doctor` prints them.
std::span<const Program> all_programs();

struct PlanRequest {
  bool snapshot = true;
  bool command_tree = false;  // -- CMD
  bool trace = true;          // false: snapshots only (`ports`), no program is attached
  bool blocked = true;        // refused attempts are wanted
  bool time_wait = true;      // the ends of TIME_WAIT are
};

struct PlannedProgram {
  std::string_view name;
  bool load = false;
  std::string why_not;  // empty when it loads
};

struct Plan {
  bool typed = true;  // the tp_btf object, or the classic one
  bool cookie = true;
  bool task_btf = true;
  bool probe_reads = true;
  bool resets = true;
  std::vector<std::string> reset_reasons;  // Features has them; empty without `resets`
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
