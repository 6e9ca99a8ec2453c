// SPDX-License-Identifier: BSD-2-Clause
// Answers to the model's questions that a test sets.
#pragma once

#include <map>

#include "tcp/machine_queries.h"

namespace tcptrail::test {

class SetFacts final : public MachineQueries {
 public:
  std::string cgroup_path(std::uint64_t id) override { return "/group" + std::to_string(id); }
  std::optional<bool> is_alive(const Process& process) override {
    return alive.contains(process.pid) ? std::optional(alive[process.pid]) : std::nullopt;
  }
  std::optional<PortSysctls> port_sysctls(std::uint32_t) override {
    ++asked_for_sysctls;
    return sysctls;
  }
  std::map<std::uint32_t, bool> alive;
  std::optional<PortSysctls> sysctls = PortSysctls{};
  unsigned asked_for_sysctls = 0;
};

}  // namespace tcptrail::test
