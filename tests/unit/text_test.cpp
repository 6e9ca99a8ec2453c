// SPDX-License-Identifier: BSD-2-Clause
// The text tables: columns, widths, narrow terminals, colour, loss messages.
#include "output/text.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "memory_output.h"
#include "sample_records.h"
#include "util/escape.h"

namespace tcptrail {
namespace {

using test::MemoryOutput;

constexpr EventSet kLife{.connection = true, .blocked = true};
constexpr EventSet kTrace{.transition = true, .time_wait = true, .blocked = true};

std::vector<std::string> printed(TableOptions options) {
  WallClock clock;
  clock.set_offset(test::kOffset);
  MemoryOutput memory;
  TextSink sink(memory.file(), clock, std::move(options));
  test::send_all(sink);
  return memory.lines();
}

template <class Record>
std::string line_of(const Record& record, TableOptions options) {
  WallClock clock;
  clock.set_offset(test::kOffset);
  MemoryOutput memory;
  TextSink sink(memory.file(), clock, std::move(options));
  sink.on(test::startup());
  sink.on(record);
  return memory.lines().back();
}

TEST(TextSink, LifeIsTheTableOfTheContract) {
  const auto lines = printed({.events = kLife});
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[0],
            "PID     COMM             LADDR           LPORT RADDR           RPORT TX_KB  RX_KB  MS "
            "       CLOSER "
            "HOW        TIMEWAIT");
  EXPECT_EQ(lines[1],
            "12241   echoserver       127.0.0.1       19999 127.0.0.1       63995 0.12   0.12   "
            "8213.44   local  "
            "fin        local 60s");
  EXPECT_EQ(lines[2],
            "14788   ehclient         127.0.0.1       63995 127.0.0.1       19999 0.12   0.12   "
            "8213.40   remote "
            "fin        remote");
}

TEST(TextSink, UnknownIsADashNeverZeroAndIncompleteIsMarked) {
  EXPECT_EQ(line_of(test::nothing_known().record, {.events = kLife}),
            "-       -                0.0.0.0         -     0.0.0.0         -     -      -      -  "
            "       unknown "
            "unknown*   -");
}

TEST(TextSink, LongAddressPushesTheLineAndIsNotCut) {
  EXPECT_EQ(line_of(test::refused_v6().record, {.events = kLife}),
            "77      curl             2001:db8::10    50001 2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa "
            "8443  0.00   0.00   "
            "0.30      none   refused    none");
}

TEST(TextSink, WideGivesAddressesRoom) {
  const auto lines = printed({.events = kLife, .wide = true, .terminal_width = 40});
  EXPECT_NE(lines[0].find("LADDR                                   LPORT RADDR"),
            std::string::npos);
  EXPECT_NE(lines[0].find("TIMEWAIT"), std::string::npos);
}

TEST(TextSink, FinWait2MinisocketIsSaid) {
  test::OwnedConnection c = test::server_closed_first();
  c.record.time_wait.phase = TimeWaitPhase::kFinWait2;
  EXPECT_TRUE(line_of(c.record, {.events = kLife}).ends_with("local fin2"));
  c.record.time_wait = {TimeWaitSide::kBoth, c.record.boot_ns, TimeWaitPhase::kTimeWait,
                        c.record.boot_ns + 60 * test::kSecondNs};
  EXPECT_TRUE(line_of(c.record, {.events = kLife}).ends_with("both 60s"));
}

TEST(TextSink, TraceIsLikeTcpstatesWithTimeWait) {
  const auto lines = printed({.events = kTrace});
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[0],
            "PID     COMM             LADDR           LPORT RADDR           RPORT OLDSTATE    -> "
            "NEWSTATE    MS");
  EXPECT_EQ(lines[1],
            "14788   ehclient         127.0.0.1       -     127.0.0.1       19999 CLOSE       -> "
            "SYN_SENT    -");
  EXPECT_EQ(lines[2],
            "77      curl             2001:db8::10    50000 2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa "
            "443   SYN_SENT    "
            "-> ESTABLISHED 1.23");
  EXPECT_EQ(lines[3],
            "-       -                0.0.0.0         -     0.0.0.0         -     state-17    -> "
            "state-255   -");
  EXPECT_EQ(lines[4],
            "12241   echoserver       127.0.0.1       19999 127.0.0.1       63995 -           -> "
            "TIME_WAIT   -");
  EXPECT_EQ(lines[5],
            "12241   echoserver       127.0.0.1       19999 127.0.0.1       63995 TIME_WAIT   -> "
            "CLOSE       2000.00");
}

TEST(TextSink, BothTablesCanBeAskedFor) {
  const auto lines = printed({.events = {true, true, true, true}});
  EXPECT_TRUE(lines[0].starts_with("PID     COMM") && lines[0].ends_with("TIMEWAIT"));
  EXPECT_TRUE(lines[1].ends_with("MS"));
  EXPECT_EQ(lines.size(), 2U + 4U + 5U);
}

TEST(TextSink, HeaderComesOnceAndAlsoWithoutRecords) {
  WallClock clock;
  MemoryOutput memory;
  TextSink sink(memory.file(), clock, {.events = kLife});
  sink.on(test::startup());
  sink.on(test::startup());
  EXPECT_EQ(memory.lines().size(), 1U);
}

TEST(TextSink, TimeColumnsComeFirst) {
  setenv("TZ", "EST5", 1);
  tzset();
  const auto lines = printed({.events = kLife, .local_time = true, .timestamps = true});
  EXPECT_TRUE(lines[0].starts_with("TIME     TIME(s)      PID ")) << lines[0];
  EXPECT_TRUE(lines[1].starts_with("07:00:09 9.000000     12241 ")) << lines[1];
  unsetenv("TZ");
  tzset();
}

TEST(TextSink, ChosenColumnsAreExactlyThose) {
  TableOptions options{.events = kLife};
  options.life_columns = *parse_columns(Table::kLife, "HOW,PID,ERROR");
  const auto lines = printed(options);
  EXPECT_EQ(lines[0], "HOW        PID     ERROR");
  EXPECT_EQ(lines[3], "refused    77      ECONNREFUSED");
}

TEST(TextSink, LabelsAreTheLastColumn) {
  const auto lines = printed({.events = kLife, .labels = {{"site", "fra1"}, {"x", "\x1b"}}});
  EXPECT_TRUE(lines[0].ends_with("TIMEWAIT   LABELS"));
  EXPECT_TRUE(lines[1].ends_with("local 60s  site=fra1,x=\\x1b"));
}

struct Narrow {
  unsigned width;
  const char* header;
};

TEST(TextSink, NarrowTerminalKeepsTheAnswerAndSaysWhatIsLeftOut) {
  const Narrow cases[] = {
      {121,
       "PID     COMM             LADDR           LPORT RADDR           RPORT TX_KB  RX_KB  MS      "
       "  CLOSER HOW   "
       "     TIMEWAIT"},
      {100,
       "PID     COMM      LADDR           LPORT RADDR           RPORT MS        CLOSER HOW        "
       "TIMEWAIT"},
      {80, "PID     COMM       LADDR           LPORT RADDR           RPORT CLOSER HOW"},
      {20, "PID     COMM     LADDR           LPORT RADDR           RPORT CLOSER HOW"},
  };
  for (const Narrow& c : cases) {
    std::string warnings;
    const auto lines =
        printed({.events = kLife, .terminal_width = c.width, .warn = [&](std::string_view line) {
                   if (line.find("lost") == std::string_view::npos) warnings += line;
                 }});
    EXPECT_EQ(lines[0], c.header) << c.width;
    EXPECT_EQ(warnings.empty(), c.width > 120) << warnings;
    if (c.width == 100) {
      EXPECT_EQ(warnings,
                "tcptrail: note: the terminal is 100 columns wide; not shown: TX_KB RX_KB\n"
                "  fix: a wider terminal, -w for every column, or --columns to choose\n");
    }
  }
}

TEST(TextSink, NarrowTerminalCutsOnlyComm) {
  test::OwnedConnection c = test::server_closed_first();
  const std::string line = line_of(c.record, {.events = kLife, .terminal_width = 78});
  EXPECT_TRUE(line.starts_with("12241   echoser+ 127.0.0.1 ")) << line;
  EXPECT_LE(line.size(), 78U);
}

TEST(TextSink, ColumnsOfTheUserAreNotDropped) {
  TableOptions options{.events = kLife, .terminal_width = 20};
  options.life_columns = default_columns(Table::kLife);
  EXPECT_NE(printed(options)[0].find("TX_KB"), std::string::npos);
}

std::string without_colour(const std::string& line) {
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      i = line.find('m', i);
    } else {
      out += line[i];
    }
  }
  return out;
}

TEST(TextSink, ColourChangesNoWidthAndIsOffByDefault) {
  const auto plain = printed({.events = kLife});
  const auto coloured = printed({.events = kLife, .color = true});
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(plain[i].find('\x1b'), std::string::npos);
    EXPECT_EQ(without_colour(coloured[i]), plain[i]);
  }
  EXPECT_NE(coloured[1].find("\x1b[36mlocal\x1b[0m "), std::string::npos);
  EXPECT_NE(coloured[2].find("\x1b[35mremote\x1b[0m "), std::string::npos);
  EXPECT_NE(coloured[3].find("\x1b[31mrefused\x1b[0m "), std::string::npos);
  EXPECT_NE(coloured[4].find("\x1b[2m-\x1b[0m "), std::string::npos);
}

TEST(TextSink, HostileNameCannotDriveTheTerminalOrBreakTheLine) {
  test::OwnedConnection c = test::server_closed_first();
  c.record.owner.comm = test::comm("\x1b]0;x\x07\n\\\xff");
  WallClock clock;
  MemoryOutput memory;
  TextSink sink(memory.file(), clock, {.events = kLife});
  sink.on(c.record);
  const auto lines = memory.lines();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[1].starts_with("12241   \\x1b]0;x\\x07\\x0a\\\\\\xff 127.0.0.1 ")) << lines[1];
}

TEST(TextSink, WideNameIsPaddedByColumns) {
  test::OwnedConnection c = test::server_closed_first();
  c.record.owner.comm = test::comm("日本");
  EXPECT_TRUE(
      line_of(c.record, {.events = kLife}).starts_with("12241   日本             127.0.0.1"));
}

TEST(TextSink, LossGoesToTheCallbackNotToTheTable) {
  std::string warnings;
  const auto lines =
      printed({.events = kLife, .warn = [&](std::string_view line) { warnings += line; }});
  EXPECT_EQ(lines.size(), 5U);
  EXPECT_EQ(warnings,
            "tcptrail: warning: 10 events were lost; connections with a gap are marked with *\n"
            "  why: 7 because the ring buffer was full, 1 because the program was interrupted on "
            "its CPU, 2 because "
            "the record could not be decoded\n"
            "  fix: a larger --ring-size, a narrower filter, or a faster reader\n");
}

// A stranger who opens connections in a loop must not hold up the reader of a terminal, nor flood
// it.
TEST(TextSink, MoreThanATerminalShowsIsSummedUpInALineASecond) {
  WallClock clock;
  MemoryOutput memory;
  TextSink sink(memory.file(), clock, {.events = kLife, .rows_per_second = 3});
  test::OwnedConnection c = test::server_closed_first();
  const auto at = [&](std::uint64_t ms) {
    c.record.boot_ns = ms * 1'000'000;
    sink.on(c.record);
  };
  for (std::uint64_t ms = 1000; ms < 1010; ++ms) at(ms);
  EXPECT_EQ(sink.next_tick(), 2'000'000'000U);
  sink.tick(1'999'999'999);
  EXPECT_EQ(sink.printed(), 3U);
  sink.tick(2'000'000'000);
  EXPECT_EQ(sink.next_tick(), UINT64_MAX);
  at(2001);
  EXPECT_EQ(sink.printed(), 4U);
  for (std::uint64_t ms = 2002; ms < 2006; ++ms) at(ms);
  sink.on(SummaryRecord{});
  const auto lines = memory.lines();
  ASSERT_EQ(lines.size(), 1U + 3U + 1U + 3U + 1U);
  EXPECT_EQ(lines[4],
            "... 7 more not shown: too many for a terminal (all of them: -o FILE, or | less)");
  EXPECT_EQ(lines[8],
            "... 2 more not shown: too many for a terminal (all of them: -o FILE, or | less)");
}

TEST(LossReporter, SaysOneLineASecondAndTheRestAtTheEnd) {
  std::vector<std::string> said;
  LossReporter reporter(
      [&](std::string_view line) { said.emplace_back(line.substr(0, line.find(';'))); });
  for (std::uint64_t ms = 0; ms <= 1500; ms += 100) {
    LossRecord r;
    r.boot_ns = ms * 1'000'000;
    r.loss.ring = 1;
    reporter.on(r);
  }
  reporter.finish();
  reporter.finish();
  const std::string prefix = "tcptrail: warning: ";
  EXPECT_EQ(said,
            (std::vector<std::string>{prefix + "1 event was lost", prefix + "10 events were lost",
                                      prefix + "5 events were lost"}));
}

TEST(TextSink, WorksWithoutACallback) { EXPECT_EQ(printed({.events = kLife}).size(), 5U); }

}  // namespace
}  // namespace tcptrail
