// SPDX-License-Identifier: BSD-2-Clause
// The columns of the text and CSV tables: names, widths, and how a record fills
// each. Input: the names a user gave to --columns; output: a checked list, and
// cells. The rows are in column_table.cpp. Called by the command line (to check), and
// by the text and CSV sinks. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "output/wall_clock.h"
#include "tcp/record.h"
#include "util/result.h"

namespace tcptrail {

// A table: connections, or transitions together with TIME_WAIT events.
enum class Table : std::uint8_t { kLife, kTrace };

// What a cell may need besides its record.
struct CellContext {
  WallClock* clock = nullptr;
  std::uint64_t start_boot_ns = 0;  // for seconds since start
  std::string_view labels;          // labels_cell()
  bool full = false;                // CSV: full precision, unknown is an empty cell
};

// Writes one cell and returns the end. Unknown is `-`, never 0.
template <class Record>
using CellOf = char* (*)(char* out, const Record& record, const CellContext& context);

// What text does with a column besides padding it to its width.
enum class Fit : std::uint8_t {
  kFixed,
  kAddress,  // as wide as IPv6 with -w
  kGivesWay  // is cut on a narrow terminal, before columns are dropped
};

struct Column {
  std::string_view name;  // as --columns takes it and CSV prints it
  std::uint8_t width;
  std::string_view help;  // with the unit
  CellOf<ConnectionRecord> connection;
  CellOf<TransitionRecord> transition;
  CellOf<TimeWaitRecord> time_wait;
  std::string_view header{};  // as the first line of text shows it; empty = the name
  std::uint8_t drop = 0;      // on a narrow terminal the lowest goes first; 0 = never
  Fit fit = Fit::kFixed;
  bool foreign = false;  // names from outside: of any width in text, quoted where needed in CSV
  std::string_view (*color)(std::string_view cell) = nullptr;

  [[nodiscard]] std::string_view title() const { return header.empty() ? name : header; }
  char* put(char* out, const ConnectionRecord& r, const CellContext& c) const {
    return connection(out, r, c);
  }
  char* put(char* out, const TransitionRecord& r, const CellContext& c) const {
    return transition(out, r, c);
  }
  char* put(char* out, const TimeWaitRecord& r, const CellContext& c) const {
    return time_wait(out, r, c);
  }
};

// A choice of columns, in their order.
using Columns = std::vector<const Column*>;

// Every column of a table, the default ones first.
std::span<const Column> all_columns(Table table);
Columns default_columns(Table table);
// By its name or header, without regard to case; null when there is none.
const Column* find_column(Table table, std::string_view name);
// Text draws it between OLDSTATE and NEWSTATE.
const Column& arrow_column();

// "PID,CLOSER" = exactly these, in this order; "+UID,RTT_US" = the default ones
// and these. The error names the nearest and all valid names.
Result<Columns> parse_columns(Table table, std::string_view list);

// Room that any cell of this record needs.
std::size_t cell_room(const ConnectionRecord& record, const CellContext& context);
std::size_t cell_room(const TransitionRecord& record, const CellContext& context);
std::size_t cell_room(const TimeWaitRecord& record, const CellContext& context);

// "k=v,k=v", escaped: the LABELS column.
std::string labels_cell(const std::vector<std::pair<std::string, std::string>>& labels);

}  // namespace tcptrail
