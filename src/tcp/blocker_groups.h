// SPDX-License-Identifier: BSD-2-Clause
// The sockets in the way of a refused call, counted by what they have in common, for the
// sentences about them. Input: a BlockedRecord, which must outlive the groups. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tcp/record.h"

namespace tcptrail {

struct BlockerGroup {
  const BlockerRecord* first;
  std::uint64_t count;
};

enum class GroupBy : std::uint8_t { kStateAndOwner, kStateOwnerAndReuseaddr };

// What a port waits for whose release has no known time.
std::string_view no_known_end(std::span<const BlockerRecord> blockers, std::uint64_t count);

// In the order in which each group's first socket is in the record.
std::vector<BlockerGroup> blocker_groups(const BlockedRecord& record, GroupBy by);

}  // namespace tcptrail
