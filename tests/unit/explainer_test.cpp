// SPDX-License-Identifier: BSD-2-Clause
// What the explanations of a run know of each other.
#include "explain/explainer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "events.h"
#include "explanation_records.h"

namespace tcptrail {
namespace {

using enum TcpState;

bool has(const Explanation& e, FindingKind kind) {
  return std::any_of(e.findings.begin(), e.findings.end(),
                     [&](const Finding& f) { return f.kind == kind; });
}

std::string text_of(const Explanation& e, FindingKind kind) {
  for (const Finding& f : e.findings)
    if (f.kind == kind) return f.text;
  return {};
}

TimeWaitRecord taken_over_by(std::uint64_t successor, std::uint64_t boot_ns = test::kStart) {
  TimeWaitRecord r = test::time_wait_left();
  r.boot_ns = boot_ns;
  r.successor_cookie = successor;
  return r;
}

TransitionRecord enters_close_wait(std::uint64_t cookie, std::uint64_t boot_ns,
                                   Process owner = test::curl()) {
  TransitionRecord r;
  r.boot_ns = boot_ns;
  r.cookie = cookie;
  r.tuple = test::tuple_v4(40000, 8080);
  r.old_state = kEstablished;
  r.new_state = kCloseWait;
  r.owner = owner;
  return r;
}

TEST(Explainer, SuccessorSaysThatItTookATimeWaitOverAndOnlyOnce) {
  Explainer explainer(test::boot_seconds);
  EXPECT_FALSE(explainer.on(taken_over_by(0x51)));
  EXPECT_FALSE(has(explainer.on(test::its_client().record), FindingKind::kTimeWaitReused));
  const test::OwnedConnection c = test::server_closes_first();
  EXPECT_TRUE(has(explainer.on(c.record), FindingKind::kTimeWaitReused));
  EXPECT_FALSE(has(explainer.on(c.record), FindingKind::kTimeWaitReused));
}

TEST(Explainer, LeaveThatIsNoticedLateIsToldByItself) {
  Explainer explainer(test::boot_seconds);
  const test::OwnedConnection c = test::server_closes_first();
  explainer.on(c.record);
  const auto late = explainer.on(taken_over_by(0x51));
  ASSERT_TRUE(late);
  EXPECT_EQ(late->subject, Subject::kTimeWait);
  EXPECT_NE(text_of(*late, FindingKind::kTimeWaitReused).find("sk:51"), std::string::npos);
  // A socket that connects again later took over another one.
  EXPECT_FALSE(explainer.on(taken_over_by(0x51, c.record.boot_ns + 1)));
}

TEST(Explainer, LeaveWithoutAKnownSuccessorIsToldByItself) {
  Explainer explainer(test::boot_seconds);
  EXPECT_TRUE(explainer.on(taken_over_by(0)));
}

TEST(Explainer, ForgetsTheOldestWhenItsMemoryIsFull) {
  Explainer explainer(test::boot_seconds, 2);
  explainer.on(taken_over_by(0x51));
  explainer.on(taken_over_by(0x52));
  explainer.on(taken_over_by(0x53));
  EXPECT_FALSE(has(explainer.on(test::server_closes_first().record), FindingKind::kTimeWaitReused));
  test::OwnedConnection c = test::server_closes_first();
  c.record.cookie = 0x53;
  EXPECT_TRUE(has(explainer.on(c.record), FindingKind::kTimeWaitReused));
}

TEST(Explainer, SecondEndKnowsWhatTheFirstSaid) {
  Explainer explainer(test::boot_seconds);
  test::OwnedConnection server = test::server_closes_first();
  test::OwnedConnection client = test::its_client();
  server.record.peer_cookie = 0xc1;
  client.record.peer_cookie = 0x51;
  explainer.on(server.record);
  const Explanation e = explainer.on(client.record);
  EXPECT_NE(text_of(e, FindingKind::kTimeWaitRemote).find("as its own record says"),
            std::string::npos);
  EXPECT_NE(e.headline.find("nginx (pid 100) closed first"), std::string::npos);
}

TEST(Explainer, EndInCloseWaitIsNamedWhileItIsThere) {
  Explainer explainer(test::boot_seconds);
  test::OwnedConnection c = test::ended(
      true, {{kSynRecv, 0.04}, {kEstablished, 5000}, {kFinWait1, 0.1}, {kFinWait2, 0.01}});
  c.record.closer = Closer::kLocal;
  c.record.how = How::kFin;
  c.record.peer_cookie = 0xc1;
  c.record.time_wait.phase = TimeWaitPhase::kFinWait2;
  explainer.on(enters_close_wait(0xc1, c.record.boot_ns - 1000));
  EXPECT_NE(explainer.on(c.record).headline.find("curl (pid 200) has not closed yet"),
            std::string::npos);

  TimeWaitRecord gone = test::time_wait_left();
  gone.cookie = 0x51;
  gone.phase = TimeWaitPhase::kFinWait2;
  gone.reason = LeaveReason::kExpired;
  const auto never = explainer.on(gone);
  ASSERT_TRUE(never);
  EXPECT_NE(never->headline.find("curl (pid 200) never closed"), std::string::npos);
}

TEST(Explainer, WhatIsStillInCloseWaitAtTheEndIsCountedByProcess) {
  Explainer explainer(test::boot_seconds);
  StartupRecord startup = test::startup();
  explainer.on(startup);
  const std::uint64_t end = test::kStart + 100 * test::kSecondNs;
  for (std::uint64_t cookie = 1; cookie <= 5; ++cookie)
    explainer.on(enters_close_wait(cookie, test::kStart + cookie * test::kSecondNs));
  explainer.on(enters_close_wait(6, test::kStart, test::nginx()));
  explainer.on(enters_close_wait(7, end - 1000));  // may be about to close
  TransitionRecord closes = enters_close_wait(5, test::kStart + 9 * test::kSecondNs);
  closes.old_state = kCloseWait;
  closes.new_state = kLastAck;
  explainer.on(closes);

  const std::vector<Explanation> left = explainer.finish(end);
  ASSERT_EQ(left.size(), 2U);
  EXPECT_EQ(left[0].headline,
            "curl (pid 200) still holds 4 connections in CLOSE_WAIT, the oldest for 99.0 s.");
  EXPECT_EQ(left[0].cookie, 1U);
  EXPECT_EQ(left[1].headline,
            "nginx (pid 100) still holds 1 connection in CLOSE_WAIT, the oldest for 100.0 s.");
}

TEST(Explainer, AFinThatCameBeforeAcceptIsKeptByWhoAccepted) {
  Explainer explainer(test::boot_seconds);
  explainer.on(enters_close_wait(1, test::kStart, Process{}));
  explainer.owner_found(1, test::nginx());
  explainer.owner_found(2, test::curl());
  const std::vector<Explanation> left = explainer.finish(test::kStart + 5 * test::kSecondNs);
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].headline,
            "nginx (pid 100) still holds 1 connection in CLOSE_WAIT, the oldest for 5.00 s.");
}

TEST(Explainer, WhatWasOnlyShutDownIsALeakOfItsOwnEnd) {
  Explainer explainer(test::boot_seconds);
  TransitionRecord shut_down = enters_close_wait(1, test::kStart);
  shut_down.old_state = kFinWait1;
  shut_down.new_state = kFinWait2;
  explainer.on(shut_down);
  shut_down.cookie = 2;
  explainer.on(shut_down);
  std::swap(shut_down.old_state, shut_down.new_state);
  shut_down.new_state = kClose;  // closed: a minisocket has a timer
  explainer.on(shut_down);
  const std::vector<Explanation> left = explainer.finish(test::kStart + 5 * test::kSecondNs);
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].headline,
            "curl (pid 200) still holds 1 connection in FIN_WAIT2, the oldest for 5.00 s.");
  EXPECT_NE(left[0].findings.at(0).text.find("no timer ends FIN_WAIT2 while a descriptor is open"),
            std::string::npos);
}

// The whole way from the kernel's events: the model's own evidence finds its finding.
TEST(Explainer, UnreadDataIsFoundFromTheKernelsEvents) {
  test::Connections model;
  model.input(
      {test::ev(1, 1000, kListen, kSynRecv), test::ev(1, 2000, kSynRecv, kEstablished),
       test::closing(test::by(7, test::ev(1, 9000, kEstablished, kClose)),
                     TCPTRAIL_END_UNREAD | TCPTRAIL_END_SHUT_RCV | TCPTRAIL_END_SHUT_SEND)});
  model.lifecycle.advance_to(UINT64_MAX);
  Explainer explainer(test::boot_seconds);
  test::KeptConnection& r = model.only();
  r.path = r.path_kept;
  r.states = r.states_kept;
  EXPECT_TRUE(has(explainer.on(r), FindingKind::kUnreadData));
}

}  // namespace
}  // namespace tcptrail
