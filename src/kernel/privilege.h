// SPDX-License-Identifier: BSD-2-Clause
// Least privilege: once everything is attached, what the rest of the run does not
// need is given up for good. docs/security.md says what stays, and why. Called by
// src/run/live when the first snapshot is in.
#pragma once

#include <string>
#include <vector>

#include "util/result.h"

namespace tcptrail {

struct PrivilegeNeeds {
  // setns(2) into namespaces that are not the caller's, and finding them in /proc of other users.
  bool other_namespaces = false;
  // open_by_handle_at(2): the name of a cgroup from its id.
  bool cgroup_names = false;
  // Files that are created, renamed or opened again while the run goes on.
  std::vector<std::string> output_files;
  // A BPF object to ask, to find out whether this kernel wants CAP_BPF for it (before Linux 5.19 it
  // does).
  int bpf_fd = -1;
};

// Drops every other capability, sets no_new_privs, and leaves only the system calls that a run
// makes after this point. Returns the names of the capabilities that stay. No privilege at all is
// no error.
Result<std::vector<std::string>> drop_privileges(const PrivilegeNeeds& needs);

}  // namespace tcptrail
