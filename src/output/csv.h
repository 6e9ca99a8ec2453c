// SPDX-License-Identifier: BSD-2-Clause
// One table as CSV (RFC 4180: CRLF, header line, quotes where needed), numbers
// in full precision, unknown = empty field. A list of blockers fits no table, so
// there is no `blocked`. Inputs and outputs as TextSink.
#pragma once

#include "output/text.h"

namespace tcptrail {

class CsvSink final : public RecordSink {
 public:
  // `options.events` must need one table only (the command line checks it).
  CsvSink(OutFile& out, WallClock& clock, const TableOptions& options);
  CsvSink(const CsvSink&) = delete;  // holds references and views of itself

  void on(const StartupRecord&) override;  // writes the header line
  void on(const TransitionRecord&) override;
  void on(const ConnectionRecord&) override;
  void on(const TimeWaitRecord&) override;
  void on(const LossRecord&) override;
  void on(const SummaryRecord&) override;

  [[nodiscard]] std::uint64_t printed() const { return printed_; }

 private:
  void put_header();
  template <class Record>
  void put_line(const Record& record);

  OutFile& out_;
  EventSet events_;
  std::string labels_;
  CellContext context_;
  Table table_;
  Columns columns_;
  std::vector<char> cell_;  // one cell, before it is quoted
  LossReporter loss_;
  unsigned header_of_ = 0;  // the file that has it, as OutFile counts them; 0 = none
  std::uint64_t printed_ = 0;
};

}  // namespace tcptrail
