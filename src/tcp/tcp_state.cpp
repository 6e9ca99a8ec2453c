// SPDX-License-Identifier: BSD-2-Clause
// Names of TCP states and the table of legal pairs. Pure; called by the model
// and by every sink.
#include "tcp/tcp_state.h"

#include <array>

namespace tcptrail {
namespace {

// Indexed by the kernel's number. 0 is never used by the kernel.
constexpr std::array<std::string_view, kMaxTcpState + 1> kNames = {
    "",      "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",    "TIME_WAIT",
    "CLOSE", "CLOSE_WAIT",  "LAST_ACK", "LISTEN",   "CLOSING",   "NEW_SYN_RECV", "BOUND",
};

constexpr std::uint16_t bit(TcpState state) {
  return static_cast<std::uint16_t>(1U << static_cast<unsigned>(state));
}

template <class... States>
constexpr std::uint16_t to(States... states) {
  return static_cast<std::uint16_t>((0U | ... | bit(states)));
}

constexpr std::array<std::uint16_t, kMaxTcpState + 1> legal_table() {
  using enum TcpState;
  std::array<std::uint16_t, kMaxTcpState + 1> table{};
  const auto from = [&table](TcpState state) -> std::uint16_t& {
    return table[static_cast<std::size_t>(state)];
  };
  from(kClose) = to(kListen, kSynSent, kClose);  // CLOSE->CLOSE: tcp_abort() of a listener
  from(kListen) = to(kClose, kSynRecv);          // SYN_RECV: the child, from inet_csk_clone_lock()
  from(kSynSent) = to(kEstablished, kSynRecv, kClose);
  from(kSynRecv) = to(kEstablished, kFinWait1, kCloseWait, kClose);
  from(kEstablished) = to(kFinWait1, kCloseWait, kClose);
  // tcp_close_state() reports old == new when close() follows shutdown(). There is
  // no FIN_WAIT1->TIME_WAIT: FIN and ACK in one segment give two events.
  from(kFinWait1) = to(kFinWait2, kClosing, kClose, kFinWait1);
  from(kFinWait2) = to(kClose, kFinWait2);
  from(kClosing) = to(kClose, kClosing);
  from(kCloseWait) = to(kLastAck, kClose);
  from(kLastAck) = to(kClose, kLastAck);
  return table;
}

constexpr auto kLegal = legal_table();

}  // namespace

std::string_view known_state_name(TcpState state) {
  const auto number = static_cast<std::size_t>(state);
  return number < kNames.size() ? kNames[number] : std::string_view{};
}

std::string state_name(TcpState state) {
  const std::string_view name = known_state_name(state);
  return name.empty() ? "state-" + std::to_string(static_cast<unsigned>(state)) : std::string(name);
}

std::optional<TcpState> state_from_name(std::string_view name) {
  if (name.empty()) return std::nullopt;
  for (std::size_t number = 0; number < kNames.size(); ++number)
    if (kNames[number] == name) return static_cast<TcpState>(number);
  return std::nullopt;
}

bool is_legal_transition(TcpState old, TcpState next) {
  const auto from = static_cast<std::size_t>(old);
  const auto number = static_cast<std::size_t>(next);
  return from < kLegal.size() && number < kLegal.size() &&
         (static_cast<unsigned>(kLegal[from]) >> number & 1U) != 0;
}

}  // namespace tcptrail
