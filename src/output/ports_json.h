// SPDX-License-Identifier: BSD-2-Clause
// The records about ports (port, destination, leak, blocked) as JSON Lines. Inputs: records of
// the model; output: an OutFile, which the caller flushes. Everything else of the
// stream (startup, time_wait, summary) is the JsonSink's.
#pragma once

#include <string>
#include <string_view>

#include "output/wall_clock.h"
#include "tcp/record.h"
#include "util/out_file.h"

namespace tcptrail {

class PortsJson {
 public:
  // `tail`: JsonSink::tail() of the same stream.
  PortsJson(OutFile& out, WallClock& clock, std::string_view tail)
      : out_(out), clock_(clock), tail_(tail) {}
  void put(const PortRecord& record);
  void put(const DestinationRecord& record);
  void put(const LeakRecord& record);
  void put(const BlockedRecord& record);

 private:
  OutFile& out_;
  WallClock& clock_;
  std::string tail_;
};

}  // namespace tcptrail
