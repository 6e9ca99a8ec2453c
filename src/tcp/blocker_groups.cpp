// SPDX-License-Identifier: BSD-2-Clause
#include "tcp/blocker_groups.h"

#include <algorithm>

namespace tcptrail {

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
