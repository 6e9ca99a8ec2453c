// SPDX-License-Identifier: BSD-2-Clause
// Refused attempts, through the whole model: an event, a snapshot, one record.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "events.h"
#include "machine_stub.h"
#include "model/model.h"

namespace tcptrail {
namespace {

using namespace test;

constexpr std::uint64_t kSecond = 1'000'000'000;

Event refused(std::uint64_t at, std::uint8_t op, std::uint16_t port, std::uint32_t pid = 20,
              std::uint16_t error = EADDRINUSE) {
  Event event = ev(99, at, kClose, kClose, {port, 0});
  std::memset(event.base.raddr, 0, sizeof event.base.raddr);
  event.base.kind = TCPTRAIL_REFUSED;
  event.base.pid = pid;
  event.base.flags = TCPTRAIL_F_IPV4 | TCPTRAIL_F_OWN;
  event.refused.error = error;
  event.refused.op = op;
  std::strncpy(event.refused.comm, "caller", TCPTRAIL_COMM_LEN - 1);
  return event;
}

Event minisocket(std::uint64_t cookie, std::uint64_t at, Ends ends, std::uint32_t expires_ms) {
  Event event = seen(cookie, at, kTimeWait, ends);
  event.owned.has_socket = 0;
  event.owned.tw = TCPTRAIL_TW_TIME_WAIT;
  event.owned.expires_ms = expires_ms;
  event.owned.step_ms = 2000;
  event.owned.bind = TCPTRAIL_BIND_TIMESTAMPS;
  return event;
}

struct Attempts {
  explicit Attempts(ModelOptions options = {}) : model(options, facts, sink) {}
  void snapshot(std::uint64_t at, std::initializer_list<Event> shown, bool readable = true) {
    model.begin_snapshot(at, false);
    for (const Event& event : shown) model.event(event);
    SnapshotScope scope;
    if (readable) scope.netns_read = {kNetns};
    model.end_snapshot(at + kMs, scope);
  }
  BlockedRecord& only() { return sink.blocked.at(0); }
  KeepingSink sink;
  SetFacts facts;
  Model model;
};

// Left behind by process 10.
void server_life(Model& model, std::uint64_t cookie, std::uint64_t at) {
  Event end = closing(ev(cookie, at + 4, kFinWait2, kClose, {8080, 50000}),
                      TCPTRAIL_END_DONE | TCPTRAIL_END_DEAD | TCPTRAIL_END_ALL_ACKED, 0,
                      TCPTRAIL_TW_TIME_WAIT);
  for (const Event& event :
       {ev(cookie, at, kListen, kSynRecv, {8080, 50000}),
        ev(cookie, at + 1, kSynRecv, kEstablished, {8080, 50000}),
        by(10, ev(cookie, at + 2, kEstablished, kFinWait1, {8080, 50000}), "server"),
        ev(cookie, at + 3, kFinWait1, kFinWait2, {8080, 50000}), end})
    model.event(event);
}

TEST(Blocked, ABindIsJoinedWithWhatIsInItsWayAndWhoLeftIt) {
  Attempts a;
  a.facts.alive[10] = false;
  server_life(a.model, 5, kSecond);
  a.model.event(refused(2 * kSecond, TCPTRAIL_OP_BIND, 8080));
  EXPECT_EQ(a.model.wants_blockers(), std::vector<std::uint32_t>{kNetns});
  EXPECT_TRUE(a.sink.blocked.empty());
  a.snapshot(2 * kSecond + kMs, {minisocket(5, 2 * kSecond + kMs, {8080, 50000}, 59'000)});
  ASSERT_EQ(a.sink.blocked.size(), 1U);
  EXPECT_TRUE(a.model.wants_blockers().empty());
  EXPECT_EQ(a.only().op, BlockedOp::kBind);
  EXPECT_EQ(a.only().error, EADDRINUSE);
  EXPECT_EQ(a.only().caller.pid, 20U);
  EXPECT_EQ(a.only().boot_ns, 2 * kSecond);
  EXPECT_EQ(a.only().tuple.lport, 8080);
  ASSERT_EQ(a.only().blockers.size(), 1U);
  const BlockerRecord& blocker = a.only().blockers[0];
  EXPECT_EQ(blocker.state, kTimeWait);
  EXPECT_EQ(blocker.owner.pid, 10U);
  EXPECT_EQ(blocker.owner_alive, false);
  EXPECT_NEAR(static_cast<double>(a.only().free_in_ms.value()), 61'000, 10);
  EXPECT_NE(a.only().remedies.front().find("Wait"), std::string::npos);
}

// The server was interrupted while its client sits in a read.
TEST(Blocked, AFinWait2NamesWhoDoesNotCloseTheOtherEndAndSinceWhen) {
  Attempts a;
  for (const Event& event : {by(30, ev(6, kSecond, kClose, kSynSent, {0, 8080})),
                             ev(6, kSecond + 1, kSynSent, kEstablished, {50000, 8080}),
                             ev(6, 2 * kSecond, kEstablished, kCloseWait, {50000, 8080})})
    a.model.event(event);
  a.model.event(refused(6 * kSecond, TCPTRAIL_OP_BIND, 8080));
  Event waiting = minisocket(5, 6 * kSecond, {8080, 50000}, 56'000);
  waiting.owned.tw = TCPTRAIL_TW_FIN_WAIT2;
  Event holder = accept_of(6, 6 * kSecond, 30, TCPTRAIL_SEEN_HOLDER);
  holder.holder.netns = kNetns;
  std::strncpy(holder.holder.comm, "client", TCPTRAIL_COMM_LEN - 1);
  a.snapshot(6 * kSecond + kMs, {waiting, seen(6, 6 * kSecond, kCloseWait, {50000, 8080}), holder});
  EXPECT_NE(a.only().remedies.front().find(
                "client (pid 30) has not closed the other end (CLOSE_WAIT for 4.0 s)"),
            std::string::npos)
      << a.only().remedies.front();
}

// A snapshot takes its time where there are many sockets: the timers count from the record all the
// same.
TEST(Blocked, ALateSnapshotDoesNotMoveTheEnd) {
  Attempts a;
  a.model.event(refused(2 * kSecond, TCPTRAIL_OP_BIND, 8080));
  a.snapshot(3 * kSecond, {minisocket(5, 3 * kSecond, {8080, 50000}, 58'000)});
  EXPECT_EQ(a.only().free_in_ms, 61'000U);
  EXPECT_EQ(a.only().blockers[0].expires_in_ms, 59'000U);
}

TEST(Blocked, AListenersOwnSocketIsNotInItsWay) {
  Attempts a;
  a.model.event(refused(kSecond, TCPTRAIL_OP_LISTEN, 8080));
  Event self = seen(99, kSecond, kClose, {8080, 0});
  Event other = seen(7, kSecond, kListen, {8080, 0});
  self.owned.reuseaddr = other.owned.reuseaddr = 1;
  a.snapshot(kSecond + kMs, {self, other, [] {
                               Event holder = accept_of(7, kSecond, 30, TCPTRAIL_SEEN_HOLDER);
                               holder.holder.netns = kNetns;
                               return holder;
                             }()});
  ASSERT_EQ(a.only().blockers.size(), 1U);
  EXPECT_EQ(a.only().blockers[0].cookie, 7U);
  EXPECT_EQ(a.only().blockers[0].owner.pid, 30U);
  EXPECT_FALSE(a.only().free_in_ms);
}

Event bound_by_call(Event event, std::uint64_t portless_ns = 0) {
  event.owned.bind |= TCPTRAIL_BIND_PORT_LOCK;
  event.owned.portless_us = static_cast<std::uint32_t>(portless_ns / 1000);
  return event;
}

// With SO_REUSEADDR, right after the refusal: the snapshot finds both.
TEST(Blocked, TheSecondTryIsNotInTheWayOfTheFirst) {
  Attempts a;
  const std::uint64_t at = 5'000 * kSecond;  // the microseconds take more than 32 bits
  a.model.event(refused(at, TCPTRAIL_OP_BIND, 8080));
  Event old = minisocket(5, at + kMs, {8080, 50000}, 59'999);
  Event again = bound_by_call(seen(7, at + kMs, kListen, {8080, 0}), at + 20 * kUs);
  old.owned.reuseaddr = again.owned.reuseaddr = 1;
  a.snapshot(at + kMs, {old, again});
  ASSERT_EQ(a.only().blockers.size(), 1U);
  EXPECT_EQ(a.only().blockers[0].state, kTimeWait);
  EXPECT_TRUE(a.only().free_in_ms);
  EXPECT_NE(a.only().remedies.front().find("Set SO_REUSEADDR"), std::string::npos);
}

// bind() comes before listen() and connect(): those do not make its socket younger.
TEST(Blocked, ASocketThatWasBoundBeforeIsInTheWayThoughItConnectsLater) {
  Attempts a;
  a.model.event(refused(2 * kSecond, TCPTRAIL_OP_BIND, 8080));
  a.model.event(by(30, ev(7, 2 * kSecond + kUs, kClose, kSynSent, {8080, 80})));
  a.snapshot(2 * kSecond + kMs,
             {bound_by_call(seen(7, 2 * kSecond + kMs, kSynSent, {8080, 80}), kSecond)});
  EXPECT_EQ(a.only().blocker_count, 1U);
}

TEST(Blocked, AConnectionThatBeganAfterAConnectWasRefusedIsNotInItsWay) {
  Attempts a;
  a.facts.sysctls->range_low = 40000;
  a.facts.sysctls->range_high = 40001;
  a.model.event(by(20, ev(3, kSecond, kClose, kSynSent, {0, 80})));
  a.model.event(
      by(20, closing(ev(3, kSecond + kMs, kSynSent, kClose, {0, 80}), TCPTRAIL_END_NO_SEGS_OUT)));
  a.model.event(by(21, ev(4, kSecond + 2 * kMs, kClose, kSynSent, {0, 80})));
  a.model.event(ev(4, kSecond + 2 * kMs, kSynSent, kEstablished, {40000, 80}));
  a.snapshot(kSecond + 3 * kMs, {seen(4, kSecond + 3 * kMs, kEstablished, {40000, 80}),
                                 seen(5, kSecond + 3 * kMs, kEstablished, {40001, 80})});
  ASSERT_EQ(a.only().blocker_count, 1U);
  EXPECT_EQ(a.only().blockers[0].cookie, 5U);
}

TEST(Blocked, AnAddressOfAnotherMachineHasNoBlockers) {
  Attempts a;
  a.model.event(refused(kSecond, TCPTRAIL_OP_BIND, 8080, 20, EADDRNOTAVAIL));
  a.snapshot(kSecond + kMs, {});
  EXPECT_EQ(a.only().blocker_count, 0U);
  EXPECT_NE(a.only().remedies.front().find("no address of this network namespace"),
            std::string::npos);
}

TEST(Blocked, AListenerOnAnotherDeviceIsNotInTheWay) {
  Attempts a;
  Event asked = refused(kSecond, TCPTRAIL_OP_BIND, 8080);
  asked.refused.bound_dev_if = 2;
  a.model.event(asked);
  std::vector<Event> listeners;
  for (const std::uint32_t device : {0U, 2U, 3U}) {
    Event event = seen(10 + device, kSecond, kListen, {8080, 0});
    event.owned.bound_dev_if = device;
    listeners.push_back(event);
  }
  a.snapshot(kSecond + kMs, {listeners[0], listeners[1], listeners[2]});
  ASSERT_EQ(a.only().blocker_count, 2U);
  for (const BlockerRecord& blocker : a.only().blockers) EXPECT_NE(blocker.cookie, 13U);
}

TEST(Blocked, TheSocketsOwnPortRangeIsTheOneThatIsUsedUp) {
  for (const std::uint32_t range : {40001U << 16 | 40000U, 0U}) {
    Attempts a;
    Event end =
        by(20, closing(ev(3, kSecond + kMs, kSynSent, kClose, {0, 80}), TCPTRAIL_END_NO_SEGS_OUT));
    end.end.port_range = range;
    a.model.event(by(20, ev(3, kSecond, kClose, kSynSent, {0, 80})));
    a.model.event(end);
    a.snapshot(kSecond + 2 * kMs, {seen(5, kSecond + 2 * kMs, kEstablished, {40000, 80}),
                                   seen(6, kSecond + 2 * kMs, kEstablished, {40001, 80})});
    const bool widen = std::any_of(
        a.only().remedies.begin(), a.only().remedies.end(), [](const std::string& remedy) {
          return remedy.find("IP_LOCAL_PORT_RANGE, now 40000 40001") != std::string::npos;
        });
    EXPECT_EQ(widen, range != 0);
    EXPECT_FALSE(a.only().free_in_ms);
    for (const std::string& remedy : a.only().remedies)
      EXPECT_EQ(remedy.find("try again"), std::string::npos) << remedy;
  }
}

TEST(Blocked, AConnectWithoutAPortNamesTheSocketsThatHoldThem) {
  Attempts a;
  a.facts.sysctls->range_low = a.facts.sysctls->range_high = 40000;
  a.facts.sysctls->tcp_tw_reuse = 0;
  Event end =
      by(20, closing(ev(3, kSecond + kMs, kSynSent, kClose, {0, 80}), TCPTRAIL_END_NO_SEGS_OUT));
  a.model.event(by(20, ev(3, kSecond, kClose, kSynSent, {0, 80})));
  a.model.event(end);
  a.snapshot(kSecond + 2 * kMs, {minisocket(5, kSecond + 2 * kMs, {40000, 80}, 30'000)});
  ASSERT_EQ(a.sink.connections.size(), 1U);
  EXPECT_EQ(a.sink.connections[0].how, How::kNoPort);
  EXPECT_EQ(a.only().op, BlockedOp::kConnect);
  EXPECT_EQ(a.only().error, EADDRNOTAVAIL);
  EXPECT_EQ(a.only().tuple.lport, 0);
  EXPECT_EQ(a.only().blocker_count, 1U);
  EXPECT_NE(a.only().remedies.front().find("tcp_tw_reuse=1"), std::string::npos);
}

TEST(Blocked, ABoundConnectNamesTheOneConnection) {
  Attempts a;
  a.model.event(by(20, ev(3, kSecond, kClose, kSynSent, {40000, 80})));
  a.model.event(by(20, closing(ev(3, kSecond + kMs, kSynSent, kClose, {40000, 80}),
                               TCPTRAIL_END_NO_SEGS_OUT | TCPTRAIL_END_BOUND)));
  a.snapshot(kSecond + 2 * kMs, {minisocket(5, kSecond, {40000, 80}, 30'000),
                                 minisocket(6, kSecond, {40000, 81}, 30'000)});
  ASSERT_EQ(a.only().blocker_count, 1U);
  EXPECT_EQ(a.only().blockers[0].cookie, 5U);
  EXPECT_NE(a.only().remedies.front().find("bind()"), std::string::npos);
}

TEST(Blocked, WhatHasGoneMeanwhileIsSaidSo) {
  Attempts a;
  a.model.event(refused(kSecond, TCPTRAIL_OP_BIND, 8080));
  a.snapshot(kSecond + kMs, {});
  EXPECT_EQ(a.only().free_in_ms.value(), 2U);
  EXPECT_NE(a.only().remedies.front().find("try again"), std::string::npos);
}

TEST(Blocked, ANamespaceThatCannotBeReadStillGivesTheRecord) {
  Attempts a;
  a.model.event(refused(kSecond, TCPTRAIL_OP_BIND, 8080));
  a.snapshot(kSecond + kMs, {}, false);
  ASSERT_EQ(a.sink.blocked.size(), 1U);
  EXPECT_NE(a.only().remedies.front().find("could not be read"), std::string::npos);
  EXPECT_FALSE(a.only().free_in_ms);
}

TEST(Blocked, WithoutSnapshotsTheAttemptIsReportedAtOnce) {
  Attempts a({.snapshots = false});
  a.model.event(refused(kSecond, TCPTRAIL_OP_BIND, 8080));
  EXPECT_TRUE(a.model.wants_blockers().empty());
  EXPECT_TRUE(a.model.due(kSecond));
  a.model.advance_to(kSecond + kMs);
  EXPECT_EQ(a.sink.blocked.size(), 1U);
}

// 10,000 a second must neither be printed one by one nor be lost.
TEST(Blocked, AFloodSharesRecordsAndEveryAttemptIsCounted) {
  Attempts a;
  std::uint64_t at = kSecond;
  for (int snapshot = 0; snapshot < 10; ++snapshot) {
    for (int i = 0; i < 1000; ++i) a.model.event(refused(at += 100 * kUs, TCPTRAIL_OP_BIND, 8080));
    a.snapshot(at + 1, {seen(7, at, kListen, {8080, 0})});
  }
  std::uint64_t total = 0;
  for (const BlockedRecord& record : a.sink.blocked) {
    total += record.count;
    EXPECT_EQ(record.caller.pid, 20U);
    EXPECT_EQ(record.blocker_count, 1U);
  }
  EXPECT_EQ(total, 10'000U);
  EXPECT_LE(a.sink.blocked.size(), 420U);
  EXPECT_LE(a.facts.asked_for_sysctls, 10U);
}

// What comes during a snapshot does not put off the answer to what came before.
TEST(Blocked, WhatASnapshotAnswersDoesNotGrowDuringIt) {
  Attempts a;
  std::uint64_t at = kSecond;
  for (int i = 0; i < 1000; ++i) a.model.event(refused(at += kUs, TCPTRAIL_OP_BIND, 8080));
  a.model.begin_snapshot(at, false);
  for (int i = 0; i < 1000; ++i) a.model.event(refused(at += kUs, TCPTRAIL_OP_BIND, 8080));
  a.model.event(seen(7, at, kListen, {8080, 0}));
  SnapshotScope scope;
  scope.netns_read = {kNetns};
  a.model.end_snapshot(at, scope);
  const auto told = [&] {
    return std::accumulate(a.sink.blocked.begin(), a.sink.blocked.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const BlockedRecord& r) { return sum + r.count; });
  };
  EXPECT_EQ(told(), 1000U);
  a.snapshot(at + kMs, {seen(7, at, kListen, {8080, 0})});
  EXPECT_EQ(told(), 2000U);
}

TEST(Blocked, AFloodOfManyKindsStaysBoundedAndCounted) {
  Attempts a;
  for (std::uint32_t i = 0; i < 5000; ++i)
    a.model.event(
        refused(kSecond + i, TCPTRAIL_OP_BIND, static_cast<std::uint16_t>(1 + i), 1000 + i));
  a.snapshot(2 * kSecond, {});
  std::uint64_t total = 0;
  for (const BlockedRecord& record : a.sink.blocked) total += record.count;
  EXPECT_EQ(total, 5000U);
  EXPECT_LE(a.sink.blocked.size(), 1024U);
}

TEST(Blocked, FiltersApplyToTheCaller) {
  ModelOptions options;
  options.filters.pids = {21};
  Attempts a(options);
  a.model.event(refused(kSecond, TCPTRAIL_OP_BIND, 8080, 20));
  a.model.event(refused(kSecond, TCPTRAIL_OP_BIND, 8080, 21));
  a.snapshot(kSecond + kMs, {});
  ASSERT_EQ(a.sink.blocked.size(), 1U);
  EXPECT_EQ(a.only().caller.pid, 21U);
}

TEST(Blocked, AListenIsInferredFromItsStatesWhereTheCallIsNotTraced) {
  Attempts a({.listen_traced = false});
  Event begin = by(20, ev(8, kSecond, kClose, kListen, {8080, 0}));
  Event end = by(20, closing(ev(8, kSecond + 2 * kUs, kListen, kClose, {8080, 0}), 0));
  a.model.event(begin);
  a.model.event(end);
  a.snapshot(kSecond + kMs, {seen(7, kSecond, kListen, {8080, 0})});
  ASSERT_EQ(a.sink.blocked.size(), 1U);
  EXPECT_EQ(a.only().op, BlockedOp::kListen);
  EXPECT_EQ(a.only().caller.pid, 20U);
}

}  // namespace
}  // namespace tcptrail
