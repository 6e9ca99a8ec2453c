// SPDX-License-Identifier: BSD-2-Clause
// What the user asked to see, as a pure predicate. The kernel programs drop what
// they can; this decides the rest and is the only filter of a replay. Inputs:
// Filters (from the command line, namespaces and cgroups resolved by the caller)
// and what is known of a connection so far. Called by the model.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tcp/address.h"
#include "tcp/record.h"

namespace tcptrail {

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;  // inclusive
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

// Sorted, without overlaps or neighbours. Empty = every port.
struct PortSet {
  std::vector<PortRange> ranges;
  [[nodiscard]] bool empty() const { return ranges.empty(); }
  [[nodiscard]] bool contains(std::uint16_t port) const;
  friend bool operator==(const PortSet&, const PortSet&) = default;
};

enum class FamilyFilter : std::uint8_t { kBoth, kIpv4, kIpv6 };

// Record types to print.
struct EventSet {
  bool transition = false;
  bool connection = false;
  bool time_wait = false;
  bool blocked = false;
  friend bool operator==(const EventSet&, const EventSet&) = default;
};
// The words for its members, and "all".
std::span<const std::string_view> event_words();
// Adds the record types of one word; false for a word that is not in event_words().
bool add_events(EventSet& events, std::string_view word);

// Every member that is empty asks nothing; all others must hold.
struct Filters {
  std::vector<std::uint32_t> pids;
  PortSet lports;
  PortSet rports;
  FamilyFilter family = FamilyFilter::kBoth;
  std::string comm_glob;                  // fnmatch(3) on the bytes of comm
  std::vector<Prefix> laddrs;             // any of
  std::vector<Prefix> raddrs;             // any of
  std::vector<std::uint32_t> netns;       // inode numbers, any of
  std::vector<std::uint64_t> cgroup_ids;  // any of
  std::optional<std::uint32_t> uid;
  bool in_tree = false;  // only sockets of the command that is run (-- CMD)

  // Known only when the connection has ended.
  std::vector<Closer> closed_by;
  std::vector<How> how;
  std::optional<std::uint64_t> min_duration_ns;
  bool errors_only = false;
};

enum class Match : std::uint8_t { kNo, kYes, kUndecided };

// What is known of a socket so far.
struct FilterInput {
  Tuple tuple;              // lport, or rport of an early child, may still be 0
  std::uint32_t netns = 0;  // 0 = unknown
  Process owner;            // pid 0 = unknown
  OwnerSource owner_source = OwnerSource::kUnknown;
  std::optional<std::uint32_t> uid;
  std::uint64_t cgroup_id = 0;  // 0 = unknown
  std::optional<bool> in_tree;  // nullopt = unknown
  bool listener = false;        // has no remote end and never will
  bool ended = false;           // nothing more will be learned: kUndecided becomes kNo
};

// Whether the socket is one the user asked for. kNo and kYes are final. An owner
// that does not match is final only when it is the process that closed (the
// owner by definition) or when the socket has ended: until then a forked child
// may turn out to be the owner. Filters on how a connection ended are not looked at.
Match match(const Filters& filters, const FilterInput& facts);

// The whole filter on a finished connection. What is still unknown does not
// match. `in_tree` is not in the record and is left to match().
bool match_final(const Filters& filters, const ConnectionRecord& record);

// What --errors means: reset, refused, timed out, unreachable, no port, aborted,
// half-open, or any errno.
bool ended_badly(const ConnectionRecord& record);

}  // namespace tcptrail
