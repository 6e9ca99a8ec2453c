// SPDX-License-Identifier: BSD-2-Clause
// The forms of `stats`: what fits on a line, that sums of the rollups are the whole,
// and the diagram.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "memory_output.h"
#include "output/bar_chart.h"
#include "output/stats_sink.h"
#include "output/wrap.h"
#include "schema_check.h"
#include "stats_records.h"
#include "util/display_width.h"

namespace tcptrail {
namespace {

using nlohmann::json;

template <class Sink, class Options, class Send>
std::vector<std::string> lines_of(const Options& options, Send&& send,
                                  std::size_t max_groups = kMaxGroups) {
  WallClock clock;
  clock.set_offset(test::kOffset);
  test::MemoryOutput memory;
  Sink sink(memory.file(), clock, options, max_groups);
  send(sink);
  return memory.lines();
}

// Names as long as they get, counts as large.
template <class Sink>
void send_extremes(Sink& sink) {
  sink.on(test::startup());
  for (unsigned i = 0; i < 200; ++i) {
    test::OwnedConnection c = i % 2 == 0
                                  ? test::server_closes_first()
                                  : test::not_connected(How::kUnreachable, 9999, Evidence::kNone);
    c.record.owner.comm = test::comm(std::string(14, '\x1b') + static_cast<char>('a' + i % 26));
    c.record.service_port = static_cast<std::uint16_t>(65535 - i);
    c.record.tuple = test::tuple_v6(1, 2);
    c.record.tuple.raddr.bytes[15] = static_cast<std::uint8_t>(i);
    c.record.counters->tx_bytes = UINT64_MAX / 400;
    c.record.duration_ns = UINT64_MAX;
    c.record.complete = false;
    sink.on(c.record);
    BlockedRecord blocked = test::blocked_restart();
    blocked.caller = c.record.owner;
    blocked.count = UINT64_MAX / 400;
    blocked.error = static_cast<std::uint16_t>(i % 2 == 0 ? EADDRINUSE : 9999);
    sink.on(blocked);
  }
  sink.on(test::summary());
}

TEST(StatsText, NoLineIsLongerThanAHundredColumnsAndNoneHoldsAControl) {
  for (const bool unicode : {false, true}) {
    for (const std::size_t groups : {std::size_t{3}, kMaxGroups}) {
      const auto lines = lines_of<StatsText>(
          StatsTextOptions{.unicode = unicode}, [](StatsText& sink) { send_extremes(sink); },
          groups);
      EXPECT_GT(lines.size(), 20U);
      for (const std::string& line : lines) {
        ASSERT_LE(display_width(line), kTextWidth) << line;
        ASSERT_EQ(std::count_if(line.begin(), line.end(),
                                [](char c) { return static_cast<unsigned char>(c) < ' '; }),
                  0)
            << line;
        ASSERT_TRUE(unicode ||
                    std::all_of(line.begin(), line.end(),
                                [](char c) { return static_cast<unsigned char>(c) < 128; }))
            << line;
      }
    }
  }
}

TEST(StatsText, RestIsSaid) {
  std::string all;
  for (const std::string& line : lines_of<StatsText>(
           StatsTextOptions{}, [](StatsText& sink) { send_extremes(sink); }, 3))
    all += line + '\n';
  EXPECT_NE(all.find(" records are summed as (all others)"), std::string::npos) << all;
}

TEST(StatsText, LongNameLeavesThePortVisible) {
  std::string all;
  for (const std::string& line :
       lines_of<StatsText>(StatsTextOptions{}, [](StatsText& sink) { send_extremes(sink); }))
    all += line + '\n';
  EXPECT_NE(all.find("+:65535 "), std::string::npos) << all;
}

TEST(StatsText, EmptyRunIsOneSentence) {
  const auto lines = lines_of<StatsText>(StatsTextOptions{}, [](StatsText& sink) {
    sink.on(test::startup());
    sink.on(test::summary());
  });
  EXPECT_EQ(lines,
            std::vector<std::string>{"2026-08-01 12:00:00Z to 12:00:13Z: 0 connections ended."});
}

TEST(StatsJson, RollupsAddUpToTheirPeriodAndPeriodsToTheRun) {
  const test::SchemaCheck schema(json::parse(test::schema_text()));
  for (const std::uint64_t interval : {std::uint64_t{0}, 10 * test::kSecondNs}) {
    for (const std::size_t groups : {std::size_t{1}, kMaxGroups}) {
      std::map<std::string, std::uint64_t> rollups;
      std::map<std::string, std::uint64_t> periods;
      std::uint64_t open = 0;
      for (const std::string& line : lines_of<StatsJson>(
               StatsJsonOptions{interval, {}}, [](StatsJson& sink) { test::send_minute(sink); },
               groups)) {
        const json record = json::parse(line);
        ASSERT_EQ(schema.check(record), "") << line;
        if (record["type"] == "rollup") open += record["connections"].get<std::uint64_t>();
        if (record["type"] == "period") {
          EXPECT_EQ(record["connections"], open) << "a period follows its rollups";
          open = 0;
        }
        auto& sums = record["type"] == "rollup" ? rollups : periods;
        if (record["type"] != "rollup" && record["type"] != "period") continue;
        for (const char* key : {"connections", "tx_bytes", "rx_bytes", "retransmits", "failed",
                                "incomplete", "blocked"})
          sums[key] += record[key].get<std::uint64_t>();
        for (const char* key : {"local", "fin_wait2"})
          sums[key] += record["time_wait"][key].get<std::uint64_t>();
      }
      EXPECT_EQ(rollups, periods);
      EXPECT_EQ(rollups["connections"], 232U);
      EXPECT_EQ(rollups["failed"], 5U);
      EXPECT_EQ(rollups["blocked"], 2U);
      EXPECT_EQ(rollups["local"], 201U);
    }
  }
}

TEST(StatsJson, IntervalIsWrittenWhenItsTimeHasComeWithoutARecord) {
  WallClock clock;
  test::MemoryOutput memory;
  StatsJson sink(memory.file(), clock, {10 * test::kSecondNs, {}});
  RecordSink& base = sink;
  base.on(test::startup());
  EXPECT_EQ(base.next_tick(), 110 * test::kSecondNs + Stats::kGraceNs);
  base.on(test::server_closes_first().record);  // at 108 s
  base.tick(base.next_tick());
  const auto lines = memory.lines();
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(json::parse(lines[1])["boot_ns"], 110 * test::kSecondNs);
  EXPECT_EQ(json::parse(lines[1])["covered_s"], 10);
}

TEST(Diagram, EveryCountIsBesideItsArrowOrListed) {
  StatsInterval period;
  using enum TcpState;
  const auto path = [&](std::vector<TcpState> states, unsigned times) {
    ConnectionRecord r;
    r.path = states;
    for (unsigned i = 0; i < times; ++i) period.add(r);
  };
  path({kClose, kSynSent, kEstablished, kFinWait1, kFinWait2, kTimeWait}, 1001);
  path({kListen, kSynRecv, kEstablished, kCloseWait, kLastAck, kClose}, 1002);
  path({kClose, kSynSent, kClose}, 103);
  path({kListen, kSynRecv, kFinWait1, kClosing, kTimeWait}, 104);
  path({kClose, kSynSent, kSynRecv, kEstablished, kClose}, 105);
  path({kEstablished, kFinWait2, kClose}, 106);  // a gap
  const std::string text = diagram_text(period);
  for (const char* part :
       {"1,209 ", "1,106 ", "<---------------|  SYN_SENT", " 104 ",
        "ESTABLISHED -> FIN_WAIT2            106  events between them were lost", " 105\n"})
    EXPECT_NE(text.find(part), std::string::npos) << part << '\n' << text;
  for (const std::string& line : test::MemoryOutput::split(text))
    EXPECT_LE(display_width(line), kTextWidth) << line;
  const std::string dot = diagram_dot(period);
  EXPECT_NE(dot.find("\"LAST_ACK\" -> \"CLOSE\" [label=\"1002\""), std::string::npos) << dot;
  EXPECT_NE(dot.find("style=dashed"), std::string::npos);
  EXPECT_TRUE(dot.ends_with("}\n"));
}

TEST(Blocks, WhatIsNotZeroIsVisible) {
  const std::vector<double> values = {0, 1, 500, 1000};
  EXPECT_EQ(spark_line(values, false), " .=@");
  EXPECT_EQ(spark_line(values, true), " ▁▄█");
  EXPECT_EQ(spark_line(std::vector<double>{0, 0}, true), "  ");
  EXPECT_EQ(bar_text(0, 10, 10, false), "");
  EXPECT_EQ(bar_text(0.001, 10, 10, false), "#");
  EXPECT_EQ(bar_text(10, 10, 10, false), "##########");
  EXPECT_EQ(bar_text(10, 10, 3, true), "███");
  EXPECT_EQ(bar_text(5, 10, 3, true), "█▌");
}

TEST(Blocks, FirstLocaleVariableThatIsSetDecides) {
  EXPECT_TRUE(utf8_locale(nullptr, nullptr, "en_US.UTF-8"));
  EXPECT_TRUE(utf8_locale("", "C.utf8", nullptr));
  EXPECT_TRUE(utf8_locale(nullptr, nullptr, "de_DE.UTF-8@euro"));
  EXPECT_FALSE(utf8_locale("C", nullptr, "en_US.UTF-8"));
  EXPECT_FALSE(utf8_locale("POSIX", "C.UTF-8", nullptr));
  EXPECT_FALSE(utf8_locale(nullptr, nullptr, nullptr));
}

}  // namespace
}  // namespace tcptrail
