// SPDX-License-Identifier: BSD-2-Clause
#include "recording/recorder.h"

namespace tcptrail {
namespace {

// 0 = the record has none, or it is not known.
std::uint64_t cgroup_of(const Event& event) {
  switch (event.kind()) {
    case TCPTRAIL_TRANSITION_OWNED:
    case TCPTRAIL_SEEN_SOCKET:
      return event.owned.cgroup_id;
    case TCPTRAIL_REFUSED:
      return event.refused.cgroup_id;
    default:
      return 0;
  }
}

}  // namespace

std::string RecordedQueries::cgroup_path(std::uint64_t id) {
  std::string path = machine_.cgroup_path(id);
  if (path.size() > kMaxCgroupPath) path.resize(kMaxCgroupPath);
  writer_.cgroup(id, path);
  return path;
}

std::optional<bool> RecordedQueries::is_alive(const Process& process) {
  const std::optional<bool> alive = machine_.is_alive(process);
  writer_.alive(process, alive);
  return alive;
}

std::optional<PortSysctls> RecordedQueries::port_sysctls(std::uint32_t netns) {
  std::optional<PortSysctls> sysctls = machine_.port_sysctls(netns);
  writer_.sysctls(netns, sysctls);
  return sysctls;
}

void Recorder::event(const Event& event) {
  next_.event(event);
  if (const std::uint64_t cgroup = cgroup_of(event);
      cgroup != 0 && !writer_.answers().knows_cgroup(cgroup))
    facts_.cgroup_path(cgroup);
  writer_.event(event);
}

void Recorder::end_snapshot(std::uint64_t boot_ns, const SnapshotScope& scope) {
  next_.end_snapshot(boot_ns, scope);
  if (!scope.minisockets_only)
    for (const std::uint32_t netns : scope.netns_read)
      if (!writer_.answers().knows_sysctls(netns)) facts_.port_sysctls(netns);
  writer_.end_snapshot(boot_ns, scope);
}

}  // namespace tcptrail
