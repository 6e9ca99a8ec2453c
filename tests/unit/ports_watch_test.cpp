// SPDX-License-Identifier: BSD-2-Clause
// The living view of the ports: rates, exhaustion, leaks.
#include <gtest/gtest.h>

#include <cmath>

#include "events.h"
#include "machine_stub.h"
#include "model/model.h"
#include "ports/exhaustion.h"

namespace tcptrail {
namespace {

using namespace test;

constexpr std::uint64_t kSecond = 1'000'000'000;

class RoundSink final : public RecordSink {
 public:
  using RecordSink::on;
  void on(const PortRound& round) override {
    destinations.assign(round.destinations.begin(), round.destinations.end());
    leaks.assign(round.leaks.begin(), round.leaks.end());
    ports.assign(round.ports.begin(), round.ports.end());
  }
  std::vector<DestinationRecord> destinations;
  std::vector<LeakRecord> leaks;
  std::vector<PortRecord> ports;
};

struct Watch {
  Watch() : model({.watch_ports = true, .watched_netns = {kNetns}}, facts, sink) {}
  void round(std::uint64_t at, const std::vector<Event>& shown) {
    model.begin_snapshot(at, false);
    for (const Event& event : shown) model.event(event);
    SnapshotScope scope;
    scope.netns_read = {kNetns};
    model.end_snapshot(at, scope);
    model.round(at);
  }
  RoundSink sink;
  SetFacts facts;
  Model model;
};

Event held_by(std::uint64_t cookie, std::uint64_t at, std::uint32_t pid) {
  Event holder = accept_of(cookie, at, pid, TCPTRAIL_SEEN_HOLDER);
  holder.holder.netns = kNetns;
  return holder;
}

PortSocket time_wait(std::uint16_t port, std::uint64_t expires_ns) {
  PortSocket s;
  s.tuple.lport = port;
  s.minisocket = true;
  s.state = kTimeWait;
  s.expires_ns = expires_ns;
  return s;
}

PortSysctls no_reuse() {
  PortSysctls sysctls;
  sysctls.tcp_tw_reuse = 0;
  return sysctls;
}

// The example of the contract: 231 a second never fill a range of 28,232.
TEST(Exhaustion, ARateWhosePortsComeBackInTimeNeverFillsTheRange) {
  EXPECT_FALSE(exhausted_in_s({}, 28'232, 231, no_reuse(), 0));
  EXPECT_TRUE(exhausted_in_s({}, 28'232, 500, no_reuse(), 0));
}

TEST(Exhaustion, AgreesWithAStepByStepCount) {
  std::vector<PortSocket> sockets;
  for (std::uint16_t i = 0; i < 400; ++i)
    sockets.push_back(time_wait(static_cast<std::uint16_t>(1000 + i), (i % 50 + 1) * kSecond));
  std::vector<const PortSocket*> list;
  for (const PortSocket& s : sockets) list.push_back(&s);
  for (const double rate : {1.0, 7.0, 9.0, 12.0, 40.0, 500.0}) {
    std::optional<double> expected;
    for (double t = 0; t <= 60 && !expected; t += 0.001) {
      double used = rate * t;
      for (const PortSocket& s : sockets)
        used += static_cast<double>(s.expires_ns) / kSecond > t ? 1 : 0;
      if (used >= 600) expected = t;
    }
    const auto found = exhausted_in_s(list, 600, rate, no_reuse(), 0);
    ASSERT_EQ(found.has_value(), expected.has_value()) << rate;
    EXPECT_NEAR(found.value_or(-1), expected.value_or(-1), 0.01) << rate;
  }
}

TEST(Exhaustion, AFullRangeIsExhaustedNow) {
  const PortSocket s = time_wait(1000, kSecond);
  const PortSocket* const one[] = {&s};
  EXPECT_EQ(exhausted_in_s(one, 1, 0, no_reuse(), 0), 0);
}

TEST(PortsWatch, ADestinationsRateIsWhatWasOpenedSinceTheFirstLook) {
  Watch w;
  w.round(kSecond, {});
  std::vector<Event> shown;
  for (std::uint16_t i = 0; i < 20; ++i) {
    const Ends ends{static_cast<std::uint16_t>(40000 + i), 80};
    w.model.event(by(10, ev(100U + i, kSecond + i, kClose, kSynSent, {0, 80})));
    w.model.event(ev(100U + i, kSecond + i + 1, kSynSent, kEstablished, ends));
    shown.push_back(seen(100U + i, 3 * kSecond, kEstablished, ends));
    shown.back().owned.fastreuse = shown.back().owned.fastreuseport = -1;
    shown.back().owned.bind = TCPTRAIL_BIND_BUCKET;
  }
  w.round(3 * kSecond, shown);
  ASSERT_EQ(w.sink.destinations.size(), 1U);
  EXPECT_DOUBLE_EQ(w.sink.destinations[0].rate_per_s.value(), 10.0);
  EXPECT_FALSE(w.sink.destinations[0].exhausted_in_s);
  w.round(20 * kSecond, shown);
  EXPECT_DOUBLE_EQ(w.sink.destinations[0].rate_per_s.value(), 0.0);
}

// 65,536 destinations are followed at a time; the next one is not, but the others go on.
TEST(PortsWatch, AKnownDestinationCountsWhereThereIsNoRoomForAnother) {
  Watch w;
  w.round(kSecond, {});
  const auto open = [&](std::uint64_t cookie, std::uint8_t host, std::uint16_t rport) {
    Event syn = by(10, ev(cookie, kSecond + cookie, kClose, kSynSent, {0, rport}));
    Event ack = ev(cookie, kSecond + cookie, kSynSent, kEstablished, {40'000, rport});
    syn.base.raddr[3] = ack.base.raddr[3] = host;
    w.model.event(syn);
    w.model.event(ack);
  };
  for (std::uint64_t i = 0; i < 65'536; ++i)
    open(1'000 + i, static_cast<std::uint8_t>(i / 1'024),
         static_cast<std::uint16_t>(i % 1'024 + 1));
  for (std::uint64_t i = 0; i < 19; ++i) open(100'000 + i, 0, 80);
  for (std::uint64_t i = 0; i < 19; ++i) open(200'000 + i, 99, 80);
  std::vector<Event> shown;
  for (const std::uint8_t host : {std::uint8_t{0}, std::uint8_t{99}}) {
    shown.push_back(seen(300'000U + host, 3 * kSecond, kEstablished, {40'000, 80}));
    shown.back().base.raddr[3] = host;
    shown.back().owned.fastreuse = shown.back().owned.fastreuseport = -1;
    shown.back().owned.bind = TCPTRAIL_BIND_BUCKET;
  }
  w.round(3 * kSecond, shown);
  ASSERT_EQ(w.sink.destinations.size(), 2U);
  std::vector<double> rates;
  for (const auto& destination : w.sink.destinations) rates.push_back(*destination.rate_per_s);
  std::sort(rates.begin(), rates.end());
  EXPECT_EQ(rates, (std::vector{0.0, 10.0}));
}

TEST(PortsWatch, ARateDoesNotCountTheTimeBeforeTheFirstConnection) {
  Watch w;
  std::vector<Event> shown;
  for (std::uint64_t second = 1; second <= 8; ++second) w.round(second * kSecond, {});
  for (std::uint16_t i = 0; i < 20; ++i) {
    const Ends ends{static_cast<std::uint16_t>(40000 + i), 80};
    w.model.event(by(10, ev(100U + i, 8 * kSecond + i, kClose, kSynSent, {0, 80})));
    w.model.event(ev(100U + i, 8 * kSecond + i + 1, kSynSent, kEstablished, ends));
    shown.push_back(seen(100U + i, 9 * kSecond, kEstablished, ends));
    shown.back().owned.fastreuse = shown.back().owned.fastreuseport = -1;
    shown.back().owned.bind = TCPTRAIL_BIND_BUCKET;
  }
  w.round(9 * kSecond, shown);
  EXPECT_DOUBLE_EQ(w.sink.destinations.at(0).rate_per_s.value(), 20.0);
  w.round(10 * kSecond, shown);
  EXPECT_DOUBLE_EQ(w.sink.destinations.at(0).rate_per_s.value(), 10.0);
}

TEST(PortsWatch, ConnectionsThatStayInCloseWaitAreALeakOfTheirHolder) {
  Watch w;
  w.round(kSecond, {});
  w.model.event(by(10, ev(1, 2 * kSecond, kClose, kSynSent, {0, 80})));
  w.model.event(ev(1, 2 * kSecond, kSynSent, kEstablished));
  w.model.event(ev(1, 3 * kSecond, kEstablished, kCloseWait));
  w.round(4 * kSecond, {seen(1, 4 * kSecond, kCloseWait), held_by(1, 4 * kSecond, 10)});
  EXPECT_TRUE(w.sink.leaks.empty());  // every connection is there for a moment
  w.round(8 * kSecond, {seen(1, 8 * kSecond, kCloseWait), held_by(1, 8 * kSecond, 10)});
  ASSERT_EQ(w.sink.leaks.size(), 1U);
  EXPECT_EQ(w.sink.leaks[0].state, kCloseWait);
  EXPECT_EQ(w.sink.leaks[0].owner.pid, 10U);
  EXPECT_EQ(w.sink.leaks[0].oldest_ns, 5 * kSecond);
  EXPECT_FALSE(w.sink.leaks[0].growth_per_s);
  w.model.event(by(10, ev(2, 9 * kSecond, kClose, kSynSent, {0, 80})));
  w.model.event(ev(2, 9 * kSecond, kSynSent, kEstablished, {40001, 80}));
  w.model.event(ev(2, 9 * kSecond, kEstablished, kCloseWait, {40001, 80}));
  const auto both = [](std::uint64_t at) {
    return std::vector{seen(1, at, kCloseWait), seen(2, at, kCloseWait, {40001, 80}),
                       held_by(1, at, 10), held_by(2, at, 10)};
  };
  w.round(10 * kSecond, both(10 * kSecond));
  EXPECT_EQ(w.sink.leaks.at(0).count, 1U);
  w.round(18 * kSecond, both(18 * kSecond));
  ASSERT_EQ(w.sink.leaks.size(), 1U);
  EXPECT_EQ(w.sink.leaks[0].count, 2U);
  EXPECT_EQ(w.sink.leaks[0].oldest_ns, 15 * kSecond);
  EXPECT_DOUBLE_EQ(w.sink.leaks[0].growth_per_s.value(), 0.1);
}

// No process holds what waits for accept(): the one that listens must accept it, if it is known.
TEST(PortsWatch, CloseWaitInAnAcceptQueueIsForTheListenerToAccept) {
  for (const std::uint64_t listeners : {1U, 2U}) {
    Watch w;
    const auto shown = [&](std::uint64_t at) {
      Event waiting = seen(1, at, kCloseWait, {80, 40000});
      waiting.owned.has_socket = 0;
      std::vector events{waiting, seen(2, at, kCloseWait, {81, 40000}), held_by(2, at, 11)};
      for (std::uint64_t i = 0; i < listeners; ++i) {
        events.push_back(seen(10 + i, at, kListen, {80, 0}));
        events.push_back(held_by(10 + i, at, 20));
      }
      return events;
    };
    w.round(kSecond, shown(kSecond));
    w.round(8 * kSecond, shown(8 * kSecond));
    ASSERT_EQ(w.sink.leaks.size(), 2U);
    const bool first_waits = w.sink.leaks[0].queue;
    const LeakRecord& queue = w.sink.leaks[first_waits ? 0 : 1];
    const LeakRecord& held = w.sink.leaks[first_waits ? 1 : 0];
    EXPECT_TRUE(queue.queue);
    EXPECT_EQ(queue.owner.pid, listeners == 1 ? 20U : 0U);
    EXPECT_NE(queue.remedy.find("must call accept()"), std::string::npos) << queue.remedy;
    EXPECT_FALSE(held.queue);
    EXPECT_EQ(held.owner.pid, 11U);
    EXPECT_NE(held.remedy.find("must close()"), std::string::npos) << held.remedy;
  }
}

TEST(PortsWatch, ATimeWaitIsBlockedByWhoClosedIt) {
  Watch w;
  w.facts.alive[10] = true;
  for (const Event& event :
       {ev(5, kSecond, kListen, kSynRecv, {8080, 50000}),
        ev(5, kSecond + 1, kSynRecv, kEstablished, {8080, 50000}),
        by(10, ev(5, kSecond + 2, kEstablished, kFinWait1, {8080, 50000})),
        ev(5, kSecond + 3, kFinWait1, kFinWait2, {8080, 50000}),
        closing(ev(5, kSecond + 4, kFinWait2, kClose, {8080, 50000}),
                TCPTRAIL_END_DONE | TCPTRAIL_END_DEAD, 0, TCPTRAIL_TW_TIME_WAIT)})
    w.model.event(event);
  Event mini = seen(5, 2 * kSecond, kTimeWait, {8080, 50000});
  mini.owned.tw = TCPTRAIL_TW_TIME_WAIT;
  mini.owned.expires_ms = 59'000;
  w.round(2 * kSecond, {mini});
  ASSERT_EQ(w.sink.ports.size(), 1U);
  ASSERT_EQ(w.sink.ports[0].owners.size(), 1U);
  EXPECT_EQ(w.sink.ports[0].owners[0].process.pid, 10U);
  EXPECT_EQ(w.sink.ports[0].owners[0].alive, true);
}

}  // namespace
}  // namespace tcptrail
