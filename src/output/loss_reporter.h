// SPDX-License-Identifier: BSD-2-Clause
// Loss in words, for the sinks whose stdout carries only data. Inputs: loss
// records; output: lines for a callback, at most one a second of event time.
// Called by the text and CSV sinks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "tcp/record.h"

namespace tcptrail {

// "tcptrail: warning: 12 events were lost ...", with why and fix, or "" for none.
std::string loss_text(const Loss& loss);

// What is held back is added to the next warning, or said by finish().
class LossReporter {
 public:
  explicit LossReporter(std::function<void(std::string_view)> print) : print_(std::move(print)) {}
  void on(const LossRecord& record);
  void finish();

 private:
  std::function<void(std::string_view)> print_;
  Loss pending_;
  std::uint64_t last_ns_ = 0;
  bool said_ = false;
};

}  // namespace tcptrail
