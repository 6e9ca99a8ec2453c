// SPDX-License-Identifier: BSD-2-Clause
#include "recording/recorded_facts.h"

namespace tcptrail {

bool RecordedFacts::learn_cgroup(std::uint64_t id, std::string_view path) {
  const auto known = cgroups_.find(id);
  if (known != cgroups_.end()) {
    if (known->second == path) return false;
    known->second = path;
    return true;
  }
  if (cgroups_.size() >= kMaxCgroups) cgroups_.clear();
  cgroups_.emplace(id, path);
  return true;
}

bool RecordedFacts::learn_alive(const Process& process, std::optional<bool> alive) {
  const auto known = alive_.find(process.pid);
  if (known != alive_.end()) {
    if (known->second.comm == process.comm && known->second.alive == alive) return false;
    known->second = {process.comm, alive};
    return true;
  }
  if (alive_.size() >= kMaxProcesses) alive_.clear();
  alive_.emplace(process.pid, Life{process.comm, alive});
  return true;
}

bool RecordedFacts::learn_sysctls(std::uint32_t netns, const std::optional<PortSysctls>& sysctls) {
  const auto known = sysctls_.find(netns);
  if (known != sysctls_.end()) {
    if (known->second == sysctls) return false;
    known->second = sysctls;
    return true;
  }
  if (sysctls_.size() >= kMaxNamespaces) sysctls_.clear();
  sysctls_.emplace(netns, sysctls);
  return true;
}

std::string RecordedFacts::cgroup_path(std::uint64_t id) const {
  const auto known = cgroups_.find(id);
  return known == cgroups_.end() ? std::string() : known->second;
}

std::optional<bool> RecordedFacts::is_alive(const Process& process) const {
  const auto known = alive_.find(process.pid);
  if (known == alive_.end() || known->second.comm != process.comm) return std::nullopt;
  return known->second.alive;
}

std::optional<PortSysctls> RecordedFacts::port_sysctls(std::uint32_t netns) const {
  const auto known = sysctls_.find(netns);
  return known == sysctls_.end() ? std::nullopt : known->second;
}

}  // namespace tcptrail
