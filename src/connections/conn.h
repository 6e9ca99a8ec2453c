// SPDX-License-Identifier: BSD-2-Clause
// One connection as the model keeps it between two events, and the listeners
// that explain passive ones. Plain data; the lifecycle keeps the invariants.
#pragma once

#include <array>
#include <cstdint>

#include "tcp/filter.h"
#include "tcp/record.h"

namespace tcptrail {

// A state and when it was entered, in one word: the kernel's states are 1 to 13,
// and 60 bits of nanoseconds are 36 years of uptime.
class Step {
 public:
  Step() = default;
  Step(std::uint64_t boot_ns, TcpState state)
      : word_(boot_ns << 4 | (static_cast<std::uint64_t>(state) & 15)) {}
  [[nodiscard]] std::uint64_t boot_ns() const { return word_ >> 4; }
  [[nodiscard]] TcpState state() const { return static_cast<TcpState>(word_ & 15); }

 private:
  std::uint64_t word_ = 0;
};

// The longest orderly life has seven steps (CLOSE, SYN_SENT, SYN_RECV, ESTABLISHED,
// FIN_WAIT1, CLOSING, CLOSE); repaired gaps may add some.
inline constexpr std::size_t kMaxSteps = 8;
// Those of a connection that is open: where it came from, the handshake, ESTABLISHED.
inline constexpr std::size_t kOpenSteps = 3;

// What most connections only have for the moment in which they close: see core/endings.h.
struct ClosingState {
  Process local_close;   // whose call sent the first FIN or RST of this end
  Process remote_close;  // the same of the other end, when it is on this host
  std::array<Step, kMaxSteps - kOpenSteps> path;
};

// A machine has a million of them: in order of alignment, without holes. To these 136 bytes come 16
// in the table (its cookie, the order of insertion), about 8 of hash slots there, and as many among
// those that wait for their peer.
struct Conn {
  Tuple tuple;
  std::uint8_t steps =
      0;  // so many states were entered: the first of them are in `path`, the others in the ending
  TcpState state{};
  TcpState before{};  // `state`; the same where the last transition changed nothing
  Role role = Role::kUnknown;
  Closer fin_closer = Closer::kUnknown;
  OwnerSource owner_source = OwnerSource::kUnknown;
  Match match = Match::kUndecided;
  Began began : 1 = Began::kObserved;
  bool complete : 1 = true;
  bool has_uid : 1 = false;
  bool has_listener_uid : 1 = false;  // what a child shows until accept()
  bool reset_sent : 1 = false;
  bool in_tree : 1 = false;
  bool reset_received : 1 = false;
  bool met_new_syn : 1 = false;  // the RST that it received is that of its peer's next connection
  bool missing : 1 =
      false;             // a snapshot did not show it; the next one, or the end of the run, decides
  bool met : 1 = false;  // its tuple is known and its peer was looked for
  bool ambiguous : 1 =
      false;  // it waits for its peer, and another one has the same tuple: nobody is its peer
  bool entered_known : 1 =
      true;  // the time at which `state` was entered is an event's, not a sighting's
  std::uint8_t reset_reason = 0;  // of the RST that was sent, by the kernel's number; 0 = unknown
  std::uint32_t netns = 0;
  std::uint32_t generation = 0;
  std::uint32_t uid = 0;
  std::uint32_t transitions = 0;  // in the total of the run, once the match is kYes
  Process owner;
  std::uint32_t ending = UINT32_MAX;  // index of its ClosingState; UINT32_MAX = it has none
  std::array<Step, kOpenSteps> path;
  std::uint64_t cgroup_id = 0;
  std::uint64_t peer_cookie = 0;
  std::uint64_t last_ns = 0;  // of the last event or sighting
};
static_assert(sizeof(Conn) == 136, "docs/performance.md says what a connection takes");

struct Listener {
  Tuple tuple;
  std::uint32_t netns = 0;
  Process owner;  // once closed: who closed it
  OwnerSource owner_source = OwnerSource::kUnknown;
  bool in_tree = false;
  bool reuseaddr = false;
  bool reuseport = false;
  bool v6only = false;
  std::uint32_t device = 0;  // that it is bound to; 0 = none
  std::uint32_t uid = 0;
  std::uint64_t since = 0;
  std::uint64_t closed = 0;  // 0 = open
  std::uint32_t seen_in_snapshot = 0;
};

}  // namespace tcptrail
