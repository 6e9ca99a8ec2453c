// SPDX-License-Identifier: BSD-2-Clause
// The three sinks over one stream, byte for byte against tests/golden. When an
// output is meant to change: tools/update_golden BINARY, and read the diff.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "explanation_records.h"
#include "memory_output.h"
#include "output/csv.h"
#include "output/explain.h"
#include "output/json.h"
#include "output/stats_sink.h"
#include "output/text.h"
#include "sample_records.h"
#include "schema_check.h"
#include "stats_records.h"

namespace tcptrail {
namespace {

constexpr EventSet kLife{.connection = true, .blocked = true};
constexpr EventSet kTrace{.transition = true, .time_wait = true, .blocked = true};
constexpr EventSet kAll{true, true, true, true};

void compare(const char* name, const std::string& printed) {
  const std::string path = test::source_dir() + "/tests/golden/" + name;
  if (std::getenv("TCPTRAIL_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << printed;
    return;
  }
  std::ostringstream golden;
  golden << std::ifstream(path, std::ios::binary).rdbuf();
  EXPECT_EQ(printed, golden.str()) << path << "; if this is meant: tools/update_golden";
}

template <class Sink, class Options>
std::string stream(const Options& options) {
  WallClock clock;
  clock.set_offset(test::kOffset);
  test::MemoryOutput memory;
  Sink sink(memory.file(), clock, options);
  test::send_all(sink);
  return memory.text();
}

template <class Sink, class... Args>
std::string minute(Args&&... args) {
  WallClock clock;
  clock.set_offset(test::kOffset);
  test::MemoryOutput memory;
  if constexpr (std::is_constructible_v<Sink, OutFile&, WallClock&, Args...>) {
    Sink sink(memory.file(), clock, args...);
    test::send_minute(sink);
  } else {
    Sink sink(memory.file(), args...);
    test::send_minute(sink);
  }
  return memory.text();
}

template <class Sink, class Options>
std::string story(const Options& options) {
  WallClock clock;
  clock.set_offset(test::kOffset);
  test::MemoryOutput memory;
  Sink sink(memory.file(), clock, options);
  test::send_story(sink);
  return memory.text();
}

// One row of the table, and its cells in text and CSV for each record.
template <class... Records>
void describe(std::string& out, Table table, const Column& column, const Records&... records) {
  WallClock clock;
  clock.set_offset(test::kOffset);
  CellContext context{.clock = &clock, .start_boot_ns = test::kStart, .labels = "k=v"};
  out += std::string(table == Table::kLife ? "life " : "trace ") + std::string(column.name) + " (" +
         std::to_string(column.width) + "): " + std::string(column.help) + '\n';
  const auto show = [&](const auto& record) {
    for (const bool full : {false, true}) {
      context.full = full;
      std::vector<char> cell(cell_room(record, context));
      const char* begin = cell.data();
      const char* end = column.put(cell.data(), record, context);
      out += full ? " [" : "    [";
      out.append(begin, end);
      out += ']';
    }
    out += '\n';
  };
  (show(records), ...);
}

TEST(Golden, EveryColumn) {
  setenv("TZ", "EST5", 1);  // TIME is local
  tzset();
  std::string out;
  for (const Column& column : all_columns(Table::kLife))
    describe(out, Table::kLife, column, test::client_of_it().record, test::refused_v6().record,
             test::nothing_known().record);
  for (const Column& column : all_columns(Table::kTrace))
    describe(out, Table::kTrace, column, test::established_v6(), test::time_wait_entered(),
             test::time_wait_left());
  unsetenv("TZ");
  tzset();
  compare("columns.txt", out);
}

TEST(Golden, LifeText) { compare("life.txt", stream<TextSink>(TableOptions{.events = kLife})); }
TEST(Golden, LifeTextWide) {
  compare("life_wide.txt", stream<TextSink>(TableOptions{.events = kLife, .wide = true}));
}
TEST(Golden, LifeTextNarrow) {
  compare("life_80.txt", stream<TextSink>(TableOptions{.events = kLife, .terminal_width = 80}));
}
TEST(Golden, TraceText) {
  compare("trace.txt", stream<TextSink>(TableOptions{.events = kTrace, .timestamps = true}));
}
TEST(Golden, LifeCsv) { compare("life.csv", stream<CsvSink>(TableOptions{.events = kLife})); }
TEST(Golden, TraceCsv) { compare("trace.csv", stream<CsvSink>(TableOptions{.events = kTrace})); }
TEST(Golden, Json) { compare("stream.jsonl", stream<JsonSink>(JsonOptions{kAll, {}})); }
TEST(Golden, JsonWithLabels) {
  compare("labels.jsonl",
          stream<JsonSink>(JsonOptions{kLife, {{"site", "fra1"}, {"run", "a \"b\""}}}));
}
TEST(Golden, ExplainText) { compare("explain.txt", story<ExplainText>(ExplainTextOptions{})); }
TEST(Golden, ExplainTextInColor) {
  compare("explain_color.txt",
          story<ExplainText>(ExplainTextOptions{.color = true, .labels = {{"site", "fra1"}}}));
}
TEST(Golden, ExplainJson) { compare("explain.jsonl", story<ExplainJson>(ExplainJsonOptions{})); }

TEST(Golden, StatsText) {
  compare("stats.txt", minute<StatsText>(StatsTextOptions{.unicode = true}));
}
TEST(Golden, StatsTextByInterval) {
  compare("stats_interval.txt",
          minute<StatsText>(StatsTextOptions{
              .interval_ns = 30 * test::kSecondNs, .color = true, .labels = {{"site", "fra1"}}}));
}
TEST(Golden, StatsJson) { compare("stats.jsonl", minute<StatsJson>(StatsJsonOptions{})); }
TEST(Golden, StatsJsonByInterval) {
  compare("rollups.jsonl",
          minute<StatsJson>(StatsJsonOptions{30 * test::kSecondNs, {{"site", "fra1"}}}));
}
TEST(Golden, StatsDiagram) {
  compare("diagram.txt", minute<StatsDiagram>(DiagramForm::kText, [](std::string_view) {}));
}
TEST(Golden, StatsDiagramAsDot) {
  compare("diagram.dot", minute<StatsDiagram>(DiagramForm::kDot, [](std::string_view) {}));
}

}  // namespace
}  // namespace tcptrail
