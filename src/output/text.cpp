// SPDX-License-Identifier: BSD-2-Clause
// The text tables, see text.h. A value that is longer than its column pushes the
// rest of its line and is never cut, but for COMM on a narrow terminal.
#include "output/text.h"
#include "output/ansi.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "output/fast_format.h"
#include "output/ports_text.h"
#include "util/display_width.h"
#include "util/message.h"

namespace tcptrail {
namespace {

constexpr unsigned kWideAddress = 39;  // ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
constexpr unsigned kLeastComm = 8;
constexpr std::size_t kPaint = 16;  // colour on and off

// One copy of a fixed size is cheaper than filling as many as are needed.
constexpr std::size_t kWidest = 40;  // no column is wider
constexpr std::array<char, kWidest + 1> kSpaces = [] {
  std::array<char, kWidest + 1> spaces{};
  spaces.fill(' ');
  return spaces;
}();

std::string_view color_of(const Column& column, std::string_view cell) {
  if (cell == "-" || cell == "unknown") return ansi::kDim;
  return column.color != nullptr ? column.color(cell) : std::string_view{};
}

std::size_t shown_width(const char* cell, const char* end, const Column& column) {
  const std::string_view text(cell, static_cast<std::size_t>(end - cell));
  return column.foreign ? display_width(text) : text.size();
}

// Keeps what fits before the last column and marks the cut with +, as ps does.
char* cut_cell(char* cell, char* end, std::size_t width) {
  char* p = cell + fitting({cell, static_cast<std::size_t>(end - cell)}, width - 1).size();
  *p++ = '+';
  return p;
}

template <class Layout>
unsigned line_width(const Layout& layout) {
  unsigned width = 0;
  for (const auto& slot : layout) width += slot.width + 1;
  return width == 0 ? 0 : width - 1;
}

}  // namespace

Columns chosen_columns(Table table, const TableOptions& options) {
  Columns columns = table == Table::kLife ? options.life_columns : options.trace_columns;
  if (columns.empty()) columns = default_columns(table);
  const auto add = [&](bool asked, std::string_view name, bool first) {
    const Column* column = find_column(table, name);
    if (!asked || std::find(columns.begin(), columns.end(), column) != columns.end()) return;
    columns.insert(first ? columns.begin() : columns.end(), column);
  };
  add(options.timestamps, "TIME_S", true);
  add(options.local_time, "TIME", true);
  add(!options.labels.empty(), "LABELS", false);
  return columns;
}

TextSink::TextSink(OutFile& out, WallClock& clock, TableOptions options)
    : out_(out),
      options_(std::move(options)),
      labels_(labels_cell(options_.labels)),
      loss_(options_.warn),
      limit_(options_.rows_per_second) {
  context_.clock = &clock;
  context_.labels = labels_;
  if (options_.events.connection) life_ = lay_out(Table::kLife);
  if (options_.events.transition || options_.events.time_wait) trace_ = lay_out(Table::kTrace);
}

TextSink::Layout TextSink::lay_out(Table table) {
  Layout layout;
  for (const Column* column : chosen_columns(table, options_)) {
    if (column->name == "NEWSTATE" && !layout.empty() && layout.back().column->name == "OLDSTATE")
      layout.push_back({&arrow_column(), arrow_column().width, false});
    const bool widened = options_.wide && column->fit == Fit::kAddress;
    layout.push_back({column, widened ? kWideAddress : column->width, false});
  }
  const bool by_user =
      !(table == Table::kLife ? options_.life_columns : options_.trace_columns).empty();
  if (options_.terminal_width != 0 && !options_.wide && !by_user) fit(layout);
  return layout;
}

// A line that wraps is not a table any more. COMM gives way first; then whole
// columns go, those that can be looked up elsewhere first. What was left out is
// said once on stderr.
void TextSink::fit(Layout& layout) {
  std::string dropped;
  for (;;) {
    const unsigned width = line_width(layout);
    if (width <= options_.terminal_width) break;
    const auto comm = std::find_if(layout.begin(), layout.end(),
                                   [](const Slot& s) { return s.column->fit == Fit::kGivesWay; });
    const unsigned excess = width - options_.terminal_width;
    if (comm != layout.end() && comm->width >= kLeastComm + excess) {
      comm->width -= excess;
      comm->cut = true;
      break;
    }
    unsigned lowest = 0;
    auto victim = layout.end();
    for (auto slot = layout.begin(); slot != layout.end(); ++slot) {
      const unsigned drop = slot->column->drop;
      if (drop != 0 && (lowest == 0 || drop <= lowest)) {  // of equals the right one
        lowest = drop;
        victim = slot;
      }
    }
    if (victim == layout.end()) {
      if (comm != layout.end()) {
        comm->width = kLeastComm;
        comm->cut = true;
      }
      break;
    }
    if (!dropped.empty()) dropped.insert(0, " ");
    dropped.insert(0, victim->column->title());
    layout.erase(victim);
  }
  if (dropped.empty()) return;
  note_ += message_text("note",
                        {.what = "the terminal is " + std::to_string(options_.terminal_width) +
                                 " columns wide; not shown: " + dropped,
                         .fix = "a wider terminal, -w for every column, or --columns to choose"});
}

void TextSink::put_headers() {
  if (header_of_ == out_.files_begun()) return;
  if (header_of_ == 0 && !note_.empty() && options_.warn) options_.warn(note_);
  header_of_ = out_.files_begun();
  if (!life_.empty()) put_header(life_);
  if (!trace_.empty()) put_header(trace_);
}

void TextSink::put_header(const Layout& layout) {
  char* p = out_.reserve(line_width(layout) + 32 * layout.size());
  for (const Slot& slot : layout) {
    char* const cell = p;
    p = put::text(p, slot.column->title());
    if (&slot == &layout.back()) break;
    while (p - cell < static_cast<std::ptrdiff_t>(slot.width)) *p++ = ' ';
    *p++ = ' ';
  }
  *p++ = '\n';
  out_.commit(p);
}

char* TextSink::paint(char* cell, char* end, const Column& column) const {
  const auto size = static_cast<std::size_t>(end - cell);
  const std::string_view color = color_of(column, {cell, size});
  if (color.empty()) return end;
  std::memmove(cell + color.size(), cell, size);
  std::memcpy(cell, color.data(), color.size());
  return put::text(cell + color.size() + size, ansi::kReset);
}

template <class Record>
void TextSink::put_line(const Layout& layout, const Record& record) {
  put_headers();
  const std::size_t room =
      (cell_room(record, context_) + kSpaces.size() + kPaint) * (layout.size() + 1);
  char* p = out_.reserve(room);
  for (const Slot& slot : layout) {
    char* const cell = p;
    p = slot.column->put(p, record, context_);
    std::size_t shown = shown_width(cell, p, *slot.column);
    if (slot.cut && shown > slot.width) {
      p = cut_cell(cell, p, slot.width);
      shown = shown_width(cell, p, *slot.column);
    }
    if (options_.color) p = paint(cell, p, *slot.column);
    if (&slot == &layout.back()) break;
    std::memcpy(p, kSpaces.data(), kSpaces.size());
    p += shown < slot.width ? slot.width - shown + 1 : 1;
  }
  *p++ = '\n';
  out_.commit(p);
  ++printed_;
}

void TextSink::on(const StartupRecord& record) {
  context_.start_boot_ns = record.boot_ns;
  put_headers();
}

void TextSink::on(const TransitionRecord& record) {
  if (options_.events.transition && admit(record.boot_ns)) put_line(trace_, record);
}

void TextSink::on(const ConnectionRecord& record) {
  if (options_.events.connection && admit(record.boot_ns)) put_line(life_, record);
}

void TextSink::on(const TimeWaitRecord& record) {
  if (options_.events.time_wait && admit(record.boot_ns)) put_line(trace_, record);
}

// Not a row of the table: it says what, who, what is in the way, and what would help.
void TextSink::on(const BlockedRecord& record) {
  if (!options_.events.blocked || !admit(record.boot_ns)) return;
  put_headers();
  std::string text;
  for (const std::string& line : blocked_lines(record)) text += line + '\n';
  out_.write(text);
  ++printed_;
}

void TextSink::on(const LossRecord& record) { loss_.on(record); }

void TextSink::on(const SummaryRecord&) {
  put_headers();  // a file without rows, after SIGHUP, has them too
  if (limit_.pending()) put_left_out();
  loss_.finish();
}

void TextSink::tick(std::uint64_t boot_ns) {
  if (limit_.due(boot_ns)) put_left_out();
}

bool TextSink::admit(std::uint64_t boot_ns) {
  tick(boot_ns);
  return limit_.admits(boot_ns);
}

void TextSink::put_left_out() { out_.write(limit_.take()); }

}  // namespace tcptrail
