// SPDX-License-Identifier: BSD-2-Clause
// Records for the sink tests: one of each kind that a user meets, and one that
// knows nothing. Boot time 100 s is 2026-08-01T12:00:00Z (kOffset).
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "tcp/record.h"

namespace tcptrail::test {

inline constexpr std::uint64_t kSecondNs = 1'000'000'000;
inline constexpr std::uint64_t kStart = 100 * kSecondNs;
inline constexpr std::int64_t kOffset = 1'785'585'600LL * 1'000'000'000 - 100LL * 1'000'000'000;

Comm comm(std::string_view bytes);
Tuple tuple_v4(std::uint16_t lport, std::uint16_t rport);
Tuple tuple_v6(std::uint16_t lport, std::uint16_t rport);

// A connection and the arrays that it points into.
struct OwnedConnection {
  std::vector<StateSpan> states;
  std::vector<TcpState> path;
  ConnectionRecord record;
};

StartupRecord startup();
TransitionRecord connecting();  // CLOSE -> SYN_SENT, port not chosen, owner known
TransitionRecord established_v6();
TransitionRecord odd_transition();      // nothing known, states without a name
OwnedConnection server_closed_first();  // the echo server of interface.md
OwnedConnection client_of_it();
OwnedConnection refused_v6();
OwnedConnection nothing_known();  // every optional field is unknown, incomplete
TimeWaitRecord time_wait_entered();
TimeWaitRecord time_wait_left();
LossRecord some_loss();
SummaryRecord summary();

// All of them, in the order of a run.
void send_all(RecordSink& sink);

}  // namespace tcptrail::test
