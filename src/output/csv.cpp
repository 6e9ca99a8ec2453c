// SPDX-License-Identifier: BSD-2-Clause
// The CSV sink, see csv.h. Cells are those of the text tables in full precision.
#include "output/csv.h"

#include <algorithm>
#include <string_view>

#include "output/fast_format.h"

namespace tcptrail {
namespace {

// Escaped names hold no line break, so that two characters are left of RFC 4180's
// four. A leading or trailing space is quoted because many readers trim it.
bool needs_quotes(std::string_view cell) {
  if (cell.empty()) return false;
  const bool special =
      std::any_of(cell.begin(), cell.end(), [](char c) { return c == ',' || c == '"'; });
  return special || cell.front() == ' ' || cell.back() == ' ';
}

char* put_field(char* out, std::string_view cell) {
  if (!needs_quotes(cell)) return put::text(out, cell);
  *out++ = '"';
  for (const char c : cell) {
    if (c == '"') *out++ = '"';
    *out++ = c;
  }
  *out++ = '"';
  return out;
}

}  // namespace

CsvSink::CsvSink(OutFile& out, WallClock& clock, const TableOptions& options)
    : out_(out),
      events_(options.events),
      labels_(labels_cell(options.labels)),
      table_(options.events.connection ? Table::kLife : Table::kTrace),
      columns_(chosen_columns(table_, options)),
      loss_(options.warn) {
  context_.clock = &clock;
  context_.labels = labels_;
  context_.full = true;
  // Text marks an incomplete connection behind HOW; here it is a column of its
  // own, unless the user listed exactly what is to be there.
  const Columns defaults = default_columns(table_);
  const auto first =
      std::search(columns_.begin(), columns_.end(), defaults.begin(), defaults.end());
  const Column* complete = find_column(table_, "COMPLETE");
  const bool has = std::find(columns_.begin(), columns_.end(), complete) != columns_.end();
  if (table_ == Table::kLife && first != columns_.end() && !has)
    columns_.insert(first + static_cast<std::ptrdiff_t>(defaults.size()), complete);
}

void CsvSink::put_header() {
  if (header_of_ == out_.files_begun()) return;
  header_of_ = out_.files_begun();
  char* p = out_.reserve(32 * (columns_.size() + 1));
  for (const Column* column : columns_) {
    p = put::text(p, column->name);
    *p++ = ',';
  }
  --p;
  out_.commit(put::literal(p, "\r\n"));
}

template <class Record>
void CsvSink::put_line(const Record& record) {
  put_header();
  const std::size_t room = cell_room(record, context_);
  if (cell_.size() < room) cell_.resize(room);
  char* p = out_.reserve((room * 2 + 4) * (columns_.size() + 1));
  for (const Column* column : columns_) {
    char* const field = p;
    if (column->foreign) {
      const char* end = column->put(cell_.data(), record, context_);
      p = put_field(p, {cell_.data(), static_cast<std::size_t>(end - cell_.data())});
    } else {
      p = column->put(p, record, context_);
    }
    // A record of one empty field would be an empty line, which readers skip.
    if (p == field && columns_.size() == 1) p = put::literal(p, R"("")");
    *p++ = ',';
  }
  --p;
  out_.commit(put::literal(p, "\r\n"));
  ++printed_;
}

void CsvSink::on(const StartupRecord& record) {
  context_.start_boot_ns = record.boot_ns;
  put_header();
}

void CsvSink::on(const TransitionRecord& record) {
  if (events_.transition && table_ == Table::kTrace) put_line(record);
}

void CsvSink::on(const ConnectionRecord& record) {
  if (events_.connection) put_line(record);
}

void CsvSink::on(const TimeWaitRecord& record) {
  if (events_.time_wait && table_ == Table::kTrace) put_line(record);
}

void CsvSink::on(const LossRecord& record) { loss_.on(record); }

void CsvSink::on(const SummaryRecord&) {
  put_header();  // a file without rows, after SIGHUP, has its header too
  loss_.finish();
}

}  // namespace tcptrail
