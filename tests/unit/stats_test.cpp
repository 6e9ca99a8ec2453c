// SPDX-License-Identifier: BSD-2-Clause
// What stats adds up: nothing twice, nothing left out, intervals by the stream's time.
#include "stats/stats.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "explanation_records.h"

namespace tcptrail {
namespace {

using enum TcpState;
using test::kSecondNs;
using test::OwnedConnection;

struct Kept {
  std::uint64_t start_s, end_s;
  bool partial;
  std::uint64_t connections, blocked, failed, bad, rest;
  std::size_t groups;
  std::map<std::string, std::uint64_t> by_comm;
};

Kept kept(const StatsInterval& p) {
  Kept k{p.start_ns / kSecondNs,
         p.end_ns / kSecondNs,
         p.partial,
         p.total().connections,
         p.total().blocked,
         p.total().failed,
         p.bad(),
         p.rest(),
         p.groups().size(),
         {}};
  for (const Group* g : p.groups())
    k.by_comm[std::string(g->key.comm.view())] += g->connections + g->blocked;
  return k;
}

struct StatsRun {
  explicit StatsRun(StatsOptions options = {})
      : stats(options, [this](const StatsInterval& p) { periods.push_back(kept(p)); }) {
    StartupRecord startup = test::startup();
    startup.boot_ns = 100 * kSecondNs;
    stats.on(startup);
  }
  void connection(double second, OwnedConnection c = test::its_client()) {
    c.record.boot_ns = static_cast<std::uint64_t>(second * 1e9);
    stats.on(c.record);
  }
  std::vector<Kept> periods;
  Stats stats;
};

TEST(Stats, WholeRunIsOnePeriod) {
  StatsRun run;
  run.connection(101);
  run.connection(250, test::server_closes_first());
  run.stats.on(test::blocked_restart());
  run.stats.tick(300 * kSecondNs);
  EXPECT_EQ(run.stats.next_tick(), UINT64_MAX);
  EXPECT_TRUE(run.periods.empty());
  run.stats.finish(400 * kSecondNs);
  ASSERT_EQ(run.periods.size(), 1U);
  const Kept& p = run.periods[0];
  EXPECT_EQ(p.start_s, 100U);
  EXPECT_EQ(p.end_s, 400U);
  EXPECT_EQ(p.connections, 2U);
  EXPECT_EQ(p.blocked, 2U);  // the record stands for two calls
  EXPECT_EQ(p.groups, 3U);
  EXPECT_FALSE(p.partial);
}

TEST(Stats, EmptyRunIsReportedToo) {
  StatsRun run;
  run.stats.finish(400 * kSecondNs);
  EXPECT_EQ(run.periods.size(), 1U);
}

TEST(Stats, IntervalsAreMultiplesOfTheStreamsTime) {
  StatsRun run({.interval_ns = 60 * kSecondNs});  // begins at 100, so the first ends at 120
  EXPECT_EQ(run.stats.next_tick(), 120 * kSecondNs + Stats::kGraceNs);
  run.connection(110);
  run.connection(119.999);
  run.connection(120);
  EXPECT_TRUE(run.periods.empty());  // an older record may still come
  run.connection(119.9995);
  run.connection(130);
  ASSERT_EQ(run.periods.size(), 1U);
  EXPECT_EQ(run.periods[0].start_s, 60U);
  EXPECT_EQ(run.periods[0].end_s, 120U);
  EXPECT_EQ(run.periods[0].connections, 3U);
  EXPECT_TRUE(run.periods[0].partial);  // it began before the run
  run.stats.finish(200 * kSecondNs);
  ASSERT_EQ(run.periods.size(), 2U);
  EXPECT_EQ(run.periods[1].connections, 2U);
  EXPECT_FALSE(run.periods[1].partial);
}

TEST(Stats, TickFinishesAnIntervalWithoutARecord) {
  StatsRun run({.interval_ns = 10 * kSecondNs});
  run.connection(105);
  run.stats.tick(110 * kSecondNs);
  EXPECT_TRUE(run.periods.empty());
  run.stats.tick(run.stats.next_tick());
  ASSERT_EQ(run.periods.size(), 1U);
  EXPECT_FALSE(run.periods[0].partial);  // 100 is a multiple of 10
  EXPECT_EQ(run.stats.next_tick(), 120 * kSecondNs + Stats::kGraceNs);
}

TEST(Stats, EmptyIntervalsAreSilentAndPassedOverAtOnce) {
  StatsRun run({.interval_ns = kSecondNs});
  run.connection(100.5);
  run.connection(1e10);  // 300 years later
  run.stats.finish(static_cast<std::uint64_t>(1e19));
  ASSERT_EQ(run.periods.size(), 2U);
  EXPECT_EQ(run.periods[1].start_s, 10'000'000'000U);
}

TEST(Stats, LastIntervalEndsWithTheRunAndIsPartial) {
  StatsRun run({.interval_ns = 60 * kSecondNs});
  run.connection(125);
  run.stats.finish(130 * kSecondNs);
  ASSERT_EQ(run.periods.size(), 1U);
  EXPECT_EQ(run.periods[0].end_s, 130U);
  EXPECT_TRUE(run.periods[0].partial);
}

TEST(Stats, RunThatEndsWithinTheGraceTimeFlushesBothIntervals) {
  StatsRun run({.interval_ns = 10 * kSecondNs});
  run.connection(109);
  run.connection(110.05);
  run.stats.finish(110 * kSecondNs + 60'000'000);
  ASSERT_EQ(run.periods.size(), 2U);
  EXPECT_EQ(run.periods[0].connections, 1U);
  EXPECT_FALSE(run.periods[0].partial);
  EXPECT_EQ(run.periods[1].connections, 1U);
  EXPECT_TRUE(run.periods[1].partial);
}

TEST(Stats, RecordThatComesTooLateCountsInTheOpenInterval) {
  StatsRun run({.interval_ns = 10 * kSecondNs});
  run.connection(105);
  run.connection(115);
  run.connection(104);
  run.stats.finish(120 * kSecondNs);
  ASSERT_EQ(run.periods.size(), 2U);
  EXPECT_EQ(run.periods[0].connections, 1U);
  EXPECT_EQ(run.periods[1].connections, 2U);
}

// Whether ticks come or not, and when, makes no difference to what is counted where.
TEST(Stats, TicksDoNotChangeWhatARecordCountsFor) {
  std::mt19937_64 random(5);
  std::vector<double> times;
  for (double t = 100; t < 400; t += static_cast<double>(random() % 1000) / 500) times.push_back(t);
  const auto counts = [&](bool ticks) {
    StatsRun run({.interval_ns = 10 * kSecondNs});
    for (const double t : times) {
      if (ticks) run.stats.tick(static_cast<std::uint64_t>(t * 1e9) - 1000);
      run.connection(t);
      run.connection(t - 0.005);  // a verdict that waited
    }
    run.stats.finish(400 * kSecondNs);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
    for (const Kept& p : run.periods) all.emplace_back(p.start_s, p.connections);
    return all;
  };
  EXPECT_EQ(counts(true), counts(false));
}

TEST(Stats, GroupsBeyondTheLimitAreSummedByHowTheyEnded) {
  StatsRun run({.max_groups = 3});
  for (unsigned i = 0; i < 10; ++i) {
    OwnedConnection c = i % 2 == 0 ? test::its_client() : test::reset(true, Evidence::kUnread);
    c.record.owner.comm = test::comm("app" + std::to_string(i));
    run.connection(101 + i, std::move(c));
  }
  run.stats.finish(200 * kSecondNs);
  const Kept& p = run.periods.at(0);
  EXPECT_EQ(p.connections, 10U);
  EXPECT_EQ(p.rest, 7U);
  EXPECT_EQ(p.groups, 5U);  // and two rests: passive rst-sent, active fin
  EXPECT_EQ(p.by_comm,
            (std::map<std::string, std::uint64_t>{{"app0", 1}, {"app1", 1}, {"app2", 1}, {"", 7}}));
}

TEST(Stats, EveryCombinationBeyondTheLimitFindsRoom) {
  StatsInterval period(1);
  for (int role = 0; role < 3; ++role) {
    for (int closer = 0; closer < 5; ++closer) {
      for (int how = 0; how < 10; ++how) {
        for (int comm = 0; comm < 2; ++comm) {
          OwnedConnection c = test::its_client();
          c.record.role = static_cast<Role>(role);
          c.record.closer = static_cast<Closer>(closer);
          c.record.how = static_cast<How>(how);
          c.record.owner.comm = test::comm("x" + std::to_string(comm));
          period.add(c.record);
        }
      }
    }
  }
  std::uint64_t sum = 0;
  for (const Group* g : period.groups()) sum += g->connections;
  EXPECT_EQ(sum, 300U);
  EXPECT_EQ(period.groups().size(), 151U);
}

TEST(Stats, ClearedPeriodIsAsNew) {
  StatsInterval period;
  period.add(test::server_closes_first().record);
  period.add(test::blocked_restart());
  period.add(test::time_wait_left());
  EXPECT_FALSE(period.empty());
  period.clear();
  EXPECT_TRUE(period.empty());
  EXPECT_EQ(period.pages().in_use(), 0U);
  EXPECT_EQ(period.total().connections, 0U);
  EXPECT_EQ(period.state(kEstablished).count(), 0U);
  EXPECT_EQ(period.edge(kSynRecv, kEstablished), 0U);
  EXPECT_EQ(period.talkers().size(), 0U);
}

TEST(Stats, GroupIsNameServiceRoleCloserEndingAndError) {
  StatsInterval period;
  OwnedConnection c = test::its_client();
  period.add(c.record);
  c.record.owner.pid = 999;             // another process of that name
  c.record.owner.comm.bytes[10] = 'x';  // behind the NUL
  c.record.tuple.lport = 1234;
  period.add(c.record);
  EXPECT_EQ(period.groups().size(), 1U);
  c.record.service_port = 81;
  period.add(c.record);
  c.record.error = 1;
  period.add(c.record);
  c.record.how = How::kTimeout;
  period.add(c.record);
  c.record.closer = Closer::kNone;
  period.add(c.record);
  c.record.role = Role::kUnknown;
  period.add(c.record);
  c.record.owner.pid = 0;  // then the name means nothing
  period.add(c.record);
  EXPECT_EQ(period.groups().size(), 7U);
  EXPECT_EQ(period.groups()[0]->connections, 2U);
}

TEST(Stats, SumsAreThoseOfTheRecords) {
  StatsInterval period;
  OwnedConnection c = test::server_closes_first();
  c.record.counters->retransmits = 2;
  period.add(c.record);
  period.add(c.record);
  const OwnedConnection refused = test::not_connected(How::kRefused, ECONNREFUSED, Evidence::kNone);
  period.add(refused.record);
  c.record.counters.reset();
  c.record.duration_ns.reset();
  c.record.complete = false;
  period.add(c.record);
  const Group& g = *period.groups()[0];
  EXPECT_EQ(g.connections, 3U);
  EXPECT_EQ(g.tx_bytes, 240U);
  EXPECT_EQ(g.rx_bytes, 240U);
  EXPECT_EQ(g.retransmits, 4U);
  EXPECT_EQ(g.time_wait, 3U);
  EXPECT_EQ(g.incomplete, 1U);
  EXPECT_EQ(g.failed, 0U);
  EXPECT_EQ(g.duration.count(), 2U);
  EXPECT_EQ(g.duration.quantile(period.pages(), 0.5), c.record.boot_ns - c.record.start);
  EXPECT_EQ(period.total().failed, 1U);
  EXPECT_EQ(period.bad(), 1U);
  EXPECT_EQ(period.total().connections, 4U);
}

TEST(Stats, TimeInStatesAndWaysThroughTheDiagramAreCounted) {
  StatsInterval period;
  for (int i = 0; i < 3; ++i) period.add(test::server_closes_first().record);
  period.add(test::its_client().record);
  EXPECT_EQ(period.state(kEstablished).count(), 4U);
  EXPECT_NEAR(static_cast<double>(*period.state(kEstablished).quantile(0.5)), 8.213e9,
              0.03 * 8.213e9);
  EXPECT_EQ(period.edge(kListen, kSynRecv), 3U);
  EXPECT_EQ(period.edge(kFinWait2, kTimeWait), 3U);
  EXPECT_EQ(period.edge(kLastAck, kClose), 1U);
  EXPECT_EQ(period.edge(kEstablished, kClose), 0U);
}

TEST(Stats, StatesThatNobodyKnowsDoNoHarm) {
  StatsInterval period;
  OwnedConnection c =
      test::ended(false, {{static_cast<TcpState>(200), 1}, {static_cast<TcpState>(17), 1}});
  period.add(c.record);
  EXPECT_EQ(period.total().connections, 1U);
}

// ---- TIME_WAIT over time ----

TEST(TimeWaitSeries, HoldsEachUntilItsTimerEnds) {
  TimeWaitSeries series(0);
  series.enter(1, 60);
  series.enter(5, 60);
  series.enter(5, 4);
  EXPECT_EQ(series.held(), 3U);
  series.advance(9);
  EXPECT_EQ(series.held(), 2U);
  series.advance(60);
  EXPECT_EQ(series.held(), 2U);
  series.advance(61);
  EXPECT_EQ(series.held(), 1U);
  series.advance(100'000);
  EXPECT_EQ(series.held(), 0U);
  EXPECT_EQ(series.peak(), 3U);
  EXPECT_EQ(series.entered(), 3U);
}

TEST(TimeWaitSeries, LeavingEarlyIsCountedOnce) {
  TimeWaitSeries series(0);
  series.enter(10, 60);
  series.leave_early(12, 2, 60);
  EXPECT_EQ(series.held(), 0U);
  series.leave_early(12, 2, 60);   // nobody is left
  series.leave_early(12, 70, 60);  // was due before
  series.advance(200);
  EXPECT_EQ(series.held(), 0U);
}

TEST(TimeWaitSeries, ColumnsShowTheHighestAndGrowWiderWithTime) {
  TimeWaitSeries series(0);
  series.enter(3, 60);
  series.enter(3, 60);
  series.advance(10);
  EXPECT_EQ(series.column_seconds(), 1U);
  EXPECT_EQ(series.columns()[2], 0U);
  EXPECT_EQ(series.columns()[3], 2U);
  EXPECT_EQ(series.columns()[10], 2U);
  series.advance(1000);
  EXPECT_EQ(series.column_seconds(), 32U);
  EXPECT_EQ(series.columns()[0], 2U);
  EXPECT_EQ(series.columns()[1], 2U);  // until 63
  EXPECT_EQ(series.columns()[2], 0U);
  series.advance(UINT64_MAX / 4);  // a damaged time ends, too
}

TEST(Stats, TimeWaitsAreHeldByService) {
  StatsRun run;
  for (int i = 0; i < 5; ++i) {
    OwnedConnection c = test::server_closes_first();
    c.record.boot_ns = 101 * kSecondNs;
    c.record.time_wait.expected_end = 161 * kSecondNs;
    run.stats.on(c.record);
  }
  TimeWaitRecord leave = test::time_wait_left();
  leave.boot_ns = 103 * kSecondNs;
  leave.owner = test::nginx();
  leave.tuple = test::tuple_v4(8080, 40000);
  run.stats.on(leave);
  const auto services = run.stats.services(104 * kSecondNs);
  ASSERT_EQ(services.size(), 1U);
  EXPECT_EQ(services[0]->comm.view(), "nginx");
  EXPECT_EQ(services[0]->port, 8080);
  EXPECT_EQ(services[0]->time_wait.entered(), 5U);
  EXPECT_EQ(services[0]->time_wait.held(), 4U);
  EXPECT_EQ(services[0]->time_wait.peak(), 5U);
  EXPECT_EQ(run.stats.services(170 * kSecondNs)[0]->time_wait.held(), 0U);
}

TEST(Stats, ServicesBeyondTheLimitAreOne) {
  StatsRun run;
  OwnedConnection c = test::server_closes_first();
  for (unsigned i = 0; i < Stats::kMaxServices + 50; ++i) {
    c.record.service_port = static_cast<std::uint16_t>(i + 1);
    run.stats.on(c.record);
  }
  const auto services = run.stats.services(test::kStart);
  EXPECT_EQ(services.size(), Stats::kMaxServices + 1);
  EXPECT_TRUE(services[0]->rest);
  EXPECT_EQ(services[0]->time_wait.entered(), 50U);
}

// ---- top talkers ----

TEST(Talkers, AddUpByAddressHeaviestFirst) {
  Talkers talkers;
  const Tuple v4 = test::tuple_v4(1, 2);
  const Tuple v6 = test::tuple_v6(1, 2);
  talkers.add(v4.raddr, Family::kIpv4, 100, 1);
  talkers.add(v6.raddr, Family::kIpv6, 1000, 0);
  talkers.add(v4.raddr, Family::kIpv4, 0, 10);
  const auto top = talkers.top(10);
  ASSERT_EQ(top.size(), 2U);
  EXPECT_EQ(top[0].family, Family::kIpv6);
  EXPECT_EQ(top[1].tx_bytes, 100U);
  EXPECT_EQ(top[1].rx_bytes, 11U);
  EXPECT_EQ(top[1].connections, 2U);
  EXPECT_FALSE(talkers.lossy());
}

TEST(Talkers, HeavyOnesSurviveAFlood) {
  Talkers talkers(100);
  const auto address = [](unsigned n) {
    Address a;
    a.bytes = {10, static_cast<std::uint8_t>(n >> 16), static_cast<std::uint8_t>(n >> 8),
               static_cast<std::uint8_t>(n)};
    return a;
  };
  for (unsigned i = 0; i < 50'000; ++i) {
    talkers.add(address(100 + i), Family::kIpv4, 1, 1);
    if (i % 10 == 0) talkers.add(address(1), Family::kIpv4, 1000, 0);
    if (i % 10 == 5) talkers.add(address(2), Family::kIpv4, 0, 500);
  }
  const auto top = talkers.top(2);
  EXPECT_EQ(top[0].address, address(1));
  EXPECT_EQ(top[0].tx_bytes, 5'000'000U);
  EXPECT_EQ(top[1].rx_bytes, 2'500'000U);
  EXPECT_TRUE(talkers.lossy());
  EXPECT_LE(talkers.size(), 100U);
  talkers.clear();
  EXPECT_FALSE(talkers.lossy());
  EXPECT_TRUE(talkers.top(1).empty());
}

}  // namespace
}  // namespace tcptrail
