// SPDX-License-Identifier: BSD-2-Clause
// TCP states by their kernel numbers (include/net/tcp_states.h) and the pairs
// that the kernel can report. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tcptrail {

// The numbers are the kernel's. Values outside the list occur (other protocols,
// newer kernels) and are carried as they are.
enum class TcpState : std::uint8_t {
  kEstablished = 1,
  kSynSent = 2,
  kSynRecv = 3,
  kFinWait1 = 4,
  kFinWait2 = 5,
  kTimeWait = 6,
  kClose = 7,
  kCloseWait = 8,
  kLastAck = 9,
  kListen = 10,
  kClosing = 11,
  kNewSynRecv = 12,
  kBound = 13,
};

inline constexpr std::uint8_t kMaxTcpState = 13;

// "ESTABLISHED"; empty for a number without a name.
std::string_view known_state_name(TcpState state);
// "ESTABLISHED", or "state-17" for a number without a name.
std::string state_name(TcpState state);
std::optional<TcpState> state_from_name(std::string_view name);

// Whether protocol 6 can report this pair without a lost event (call sites of
// tcp_set_state() and inet_sk_state_store()). old == next is legal where close()
// follows shutdown().
bool is_legal_transition(TcpState old, TcpState next);

}  // namespace tcptrail
