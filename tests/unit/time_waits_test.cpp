// SPDX-License-Identifier: BSD-2-Clause
// The ledger of minisockets, through the whole model: born from CLOSE, corrected by
// scans, ended with a reason.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "events.h"
#include "machine_stub.h"
#include "model/model.h"

namespace tcptrail {
namespace {

using namespace test;

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Ledger {
  // `older`: what the first snapshot shows.
  explicit Ledger(ModelOptions options = {.follow_time_wait = true},
                  std::initializer_list<Event> older = {})
      : model(options, facts, sink) {
    model.begin_snapshot(0, false);
    input(older);
    model.end_snapshot(0, {});
  }
  void input(std::initializer_list<Event> events) {
    for (const Event& event : events) model.event(event);
  }
  // An active open that ends first and leaves `tw` behind.
  void life(std::uint64_t cookie, std::uint64_t at, Ends ends = {},
            std::uint8_t tw = TCPTRAIL_TW_TIME_WAIT, std::uint32_t expires_ms = 60'000) {
    Event end = closing(ev(cookie, at + 5 * kMs, kFinWait2, kClose, ends),
                        TCPTRAIL_END_DONE | TCPTRAIL_END_DEAD | TCPTRAIL_END_ALL_ACKED, 0, tw);
    end.end.tw_expires_ms = expires_ms;
    end.end.tw_step_32ms = 64;
    input({by(10, ev(cookie, at, kClose, kSynSent, {0, ends.rport})),
           ev(cookie, at + kMs, kSynSent, kEstablished, ends),
           by(10, ev(cookie, at + 3 * kMs, kEstablished, kFinWait1, ends)),
           ev(cookie, at + 4 * kMs, kFinWait1, kFinWait2, ends), end});
    model.advance_to(at + 20 * kMs);
  }
  // A scan of the one namespace that shows these.
  void scan(std::uint64_t at, std::initializer_list<Event> shown, bool gone = false) {
    model.begin_snapshot(at, true);
    input(shown);
    SnapshotScope scope;
    scope.minisockets_only = true;
    (gone ? scope.netns_gone : scope.netns_read) = {kNetns};
    model.end_snapshot(at + kMs, scope);
  }
  [[nodiscard]] std::size_t size() const { return model.minisockets(); }
  TimeWaitRecord& last() { return sink.time_waits.back(); }

  KeepingSink sink;
  SetFacts facts;
  Model model;
};

Event sighting(std::uint64_t cookie, std::uint64_t at, std::uint32_t expires_ms, Ends ends = {},
               std::uint8_t tw = TCPTRAIL_TW_TIME_WAIT) {
  const Event like = ev(cookie, at, kTimeWait, kTimeWait, ends);
  Event event{};
  tcptrail_timewait_record& r = event.timewait;
  r.ts_boot_ns = at;
  r.cookie = cookie;
  r.netns = kNetns;
  r.expires_ms = expires_ms;
  std::memcpy(r.laddr, like.base.laddr, sizeof r.laddr);
  std::memcpy(r.raddr, like.base.raddr, sizeof r.raddr);
  r.lport = ends.lport;
  r.rport = ends.rport;
  r.tw = tw;
  r.step_32ms = 64;
  r.kind = TCPTRAIL_SEEN_TIMEWAIT;
  r.flags = TCPTRAIL_F_IPV4;
  return event;
}

TEST(TimeWaits, EnteringIsARecordWithTheOwnerAndTheTimer) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ASSERT_EQ(ledger.sink.time_waits.size(), 1U);
  EXPECT_EQ(ledger.last().event, TimeWaitEvent::kEnter);
  EXPECT_EQ(ledger.last().owner.pid, 10U);
  EXPECT_EQ(ledger.last().expires_in_ms, 60'000U);
  EXPECT_EQ(ledger.size(), 1U);
}

TEST(TimeWaits, GoneAfterItsTimerIsExpired) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.scan(62 * kSecond, {});
  ASSERT_EQ(ledger.last().event, TimeWaitEvent::kLeave);
  EXPECT_EQ(ledger.last().reason, LeaveReason::kExpired);
  EXPECT_EQ(ledger.last().owner.pid, 10U);
  EXPECT_NEAR(static_cast<double>(ledger.last().held_ns.value()) / kSecond, 61, 1.1);
  EXPECT_EQ(ledger.size(), 0U);
}

TEST(TimeWaits, GoneBeforeItsTimerIsUnknownAndNotSaidBeforeASuccessorCouldShow) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.scan(10 * kSecond, {});
  EXPECT_EQ(ledger.last().event, TimeWaitEvent::kEnter);
  ASSERT_TRUE(ledger.model.wakes_at());
  EXPECT_LE(*ledger.model.wakes_at(), 10 * kSecond + 500 * kMs);
  ledger.model.advance_to(11 * kSecond);
  EXPECT_EQ(ledger.last().event, TimeWaitEvent::kLeave);
  EXPECT_EQ(ledger.last().reason, LeaveReason::kUnknown);
  EXPECT_EQ(ledger.last().boot_ns, 10 * kSecond);  // when it was found to be gone
}

TEST(TimeWaits, TheEndOfTheRunDecidesWithTheTimeOfTheScan) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.scan(10 * kSecond, {});
  ledger.model.finish(10 * kSecond + 2 * kMs);
  EXPECT_EQ(ledger.last().reason, LeaveReason::kUnknown);
  EXPECT_EQ(ledger.last().boot_ns, 10 * kSecond);
}

TEST(TimeWaits, ASuccessorThatShowsLaterGivesTheReason) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.scan(10 * kSecond, {});
  ledger.input({ev(2, 10 * kSecond + 100 * kMs, kListen, kSynRecv)});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kReusedBySyn);
  EXPECT_EQ(ledger.last().successor_cookie, 2U);
  ledger.model.advance_to(12 * kSecond);
  EXPECT_EQ(ledger.sink.time_waits.size(), 2U);
}

TEST(TimeWaits, ANewSynTakesTheTupleOver) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.input({ev(2, 2 * kSecond, kListen, kSynRecv)});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kReusedBySyn);
  EXPECT_EQ(ledger.last().held_ns, kSecond - 5 * kMs);
}

TEST(TimeWaits, AConnectTakesTheTupleOver) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.input({by(11, ev(2, 3 * kSecond, kClose, kSynSent, {0, 80}))});
  EXPECT_EQ(ledger.size(), 1U);  // which port it has is not known yet
  ledger.input({ev(2, 3 * kSecond + kMs, kSynSent, kEstablished)});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kReusedByConnect);
}

// bind() has given the port, so the tuple is known before the kernel has granted it.
TEST(TimeWaits, ABoundConnectThatFindsItsTupleTakenTakesNothingOver) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.input({by(11, ev(2, 3 * kSecond, kClose, kSynSent)),
                by(11, closing(ev(2, 3 * kSecond + kUs, kSynSent, kClose),
                               TCPTRAIL_END_NO_SEGS_OUT | TCPTRAIL_END_BOUND))});
  EXPECT_EQ(ledger.size(), 1U);
  EXPECT_EQ(ledger.last().event, TimeWaitEvent::kEnter);
}

TEST(TimeWaits, ABoundConnectThatIsAnsweredTakesTheTupleOver) {
  for (const bool refused : {false, true}) {
    Ledger ledger;
    ledger.life(1, kSecond);
    ledger.input({by(11, ev(2, 3 * kSecond, kClose, kSynSent)),
                  refused ? closing(ev(2, 3 * kSecond + kMs, kSynSent, kClose), TCPTRAIL_END_DONE,
                                    ECONNREFUSED)
                          : ev(2, 3 * kSecond + kMs, kSynSent, kEstablished)});
    EXPECT_EQ(ledger.size(), 0U) << refused;
    EXPECT_EQ(ledger.last().reason, LeaveReason::kReusedByConnect) << refused;
  }
}

TEST(TimeWaits, AConnectThatIsNotAnsweredShowsInTheScan) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.input({by(11, ev(2, 3 * kSecond, kClose, kSynSent, {0, 80}))});
  ledger.scan(4 * kSecond, {seen(2, 4 * kSecond, kSynSent)});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kReusedByConnect);
}

TEST(TimeWaits, AConnectThatIsRefusedHasTakenTheTupleOver) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.input({by(11, ev(2, 3 * kSecond, kClose, kSynSent, {0, 80})),
                closing(ev(2, 3 * kSecond + kMs, kSynSent, kClose), 0, ECONNREFUSED)});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kReusedByConnect);
}

// bind() has given it the port; whether connect() may have the tuple is not decided at
// CLOSE->SYN_SENT.
TEST(TimeWaits, ABoundConnectThatIsRefusedThePortTakesNothingOver) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.input(
      {by(11, ev(2, 3 * kSecond, kClose, kSynSent)),
       by(11, closing(ev(2, 3 * kSecond + 1, kSynSent, kClose), TCPTRAIL_END_NO_SEGS_OUT))});
  EXPECT_EQ(ledger.size(), 1U);
  EXPECT_EQ(ledger.last().event, TimeWaitEvent::kEnter);
  ledger.input({by(11, ev(3, 4 * kSecond, kClose, kSynSent)),
                ev(3, 4 * kSecond + 1, kSynSent, kEstablished)});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kReusedByConnect);
}

TEST(TimeWaits, ATupleThatIsUsedAgainAfterTheTimerMustHaveFiredHadExpired) {
  Ledger ledger;
  ledger.life(1, kSecond, {}, TCPTRAIL_TW_FIN_WAIT2, 1'000);
  ledger.input({by(11, ev(2, 4'500 * kMs, kClose, kSynSent)),
                ev(2, 4'500 * kMs + 1, kSynSent, kEstablished)});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kExpired);
}

TEST(TimeWaits, ATupleThatIsUsedAgainWhileTheTimerWheelMayHaveFiredIsUnknown) {
  Ledger ledger;
  ledger.life(1, kSecond, {}, TCPTRAIL_TW_TIME_WAIT, 1'000);
  ledger.input({ev(2, 2'500 * kMs, kListen, kSynRecv)});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kUnknown);
}

// A SYN for one in FIN_WAIT2 is answered with a RST: the next one meets nobody.
TEST(TimeWaits, ASynNeverReplacesFinWait2) {
  Ledger ledger;
  ledger.life(1, kSecond, {}, TCPTRAIL_TW_FIN_WAIT2);
  ledger.input({ev(2, 2 * kSecond, kListen, kSynRecv)});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kUnknown);
}

TEST(TimeWaits, ThePeerOnThisHostTellsWhenItsFinWasAcknowledged) {
  Ledger ledger;
  ledger.life(1, kSecond, {8080, 50000}, TCPTRAIL_TW_FIN_WAIT2);
  const Ends peer{50000, 8080};
  ledger.input({by(12, ev(2, 2 * kSecond, kClose, kSynSent, peer)),
                ev(2, 2 * kSecond, kSynSent, kEstablished, peer),
                ev(2, 2 * kSecond, kEstablished, kCloseWait, peer),
                by(12, ev(2, 2 * kSecond, kCloseWait, kLastAck, peer)),
                closing(ev(2, 2 * kSecond + kMs, kLastAck, kClose, peer),
                        TCPTRAIL_END_DONE | TCPTRAIL_END_ALL_ACKED)});
  ASSERT_EQ(ledger.sink.time_waits.size(), 2U);
  EXPECT_EQ(ledger.last().event, TimeWaitEvent::kEnter);
  EXPECT_EQ(ledger.last().phase, TimeWaitPhase::kTimeWait);
  EXPECT_EQ(ledger.last().cookie, 1U);
  EXPECT_EQ(ledger.last().expires_in_ms, 60'000U);
  // No scan has seen it since, and yet a SYN may take it over.
  ledger.input({ev(3, 2'500 * kMs, kListen, kSynRecv, {8080, 50000})});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kReusedBySyn);
}

TEST(TimeWaits, APeerThatWasResetHasNotHadItsFinAcknowledged) {
  Ledger ledger;
  ledger.life(1, kSecond, {8080, 50000}, TCPTRAIL_TW_FIN_WAIT2);
  const Ends peer{50000, 8080};
  ledger.input(
      {by(12, ev(2, 2 * kSecond, kCloseWait, kLastAck, peer)),
       closing(ev(2, 2 * kSecond + kMs, kLastAck, kClose, peer), TCPTRAIL_END_DONE, ECONNRESET)});
  EXPECT_EQ(ledger.sink.time_waits.size(), 1U);
}

TEST(TimeWaits, ATupleOfAnotherNamespaceOrDirectionIsAnother) {
  Ledger ledger;
  ledger.life(1, kSecond);
  Event elsewhere = ev(2, 2 * kSecond, kListen, kSynRecv);
  elsewhere.base.netns = kNetns + 1;
  ledger.input({elsewhere, ev(3, 2 * kSecond, kListen, kSynRecv, {80, 40000})});
  EXPECT_EQ(ledger.size(), 1U);
}

TEST(TimeWaits, AReArmedTimerKeepsIt) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.scan(50 * kSecond, {sighting(1, 50 * kSecond, 60'000)});
  ledger.scan(62 * kSecond, {sighting(1, 62 * kSecond, 48'000)});
  EXPECT_EQ(ledger.size(), 1U);
  ledger.scan(70 * kSecond, {});
  ledger.model.advance_to(71 * kSecond);
  EXPECT_EQ(ledger.last().reason, LeaveReason::kUnknown);
}

TEST(TimeWaits, ThePeersLateFinTurnsFinWait2IntoTimeWait) {
  Ledger ledger;
  ledger.life(1, kSecond, {}, TCPTRAIL_TW_FIN_WAIT2, 2'000);
  EXPECT_EQ(ledger.last().phase, TimeWaitPhase::kFinWait2);
  ledger.scan(2 * kSecond, {sighting(1, 2 * kSecond, 59'000)});
  ASSERT_EQ(ledger.sink.time_waits.size(), 2U);
  EXPECT_EQ(ledger.last().event, TimeWaitEvent::kEnter);
  EXPECT_EQ(ledger.last().phase, TimeWaitPhase::kTimeWait);
  EXPECT_EQ(ledger.last().expires_in_ms, 59'000U);
}

TEST(TimeWaits, OneThatIsOlderThanTheTraceIsFollowedToo) {
  Ledger ledger({.follow_time_wait = true}, {sighting(7, 0, 4'000)});
  EXPECT_TRUE(ledger.sink.time_waits.empty());
  ledger.scan(2 * kSecond, {sighting(7, 2 * kSecond, 2'000)});
  EXPECT_TRUE(ledger.sink.time_waits.empty());
  ledger.scan(5 * kSecond, {});
  ASSERT_EQ(ledger.sink.time_waits.size(), 1U);
  EXPECT_EQ(ledger.last().reason, LeaveReason::kExpired);
  EXPECT_FALSE(ledger.last().held_ns);
  EXPECT_EQ(ledger.last().owner.pid, 0U);
}

// Its CLOSE event was lost: what the scans show and no event explains enters when the event could
// no longer come.
TEST(TimeWaits, OneWhoseBirthWasLostEntersWithTheSecondScan) {
  Ledger ledger;
  ledger.input({by(10, ev(7, kSecond, kEstablished, kFinWait1)),
                ev(7, kSecond + kMs, kFinWait1, kFinWait2)});
  ledger.scan(2 * kSecond, {sighting(7, 2 * kSecond, 59'000)});
  EXPECT_TRUE(ledger.sink.time_waits.empty());
  ledger.scan(3 * kSecond, {sighting(7, 3 * kSecond, 58'000)});
  ASSERT_EQ(ledger.sink.time_waits.size(), 1U);
  EXPECT_EQ(ledger.last().event, TimeWaitEvent::kEnter);
  EXPECT_EQ(ledger.last().cookie, 7U);
  EXPECT_EQ(ledger.last().owner.pid, 10U);
  EXPECT_EQ(ledger.last().expires_in_ms, 58'000U);
  ledger.scan(4 * kSecond, {sighting(7, 4 * kSecond, 57'000)});
  EXPECT_EQ(ledger.sink.time_waits.size(), 1U);
}

TEST(TimeWaits, OneThatAScanShowsBeforeItsCloseIsReadEntersOnce) {
  Ledger ledger;
  ledger.scan(kSecond + 4 * kMs, {sighting(1, kSecond + 5 * kMs, 60'000)});
  ledger.life(1, kSecond);
  ledger.scan(2 * kSecond, {sighting(1, 2 * kSecond, 59'000)});
  ledger.scan(3 * kSecond, {sighting(1, 3 * kSecond, 58'000)});
  EXPECT_EQ(ledger.sink.time_waits.size(), 1U);
  EXPECT_EQ(ledger.size(), 1U);
}

TEST(TimeWaits, ACookieThatIsMadeLaterNamesTheSameOne) {
  Ledger ledger({.follow_time_wait = true}, {sighting(0, 0, 31'000)});
  ledger.scan(kSecond, {sighting(0, kSecond, 30'000)});
  ledger.scan(2 * kSecond, {sighting(9, 2 * kSecond, 29'000)});
  EXPECT_EQ(ledger.size(), 1U);
  EXPECT_TRUE(ledger.sink.time_waits.empty());
  ledger.scan(40 * kSecond, {});
  EXPECT_EQ(ledger.last().cookie, 9U);
}

// Before Linux 5.12 the stream knows a socket by its address, and a scan shows its cookie, if it
// has one.
TEST(TimeWaits, WithoutTheCookieHelperTheTupleNamesIt) {
  constexpr std::uint64_t kAddress = 0xffff888003a48000;
  Ledger ledger({.follow_time_wait = true, .cookie_is_address = true});
  ledger.life(kAddress, kSecond);
  ledger.scan(2 * kSecond, {sighting(0, 2 * kSecond, 59'000)});
  ledger.scan(3 * kSecond, {sighting(77, 3 * kSecond, 58'000)});
  ledger.model.advance_to(4 * kSecond);
  ASSERT_EQ(ledger.sink.time_waits.size(), 1U) << "it is still there";
  EXPECT_EQ(ledger.last().cookie, 0U);
  ledger.scan(62 * kSecond, {});
  ASSERT_EQ(ledger.sink.time_waits.size(), 2U);
  EXPECT_EQ(ledger.last().reason, LeaveReason::kExpired);
  EXPECT_EQ(ledger.last().owner.pid, 10U);
}

// Its memory is used for the next socket at once.
TEST(TimeWaits, WithoutTheCookieHelperASocketAtTheSameAddressIsAnother) {
  constexpr std::uint64_t kAddress = 0xffff888003a48000;
  Ledger ledger({.follow_time_wait = true, .cookie_is_address = true});
  ledger.life(kAddress, kSecond, {40000, 80});
  ledger.life(kAddress, 2 * kSecond, {40001, 80});
  EXPECT_EQ(ledger.size(), 2U);
}

TEST(TimeWaits, AHookKnowsTheCause) {
  Ledger ledger;
  ledger.life(1, kSecond);
  Event end = ev(1, 3 * kSecond, TcpState::kTimeWait, TcpState{TCPTRAIL_CAUSE_KILLED});
  end.base.kind = TCPTRAIL_TIMEWAIT_END;
  end.base.cookie = 2;
  ledger.input({end});
  EXPECT_EQ(ledger.size(), 1U) << "another one that had this tuple";
  end.base.cookie = 1;
  ledger.input({end});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kKilled);
  EXPECT_EQ(ledger.size(), 0U);
}

TEST(TimeWaits, ANamespaceThatIsGoneTakesThemAlong) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.scan(5 * kSecond, {}, true);
  EXPECT_EQ(ledger.last().reason, LeaveReason::kNetnsExit);
}

TEST(TimeWaits, OneBornDuringTheScanIsNotMissedByIt) {
  Ledger ledger;
  ledger.model.begin_snapshot(kSecond, true);
  ledger.life(1, kSecond + kMs);
  SnapshotScope scope;
  scope.netns_read = {kNetns};
  scope.minisockets_only = true;
  ledger.model.end_snapshot(2 * kSecond, scope);
  ledger.model.advance_to(4 * kSecond);
  EXPECT_EQ(ledger.size(), 1U);
}

TEST(TimeWaits, WithoutFollowingOwnersAreRememberedAndNothingIsSaidOfTheEnd) {
  Ledger ledger({.follow_time_wait = false});
  ledger.life(1, kSecond);
  EXPECT_TRUE(ledger.model.wants_scan().empty());
  ledger.life(2, 100 * kSecond, {40001, 80});
  EXPECT_EQ(ledger.size(), 1U);
  EXPECT_EQ(ledger.sink.time_waits.size(), 2U);
}

// Nothing would ever take them out again.
TEST(TimeWaits, WithoutScansTheyAreDroppedWhenTheirTimerHasRunOut) {
  Ledger ledger({.follow_time_wait = true, .snapshots = false});
  for (std::uint16_t i = 0; i < 50; ++i)
    ledger.life(i + 1U, kSecond + i * 10 * kSecond, {static_cast<std::uint16_t>(40000 + i), 80});
  EXPECT_LE(ledger.size(), 8U);
  EXPECT_EQ(ledger.model.evicted(), 0U);
  ledger.input({ev(100, 495 * kSecond, kListen, kSynRecv, {40049, 80})});
  EXPECT_EQ(ledger.last().reason, LeaveReason::kReusedBySyn);
}

TEST(TimeWaits, WithoutTheWalkTheTimerIsTakenToBeThatOfTimeWait) {
  Ledger ledger({.follow_time_wait = false});
  Event end = closing(ev(1, kSecond, kFinWait2, kClose),
                      TCPTRAIL_END_DONE | TCPTRAIL_END_DEAD | TCPTRAIL_END_ALL_ACKED, 0,
                      TCPTRAIL_TW_UNKNOWN);
  ledger.input(
      {by(10, ev(1, kSecond, kEstablished, kFinWait1)), ev(1, kSecond, kFinWait1, kFinWait2), end});
  ASSERT_EQ(ledger.sink.time_waits.size(), 1U);
  EXPECT_FALSE(ledger.last().expires_in_ms);
  ledger.life(2, 30 * kSecond, {40001, 80});
  EXPECT_EQ(ledger.size(), 2U);
  ledger.life(3, 70 * kSecond, {40002, 80});
  EXPECT_EQ(ledger.size(), 2U);
}

// Where the cookie helper is missing, connections are known by their address, which a scan does not
// show.
TEST(TimeWaits, WithoutCookiesTheTupleTellsThemApart) {
  Ledger ledger({.follow_time_wait = true, .cookie_is_address = true});
  ledger.life(0xffff888000001000, kSecond);
  ledger.scan(2 * kSecond, {sighting(0, 2 * kSecond, 59'000)});
  ledger.scan(3 * kSecond, {sighting(77, 3 * kSecond, 58'000)});  // ss -e was there
  ledger.model.advance_to(4 * kSecond);
  EXPECT_EQ(ledger.sink.time_waits.size(), 1U);
  EXPECT_EQ(ledger.last().cookie, 0U);
  // The address is another connection's by now.
  ledger.life(0xffff888000001000, 5 * kSecond, {40001, 80});
  EXPECT_EQ(ledger.size(), 2U);
  ledger.scan(6 * kSecond, {sighting(0, 6 * kSecond, 59'000, {40001, 80})});
  ledger.model.advance_to(7 * kSecond);
  EXPECT_EQ(ledger.last().event, TimeWaitEvent::kLeave);
  EXPECT_EQ(ledger.last().tuple.lport, 40000U);
  EXPECT_EQ(ledger.last().owner.pid, 10U);
}

// connect(AF_UNSPEC) and connect() again: the socket keeps its cookie, and so do both that it
// leaves behind.
TEST(TimeWaits, TwoOfOneSocketAreTwo) {
  Ledger ledger;
  ledger.life(1, kSecond);
  ledger.life(1, 2 * kSecond, {40001, 80});
  EXPECT_EQ(ledger.size(), 2U);
  ledger.scan(3 * kSecond, {sighting(1, 3 * kSecond, 59'000, {40001, 80})});
  ledger.model.advance_to(4 * kSecond);
  EXPECT_EQ(ledger.size(), 1U);
  EXPECT_EQ(ledger.last().tuple.lport, 40000U);
}

// --cgroup: a minisocket does not show its cgroup, only the program could tell.
TEST(TimeWaits, WithAFilterOfTheProgramsAScanTakesNothingIn) {
  Ledger ledger({.follow_time_wait = true, .only_traced = true}, {sighting(7, 0, 4'000)});
  ledger.scan(kSecond, {sighting(8, kSecond, 60'000, {40001, 80})});
  EXPECT_EQ(ledger.size(), 0U);
}

TEST(TimeWaits, AFullLedgerDropsTheOldestAndCounts) {
  Ledger ledger({.follow_time_wait = true, .max_connections = 3});
  for (std::uint16_t i = 0; i < 5; ++i)
    ledger.life(i + 1U, (i + 1U) * kSecond, {static_cast<std::uint16_t>(40000 + i), 80});
  EXPECT_EQ(ledger.size(), 3U);
  EXPECT_EQ(ledger.model.evicted_minisockets(), 2U);
  EXPECT_EQ(ledger.model.evicted(), 0U) << "no transition is lost with them";
}

}  // namespace
}  // namespace tcptrail
