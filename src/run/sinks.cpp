// SPDX-License-Identifier: BSD-2-Clause
#include "run/sinks.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "output/bar_chart.h"
#include "output/csv.h"
#include "output/explain.h"
#include "output/json.h"
#include "output/ports_screen.h"
#include "output/row_limit.h"
#include "output/stats_sink.h"
#include "output/text.h"
#include "util/message.h"

namespace tcptrail {
namespace {

// Of RowLimit. A replay holds nobody up.
std::uint64_t rows_per_second(const Options& options, const OutFile& out,
                              std::uint64_t of_terminals) {
  return out.is_terminal() && options.command != Command::kReplay ? of_terminals : 0;
}

std::unique_ptr<RecordSink> make_explain_sink(const Options& options, OutFile& out,
                                              WallClock& clock) {
  if (options.format == Format::kJson)
    return std::make_unique<ExplainJson>(out, clock,
                                         ExplainJsonOptions{options.local_time, options.labels});
  const bool color =
      use_color(options.color, out.is_terminal(), std::getenv("NO_COLOR"), std::getenv("TERM"));
  const std::uint64_t most = rows_per_second(options, out, RowLimit::kExplanationsOnATerminal);
  return std::make_unique<ExplainText>(
      out, clock, ExplainTextOptions{color, options.local_time, options.labels, print_error, most});
}

std::unique_ptr<RecordSink> make_stats_sink(const Options& options, OutFile& out,
                                            WallClock& clock) {
  if (options.format == Format::kJson)
    return std::make_unique<StatsJson>(out, clock,
                                       StatsJsonOptions{options.interval_ns, options.labels});
  if (options.diagram != Diagram::kNone)
    return std::make_unique<StatsDiagram>(
        out, options.diagram == Diagram::kDot ? DiagramForm::kDot : DiagramForm::kText,
        print_error);
  StatsTextOptions text;
  text.interval_ns = options.interval_ns;
  text.color =
      use_color(options.color, out.is_terminal(), std::getenv("NO_COLOR"), std::getenv("TERM"));
  text.unicode = utf8_locale(std::getenv("LC_ALL"), std::getenv("LC_CTYPE"), std::getenv("LANG"));
  text.local_time = options.local_time;
  text.labels = options.labels;
  text.warn = print_error;
  return std::make_unique<StatsText>(out, clock, text);
}

}  // namespace

void print_error(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

Result<OutFile> open_output(const Options& options) {
  if (options.output.empty()) return OutFile::on_descriptor(STDOUT_FILENO, "standard output");
  return OutFile::open(options.output);
}

Result<void> keep_apart(const OutFile& out, const RecordingTarget& target) {
  for (unsigned number = 0; number <= target.keep; ++number)
    if (const std::string path = part_path(target.path, number); out.is_same_file(path))
      return Error{"the recording and the output are the same file: " + path + " is " + out.name(),
                   "one is a recording, the other what is shown", "name another file with --record",
                   2};
  return {};
}

std::unique_ptr<RecordSink> make_sink(const Options& options, OutFile& out, WallClock& clock) {
  if (view_of(options) == Command::kStats) return make_stats_sink(options, out, clock);
  if (view_of(options) == Command::kExplain) return make_explain_sink(options, out, clock);
  if (view_of(options) == Command::kRecord)
    return std::make_unique<RecordSink>();  // what it keeps goes past the model
  if (options.format == Format::kJson)
    return std::make_unique<JsonSink>(out, clock, JsonOptions{options.events, options.labels});
  const bool is_terminal = out.is_terminal();
  winsize size{};
  if (is_terminal) ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
  const bool color =
      use_color(options.color, is_terminal, std::getenv("NO_COLOR"), std::getenv("TERM"));
  if (view_of(options) == Command::kPorts) {
    PortsScreenOptions screen;
    screen.color = color;
    screen.several_netns = options.filters.netns.size() > 1;
    screen.blocked = options.events.blocked;
    // Only what comes at its own pace can be watched on one screen.
    screen.rows = options.command == Command::kReplay ? 0 : size.ws_row;
    screen.all = !options.filters.lports.empty() || !options.filters.rports.empty();
    screen.warn = print_error;
    return std::make_unique<PortsScreen>(out, clock, std::move(screen));
  }
  TableOptions table;
  table.events = options.events;
  table.life_columns = options.life_columns;
  table.trace_columns = options.trace_columns;
  table.local_time = options.local_time;
  table.timestamps = options.timestamps;
  table.wide = options.wide;
  table.labels = options.labels;
  table.warn = print_error;
  if (options.format == Format::kCsv)
    return std::make_unique<CsvSink>(out, clock, std::move(table));
  table.color = color;
  table.terminal_width = size.ws_col;
  table.rows_per_second = rows_per_second(options, out, RowLimit::kRowsOnATerminal);
  return std::make_unique<TextSink>(out, clock, std::move(table));
}

EventSet counted_events(const Options& options) {
  if (view_of(options) == Command::kExplain) return {.connection = true, .blocked = true};
  return options.events;
}

int output_status(const OutFile& out) {
  if (out.state() != OutFile::State::kFailed && out.state() != OutFile::State::kGaveUp) return 0;
  print_error(error_text(out.failure()));
  return 1;
}

}  // namespace tcptrail
