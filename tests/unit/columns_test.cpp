// SPDX-License-Identifier: BSD-2-Clause
// Every column of both tables, and the check of --columns.
#include "output/columns.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "sample_records.h"

namespace tcptrail {
namespace {

template <class Record>
std::map<std::string, std::string> cells(Table table, const Record& record, bool full) {
  WallClock clock;
  clock.set_offset(test::kOffset);
  CellContext context;
  context.clock = &clock;
  context.start_boot_ns = test::kStart;
  context.labels = "k=v";
  context.full = full;
  std::map<std::string, std::string> out;
  std::vector<char> room(cell_room(record, context));
  for (const Column& c : all_columns(table)) {
    const char* end = c.put(room.data(), record, context);
    out[std::string(c.name)] = std::string(static_cast<const char*>(room.data()), end);
  }
  return out;
}

TEST(Columns, NamesAreUniqueAndUpperCase) {
  for (const Table table : {Table::kLife, Table::kTrace}) {
    std::set<std::string_view> names;
    for (const Column& c : all_columns(table)) {
      EXPECT_TRUE(names.insert(c.name).second) << c.name;
      EXPECT_EQ(c.name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"),
                std::string_view::npos)
          << c.name;
      EXPECT_FALSE(c.help.empty()) << c.name;
      EXPECT_LE(c.width, 40) << c.name;  // what a line pads with one copy
      EXPECT_GE(c.width, c.title().size()) << c.name;
      EXPECT_EQ(find_column(table, c.name), &c);
    }
  }
}

TEST(Columns, FirstNineOfLifeAreTcplifes) {
  std::string names;
  for (const Column* column : default_columns(Table::kLife))
    names += std::string(column->name) + " ";
  EXPECT_EQ(names, "PID COMM LADDR LPORT RADDR RPORT TX_KB RX_KB MS CLOSER HOW TIMEWAIT ");
}

TEST(Columns, ListIsExactlyThoseInThatOrderWithoutRegardToCase) {
  const auto ids = parse_columns(Table::kLife, "closer,PID,Rtt_us");
  ASSERT_TRUE(ids);
  EXPECT_EQ(*ids, (Columns{find_column(Table::kLife, "CLOSER"), find_column(Table::kLife, "PID"),
                           find_column(Table::kLife, "RTT_US")}));
}

TEST(Columns, PlusAddsToTheDefault) {
  const auto ids = parse_columns(Table::kTrace, "+UID");
  EXPECT_FALSE(ids);  // transitions do not carry it
  const auto more = parse_columns(Table::kTrace, "+NETNS,PID");
  ASSERT_TRUE(more);
  Columns expected = default_columns(Table::kTrace);
  expected.push_back(find_column(Table::kTrace, "NETNS"));
  EXPECT_EQ(*more, expected);
}

TEST(Columns, UnknownColumnSuggestsAndLists) {
  const auto ids = parse_columns(Table::kLife, "PID,CLOSR");
  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().what, "unknown column CLOSR");
  EXPECT_EQ(ids.error().fix, "did you mean CLOSER?");
  EXPECT_NE(ids.error().why.find("PID COMM LADDR"), std::string::npos);
  EXPECT_EQ(ids.error().exit_code, 2);
}

TEST(Columns, EmptyListIsAnError) {
  EXPECT_FALSE(parse_columns(Table::kLife, ""));
  EXPECT_FALSE(parse_columns(Table::kLife, ",,"));
}

TEST(Columns, HeaderTextIsAcceptedAsName) { EXPECT_TRUE(parse_columns(Table::kLife, "TIME(s)")); }

TEST(Cells, NothingKnownIsDashesInTextAndEmptyInCsv) {
  auto text = cells(Table::kLife, test::nothing_known().record, false);
  auto csv = cells(Table::kLife, test::nothing_known().record, true);
  for (const char* name :
       {"PID",        "COMM",     "LPORT",      "RPORT",       "TX_KB",       "RX_KB",
        "MS",         "TIMEWAIT", "NETNS",      "COOKIE",      "UID",         "CGROUP",
        "CONNECT_MS", "RTT_US",   "MIN_RTT_US", "RETRANS",     "MSS",         "TX_SEGS",
        "RX_SEGS",    "EVIDENCE", "CLOSER_PID", "CLOSER_COMM", "PEER_COOKIE", "SERVICE_PORT",
        "PATH",       "STATES",   "END",        "TIMEWAIT_END"}) {
    EXPECT_EQ(text[name], "-") << name;
    EXPECT_EQ(csv[name], "") << name;
  }
  EXPECT_EQ(text["ERROR"], "errno-9999");
}

TEST(Cells, CsvLosesNoPrecision) {
  test::OwnedConnection c = test::server_closed_first();
  c.record.duration_ns = 1'234'567;
  c.record.counters->tx_bytes = 1025;
  c.record.counters->rx_bytes = 2048;
  auto full = cells(Table::kLife, c.record, true);
  EXPECT_EQ(full["MS"], "1.234567");
  EXPECT_EQ(full["TX_KB"], "1.0009765625");
  EXPECT_EQ(full["RX_KB"], "2");
  EXPECT_EQ(full["TIME"], "2026-08-01T12:00:09.000000000Z");
  EXPECT_EQ(full["TIME_S"], "9.000000000");
  c.record.complete = false;
  EXPECT_EQ(cells(Table::kLife, c.record, true)["HOW"], "fin");
  EXPECT_EQ(cells(Table::kLife, c.record, false)["HOW"], "fin*");
}

TEST(Cells, RoundingCarries) {
  test::OwnedConnection c = test::server_closed_first();
  c.record.duration_ns = 9'999'995'000;
  c.record.counters->tx_bytes = 1023;
  c.record.counters->rx_bytes = 2047;
  auto text = cells(Table::kLife, c.record, false);
  EXPECT_EQ(text["MS"], "10000.00");
  EXPECT_EQ(text["TX_KB"], "1.00");
  EXPECT_EQ(text["RX_KB"], "2.00");
}

TEST(Cells, TimeWaitRowsSayWhyTheyEnd) {
  auto entered = cells(Table::kTrace, test::time_wait_entered(), false);
  EXPECT_EQ(entered["OLDSTATE"], "-");
  EXPECT_EQ(entered["NEWSTATE"], "TIME_WAIT");
  EXPECT_EQ(entered["EXPIRES_MS"], "60000");
  EXPECT_EQ(entered["REASON"], "-");
  auto left = cells(Table::kTrace, test::time_wait_left(), false);
  EXPECT_EQ(left["OLDSTATE"], "TIME_WAIT");
  EXPECT_EQ(left["NEWSTATE"], "CLOSE");
  EXPECT_EQ(left["MS"], "2000.00");
  EXPECT_EQ(left["REASON"], "reused_by_syn");
  TimeWaitRecord fin2 = test::time_wait_left();
  fin2.phase = TimeWaitPhase::kFinWait2;
  EXPECT_EQ(cells(Table::kTrace, fin2, false)["OLDSTATE"], "FIN_WAIT2");
}

// One hostile record in every column: no cell may hold a control character.
TEST(Cells, HostileNamesAreEscapedInEveryColumn) {
  test::OwnedConnection c = test::server_closed_first();
  c.record.owner.comm = c.record.closer_process.comm = test::comm("\x1b[2J\r\n\x9b\\");
  c.record.cgroup = "/a\n\xe2\x80\xa8/b";
  for (const bool full : {false, true}) {
    for (const auto& [name, value] : cells(Table::kLife, c.record, full)) {
      for (const char ch : value) {
        EXPECT_TRUE(static_cast<unsigned char>(ch) >= 0x20 && static_cast<unsigned char>(ch) < 0x7f)
            << name;
      }
    }
  }
}

}  // namespace
}  // namespace tcptrail
