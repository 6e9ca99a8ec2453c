// SPDX-License-Identifier: BSD-2-Clause
// The columns of the text and CSV tables: names, widths, and how a record fills
// each. Input: the names a user gave to --columns; output: a checked list, and
// cells. Called by the command line (to check), and by the text and CSV sinks. Pure.
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

enum class ColumnId : std::uint8_t {
  kTime,
  kTimeS,
  kPid,
  kComm,
  kLaddr,
  kLport,
  kRaddr,
  kRport,
  kTxKb,
  kRxKb,
  kMs,
  kCloser,
  kHow,
  kTimeWait,
  kOldState,
  kArrow,
  kNewState,
  kReason,
  kExpiresMs,
  kNetns,
  kCookie,
  kGen,
  kFamily,
  kUid,
  kCgroup,
  kRole,
  kOwnerSource,
  kBegan,
  kConnectMs,
  kRttUs,
  kMinRttUs,
  kRetrans,
  kMss,
  kTxBytes,
  kRxBytes,
  kTxSegs,
  kRxSegs,
  kError,
  kEvidence,
  kCloserPid,
  kCloserComm,
  kPeerCookie,
  kServicePort,
  kComplete,
  kPath,
  kStates,
  kStart,
  kEnd,
  kTimeWaitEnd,
  kLabels,
};

struct Column {
  ColumnId id;
  std::string_view name;    // as --columns takes it and CSV prints it
  std::string_view header;  // as the first line of text shows it
  std::uint8_t width;
  std::uint8_t drop;      // on a narrow terminal the lowest goes first; 0 = never
  std::string_view help;  // with the unit
};

// Every column of a table, the default ones first.
std::span<const Column> all_columns(Table table);
const Column& column(Table table, ColumnId id);
std::vector<ColumnId> default_columns(Table table);

// "PID,CLOSER" = exactly these, in this order; "+UID,RTT_US" = the default ones
// and these. Names without regard to case. The error names the nearest and all
// valid names.
Result<std::vector<ColumnId>> parse_columns(Table table, std::string_view list);

// What a cell may need besides its record.
struct CellContext {
  WallClock* clock = nullptr;
  std::uint64_t start_boot_ns = 0;  // for seconds since start
  std::string_view labels;          // labels_cell()
  bool full = false;                // CSV: full precision, unknown is an empty cell
};

// Room that any cell of this record needs.
std::size_t cell_room(const ConnectionRecord& record, const CellContext& context);
std::size_t cell_room(const TransitionRecord& record, const CellContext& context);
std::size_t cell_room(const TimeWaitRecord& record, const CellContext& context);

// Writes one cell and returns the end. Unknown is `-`, never 0.
char* put_cell(char* out, ColumnId id, const ConnectionRecord& record, const CellContext& context);
char* put_cell(char* out, ColumnId id, const TransitionRecord& record, const CellContext& context);
char* put_cell(char* out, ColumnId id, const TimeWaitRecord& record, const CellContext& context);

// "k=v,k=v", escaped: the LABELS column.
std::string labels_cell(const std::vector<std::pair<std::string, std::string>>& labels);

}  // namespace tcptrail
