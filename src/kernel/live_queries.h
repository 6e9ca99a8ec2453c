// SPDX-License-Identifier: BSD-2-Clause
// The model's questions, answered by the running kernel: cgroupfs, /proc, and the
// sysctls of a network namespace. Used by src/run.
#pragma once

#include <cstdint>
#include <map>

#include "kernel/cgroup.h"
#include "kernel/netns.h"
#include "tcp/machine_queries.h"

namespace tcptrail {

class LiveQueries final : public MachineQueries {
 public:
  std::string cgroup_path(std::uint64_t id) override { return cgroups_.path_of(id); }
  std::optional<bool> is_alive(const Process& process) override;
  std::optional<PortSysctls> port_sysctls(std::uint32_t netns) override;

 private:
  Cgroups cgroups_;
  std::map<std::uint32_t, NetNamespace> known_;  // where each was found last
};

}  // namespace tcptrail
