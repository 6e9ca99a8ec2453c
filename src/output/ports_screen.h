// SPDX-License-Identifier: BSD-2-Clause
// `ports --watch` for people: on a terminal one screen that is redrawn, elsewhere
// one block of text a round. Below the ports stand the connections that nobody
// closes and the attempts that were refused last. Inputs: records of the model;
// output: an OutFile, which the caller flushes.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "output/loss_reporter.h"
#include "output/ports_text.h"
#include "output/wall_clock.h"
#include "tcp/record.h"
#include "util/out_file.h"

namespace tcptrail {

struct PortsScreenOptions {
  bool color = false;
  bool several_netns = false;
  bool blocked = true;
  // Of the terminal; 0 = not a terminal: nothing is cleared, nothing is cut.
  unsigned rows = 0;
  bool all = false;  // the user has chosen ports: show each of them
  std::function<void(std::string_view)> warn{};
};

class PortsScreen final : public RecordSink {
 public:
  PortsScreen(OutFile& out, WallClock& clock, PortsScreenOptions options);

  void on(const BlockedRecord&) override;
  void on(const LossRecord& record) override { loss_.on(record); }
  void on(const SummaryRecord&) override { loss_.finish(); }
  void on(const PortRound&) override;

 private:
  void line(std::string_view text);
  void leaks(const PortRound& round);
  void refused();

  OutFile& out_;
  WallClock& clock_;
  PortsScreenOptions options_;
  LossReporter loss_;
  std::deque<std::vector<std::string>> refused_;  // the last ones, with their time
  std::uint64_t last_round_ns_ = 0;
};

}  // namespace tcptrail
