// SPDX-License-Identifier: BSD-2-Clause
// Network namespaces: finding them all, naming one, and doing something in one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "util/result.h"

namespace tcptrail {

struct NetNamespace {
  std::uint32_t inode = 0;
  std::string path;  // leads to it while it lives
};

// Every namespace that a process is in or that `ip netns` has named, the caller's first.
std::vector<NetNamespace> list_net_namespaces();

// Those of `wanted` that can be found, and maybe others. Looks only as far as it must: at the
// caller's own, at the list, and then wherever else a namespace may live: a bind mount, an open
// descriptor, a single thread.
std::vector<NetNamespace> namespaces_with(const std::vector<std::uint32_t>& wanted);
// Whether a namespace that namespaces_with() does not find is gone: we may look into every process,
// and see all of them.
bool can_find_every_netns();
std::uint32_t own_netns();

// NAME (of `ip netns`), PATH, INUM or PID. A number is a PID when such a process
// exists, else an inode number. A usage error (exit code 2) when there is none.
Result<std::uint32_t> resolve_netns(const std::string& text);

// Runs `work` in a network namespace; false = not run: it has vanished, or may not be entered.
// In another one than the caller's this is done by a thread of its own: a process whose first
// thread is there belongs to it for `ip netns pids`, and scripts that clean up kill what that
// lists.
bool in_net_namespace(const NetNamespace& target, const std::function<void()>& work);

}  // namespace tcptrail
