// SPDX-License-Identifier: BSD-2-Clause
// Tables for people: `life` in the style of tcplife, `trace` in the style of
// tcpstates. Inputs: records of the model; output: an OutFile, which the caller
// flushes per batch; loss goes to a callback, because stdout carries only data.
// No allocation per line.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "output/columns.h"
#include "output/json.h"
#include "output/loss_reporter.h"
#include "output/row_limit.h"
#include "output/wall_clock.h"
#include "tcp/filter.h"
#include "tcp/record.h"
#include "util/out_file.h"

namespace tcptrail {

struct TableOptions {
  EventSet events{};        // connection → life table; transition and time_wait → trace table
  Columns life_columns{};   // empty = default
  Columns trace_columns{};  // empty = default
  bool local_time = false;  // -T
  bool timestamps = false;  // -t
  bool wide = false;        // -w
  bool color = false;
  // Of the terminal; 0 = not a terminal, or unknown: nothing is dropped. Ignored
  // with `wide` and where the user chose the columns.
  unsigned terminal_width = 0;
  std::uint64_t rows_per_second = 0;  // more are summed up in a line; 0 = no limit
  Labels labels{};
  std::function<void(std::string_view)> warn{};  // gets whole lines for stderr
};

// The columns of a table for these options: -T and -t first, labels last.
Columns chosen_columns(Table table, const TableOptions& options);

class TextSink final : public RecordSink {
 public:
  TextSink(OutFile& out, WallClock& clock, TableOptions options);
  TextSink(const TextSink&) = delete;  // holds references and views of itself

  void on(const StartupRecord&) override;  // writes the header line
  void on(const TransitionRecord&) override;
  void on(const ConnectionRecord&) override;
  void on(const TimeWaitRecord&) override;
  void on(const BlockedRecord&) override;
  void on(const LossRecord&) override;
  void on(const SummaryRecord&) override;
  void tick(std::uint64_t boot_ns) override;
  [[nodiscard]] std::uint64_t next_tick() const override { return limit_.next_tick(); }

  // Lines written: what --count counts.
  [[nodiscard]] std::uint64_t printed() const { return printed_; }

 private:
  struct Slot {
    const Column* column;
    unsigned width;  // cells are padded to it, but for the last one
    bool cut;        // COMM on a narrow terminal
  };
  using Layout = std::vector<Slot>;

  Layout lay_out(Table table);
  void fit(Layout& layout);
  void put_headers();
  void put_header(const Layout& layout);
  bool admit(std::uint64_t boot_ns);
  void put_left_out();
  template <class Record>
  void put_line(const Layout& layout, const Record& record);
  char* paint(char* cell, char* end, const Column& column) const;

  OutFile& out_;
  TableOptions options_;
  std::string labels_;
  CellContext context_;
  Layout life_;
  Layout trace_;
  std::string note_;  // what was left out for lack of room; said once
  LossReporter loss_;
  RowLimit limit_;
  unsigned header_of_ = 0;  // the file that has them, as OutFile counts them; 0 = none
  std::uint64_t printed_ = 0;
};

}  // namespace tcptrail
