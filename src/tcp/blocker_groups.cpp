// SPDX-License-Identifier: BSD-2-Clause
#include "tcp/blocker_groups.h"

#include <algorithm>

namespace tcptrail {

// tcp_orphan_retries ends an orphan; in FIN_WAIT2 it is tcp_fin_timeout.
std::string_view no_known_end(std::span<const BlockerRecord> blockers, std::uint64_t count) {
  const bool all_end = std::all_of(blockers.begin(), blockers.end(), [](const BlockerRecord& b) {
    return b.orphan || b.expires_in_ms;
  });
  if (!all_end || count > blockers.size()) return "No timer will free it.";
  return "Sockets without a process stay until the peer answers, or until the kernel gives up "
         "(net.ipv4.tcp_orphan_retries).";
}

std::vector<BlockerGroup> blocker_groups(const BlockedRecord& record, GroupBy by) {
  std::vector<BlockerGroup> groups;
  for (const BlockerRecord& b : record.blockers) {
    const auto known = std::find_if(groups.begin(), groups.end(), [&](const BlockerGroup& g) {
      return g.first->state == b.state && g.first->owner.pid == b.owner.pid &&
             (by == GroupBy::kStateAndOwner || g.first->reuseaddr == b.reuseaddr);
    });
    if (known == groups.end())
      groups.push_back({&b, 1});
    else
      ++known->count;
  }
  return groups;
}

}  // namespace tcptrail
