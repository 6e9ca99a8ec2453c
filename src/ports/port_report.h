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

#include "ports/port_remedies.h"
#include "ports/port_rules.h"
#include "tcp/event.h"
#include "tcp/filter.h"
#include "tcp/record.h"

namespace tcptrail {

// The sockets of one namespace and who holds them.
class PortSnapshot {
 public:
  explicit PortSnapshot(std::uint32_t netns) : netns_(netns) {}

  // SEEN_SOCKET and SEEN_HOLDER of the namespace; anything else is passed over. `closed_by`: as in
  // PortSocket.
  void apply(const Event& event, const std::optional<Process>& closed_by = std::nullopt);
  void finish() { table_.finish(); }
  void drop_gone(std::uint64_t now_ns) { table_.drop_gone(now_ns); }
  // Before the next look at the same namespace.
  void clear();

  [[nodiscard]] std::uint32_t netns() const { return netns_; }
  [[nodiscard]] const PortTable& table() const { return table_; }
  // The processes that have a descriptor of the socket.
  [[nodiscard]] std::span<const Process> holders(std::uint64_t cookie) const;

  // Who closed a socket that nobody holds any more, and whether it still exists; pid 0 = unknown.
  using PastOwner = std::function<PortOwner(const PortSocket& socket)>;
  void set_past_owner(PastOwner past_owner) { past_owner_ = std::move(past_owner); }
  [[nodiscard]] PortOwner past_owner(const PortSocket& socket) const {
    return past_owner_ ? past_owner_(socket) : PortOwner{};
  }
  // Since when a connection has been in its present state, where that was traced.
  using InStateSince = std::function<std::optional<std::uint64_t>(std::uint64_t cookie)>;
  void set_in_state_since(InStateSince in_state_since) {
    in_state_since_ = std::move(in_state_since);
  }
  [[nodiscard]] std::optional<std::uint64_t> in_state_since(std::uint64_t cookie) const {
    return in_state_since_ && cookie != 0 ? in_state_since_(cookie) : std::nullopt;
  }

 private:
  std::uint32_t netns_;
  PortTable table_;
  std::unordered_map<std::uint64_t, std::vector<Process>> holders_;
  PastOwner past_owner_;
  InStateSince in_state_since_;
};

struct PortReport {
  std::vector<PortRecord> ports;                // what hurts most first
  std::vector<DestinationRecord> destinations;  // what is nearest to its end first
};

// New connections a second to a destination (lport 0), where that is observed.
using ConnectRate = std::function<std::optional<double>(const Tuple& destination)>;

// For programs one record per endpoint; for people the ports that connect() has chosen are one by
// owner.
enum class PortList : std::uint8_t { kEach, kClientsTogether };

// `filters`: an endpoint or destination is shown when one of its sockets passes.
PortReport report_ports(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                        const Filters& filters, std::uint64_t now_ns, PortList list,
                        const ConnectRate& rate = {});
// One record per minisocket that passes.
void report_time_wait(const PortSnapshot& snapshot, const Filters& filters, std::uint64_t now_ns,
                      const std::function<void(const TimeWaitRecord&)>& put);

// The sockets in the way as a record names them: at most kMaxBlockers, those that stay longest
// first.
std::vector<BlockerRecord> blocker_records(const PortSnapshot& snapshot,
                                           std::vector<const PortSocket*> sockets,
                                           std::uint64_t now_ns);
// Who keeps the peer of a FIN_WAIT2 open on this host (CLOSE_WAIT); nullopt = nobody here.
std::optional<IdlePeer> peer_that_stays(const PortSnapshot& snapshot,
                                        std::span<const PortSocket* const> blockers,
                                        std::uint64_t now_ns);

PortRecord answer_bind(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                       const BindQuestion& question, std::uint64_t now_ns);
DestinationRecord answer_connect(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                                 const ConnectQuestion& question, std::uint64_t now_ns);

}  // namespace tcptrail
