// SPDX-License-Identifier: BSD-2-Clause
// Takes every record and does nothing: for a run that only keeps its events, and as
// a base for sinks that want a few kinds. Used by src/run, the benchmarks and tests.
#pragma once

#include "tcp/record.h"

namespace tcptrail {

class NullSink : public RecordSink {
 public:
  using RecordSink::on;
  void on(const StartupRecord&) override {}
  void on(const TransitionRecord&) override {}
  void on(const ConnectionRecord&) override {}
  void on(const TimeWaitRecord&) override {}
  void on(const BlockedRecord&) override {}
  void on(const LossRecord&) override {}
  void on(const SummaryRecord&) override {}
};

}  // namespace tcptrail
