// SPDX-License-Identifier: BSD-2-Clause
// Network namespaces: finding them all, naming one, and being in one for a
// moment. A socket iterator shows the namespace of the thread that creates it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel/handles.h"
#include "util/result.h"

namespace tcptrail {

struct NetNamespace {
  std::uint32_t inode = 0;
  std::string path;  // leads to it while it lives
};

// Every namespace that a process is in or that `ip netns` has named, the caller's first.
std::vector<NetNamespace> list_net_namespaces();

// Those of `wanted` that can be found, and maybe others. Looks only as far as it must: at the caller's own, at the list,
// and then wherever else a namespace may live: a bind mount, an open descriptor, a single thread.
std::vector<NetNamespace> namespaces_with(const std::vector<std::uint32_t>& wanted);
// Whether a namespace that namespaces_with() does not find is gone: we may look into every process, and see all of them.
bool can_find_every_netns();
std::uint32_t own_netns();

// NAME (of `ip netns`), PATH, INUM or PID. A number is a PID when such a process
// exists, else an inode number. A usage error (exit code 2) when there is none.
Result<std::uint32_t> resolve_netns(const std::string& text);

// In another namespace while it lives; back in its own afterwards. One thread only.
class NetNamespaceGuard {
 public:
  // ok() is false when the namespace has vanished or may not be entered.
  explicit NetNamespaceGuard(const NetNamespace& target);
  ~NetNamespaceGuard();
  NetNamespaceGuard(const NetNamespaceGuard&) = delete;
  NetNamespaceGuard& operator=(const NetNamespaceGuard&) = delete;
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  Fd home_;
  bool ok_ = false;
  bool away_ = false;
};

}  // namespace tcptrail
