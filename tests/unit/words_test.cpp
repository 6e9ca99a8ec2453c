// SPDX-License-Identifier: BSD-2-Clause
// State names, the legal pairs, and the words of the event stream.
#include <gtest/gtest.h>

#include "tcp/record.h"
#include "tcp/tcp_state.h"

namespace tcptrail {
namespace {

using enum TcpState;

TEST(TcpState, NamesAreThoseOfTcpstates) {
  EXPECT_EQ(state_name(kEstablished), "ESTABLISHED");
  EXPECT_EQ(state_name(kFinWait1), "FIN_WAIT1");
  EXPECT_EQ(state_name(kClosing), "CLOSING");
  EXPECT_EQ(state_name(kBound), "BOUND");
}

TEST(TcpState, NumberWithoutNamePrintsAsNumber) {
  EXPECT_EQ(state_name(static_cast<TcpState>(0)), "state-0");
  EXPECT_EQ(state_name(static_cast<TcpState>(14)), "state-14");
  EXPECT_EQ(state_name(static_cast<TcpState>(255)), "state-255");
  EXPECT_EQ(known_state_name(static_cast<TcpState>(200)), "");
}

TEST(TcpState, EveryNameReadsBack) {
  for (std::uint8_t n = 1; n <= kMaxTcpState; ++n) {
    EXPECT_EQ(state_from_name(state_name(static_cast<TcpState>(n))), static_cast<TcpState>(n));
  }
  EXPECT_FALSE(state_from_name(""));
  EXPECT_FALSE(state_from_name("established"));
}

TEST(TcpState, CloseAfterShutdownRepeatsTheState) {
  for (const TcpState state : {kFinWait1, kFinWait2, kClosing, kLastAck, kClose}) {
    EXPECT_TRUE(is_legal_transition(state, state)) << state_name(state);
  }
  for (const TcpState state : {kEstablished, kSynSent, kCloseWait, kListen}) {
    EXPECT_FALSE(is_legal_transition(state, state)) << state_name(state);
  }
}

TEST(TcpState, FinWait1NeverGoesToTimeWaitDirectly) {
  EXPECT_FALSE(is_legal_transition(kFinWait1, kTimeWait));
  EXPECT_TRUE(is_legal_transition(kFinWait1, kFinWait2));
}

TEST(TcpState, ExactlyTheKernelsPairsAreLegal) {
  int legal = 0;
  for (int from = 0; from < 256; ++from) {
    for (int next = 0; next < 256; ++next) {
      legal +=
          is_legal_transition(static_cast<TcpState>(from), static_cast<TcpState>(next)) ? 1 : 0;
    }
  }
  EXPECT_EQ(legal, 3 + 2 + 3 + 4 + 3 + 4 + 2 + 2 + 2 + 2);  // kernel.md 1.3, line by line
}

TEST(Words, AreThoseOfTheContract) {
  EXPECT_EQ(to_string(How::kRstReceived), "rst-received");
  EXPECT_EQ(to_string(How::kNoPort), "no-port");
  EXPECT_EQ(to_string(How::kHalfOpen), "half-open");
  EXPECT_EQ(to_string(Closer::kNone), "none");
  EXPECT_EQ(to_string(Role::kPassive), "passive");
  EXPECT_EQ(to_string(OwnerSource::kInherited), "inherited");
  EXPECT_EQ(to_string(Began::kBeforeTrace), "before_trace");
  EXPECT_EQ(to_string(TimeWaitSide::kBoth), "both");
  EXPECT_EQ(to_string(TimeWaitPhase::kFinWait2), "fin_wait2");
  EXPECT_EQ(to_string(TimeWaitEvent::kLeave), "leave");
  EXPECT_EQ(to_string(LeaveReason::kReusedByConnect), "reused_by_connect");
  EXPECT_EQ(to_string(Family::kIpv6), "ipv6");
}

TEST(Words, ReadBack) {
  for (int n = 0; n <= static_cast<int>(How::kHalfOpen); ++n) {
    EXPECT_EQ(how_from_string(to_string(static_cast<How>(n))), static_cast<How>(n));
  }
  for (int n = 0; n <= static_cast<int>(Closer::kNone); ++n) {
    EXPECT_EQ(closer_from_string(to_string(static_cast<Closer>(n))), static_cast<Closer>(n));
  }
  EXPECT_FALSE(how_from_string("FIN"));
}

TEST(Words, ValueOutsideTheEnumerationIsUnknown) {
  EXPECT_EQ(to_string(static_cast<How>(99)), "unknown");
  EXPECT_EQ(to_string(static_cast<LeaveReason>(99)), "unknown");
}

}  // namespace
}  // namespace tcptrail
