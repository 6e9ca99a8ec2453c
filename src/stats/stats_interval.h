// SPDX-License-Identifier: BSD-2-Clause
// What a stretch of time adds up to: connections by group (who, which service, who
// closed first, how it ended), time spent in each state, ways through the state
// diagram, remote addresses by bytes. Memory is bounded: from a number of groups on,
// the rest is summed by role, closer and how alone. No allocation once a period as
// busy as this one has been seen. Pure; filled by Stats, printed by output/stats_*.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "stats/histogram.h"
#include "stats/talkers.h"
#include "tcp/record.h"
#include "util/hash.h"

namespace tcptrail {

inline constexpr std::size_t kMaxGroups = 10'000;
// TCP states and what lies beyond them, as array indices.
inline constexpr std::size_t kStateCount = 16;

struct GroupKey {
  Comm comm;                       // "" = not known, or the rest
  std::uint16_t service_port = 0;  // 0 = not known, or the rest
  std::uint16_t error = 0;         // errno
  Role role = Role::kUnknown;
  Closer closer = Closer::kUnknown;
  How how = How::kUnknown;
  // Calls that the kernel refused for want of a port made no connection: closer and how mean
  // nothing.
  bool refused_call = false;
  bool rest = false;  // the sum of the groups beyond the limit
  std::array<std::uint8_t, 1> padding{};
  friend bool operator==(const GroupKey&, const GroupKey&) = default;
};

struct Group {
  GroupKey key;
  std::uint64_t connections = 0;
  std::uint64_t failed = 0;  // never established
  std::uint64_t incomplete = 0;
  std::uint64_t blocked = 0;    // refused calls
  std::uint64_t time_wait = 0;  // that left a TIME_WAIT here
  std::uint64_t fin_wait2 = 0;  // that left a FIN_WAIT2 minisocket here
  std::uint64_t tx_bytes = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t retransmits = 0;
  PagedHistogram duration;
  PagedHistogram connect;
};

// Why TIME_WAITs went, by LeaveReason.
using LeaveCounts = std::array<std::uint64_t, 7>;

class StatsInterval {
 public:
  explicit StatsInterval(std::size_t max_groups = kMaxGroups);

  void add(const ConnectionRecord& record);
  void add(const BlockedRecord& record);
  void add(const TimeWaitRecord& record);
  void clear();
  [[nodiscard]] bool empty() const { return groups_.empty() && leaves_ == LeaveCounts{}; }

  // Set by Stats.
  std::uint64_t start_ns = 0;
  std::uint64_t end_ns = 0;
  bool partial = false;            // the run began or ended within it
  std::uint64_t seen_from_ns = 0;  // start_ns, or when the run began

  // Those with most connections first.
  [[nodiscard]] std::vector<const Group*> groups() const;
  [[nodiscard]] const HistogramPages& pages() const { return pages_; }
  [[nodiscard]] const DenseHistogram& state(TcpState state) const { return states_[index(state)]; }
  [[nodiscard]] const DenseHistogram& duration() const { return duration_; }
  [[nodiscard]] const DenseHistogram& connect() const { return connect_; }
  [[nodiscard]] std::uint64_t edge(TcpState from, TcpState to) const {
    return edges_[index(from)][index(to)];
  }
  [[nodiscard]] const Talkers& talkers() const { return talkers_; }
  [[nodiscard]] const LeaveCounts& leaves() const { return leaves_; }
  [[nodiscard]] const Group& total() const { return total_; }  // but for the key and the histograms
  [[nodiscard]] std::uint64_t bad() const { return bad_; }
  // Connections and calls of groups that found no room.
  [[nodiscard]] std::uint64_t rest() const { return rest_; }

 private:
  static std::size_t index(TcpState state) {
    const auto number = static_cast<std::size_t>(state);
    return number < kStateCount ? number : kStateCount - 1;
  }
  Group& group(GroupKey key);

  std::size_t max_groups_;
  std::vector<Group> groups_;
  std::pmr::unsynchronized_pool_resource pool_;  // an interval takes the nodes of the last one
  std::pmr::unordered_map<GroupKey, std::size_t, BytesHash> index_{&pool_};  // in groups_
  HistogramPages pages_;
  std::array<DenseHistogram, kStateCount> states_;
  DenseHistogram duration_;
  DenseHistogram connect_;
  std::array<std::array<std::uint64_t, kStateCount>, kStateCount> edges_{};
  Talkers talkers_;
  LeaveCounts leaves_{};
  Group total_;
  std::uint64_t bad_ = 0;
  std::uint64_t rest_ = 0;
};

}  // namespace tcptrail
