// SPDX-License-Identifier: BSD-2-Clause
// What is blocked now, in records: from the snapshot of one network namespace to
// one record per blocked local endpoint and per destination, with owners and
// remedies, and the answers to `--bind` and `--connect`. Pure: the rules are in
// port_rules, the clock and the sysctls are passed in. Called by src/run/ports.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/event.h"
#include "core/filter.h"
#include "core/port_rules.h"
#include "core/record.h"

namespace tcptrail {

inline constexpr std::size_t kMaxBlockers = 64;

struct BlockerRecord {
  TcpState state{};
  std::uint64_t cookie = 0;  // 0 = unknown
  Tuple tuple;               // rport 0 = it has no remote end
  Process owner;             // pid 0 = nobody holds it, or unknown
  std::optional<bool> owner_alive;
  std::optional<bool> reuseaddr;
  std::optional<bool> reuseport;
  std::optional<std::uint64_t> expires_in_ms;
};

struct PortOwner {
  Process process;
  std::optional<bool> alive;
  std::uint64_t count = 0;
};

struct PortRecord {
  std::uint64_t boot_ns = 0;
  std::uint32_t netns = 0;
  Family family = Family::kIpv4;  // of laddr
  Address laddr;
  std::uint16_t lport = 0;        // 0 = the kernel chooses
  std::vector<std::pair<TcpState, std::uint64_t>> states;  // of the blockers
  bool bind_plain = false;
  bool bind_reuseaddr = false;
  bool bind_reuseport = false;
  std::vector<BlockerRecord> blockers;  // at most kMaxBlockers, those that stay longest first
  std::uint64_t blocker_count = 0;
  std::optional<std::uint64_t> free_in_ms;  // 0 = now
  std::vector<PortOwner> owners;            // those with most sockets first
  std::vector<std::string> remedies;        // the best first
};

struct DestinationRecord {
  std::uint64_t boot_ns = 0;
  std::uint32_t netns = 0;
  Tuple tuple;  // lport 0
  bool connect = false;
  unsigned used = 0;
  unsigned time_wait = 0;
  unsigned available = 0;
  unsigned range_low = 0;
  unsigned range_high = 0;
  unsigned reserved = 0;
  std::optional<double> rate_per_s;
  std::optional<double> exhausted_in_s;
  std::optional<std::uint64_t> free_in_ms;  // 0 = now
  std::vector<PortOwner> owners;
  std::vector<std::string> remedies;  // for people; the JSON record has no place for them
};

// The sockets of one namespace and who holds them.
class PortSnapshot {
 public:
  explicit PortSnapshot(std::uint32_t netns) : netns_(netns) {}

  // SEEN_SOCKET and SEEN_HOLDER of the namespace; anything else is passed over.
  void apply(const Event& event);
  void finish() { table_.finish(); }

  [[nodiscard]] std::uint32_t netns() const { return netns_; }
  [[nodiscard]] const PortTable& table() const { return table_; }
  // The processes that have a descriptor of the socket.
  [[nodiscard]] std::span<const Process> holders(std::uint64_t cookie) const;

 private:
  std::uint32_t netns_;
  PortTable table_;
  std::unordered_map<std::uint64_t, std::vector<Process>> holders_;
};

struct PortReport {
  std::vector<PortRecord> ports;                // what hurts most first
  std::vector<DestinationRecord> destinations;  // what is nearest to its end first
};

// `filters`: an endpoint or destination is shown when one of its sockets passes.
PortReport report_ports(const PortSnapshot& snapshot, const PortSysctls& sysctls, const Filters& filters, std::uint64_t now_ns);
// One record per minisocket that passes.
void report_time_wait(const PortSnapshot& snapshot, const Filters& filters, std::uint64_t now_ns,
                      const std::function<void(const TimeWaitRecord&)>& put);

PortRecord answer_bind(const PortSnapshot& snapshot, const PortSysctls& sysctls, const BindQuestion& question, std::uint64_t now_ns);
DestinationRecord answer_connect(const PortSnapshot& snapshot, const PortSysctls& sysctls, const ConnectQuestion& question,
                                 std::uint64_t now_ns);

// "57 s", "1.3 s", "250 ms".
std::string duration_text(std::uint64_t ms);

}  // namespace tcptrail
