// SPDX-License-Identifier: BSD-2-Clause
// `explain`: the records of a run in, one explanation after the other out, to people
// (ExplainText) or programs (ExplainJson). Both tell the same; what they tell is
// decided in src/explain. Output: an OutFile, which the caller flushes per batch.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "explain/explainer.h"
#include "output/json.h"
#include "output/loss_reporter.h"
#include "output/row_limit.h"
#include "output/wall_clock.h"
#include "tcp/record.h"
#include "util/out_file.h"

namespace tcptrail {

class ExplainSink : public RecordSink {
 public:
  void on(const StartupRecord&) override;
  void on(const TransitionRecord& r) override { explainer_.on(r); }
  void on(const ConnectionRecord& r) override { put(explainer_.on(r)); }
  void on(const TimeWaitRecord& r) override;
  void on(const BlockedRecord& r) override { put(explainer_.on(r)); }
  void on(const SummaryRecord&) override;
  void owner_found(std::uint64_t cookie, const Process& owner) override {
    explainer_.owner_found(cookie, owner);
  }

 protected:
  // `local_time`: times within sentences by TZ, else UTC.
  ExplainSink(WallClock& clock, bool local_time);
  virtual void put(const Explanation& explanation) = 0;

  WallClock& clock_;
  bool local_time_;

 private:
  Explainer explainer_;
};

struct ExplainTextOptions {
  bool color = false;
  bool local_time = false;  // -T
  Labels labels{};
  std::function<void(std::string_view)> warn{};  // gets whole lines for stderr
  std::uint64_t explanations_per_second = 0;     // more are summed up in a line; 0 = no limit
};

class ExplainText final : public ExplainSink {
 public:
  ExplainText(OutFile& out, WallClock& clock, const ExplainTextOptions& options);
  using ExplainSink::on;
  void on(const LossRecord& r) override { loss_.on(r); }
  void on(const SummaryRecord& r) override;

 private:
  void put(const Explanation& explanation) override;
  [[nodiscard]] std::string start_text(const Explanation& e) const;
  void put_left_out();
  void line(std::string_view text, std::string_view color = {});
  void wrapped(std::string_view text, std::string_view head, std::size_t indent,
               std::string_view color = {});

  OutFile& out_;
  bool color_;
  std::string labels_;
  LossReporter loss_;
  RowLimit limit_;
  bool first_ = true;
};

struct ExplainJsonOptions {
  bool local_time = false;  // -T, within sentences
  Labels labels{};
};

class ExplainJson final : public ExplainSink {
 public:
  ExplainJson(OutFile& out, WallClock& clock, const ExplainJsonOptions& options);
  using ExplainSink::on;
  void on(const StartupRecord& r) override;
  void on(const LossRecord& r) override { stream_.on(r); }
  void on(const SummaryRecord& r) override;

 private:
  void put(const Explanation& explanation) override;

  OutFile& out_;
  JsonSink stream_;  // startup, loss and summary
};

}  // namespace tcptrail
