// SPDX-License-Identifier: BSD-2-Clause
// The model, event by event.
#include "connections/connection_tracker.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "events.h"

namespace tcptrail::test {
namespace {

constexpr std::uint16_t kOrderly = TCPTRAIL_END_DONE | TCPTRAIL_END_DEAD;

// A client that connects, closes first and is left in TIME_WAIT.
void active_life(Connections& model, std::uint64_t cookie = 1) {
  model.input(
      {by(10, ev(cookie, 1 * kMs, kClose, kSynSent, {0, 80})),
       ev(cookie, 2 * kMs, kSynSent, kEstablished),
       by(10, ev(cookie, 5 * kMs, kEstablished, kFinWait1)),
       ev(cookie, 6 * kMs, kFinWait1, kFinWait2),
       closing(ev(cookie, 7 * kMs, kFinWait2, kClose), kOrderly, 0, TCPTRAIL_TW_TIME_WAIT)});
}

void passive_life(Connections& model, std::uint64_t cookie = 2) {
  const Ends server{80, 40000};
  model.input({ev(cookie, 2'100 * kUs, kListen, kSynRecv, server),
               ev(cookie, 2'200 * kUs, kSynRecv, kEstablished, server),
               accept_of(cookie, 2'300 * kUs, 20),
               ev(cookie, 5'100 * kUs, kEstablished, kCloseWait, server),
               by(20, ev(cookie, 6'500 * kUs, kCloseWait, kLastAck, server), "srv"),
               closing(ev(cookie, 6'900 * kUs, kLastAck, kClose, server),
                       kOrderly | TCPTRAIL_END_ALL_ACKED)});
}

TEST(ConnectionTracker, LocalFinFirstMeansLocalClosedFirst) {
  Connections model;
  active_life(model);
  const KeptConnection& c = model.only();
  EXPECT_EQ(c.closer, Closer::kLocal);
  EXPECT_EQ(c.how, How::kFin);
  EXPECT_EQ(c.role, Role::kActive);
  EXPECT_EQ(c.owner.pid, 10U);
  EXPECT_EQ(c.owner_source, OwnerSource::kClose);
  EXPECT_EQ(c.closer_process.pid, 10U);
  EXPECT_TRUE(c.complete);
  EXPECT_EQ(c.service_port, 80);
}

TEST(ConnectionTracker, ThePortThatConnectChoseLaterIsTheConnections) {
  Connections model;
  active_life(model);
  EXPECT_EQ(model.only().tuple.lport, 40000);
  EXPECT_EQ(model.sink.transitions.at(0).tuple.lport, 0) << "not chosen yet at CLOSE->SYN_SENT";
}

// The kernel's sequence numbers include the SYN of the side that sent one.
TEST(ConnectionTracker, TheSynOfTheActiveEndIsNoPayload) {
  const auto tx_bytes = [](TcpState origin, TcpState handshake, std::uint16_t facts) {
    Connections model;
    Event last = closing(ev(1, 3, kEstablished, kClose), facts);
    last.end.tx_bytes = 1001;
    model.input({ev(1, 1, origin, handshake), ev(1, 2, handshake, kEstablished), last});
    return model.only().counters->tx_bytes;
  };
  EXPECT_EQ(tx_bytes(kClose, kSynSent, TCPTRAIL_END_SYN_COUNTED), 1000U);
  EXPECT_EQ(tx_bytes(kClose, kSynSent, 0), 1001U);
  EXPECT_EQ(tx_bytes(kListen, kSynRecv, TCPTRAIL_END_SYN_COUNTED), 1001U);
}

TEST(ConnectionTracker, TimesAreThoseOfTheEvents) {
  Connections model;
  active_life(model);
  const KeptConnection& c = model.only();
  EXPECT_EQ(c.start, 1 * kMs);
  EXPECT_EQ(c.connect_ns, 1 * kMs);
  EXPECT_EQ(c.duration_ns, 6 * kMs);
  ASSERT_EQ(c.states_kept.size(), 4U);
  EXPECT_EQ(c.states_kept[1].state, kEstablished);
  EXPECT_EQ(c.states_kept[1].ns, 3 * kMs);
  EXPECT_EQ(model.sink.transitions.at(2).in_old_ns, 3 * kMs);
}

TEST(ConnectionTracker, ThePathEndsWithTimeWaitWhenThisEndEnteredIt) {
  Connections model;
  active_life(model);
  EXPECT_EQ(model.only().path_kept,
            (std::vector{kClose, kSynSent, kEstablished, kFinWait1, kFinWait2, kTimeWait}));
}

TEST(ConnectionTracker, APassiveCloseIsTheRemoteSidesAndTheOwnerIsWhoClosed) {
  Connections model;
  passive_life(model);
  const KeptConnection& c = model.only();
  EXPECT_EQ(c.closer, Closer::kRemote);
  EXPECT_EQ(c.role, Role::kPassive);
  EXPECT_EQ(c.owner.pid, 20U);
  EXPECT_EQ(c.owner.comm.view(), "srv");
  EXPECT_EQ(c.service_port, 80);
  EXPECT_EQ(c.path_kept.back(), kClose);
}

TEST(ConnectionTracker, TheTwoEndsOnOneHostNameEachOtherAndTheClosingProcess) {
  Connections model;
  model.input(
      {by(10, ev(1, 1 * kMs, kClose, kSynSent, {0, 80})), ev(1, 2 * kMs, kSynSent, kEstablished),
       ev(2, 3 * kMs, kListen, kSynRecv, {80, 40000}),
       ev(2, 3 * kMs, kSynRecv, kEstablished, {80, 40000}),
       by(10, ev(1, 4 * kMs, kEstablished, kFinWait1)),
       ev(2, 4 * kMs, kEstablished, kCloseWait, {80, 40000}),
       by(20, ev(2, 5 * kMs, kCloseWait, kLastAck, {80, 40000})),
       ev(1, 5 * kMs, kFinWait1, kFinWait2),
       closing(ev(1, 5 * kMs, kFinWait2, kClose), kOrderly, 0, TCPTRAIL_TW_TIME_WAIT),
       closing(ev(2, 6 * kMs, kLastAck, kClose, {80, 40000}), kOrderly | TCPTRAIL_END_ALL_ACKED)});
  ASSERT_EQ(model.sink.connections.size(), 2U);
  EXPECT_EQ(model.sink.connections[0].peer_cookie, 2U);
  EXPECT_EQ(model.sink.connections[1].peer_cookie, 1U);
  EXPECT_EQ(model.sink.connections[1].closer, Closer::kRemote);
  EXPECT_EQ(model.sink.connections[1].closer_process.pid, 10U) << "the client's call closed first";
}

// Process 20 accepts, `closer` closes.
void accepted_and_closed(Connections& model, std::uint32_t closer) {
  const Ends server{80, 40000};
  model.input({ev(2, 1, kListen, kSynRecv, server), ev(2, 2, kSynRecv, kEstablished, server),
               accept_of(2, 3, 20), by(closer, ev(2, 4, kEstablished, kFinWait1, server)),
               ev(2, 5, kFinWait1, kFinWait2, server),
               closing(ev(2, 6, kFinWait2, kClose, server), kOrderly, 0, TCPTRAIL_TW_TIME_WAIT)});
}

TEST(ConnectionTracker, WhoClosesWithoutHavingAcceptedHasInheritedTheDescriptor) {
  Connections model;
  accepted_and_closed(model, 21);
  EXPECT_EQ(model.only().owner.pid, 21U);
  EXPECT_EQ(model.only().owner_source, OwnerSource::kInherited);
}

// The close() of a process that the tracer's look has finished: a call, but nobody's.
TEST(ConnectionTracker, ACloseWithoutAProcessLeavesTheOwnerAsItWas) {
  Connections model;
  accepted_and_closed(model, 0);
  EXPECT_EQ(model.only().owner.pid, 20U);
  EXPECT_EQ(model.only().owner_source, OwnerSource::kAccept);
  EXPECT_EQ(model.only().closer, Closer::kLocal);
  EXPECT_EQ(model.only().closer_process.pid, 0U);
}

TEST(ConnectionTracker, AKillerIsTheCloserAndNeverTheOwner) {
  Connections model;
  Event killed = closing(by(99, ev(1, 9, kEstablished, kClose), "ss"), 0, ECONNABORTED);
  killed.base.flags =
      static_cast<std::uint8_t>((killed.base.flags & ~TCPTRAIL_F_OWN) | TCPTRAIL_F_KILLER);
  model.input({by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished), killed});
  EXPECT_EQ(model.only().how, How::kAborted);
  EXPECT_EQ(model.only().owner.pid, 10U);
  EXPECT_EQ(model.only().closer_process.pid, 99U);
}

TEST(ConnectionTracker, AnUnacceptedChildBelongsToItsListener) {
  Connections model;
  const Ends server{80, 40000};
  model.input({by(30, ev(5, 1, kClose, kListen, {80, 0}), "lsn"),
               ev(2, 2, kListen, kSynRecv, server), ev(2, 3, kSynRecv, kEstablished, server),
               closing(by(30, ev(5, 4, kListen, kClose, {80, 0}), "lsn"),
                       TCPTRAIL_END_SHUT_RCV | TCPTRAIL_END_SHUT_SEND),
               closing(ev(2, 5, kEstablished, kClose, server), TCPTRAIL_END_NO_SOCKET)});
  const KeptConnection& c = model.only();
  EXPECT_EQ(c.owner.pid, 30U);
  EXPECT_EQ(c.owner_source, OwnerSource::kListen);
  EXPECT_EQ(c.how, How::kRstSent);
  EXPECT_EQ(c.closer_process.pid, 30U);
}

// Two listeners of a SO_REUSEPORT group: only the kernel's own word tells whose queue it was.
TEST(ConnectionTracker, OneOfTwoListenersIsNamedOnlyWhereItsCloseEndedTheChild) {
  const auto of = [](bool in_its_close) {
    Connections model;
    const Ends server{80, 40000};
    Event last = closing(ev(2, 6, kEstablished, kClose, server), TCPTRAIL_END_NO_SOCKET);
    if (in_its_close) {
      last = by(31, last, "second");
      last.base.flags =
          static_cast<std::uint8_t>((last.base.flags & ~TCPTRAIL_F_OWN) | TCPTRAIL_F_LISTEN_STOP);
    }
    model.input({by(30, ev(5, 1, kClose, kListen, {80, 0})),
                 by(31, ev(6, 2, kClose, kListen, {80, 0})), ev(2, 3, kListen, kSynRecv, server),
                 ev(2, 4, kSynRecv, kEstablished, server),
                 closing(by(31, ev(6, 5, kListen, kClose, {80, 0})), TCPTRAIL_END_SHUT_RCV), last});
    return model.only();
  };
  EXPECT_EQ(of(true).owner.pid, 31U);
  EXPECT_EQ(of(true).owner_source, OwnerSource::kListen);
  EXPECT_EQ(of(true).closer_process.pid, 31U);
  EXPECT_EQ(of(false).owner.pid, 0U);
  EXPECT_EQ(of(false).closer_process.pid, 0U);
}

TEST(ConnectionTracker, ASocketThatConnectsTwiceGivesTwoGenerations) {
  Connections model;
  model.input(
      {by(10, ev(1, 1, kClose, kSynSent)), closing(ev(1, 2, kSynSent, kClose), 0, ECONNREFUSED),
       by(10, ev(1, 3, kClose, kSynSent)), closing(ev(1, 4, kSynSent, kClose), 0, ECONNREFUSED)});
  ASSERT_EQ(model.sink.connections.size(), 2U);
  EXPECT_EQ(model.sink.connections[0].generation, 0U);
  EXPECT_EQ(model.sink.connections[1].generation, 1U);
}

TEST(ConnectionTracker, CloseAfterShutdownRepeatsTheStateAndBreaksNoChain) {
  Connections model;
  model.input(
      {by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished),
       by(10, ev(1, 3, kEstablished, kFinWait1)), ev(1, 4, kFinWait1, kFinWait2),
       by(10, ev(1, 5, kFinWait2, kFinWait2)),
       closing(by(10, ev(1, 6, kFinWait2, kClose)), TCPTRAIL_END_DEAD, 0, TCPTRAIL_TW_FIN_WAIT2)});
  EXPECT_TRUE(model.only().complete);
  EXPECT_EQ(model.only().path_kept.size(), 6U);
  EXPECT_EQ(model.sink.transitions.size(), 6U);
}

// ---- loss ----------------------------------------------------------------------

TEST(ConnectionTracker, AGapInTheChainIsMarkedAndTheCloserIsStillWhatTheStatesProve) {
  Connections model;
  model.input({by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished),
               closing(ev(1, 9, kFinWait2, kClose), kOrderly, 0, TCPTRAIL_TW_TIME_WAIT)});
  EXPECT_FALSE(model.only().complete);
  EXPECT_EQ(model.only().closer, Closer::kLocal) << "FIN_WAIT2 means that our FIN was acknowledged";
  EXPECT_TRUE(model.lifecycle.wants_snapshot());
  EXPECT_EQ(model.lifecycle.incomplete(), 1U);
}

// As the second copy of the program tells it.
Event again(Event event) {
  event.base.flags |= TCPTRAIL_F_AGAIN;
  return event;
}

TEST(ConnectionTracker, WhatBothCopiesToldIsDroppedAndCounted) {
  Connections model;
  const auto open = [](std::uint64_t at) { return by(10, ev(1, at, kClose, kSynSent)); };
  const auto close = [](std::uint64_t at) {
    return closing(ev(1, at, kCloseWait, kClose), TCPTRAIL_END_DONE, EPIPE);
  };
  // The CPU may have been away for long between the two.
  model.input({open(1), again(open(2)), ev(1, 3, kSynSent, kEstablished),
               again(ev(1, 90 * kMs, kSynSent, kEstablished)),
               ev(1, 100 * kMs, kEstablished, kCloseWait),
               again(ev(1, 101 * kMs, kEstablished, kCloseWait)), close(110 * kMs)});
  for (std::uint64_t other = 100; other < 2'100; ++other)
    model.input({by(10, ev(other, 120 * kMs, kClose, kSynSent)),
                 closing(ev(other, 120 * kMs, kSynSent, kClose), 0, ECONNREFUSED)});
  model.input({again(close(130 * kMs))});
  EXPECT_EQ(model.lifecycle.duplicates(), 4U);
  EXPECT_EQ(model.sink.transitions.size(), 4U + 4'000U);
  ASSERT_EQ(model.sink.connections.size(), 1U + 2'000U);
  EXPECT_TRUE(model.sink.connections[0].complete);
}

// shutdown(), the peer's ACK, close(): close() does not leave FIN_WAIT2. A transition of a state to
// itself after that is one that both copies tell.
TEST(ConnectionTracker, ATransitionThatKeepsTheStateIsDroppedWhereBothCopiesToldIt) {
  Connections model;
  model.input({by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished),
               by(10, ev(1, 3, kEstablished, kFinWait1)), ev(1, 4, kFinWait1, kFinWait2),
               by(10, ev(1, 5, kFinWait2, kFinWait2)),
               again(by(10, ev(1, 6, kFinWait2, kFinWait2)))});
  EXPECT_EQ(model.lifecycle.duplicates(), 1U);
  EXPECT_EQ(model.sink.transitions.size(), 5U);
}

TEST(ConnectionTracker, ATransitionThatKeepsTheStateIsTakenFromTheSecondCopyAlone) {
  Connections model;
  model.input({by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished),
               by(10, ev(1, 3, kEstablished, kFinWait1)), ev(1, 4, kFinWait1, kFinWait2),
               again(by(10, ev(1, 5, kFinWait2, kFinWait2)))});
  EXPECT_EQ(model.lifecycle.duplicates(), 0U);
  EXPECT_EQ(model.sink.transitions.size(), 5U);
}

// Gaps that are repaired can fill the path.
TEST(ConnectionTracker, WhatBothCopiesToldIsDroppedBehindAFullPathToo) {
  Connections model;
  model.input({by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished)});
  std::uint64_t at = 3;
  for (int i = 0; i < 4; ++i)
    model.input({ev(1, at++, kEstablished, kCloseWait), ev(1, at++, kCloseWait, kEstablished)});
  model.input(
      {ev(1, at++, kEstablished, kCloseWait), again(ev(1, at++, kEstablished, kCloseWait))});
  EXPECT_EQ(model.lifecycle.duplicates(), 1U);
  EXPECT_EQ(model.sink.transitions.size(), 11U);
}

TEST(ConnectionTracker, AListenerOfWhichBothCopiesTold) {
  Connections model;
  const auto listen = [](std::uint64_t at) { return by(30, ev(5, at, kClose, kListen, {80, 0})); };
  const auto close = [](std::uint64_t at) {
    return closing(by(30, ev(5, at, kListen, kClose, {80, 0})), TCPTRAIL_END_SHUT_RCV);
  };
  model.input({listen(1), again(listen(2)), close(3 * kMs), again(close(4 * kMs)), listen(5 * kMs),
               close(6 * kMs)});
  EXPECT_EQ(model.lifecycle.duplicates(), 2U);
  EXPECT_EQ(model.sink.transitions.size(), 4U);
}

TEST(ConnectionTracker, WhatOnlyTheSecondCopyToldIsAsGood) {
  Connections model;
  model.input({again(by(10, ev(1, 1, kClose, kSynSent))), again(ev(1, 2, kSynSent, kEstablished)),
               again(ev(1, 3, kEstablished, kCloseWait)),
               again(closing(ev(1, 4, kCloseWait, kClose), TCPTRAIL_END_DONE, EPIPE))});
  EXPECT_EQ(model.lifecycle.duplicates(), 0U);
  EXPECT_EQ(model.sink.transitions.size(), 4U);
  EXPECT_TRUE(model.only().complete);
}

TEST(ConnectionTracker, APairThatNoCallSiteReportsIsMarked) {
  Connections model;
  model.input({by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished),
               ev(1, 3, kEstablished, kLastAck),
               closing(ev(1, 4, kLastAck, kClose), kOrderly | TCPTRAIL_END_ALL_ACKED)});
  EXPECT_FALSE(model.only().complete);
}

TEST(ConnectionTracker, AConnectionWhoseBeginningWasLostIsIncomplete) {
  Connections model;
  model.input({ev(1, 5, kEstablished, kCloseWait), by(10, ev(1, 6, kCloseWait, kLastAck)),
               closing(ev(1, 7, kLastAck, kClose), kOrderly | TCPTRAIL_END_ALL_ACKED)});
  EXPECT_FALSE(model.only().complete);
  EXPECT_EQ(model.only().began, Began::kObserved);
  EXPECT_EQ(model.only().role, Role::kUnknown);
  EXPECT_FALSE(model.only().service_port.has_value());
}

TEST(ConnectionTracker, ALostCloseIsFoundByTheNextSnapshot) {
  Connections model;
  model.input({by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished)});
  model.lifecycle.begin_snapshot(100);
  model.lifecycle.end_snapshot(200, std::vector<std::uint32_t>{kNetns});
  EXPECT_TRUE(model.sink.connections.empty()) << "its CLOSE may be about to be reported";
  EXPECT_TRUE(model.lifecycle.wants_snapshot());
  model.lifecycle.begin_snapshot(300);
  model.lifecycle.end_snapshot(400, std::vector<std::uint32_t>{kNetns});
  const KeptConnection& c = model.only();
  EXPECT_FALSE(c.complete);
  EXPECT_FALSE(c.end.has_value());
  EXPECT_FALSE(c.counters.has_value());
  EXPECT_EQ(c.closer, Closer::kUnknown);
  EXPECT_EQ(model.lifecycle.open(), 0U);
}

TEST(ConnectionTracker, ALostCloseIsGivenUpAtTheEndOfTheRun) {
  Connections model;
  model.input({by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished)});
  model.lifecycle.begin_snapshot(100);
  model.lifecycle.end_snapshot(200, std::vector<std::uint32_t>{kNetns});
  model.lifecycle.finish(300);
  EXPECT_FALSE(model.only().complete);
}

TEST(ConnectionTracker, AMissingConnectionThatIsHeardOfAgainWasNotLost) {
  Connections model;
  model.input({by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished)});
  model.lifecycle.begin_snapshot(100);
  model.lifecycle.end_snapshot(200, std::vector<std::uint32_t>{kNetns});
  model.input({closing(ev(1, 250, kEstablished, kClose), 0, ECONNRESET)});
  model.lifecycle.finish(300);
  EXPECT_TRUE(model.only().complete);
}

TEST(ConnectionTracker, ANamespaceThatCouldNotBeReadEndsNothing) {
  Connections model;
  model.input({by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished)});
  model.lifecycle.begin_snapshot(100);
  model.lifecycle.end_snapshot(200, std::vector<std::uint32_t>{kNetns + 1});
  model.lifecycle.finish(300);
  EXPECT_TRUE(model.sink.connections.empty());
}

// The books: each transition is in transitions() or in evicted().
TEST(ConnectionTracker, AFullTableEvictsTheOldestAndItsTransitionsAreLost) {
  TrackerOptions options;
  options.max_connections = 2;
  options.want_transitions = false;
  Connections model(std::move(options));
  for (std::uint64_t cookie = 1; cookie <= 3; ++cookie)
    model.input({by(10, ev(cookie, cookie, kClose, kSynSent))});
  EXPECT_EQ(model.lifecycle.evicted(), 1U);
  EXPECT_EQ(model.lifecycle.transitions(), 2U);
  model.input({closing(ev(1, 10, kSynSent, kClose), 0, ECONNREFUSED)});
  EXPECT_TRUE(model.sink.connections.empty())
      << "its beginning is forgotten, and following it again would push out another";
  EXPECT_EQ(model.lifecycle.evicted(), 2U);
  EXPECT_EQ(model.lifecycle.transitions(), 2U);
  EXPECT_FALSE(model.lifecycle.wants_snapshot());
  model.input({closing(ev(3, 11, kSynSent, kClose), 0, ECONNREFUSED)});
  EXPECT_TRUE(model.only().complete);
}

TEST(ConnectionTracker, WhatTraceHasPrintedOfAnEvictedConnectionIsNotLost) {
  TrackerOptions options;
  options.max_connections = 2;
  Connections model(std::move(options));
  for (std::uint64_t cookie = 1; cookie <= 3; ++cookie)
    model.input({by(10, ev(cookie, cookie, kClose, kSynSent))});
  model.input({closing(ev(1, 10, kSynSent, kClose), 0, ECONNREFUSED)});
  EXPECT_EQ(model.lifecycle.evicted(), 0U);
  EXPECT_EQ(model.lifecycle.transitions(), 4U);
  EXPECT_EQ(model.sink.transitions.size(), 4U);
}

TEST(ConnectionTracker, WhatBothCopiesToldOfAnEvictedConnectionIsCountedOnce) {
  TrackerOptions options;
  options.max_connections = 2;
  Connections model(std::move(options));
  for (std::uint64_t cookie = 1; cookie <= 3; ++cookie)
    model.input({by(10, ev(cookie, cookie, kClose, kSynSent))});
  const auto close = [](std::uint64_t cookie) {
    return closing(ev(cookie, 10, kSynSent, kClose), 0, ECONNREFUSED);
  };
  model.input({close(1)});
  for (std::uint64_t other = 100; other < 5'100; ++other)
    model.input({ev(other, 10, kEstablished, kCloseWait)});
  model.input({again(close(1))});
  EXPECT_EQ(model.lifecycle.duplicates(), 1U);
  EXPECT_EQ(model.lifecycle.transitions(), 5'004U);
}

// ---- older than the trace --------------------------------------------------------

TEST(ConnectionTracker, ASeenConnectionBeganBeforeTheTraceAndIsComplete) {
  KeepingSink sink;
  ConnectionTracker lifecycle({}, sink);
  lifecycle.begin_snapshot(1);
  lifecycle.apply(seen(9, 2, kListen, {80, 0}));
  lifecycle.apply(seen(1, 3, kEstablished, {80, 40000}));
  lifecycle.apply(accept_of(1, 4, 77, TCPTRAIL_SEEN_HOLDER));
  lifecycle.end_snapshot(5, std::vector<std::uint32_t>{kNetns});
  lifecycle.apply(ev(1, 6, kEstablished, kCloseWait, {80, 40000}));
  lifecycle.apply(closing(ev(1, 7, kCloseWait, kClose, {80, 40000}), TCPTRAIL_END_DONE, EPIPE));
  ASSERT_EQ(sink.connections.size(), 1U);
  EXPECT_EQ(sink.connections[0].began, Began::kBeforeTrace);
  EXPECT_TRUE(sink.connections[0].complete);
  EXPECT_EQ(sink.connections[0].role, Role::kPassive) << "a listener covers its local end";
  EXPECT_EQ(sink.connections[0].owner.pid, 77U);
  EXPECT_EQ(sink.connections[0].owner_source, OwnerSource::kSnapshot);
  EXPECT_FALSE(sink.transitions.at(0).in_old_ns.has_value())
      << "when it entered ESTABLISHED is not known";
}

TEST(ConnectionTracker, AnEventBeforeTheSnapshotRecordOfItsSocketIsNoGap) {
  KeepingSink sink;
  ConnectionTracker lifecycle({}, sink);
  lifecycle.apply(ev(1, 1, kEstablished, kCloseWait));
  lifecycle.begin_snapshot(2);
  lifecycle.apply(seen(1, 3, kCloseWait));
  lifecycle.end_snapshot(4, std::vector<std::uint32_t>{kNetns});
  lifecycle.apply(by(5, ev(1, 5, kCloseWait, kLastAck)));
  lifecycle.apply(closing(ev(1, 6, kLastAck, kClose), kOrderly | TCPTRAIL_END_ALL_ACKED));
  EXPECT_TRUE(sink.connections.at(0).complete);
  EXPECT_EQ(sink.connections.at(0).began, Began::kBeforeTrace);
}

// ---- data after close ---------------------------------------------------------------

void close_with_data_after(Connections& model) {
  model.input({by(10, ev(1, 1, kClose, kSynSent)), ev(1, 2, kSynSent, kEstablished),
               by(10, ev(1, 3, kEstablished, kFinWait1)), reset(1, 4, TCPTRAIL_RESET_RECEIVED),
               closing(ev(1, 5, kFinWait1, kClose), TCPTRAIL_END_DEAD | TCPTRAIL_END_SHUT_RCV,
                       ECONNRESET)});
}

TEST(ConnectionTracker, ARecordWaitsForTheResetThatDecidesItsEnding) {
  Connections model({.resets_traced = true});
  close_with_data_after(model);
  EXPECT_TRUE(model.sink.connections.empty());
  EXPECT_TRUE(model.lifecycle.waiting());
  model.input({reset(1, 6, TCPTRAIL_RESET_SENT, TCPTRAIL_F_SKB)});
  EXPECT_EQ(model.only().how, How::kRstSent);
  EXPECT_FALSE(model.lifecycle.waiting());
}

TEST(ConnectionTracker, TheReasonOfAResetComesWithTheReset) {
  Connections model({.resets_traced = true, .reset_reasons = {"", "tcp_abort_on_close"}});
  model.input({ev(1, 1, kClose, kSynSent), ev(1, 2, kSynSent, kEstablished),
               by(10, closing(ev(1, 3, kEstablished, kClose),
                              TCPTRAIL_END_UNREAD | TCPTRAIL_END_SHUT_RCV))});
  EXPECT_TRUE(model.sink.connections.empty());
  Event sent = reset(1, 4, TCPTRAIL_RESET_SENT);
  sent.reset.reason = 1;
  model.input({sent});
  EXPECT_EQ(model.only().reset_reason, "tcp_abort_on_close");
}

// On one host the RST is received before its reason is known.
TEST(ConnectionTracker, TheEndThatSentTheResetIsToldBeforeTheOneThatReceivedIt) {
  Connections model({.resets_traced = true, .reset_reasons = {"", "tcp_abort_on_close"}});
  const Ends server{443, 1000};
  const Ends client{1000, 443};
  Event sent = reset(1, 6, TCPTRAIL_RESET_SENT);
  sent.reset.reason = 1;
  model.input({ev(2, 1, kClose, kSynSent, client), ev(1, 1, kListen, kSynRecv, server),
               ev(2, 2, kSynSent, kEstablished, client), ev(1, 2, kSynRecv, kEstablished, server),
               by(10, closing(ev(1, 3, kEstablished, kClose, server),
                              TCPTRAIL_END_UNREAD | TCPTRAIL_END_SHUT_RCV)),
               reset(2, 4, TCPTRAIL_RESET_RECEIVED),
               closing(ev(2, 5, kEstablished, kClose, client), 0, ECONNRESET)});
  EXPECT_TRUE(model.sink.connections.empty());
  model.input({sent});
  ASSERT_EQ(model.sink.connections.size(), 2U);
  EXPECT_EQ(model.sink.connections[0].how, How::kRstSent);
  EXPECT_EQ(model.sink.connections[1].how, How::kRstReceived);
  EXPECT_FALSE(model.lifecycle.waiting());
}

TEST(ConnectionTracker, ANumberThatTheKernelHasNoWordForIsNoReason) {
  Connections model({.resets_traced = true, .reset_reasons = {"", "tcp_abort_on_close"}});
  Event sent = reset(1, 4, TCPTRAIL_RESET_SENT);
  sent.reset.reason = 200;
  model.input({ev(1, 1, kClose, kSynSent), ev(1, 2, kSynSent, kEstablished),
               by(10, closing(ev(1, 3, kEstablished, kClose), TCPTRAIL_END_UNREAD)), sent});
  EXPECT_EQ(model.only().reset_reason, "");
}

// The client comes back from its port while the server still has the old connection.
TEST(ConnectionTracker, TheResetOfTheNextConnectionIsTakenForThat) {
  const auto evidence_of = [](bool comes_back) {
    Connections model;
    const Ends server{80, 40000};
    model.input(
        {ev(1, 1, kClose, kSynSent), ev(1, 2, kSynSent, kEstablished),
         ev(2, 2, kListen, kSynRecv, server), ev(2, 3, kSynRecv, kEstablished, server),
         ev(1, 4, kEstablished, kFinWait1), ev(2, 4, kEstablished, kCloseWait, server),
         ev(1, 4, kFinWait1, kFinWait2),
         closing(ev(1, 4, kFinWait2, kClose), TCPTRAIL_END_DEAD, 0, TCPTRAIL_TW_FIN_WAIT2)});
    if (comes_back) model.input({ev(3, 5, kClose, kSynSent)});
    model.input({reset(2, 6, TCPTRAIL_RESET_RECEIVED),
                 closing(ev(2, 7, kCloseWait, kClose, server), TCPTRAIL_END_DONE, EPIPE)});
    return model.sink.connections.back().evidence;
  };
  EXPECT_EQ(evidence_of(true), Evidence::kNewSyn);
  EXPECT_NE(evidence_of(false), Evidence::kNewSyn);
}

// What is restored sent no SYN, and its peer's other end is the socket that lives.
TEST(ConnectionTracker, ARestoredConnectionSentNoSynAndHasThePeer) {
  Connections model;
  const Ends server{80, 40000};
  model.input({ev(1, 1, kClose, kSynSent), ev(1, 2, kSynSent, kEstablished),
               ev(2, 3, kListen, kSynRecv, server), ev(2, 4, kSynRecv, kEstablished, server),
               by(20, closing(ev(2, 5, kEstablished, kClose, server), TCPTRAIL_END_REPAIR))});
  Event restored = ev(3, 7, kSynSent, kEstablished, server);
  restored.base.flags |= TCPTRAIL_F_REPAIRED;
  model.input({ev(3, 6, kClose, kSynSent, server), restored,
               closing(ev(3, 9, kEstablished, kClose, server), 0)});
  const KeptConnection& last = model.sink.connections.back();
  EXPECT_EQ(last.role, Role::kUnknown);
  EXPECT_FALSE(last.connect_ns);
  EXPECT_EQ(last.peer_cookie, 1U);
}

TEST(ConnectionTracker, TheWaitEndsWithTheTimeOfTheStream) {
  Connections model({.resets_traced = true});
  close_with_data_after(model);
  model.lifecycle.advance_to(6);
  EXPECT_TRUE(model.sink.connections.empty());
  model.lifecycle.advance_to(100 * kMs);
  EXPECT_EQ(model.only().how, How::kRstReceived);
}

TEST(ConnectionTracker, NothingWaitsWhereResetsAreNotTraced) {
  Connections model({.resets_traced = false});
  close_with_data_after(model);
  EXPECT_EQ(model.only().how, How::kUnknown);
}

// ---- filters ------------------------------------------------------------------------

TEST(ConnectionTracker, AFilterOnTheLocalPortKeepsTheFirstEventThatDidNotKnowIt) {
  TrackerOptions options;
  options.filters.lports.ranges = {{40000, 40000}};
  Connections model(std::move(options));
  active_life(model);
  EXPECT_EQ(model.sink.transitions.size(), 5U);
  EXPECT_EQ(model.sink.transitions.at(0).new_state, kSynSent);
  EXPECT_EQ(model.lifecycle.transitions(), 5U);
}

TEST(ConnectionTracker, AFilterOnAnotherLocalPortPrintsNothingAndKeepsNothing) {
  TrackerOptions options;
  options.filters.lports.ranges = {{5, 5}};
  Connections model(std::move(options));
  active_life(model);
  EXPECT_TRUE(model.sink.transitions.empty());
  EXPECT_TRUE(model.sink.connections.empty());
  EXPECT_EQ(model.lifecycle.transitions(), 0U);
}

TEST(ConnectionTracker, AFilterOnTheOwnerKeepsWhatNobodyAccepted) {
  for (const std::uint32_t wanted : {30U, 31U}) {
    TrackerOptions options;
    options.filters.pids = {wanted};
    Connections model(options);
    const Ends server{80, 40000};
    model.input(
        {by(30, ev(5, 1, kClose, kListen, {80, 0})), ev(2, 2, kListen, kSynRecv, server),
         ev(2, 3, kSynRecv, kEstablished, server),
         closing(ev(2, 4, kEstablished, kClose, server), TCPTRAIL_END_NO_SOCKET, ECONNRESET)});
    EXPECT_EQ(model.sink.connections.size(), wanted == 30 ? 1U : 0U);
  }
}

TEST(ConnectionTracker, AFilterOnThePidShowsAPassiveConnectionFromItsFirstTransition) {
  TrackerOptions options;
  options.filters.pids = {20};
  Connections model(std::move(options));
  passive_life(model);
  EXPECT_EQ(model.sink.transitions.size(), 5U);
  EXPECT_EQ(model.sink.transitions.at(0).old_state, kListen);
  EXPECT_EQ(model.sink.connections.size(), 1U);
}

TEST(ConnectionTracker, AFilterOnAnotherPidShowsNothing) {
  TrackerOptions options;
  options.filters.pids = {21};
  Connections model(std::move(options));
  passive_life(model);
  EXPECT_TRUE(model.sink.transitions.empty());
  EXPECT_TRUE(model.sink.connections.empty());
}

TEST(ConnectionTracker, AFilterOnTheEndingShowsWholeLivesOrNothing) {
  for (const Closer wanted : {Closer::kLocal, Closer::kRemote}) {
    TrackerOptions options;
    options.filters.closed_by = {wanted};
    Connections model(std::move(options));
    active_life(model);
    EXPECT_EQ(model.sink.transitions.size(), wanted == Closer::kLocal ? 5U : 0U);
    EXPECT_EQ(model.lifecycle.transitions(), wanted == Closer::kLocal ? 5U : 0U);
    EXPECT_EQ(model.sink.connections.size(), wanted == Closer::kLocal ? 1U : 0U);
  }
}

TEST(ConnectionTracker, AFilterOnTheEndingAlsoWaitsForTheResetThatDecides) {
  TrackerOptions options;
  options.filters.how = {How::kRstSent};
  options.resets_traced = true;
  Connections model(std::move(options));
  close_with_data_after(model);
  EXPECT_TRUE(model.sink.transitions.empty());
  model.input({reset(1, 6, TCPTRAIL_RESET_SENT, TCPTRAIL_F_SKB)});
  EXPECT_EQ(model.sink.transitions.size(), 4U);
}

TEST(ConnectionTracker, OnlyTheCommandsOwnConnectionsPassWithACommand) {
  TrackerOptions options;
  options.filters.in_tree = true;
  Connections model(std::move(options));
  active_life(model, 1);
  Event inside = by(11, ev(3, 10 * kMs, kClose, kSynSent));
  inside.base.flags |= TCPTRAIL_F_IN_TREE;
  model.input({inside, closing(ev(3, 11 * kMs, kSynSent, kClose), 0, ECONNREFUSED)});
  ASSERT_EQ(model.sink.connections.size(), 1U);
  EXPECT_EQ(model.only().cookie, 3U);
}

TEST(ConnectionTracker, AnAddressIsNoCookieAndIsNotPrinted) {
  Connections model({.cookie_is_address = true});
  active_life(model);
  EXPECT_EQ(model.only().cookie, 0U);
}

// The address of a socket that has closed is given to the next one within microseconds.
TEST(ConnectionTracker, TheResetOfAnotherSocketAtTheAddressDecidesNothing) {
  Connections model({.resets_traced = true, .cookie_is_address = true});
  close_with_data_after(model);
  model.input({by(11, ev(1, 6, kClose, kSynSent)),
               closing(by(11, ev(1, 7, kSynSent, kClose)), TCPTRAIL_END_LINGER0),
               reset(1, 8, TCPTRAIL_RESET_SENT)});
  ASSERT_EQ(model.sink.connections.size(), 2U);
  EXPECT_EQ(model.sink.connections[0].how, How::kRstReceived);
}

}  // namespace
}  // namespace tcptrail::test
