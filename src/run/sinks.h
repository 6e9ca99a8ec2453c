// SPDX-License-Identifier: BSD-2-Clause
// What a view prints to, for live runs and replays alike. Called by src/run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "cli/options.h"
#include "output/wall_clock.h"
#include "recording/parts.h"
#include "tcp/record.h"
#include "util/out_file.h"
#include "util/result.h"

namespace tcptrail {

// To stderr.
void print_error(std::string_view text);

// -o FILE, or stdout.
Result<OutFile> open_output(const Options& options);
// An error where the recording, or an older part of it, is the file that the view is written to.
Result<void> keep_apart(const OutFile& out, const RecordingTarget& target);
// Text, CSV or JSON of what view_of(options) prints. Keeps references to both.
std::unique_ptr<RecordSink> make_sink(const Options& options, OutFile& out, WallClock& clock);
// The exit code of a run whose output has ended: 0, or 1 after the one line on stderr that says
// why.
int output_status(const OutFile& out);

// The records that --count counts: an explanation is of a connection, or of a refused call.
EventSet counted_events(const Options& options);

// Counts what is printed for --count, and passes on.
class CountingSink final : public ForwardingSink {
 public:
  CountingSink(RecordSink& next, const EventSet& events, const EventSet& counted,
               std::optional<std::uint64_t> limit)
      : ForwardingSink(next),
        events_(events),
        counted_(counted),
        left_(limit.value_or(UINT64_MAX)) {}
  [[nodiscard]] bool full() const { return left_ == 0; }
  using ForwardingSink::on;
  void on(const TransitionRecord& r) override { pass(r, events_.transition, counted_.transition); }
  void on(const ConnectionRecord& r) override { pass(r, events_.connection, counted_.connection); }
  void on(const TimeWaitRecord& r) override { pass(r, events_.time_wait, counted_.time_wait); }
  void on(const BlockedRecord& r) override { pass(r, events_.blocked, counted_.blocked); }
  void on(const PortRound& r) override { pass(r, true, true); }

 private:
  template <class Record>
  void pass(const Record& record, bool printed, bool counted) {
    if (!printed || left_ == 0) return;
    if (counted) --left_;
    ForwardingSink::on(record);
  }
  EventSet events_;
  EventSet counted_;
  std::uint64_t left_;
};

}  // namespace tcptrail
