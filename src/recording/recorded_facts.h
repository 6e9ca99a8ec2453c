// SPDX-License-Identifier: BSD-2-Clause
// The answers of MachineQueries that stand in a recording: the last one to each
// question. Writer and reader keep the same table by the same rule, so that the
// writer knows which answers the reader still has. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tcp/machine_queries.h"

namespace tcptrail {

class RecordedFacts {
 public:
  // A table that is full is emptied: memory is bounded, and the writer asks and writes again.
  static constexpr std::size_t kMaxCgroups = 1U << 16;
  static constexpr std::size_t kMaxProcesses = 1U << 16;
  static constexpr std::size_t kMaxNamespaces = 1U << 12;

  // True when that was not known yet.
  bool learn_cgroup(std::uint64_t id, std::string_view path);
  bool learn_alive(const Process& process, std::optional<bool> alive);
  bool learn_sysctls(std::uint32_t netns, const std::optional<PortSysctls>& sysctls);

  [[nodiscard]] std::string cgroup_path(std::uint64_t id) const;
  [[nodiscard]] std::optional<bool> is_alive(const Process& process) const;
  [[nodiscard]] std::optional<PortSysctls> port_sysctls(std::uint32_t netns) const;
  [[nodiscard]] bool knows_cgroup(std::uint64_t id) const { return cgroups_.contains(id); }
  [[nodiscard]] bool knows_sysctls(std::uint32_t netns) const { return sysctls_.contains(netns); }

  [[nodiscard]] const std::unordered_map<std::uint64_t, std::string>& cgroups() const {
    return cgroups_;
  }
  [[nodiscard]] const std::unordered_map<std::uint32_t, std::optional<PortSysctls>>& sysctls()
      const {
    return sysctls_;
  }
  // Whether a process lives is true for a moment only: not carried into the next part.
  void forget_processes() { alive_.clear(); }

 private:
  struct Life {
    Comm comm;
    std::optional<bool> alive;
  };
  std::unordered_map<std::uint64_t, std::string> cgroups_;
  std::unordered_map<std::uint32_t, Life> alive_;  // by pid
  std::unordered_map<std::uint32_t, std::optional<PortSysctls>> sysctls_;
};

// What the machine would have answered then.
class ReplayedQueries final : public MachineQueries {
 public:
  explicit ReplayedQueries(const RecordedFacts& answers) : recorded_facts_(answers) {}
  std::string cgroup_path(std::uint64_t id) override { return recorded_facts_.cgroup_path(id); }
  std::optional<bool> is_alive(const Process& process) override {
    return recorded_facts_.is_alive(process);
  }
  std::optional<PortSysctls> port_sysctls(std::uint32_t netns) override {
    return recorded_facts_.port_sysctls(netns);
  }

 private:
  const RecordedFacts& recorded_facts_;
};

}  // namespace tcptrail
