// SPDX-License-Identifier: BSD-2-Clause
// The close paths of the kernel, row by row (docs/kernels.md): each fingerprint
// was seen on live kernels and must give the answer of docs/json.md.
#include "connections/closer.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <ostream>

namespace tcptrail {
namespace {

using enum TcpState;

constexpr std::uint16_t kDone = TCPTRAIL_END_DONE, kDead = TCPTRAIL_END_DEAD,
                        kRcv = TCPTRAIL_END_SHUT_RCV, kSend = TCPTRAIL_END_SHUT_SEND,
                        kLinger0 = TCPTRAIL_END_LINGER0, kUnread = TCPTRAIL_END_UNREAD,
                        kNoSocket = TCPTRAIL_END_NO_SOCKET, kAcked = TCPTRAIL_END_ALL_ACKED,
                        kNoSegs = TCPTRAIL_END_NO_SEGS_OUT, kRepair = TCPTRAIL_END_REPAIR;
constexpr std::uint8_t kNone = TCPTRAIL_TW_NONE, kTw = TCPTRAIL_TW_TIME_WAIT,
                       kFw2 = TCPTRAIL_TW_FIN_WAIT2, kNoWalk = TCPTRAIL_TW_UNKNOWN;
constexpr Closer kLocal = Closer::kLocal, kRemote = Closer::kRemote, kBoth = Closer::kBoth,
                 kNobody = Closer::kNone, kUnseen = Closer::kUnknown;
constexpr auto kSoft = false, kOwn = true;

struct Row {
  const char* path;
  TcpState old_state;
  Closer fin_closer;
  bool own;
  std::uint16_t error;
  std::uint16_t facts;
  std::uint8_t tw;
  Closer closer;
  How how;
  ResetAfter reset_after = ResetAfter::kNo;
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.path; }

class ClosePath : public testing::TestWithParam<Row> {};

TEST_P(ClosePath, GivesTheAnswerOfTheContract) {
  const Row& row = GetParam();
  const CloseVerdict verdict = close_verdict({.old_state = row.old_state,
                                              .fin_closer = row.fin_closer,
                                              .fin_sent = true,
                                              .own = row.own,
                                              .error = row.error,
                                              .facts = row.facts,
                                              .tw = row.tw,
                                              .reset_received = false,
                                              .reset_sent = false,
                                              .reset_after = row.reset_after});
  EXPECT_EQ(to_string(verdict.closer), to_string(row.closer));
  EXPECT_EQ(to_string(verdict.how), to_string(row.how));
  EXPECT_FALSE(verdict.wait_for_reset);
  EXPECT_NE(verdict.evidence, Evidence::kNone);
}

// What is said of a timeout is what the facts at CLOSE prove.
TEST(CloseEvidence, APeerThatAnswersIsNotSaidToBeSilent) {
  const auto evidence_of = [](TcpState old, std::uint16_t facts) {
    return close_verdict({.old_state = old, .error = ETIMEDOUT, .facts = facts}).evidence;
  };
  constexpr std::uint16_t kFull = TCPTRAIL_END_WINDOW_FULL, kHeard = TCPTRAIL_END_HEARD;
  EXPECT_EQ(evidence_of(kEstablished, kFull | kHeard), Evidence::kWindowFull);
  EXPECT_EQ(evidence_of(kEstablished, kHeard), Evidence::kNotAcknowledged);
  EXPECT_EQ(evidence_of(kEstablished, kFull), Evidence::kPeerSilent);
  EXPECT_EQ(evidence_of(kEstablished, 0), Evidence::kPeerSilent);
  EXPECT_EQ(evidence_of(kEstablished, kAcked), Evidence::kKeepalive);
  EXPECT_EQ(evidence_of(kFinWait1, kDead | kFull | kHeard), Evidence::kOrphanWindowFull);
  EXPECT_EQ(evidence_of(kLastAck, kDead), Evidence::kOrphanSilent);
}

TEST(CloseEvidence, TheKernelsReasonTellsWhyAnOrphanWasReset) {
  const auto evidence_of = [](std::string_view reason, std::uint16_t more) {
    return close_verdict({.old_state = kFinWait2,
                          .facts = static_cast<std::uint16_t>(kDead | more),
                          .tw = kNone,
                          .reset_after = ResetAfter::kYes,
                          .reset_reason = reason})
        .evidence;
  };
  EXPECT_EQ(evidence_of("tcp_abort_on_data", 0), Evidence::kDataAfterClose);
  EXPECT_EQ(evidence_of("tcp_abort_on_data", TCPTRAIL_END_LINGER2), Evidence::kLinger2);
  EXPECT_EQ(evidence_of("tcp_abort_on_memory", 0), Evidence::kTooManyOrphans);
  EXPECT_EQ(evidence_of("", 0), Evidence::kOrphanReset);
}

// The ICMP error came while connect() held the socket: its owner learned of it and closed.
TEST(CloseEvidence, AnIcmpErrorThatWaitsIsHowTheConnectionEnded) {
  const auto verdict_of = [](std::uint8_t error) {
    return close_verdict(
        {.old_state = kSynSent, .own = true, .facts = kRcv | kSend, .soft_error = error});
  };
  EXPECT_EQ(verdict_of(ECONNREFUSED).how, How::kRefused);
  EXPECT_EQ(verdict_of(ECONNREFUSED).error, ECONNREFUSED);
  EXPECT_EQ(verdict_of(EHOSTUNREACH).how, How::kUnreachable);
  EXPECT_EQ(verdict_of(EHOSTUNREACH).closer, Closer::kNone);
  EXPECT_EQ(verdict_of(0).how, How::kAborted);
}

TEST(FinCloser, AFinBehindAHoleHasCrossedOurs) {
  EXPECT_EQ(fin_closer_from(kFinWait1, kFinWait2, true, true), kBoth);
  EXPECT_EQ(fin_closer_from(kFinWait1, kFinWait2, true, false), kLocal);
  EXPECT_EQ(fin_closer_from(kFinWait1, kClose, true, true), kBoth);
  EXPECT_EQ(fin_closer_from(kFinWait1, kClose, false, true), kUnseen);
}

INSTANTIATE_TEST_SUITE_P(
    Kernel, ClosePath,
    testing::Values(
        Row{"1 close, the peer's FIN later", kFinWait2, kLocal, kSoft, 0, kDone | kDead, kTw,
            kLocal, How::kFin},
        Row{"2 shutdown(WR), fd still open", kFinWait2, kLocal, kSoft, 0, kDone, kTw, kLocal,
            How::kFin},
        Row{"3 passive close", kLastAck, kRemote, kSoft, 0, kDone | kDead | kAcked, kNone, kRemote,
            How::kFin},
        Row{"3 passive close out of the backlog", kLastAck, kRemote, kOwn, 0,
            kDone | kDead | kAcked, kNone, kRemote, How::kFin},
        Row{"4 simultaneous close", kClosing, kBoth, kSoft, 0, kDone | kDead, kTw, kBoth,
            How::kFin},
        Row{"6 the peer only ACKs", kFinWait2, kLocal, kSoft, 0, kDead, kFw2, kLocal, How::kFin},
        Row{"7 shutdown(WR), then close", kFinWait2, kLocal, kOwn, 0, kDead, kFw2, kLocal,
            How::kFin},
        Row{"9 TCP_LINGER2 < 0", kFinWait2, kLocal, kSoft, 0, kDead, kNone, kLocal, How::kRstSent,
            ResetAfter::kYes},
        Row{"10 TCP_LINGER2 < 0 after shutdown", kFinWait2, kLocal, kOwn, 0, kDead, kNone, kLocal,
            How::kRstSent, ResetAfter::kYes},
        Row{"11 the FIN is acknowledged with data", kFinWait2, kLocal, kSoft, 0, kDead, kNone,
            kLocal, How::kRstSent, ResetAfter::kYes},
        Row{"13 SO_LINGER 0", kEstablished, kUnseen, kOwn, 0, kRcv | kSend | kLinger0, kNone,
            kLocal, How::kRstSent},
        Row{"13 SO_LINGER 0 after the peer's FIN", kCloseWait, kRemote, kOwn, 0,
            kDone | kRcv | kSend | kLinger0, kNone, kRemote, How::kRstSent},
        Row{"14 unread data", kEstablished, kUnseen, kOwn, 0, kRcv | kSend | kUnread, kNone, kLocal,
            How::kRstSent},
        Row{"14 unread data after the peer's FIN", kCloseWait, kRemote, kOwn, 0,
            kDone | kRcv | kSend | kUnread, kNone, kRemote, How::kRstSent},
        Row{"15 RST in ESTABLISHED", kEstablished, kUnseen, kSoft, ECONNRESET, 0, kNone, kRemote,
            How::kRstReceived},
        Row{"15 RST in FIN_WAIT2", kFinWait2, kLocal, kSoft, ECONNRESET, kSend, kNone, kLocal,
            How::kRstReceived},
        Row{"15 RST in LAST_ACK", kLastAck, kRemote, kSoft, ECONNRESET, kDone | kDead, kNone,
            kRemote, How::kRstReceived},
        Row{"16 RST in CLOSE_WAIT", kCloseWait, kRemote, kSoft, EPIPE, kDone, kNone, kRemote,
            How::kRstReceived},
        Row{"17 refused", kSynSent, kUnseen, kSoft, ECONNREFUSED, 0, kNone, kNobody, How::kRefused},
        Row{"18 connect timeout", kSynSent, kUnseen, kSoft, ETIMEDOUT, 0, kNone, kNobody,
            How::kTimeout},
        Row{"19 ICMP host unreachable", kSynSent, kUnseen, kSoft, EHOSTUNREACH, 0, kNone, kNobody,
            How::kUnreachable},
        Row{"20 close in SYN_SENT", kSynSent, kUnseen, kOwn, 0, kRcv | kSend, kNone, kLocal,
            How::kAborted},
        Row{"21 connect() without a port", kSynSent, kUnseen, kOwn, 0, kNoSegs, kNone, kNobody,
            How::kNoPort},
        Row{"22 keepalive timeout", kEstablished, kUnseen, kSoft, ETIMEDOUT, 0, kNone, kNobody,
            How::kTimeout},
        Row{"23 user timeout after ICMP", kEstablished, kUnseen, kSoft, EHOSTUNREACH, 0, kNone,
            kNobody, How::kUnreachable},
        Row{"24 LAST_ACK runs out", kLastAck, kRemote, kSoft, ETIMEDOUT, kDone | kDead, kNone,
            kRemote, How::kTimeout},
        Row{"25 ss -K", kEstablished, kUnseen, kSoft, ECONNABORTED, 0, kNone, kLocal,
            How::kAborted},
        Row{"27 listener closed, child not accepted", kEstablished, kUnseen, kSoft, 0, kNoSocket,
            kNone, kLocal, How::kRstSent},
        Row{"27 the same after the peer's FIN", kCloseWait, kRemote, kSoft, 0, kNoSocket | kDone,
            kNone, kRemote, How::kRstSent},
        Row{"28 connect(AF_UNSPEC)", kEstablished, kUnseen, kOwn, 0, 0, kNone, kLocal,
            How::kRstSent},
        Row{"29 tcp_max_tw_buckets", kFinWait2, kLocal, kSoft, 0, kDone | kDead, kNone, kLocal,
            How::kFin},
        Row{"29 tcp_max_tw_buckets at close()", kFinWait2, kLocal, kSoft, 0, kDead, kNone, kLocal,
            How::kFin},
        Row{"30 too many orphans", kFinWait1, kUnseen, kSoft, 0, kDead, kNone, kLocal,
            How::kRstSent},
        Row{"31 TCP_REPAIR", kEstablished, kUnseen, kOwn, 0, kRcv | kSend | kRepair, kNone, kLocal,
            How::kAborted},
        Row{"half-open child", kSynRecv, kUnseen, kSoft, ETIMEDOUT, kNoSocket, kNone, kNobody,
            How::kHalfOpen},
        Row{"1 without the walk", kFinWait2, kLocal, kSoft, 0, kDone | kDead, kNoWalk, kLocal,
            How::kFin},
        Row{"6 without the walk", kFinWait2, kLocal, kSoft, 0, kDead, kNoWalk, kLocal, How::kFin}));

// Row 12: data after close() in FIN_WAIT1 looks like a received RST until the answer is traced.
// getsockopt(SO_ERROR) on another CPU takes the error between the RST and the CLOSE; the RST itself
// was traced.
TEST(CloseVerdict, AResetWhoseErrorSomebodyTookIsAResetStill) {
  CloseInput facts{.old_state = kEstablished, .tw = kNone, .reset_received = true};
  CloseVerdict verdict = close_verdict(facts);
  EXPECT_EQ(verdict.closer, kRemote);
  EXPECT_EQ(verdict.how, How::kRstReceived);
  EXPECT_EQ(verdict.error, ECONNRESET);

  facts.old_state = kCloseWait;
  facts.fin_closer = kRemote;
  EXPECT_EQ(close_verdict(facts).error, EPIPE);

  facts.old_state = kSynSent;
  verdict = close_verdict(facts);
  EXPECT_EQ(verdict.closer, kNobody);
  EXPECT_EQ(verdict.how, How::kRefused);
  EXPECT_EQ(verdict.error, ECONNREFUSED);

  facts.reset_received = false;
  EXPECT_EQ(close_verdict(facts).how, How::kUnknown);
}

CloseInput data_after_close() {
  return {.old_state = kFinWait1,
          .fin_closer = kUnseen,
          .fin_sent = true,
          .own = false,
          .error = ECONNRESET,
          .facts = kDead | kRcv | kSend,
          .tw = kNone,
          .reset_received = true,
          .reset_sent = false,
          .reset_after = ResetAfter::kNotYet};
}

TEST(CloseVerdict, WaitsForTheResetThatTellsDataAfterCloseFromAReceivedOne) {
  CloseInput facts = data_after_close();
  EXPECT_TRUE(close_verdict(facts).wait_for_reset);
  facts.reset_after = ResetAfter::kYes;
  EXPECT_EQ(close_verdict(facts).how, How::kRstSent);
  EXPECT_EQ(close_verdict(facts).closer, kLocal);
  facts.reset_after = ResetAfter::kNo;
  EXPECT_EQ(close_verdict(facts).how, How::kRstReceived);
  facts.reset_after = ResetAfter::kUntraced;
  EXPECT_EQ(close_verdict(facts).how, How::kUnknown) << "never a guess";
}

TEST(CloseVerdict, AnOrphanWithoutAMinisocketWaitsForTheResetToo) {
  CloseInput facts{.old_state = kFinWait2,
                   .fin_closer = kLocal,
                   .facts = kDead,
                   .tw = kNone,
                   .reset_after = ResetAfter::kNotYet};
  EXPECT_TRUE(close_verdict(facts).wait_for_reset);
  facts.reset_sent = true;
  EXPECT_EQ(close_verdict(facts).how, How::kRstSent) << "sent before the CLOSE, by the timer";
}

TEST(CloseVerdict, AFinThatNeverLeftTheQueueClosedNothing) {
  CloseInput facts = data_after_close();
  facts.facts = kDead;
  facts.fin_sent = false;
  EXPECT_EQ(close_verdict(facts).closer, kRemote);
  EXPECT_EQ(close_verdict(facts).how, How::kRstReceived);
}

TEST(CloseVerdict, AnUnboundConnectThatFoundNoPortHasTheErrnoThatTheCallReturned) {
  const CloseVerdict verdict = close_verdict({.old_state = kSynSent,
                                              .own = true,
                                              .facts = kNoSegs,
                                              .tw = kNone,
                                              .reset_after = ResetAfter::kNo});
  EXPECT_EQ(verdict.error, EADDRNOTAVAIL);
}

TEST(FinCloser, ComesFromThePairOfStates) {
  EXPECT_EQ(fin_closer_from(kEstablished, kCloseWait, true), kRemote);
  EXPECT_EQ(fin_closer_from(kFinWait1, kFinWait2, true), kLocal);
  EXPECT_EQ(fin_closer_from(kFinWait1, kClosing, true), kBoth);
  EXPECT_EQ(fin_closer_from(kEstablished, kFinWait1, true), kUnseen)
      << "FIN_WAIT1 only says that a FIN is queued";
}

TEST(FinCloser, AFinBehindUnsentDataIsLaterThanThePeers) {
  EXPECT_EQ(fin_closer_from(kFinWait1, kClosing, false), kRemote);
}

tcptrail_end_record end_with(TcpState old, std::uint8_t tw, std::uint16_t facts = 0) {
  tcptrail_end_record end{};
  end.base.ts_boot_ns = 1'000'000'000;
  end.base.old_state = static_cast<std::uint8_t>(old);
  end.tw = tw;
  end.tw_expires_ms = 60'000;
  end.facts = facts;
  return end;
}

TEST(TimeWaitOutcome, IsTheWalksAnswerWhereItFoundOne) {
  const TimeWaitOutcome outcome =
      time_wait_outcome({.closer = kLocal, .how = How::kFin}, end_with(kFinWait2, kTw));
  EXPECT_EQ(outcome.side, TimeWaitSide::kLocal);
  EXPECT_EQ(outcome.phase, TimeWaitPhase::kTimeWait);
  EXPECT_EQ(outcome.expected_end, 61'000'000'000U);
}

TEST(TimeWaitOutcome, BothSidesHoldItAfterASimultaneousClose) {
  EXPECT_EQ(time_wait_outcome({.closer = kBoth, .how = How::kFin}, end_with(kClosing, kTw)).side,
            TimeWaitSide::kBoth);
}

TEST(TimeWaitOutcome, AnOrderlyPassiveCloseLeavesItToThePeer) {
  EXPECT_EQ(
      time_wait_outcome({.closer = kRemote, .how = How::kFin}, end_with(kLastAck, kNone)).side,
      TimeWaitSide::kRemote);
}

TEST(TimeWaitOutcome, AFinWait2MinisocketHasNotEnteredTimeWaitYet) {
  const TimeWaitOutcome outcome =
      time_wait_outcome({.closer = kLocal, .how = How::kFin}, end_with(kFinWait2, kFw2));
  EXPECT_EQ(outcome.phase, TimeWaitPhase::kFinWait2);
  EXPECT_FALSE(outcome.entered.has_value());
}

TEST(TimeWaitOutcome, AResetLeavesNone) {
  EXPECT_EQ(
      time_wait_outcome({.closer = kLocal, .how = How::kRstSent}, end_with(kEstablished, kNone))
          .side,
      TimeWaitSide::kNone);
}

TEST(TimeWaitOutcome, WithoutTheWalkTheExpiryIsUnknown) {
  const TimeWaitOutcome outcome =
      time_wait_outcome({.closer = kLocal, .how = How::kFin}, end_with(kFinWait2, kNoWalk, kDone));
  EXPECT_EQ(outcome.side, TimeWaitSide::kLocal);
  EXPECT_FALSE(outcome.expected_end.has_value());
}

}  // namespace
}  // namespace tcptrail
