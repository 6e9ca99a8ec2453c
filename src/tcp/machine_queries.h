// SPDX-License-Identifier: BSD-2-Clause
// What the model has to ask about the machine, because no event tells it. Live,
// the kernel answers and a recording keeps the answer; a replay asks the
// recording. So the same stream gives the same records. Pure interface.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tcp/port_sysctls.h"
#include "tcp/record.h"

namespace tcptrail {

class MachineQueries {
 public:
  virtual ~MachineQueries() = default;
  // Below the cgroup2 root; "" = unknown.
  virtual std::string cgroup_path(std::uint64_t id) = 0;
  // Whether a process of this pid and name exists; nullopt = unknown.
  virtual std::optional<bool> is_alive(const Process& process) = 0;
  // Those of the network namespace now; nullopt = it cannot be entered, or is not in the recording.
  virtual std::optional<PortSysctls> port_sysctls(std::uint32_t netns) = 0;
};

}  // namespace tcptrail
