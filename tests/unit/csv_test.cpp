// SPDX-License-Identifier: BSD-2-Clause
// CSV by RFC 4180.
#include "output/csv.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "memory_output.h"
#include "recordings.h"
#include "sample_records.h"

namespace tcptrail {
namespace {

std::vector<std::string> printed(const TableOptions& options) {
  WallClock clock;
  clock.set_offset(test::kOffset);
  test::MemoryOutput memory;
  CsvSink sink(memory.file(), clock, options);
  test::send_all(sink);
  return memory.lines();
}

template <class Record>
std::string row_of(const Record& record, const TableOptions& options) {
  WallClock clock;
  test::MemoryOutput memory;
  CsvSink sink(memory.file(), clock, options);
  sink.on(record);
  return memory.lines().back();
}

TEST(CsvSink, LinesEndWithCrLfAndTheHeaderIsFirst) {
  const auto lines = printed({.events = {.connection = true}});
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[0],
            "PID,COMM,LADDR,LPORT,RADDR,RPORT,TX_KB,RX_KB,MS,CLOSER,HOW,TIMEWAIT,COMPLETE\r");
  EXPECT_EQ(lines[1],
            "12241,echoserver,127.0.0.1,19999,127.0.0.1,63995,0.1171875,0.1171875,8213.440000,"
            "local,fin,local "
            "60s,true\r");
  EXPECT_EQ(lines[4], ",,0.0.0.0,,0.0.0.0,,,,,unknown,unknown,,false\r");
}

std::string content(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

// SIGHUP: logrotate has renamed the file, or it is still the same.
TEST(CsvSink, EachFileBeginsWithTheHeader) {
  const test::TempDir dir;
  WallClock clock;
  Result<OutFile> out = OutFile::open(dir.file("f"));
  ASSERT_TRUE(out);
  TableOptions options{.events = {.connection = true}};
  options.life_columns = *parse_columns(Table::kLife, "PID");
  CsvSink sink(*out, clock, options);
  const test::OwnedConnection c = test::server_closed_first();
  sink.on(StartupRecord{});
  sink.on(c.record);
  ASSERT_TRUE(out->reopen());
  sink.on(c.record);
  out->flush();
  EXPECT_EQ(content(dir.file("f")), "PID\r\n12241\r\n12241\r\n");
  std::filesystem::rename(dir.file("f"), dir.file("f.1"));
  ASSERT_TRUE(out->reopen());
  sink.on(c.record);
  std::filesystem::rename(dir.file("f"), dir.file("f.2"));
  ASSERT_TRUE(out->reopen());
  sink.on(SummaryRecord{});
  out->flush();
  EXPECT_EQ(content(dir.file("f.2")), "PID\r\n12241\r\n");
  EXPECT_EQ(content(dir.file("f")), "PID\r\n");
}

TEST(CsvSink, TraceHasNoArrowColumn) {
  const auto lines = printed({.events = {.transition = true, .time_wait = true}});
  EXPECT_EQ(lines[0], "PID,COMM,LADDR,LPORT,RADDR,RPORT,OLDSTATE,NEWSTATE,MS\r");
  EXPECT_EQ(lines[2],
            "77,curl,2001:db8::10,50000,2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa,443,SYN_SENT,"
            "ESTABLISHED,1.234567\r");
  EXPECT_EQ(lines[5],
            "12241,echoserver,127.0.0.1,19999,127.0.0.1,63995,TIME_WAIT,CLOSE,2000.000000\r");
}

TEST(CsvSink, CommasAndQuotesAreQuoted) {
  test::OwnedConnection c = test::server_closed_first();
  c.record.owner.comm = test::comm("a,\"b\"");
  TableOptions options{.events = {.connection = true}};
  options.life_columns = *parse_columns(Table::kLife, "COMM,PID");
  EXPECT_EQ(row_of(c.record, options), "\"a,\"\"b\"\"\",12241\r");
  c.record.owner.comm = test::comm(" padded ");
  EXPECT_EQ(row_of(c.record, options), "\" padded \",12241\r");
}

TEST(CsvSink, HostileNameCannotBreakTheLine) {
  test::OwnedConnection c = test::server_closed_first();
  c.record.owner.comm = test::comm("x\r\n\"1,2\xff\x1b");
  TableOptions options{.events = {.connection = true}};
  options.life_columns = *parse_columns(Table::kLife, "COMM");
  EXPECT_EQ(row_of(c.record, options), "\"x\\x0d\\x0a\"\"1,2\\xff\\x1b\"\r");
}

TEST(CsvSink, ChosenColumnsAreExactlyThose) {
  TableOptions options{.events = {.connection = true}};
  options.life_columns = *parse_columns(Table::kLife, "ERROR,TIME_S");
  const auto lines = printed(options);
  EXPECT_EQ(lines[0], "ERROR,TIME_S\r");
  EXPECT_EQ(lines[3], "ECONNREFUSED,10.000000000\r");
}

TEST(CsvSink, AddedColumnsKeepTheMarkOfIncompleteness) {
  TableOptions options{.events = {.connection = true}, .labels = {{"site", "fra1"}}};
  options.life_columns = *parse_columns(Table::kLife, "+UID");
  EXPECT_TRUE(printed(options)[0].ends_with("TIMEWAIT,COMPLETE,UID,LABELS\r"));
}

TEST(CsvSink, OneEmptyFieldIsNotAnEmptyLine) {
  TableOptions options{.events = {.connection = true}};
  options.life_columns = *parse_columns(Table::kLife, "PID");
  EXPECT_EQ(row_of(test::nothing_known().record, options), "\"\"\r");
}

TEST(CsvSink, LossGoesToTheCallback) {
  std::string warnings;
  TableOptions options{.events = {.connection = true},
                       .warn = [&](std::string_view line) { warnings += line; }};
  printed(options);
  EXPECT_NE(warnings.find("10 events were lost"), std::string::npos);
}

}  // namespace
}  // namespace tcptrail
