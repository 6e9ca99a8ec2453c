// SPDX-License-Identifier: BSD-2-Clause
// What a snapshot shows of one network namespace: its sockets, its port buckets and
// the processes that hold them. Inputs: the events of the snapshot; who closed a
// socket that nobody holds any more is asked of the caller. Read by port_answers,
// port_report, ports_watch and blocked.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ports/port_table.h"
#include "tcp/event.h"
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
  using TimeOf = std::function<std::optional<std::uint64_t>(std::uint64_t cookie)>;
  // When the connection began, where that was traced.
  void set_began(TimeOf began) { began_ = std::move(began); }
  [[nodiscard]] std::optional<std::uint64_t> began(std::uint64_t cookie) const {
    return began_ && cookie != 0 ? began_(cookie) : std::nullopt;
  }
  // Since when a connection has been in its present state, where that was traced.
  void set_in_state_since(TimeOf in_state_since) { in_state_since_ = std::move(in_state_since); }
  [[nodiscard]] std::optional<std::uint64_t> in_state_since(std::uint64_t cookie) const {
    return in_state_since_ && cookie != 0 ? in_state_since_(cookie) : std::nullopt;
  }

 private:
  std::uint32_t netns_;
  PortTable table_;
  std::unordered_map<std::uint64_t, std::vector<Process>> holders_;
  PastOwner past_owner_;
  TimeOf began_;
  TimeOf in_state_since_;
};

// The processes that hold these sockets, or held them, those with most first.
std::vector<PortOwner> owners_of(const PortSnapshot& snapshot,
                                 std::span<const PortSocket* const> sockets);

}  // namespace tcptrail
