// SPDX-License-Identifier: BSD-2-Clause
// `stats`: the records of a run in, their sums out: a report for people (StatsText),
// rollups for programs (StatsJson), or the state diagram with this run's counts
// (StatsDiagram). What is summed is decided in core/stats. Output: an OutFile, which
// the caller flushes per batch.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "output/json.h"
#include "output/json_writer.h"
#include "output/loss_reporter.h"
#include "output/wall_clock.h"
#include "stats/stats.h"
#include "tcp/record.h"
#include "util/out_file.h"

namespace tcptrail {

class StatsSink : public RecordSink {
 public:
  void on(const StartupRecord& r) override { stats_.on(r); }
  void on(const ConnectionRecord& r) override { stats_.on(r); }
  void on(const TimeWaitRecord& r) override { stats_.on(r); }
  void on(const BlockedRecord& r) override { stats_.on(r); }
  void on(const SummaryRecord& r) override { stats_.finish(r.boot_ns); }
  void tick(std::uint64_t boot_ns) override { stats_.tick(boot_ns); }
  [[nodiscard]] std::uint64_t next_tick() const override { return stats_.next_tick(); }

 protected:
  explicit StatsSink(std::uint64_t interval_ns, std::size_t max_groups = kMaxGroups)
      : interval_ns_(interval_ns),
        stats_({.interval_ns = interval_ns, .max_groups = max_groups},
               [this](const StatsInterval& p) { put(p); }) {}
  virtual void put(const StatsInterval& period) = 0;

  std::uint64_t interval_ns_;
  Stats stats_;
};

struct StatsTextOptions {
  std::uint64_t interval_ns = 0;  // 0 = one report at the end
  bool color = false;
  bool unicode = false;
  bool local_time = false;  // -T
  Labels labels{};
  std::function<void(std::string_view)> warn{};  // gets whole lines for stderr
};

class StatsText final : public StatsSink {
 public:
  StatsText(OutFile& out, WallClock& clock, const StatsTextOptions& options,
            std::size_t max_groups = kMaxGroups);
  using StatsSink::on;
  void on(const LossRecord& r) override { loss_.on(r); }
  void on(const SummaryRecord& r) override;

 private:
  void put(const StatsInterval& period) override;
  void headline(const StatsInterval& p);
  void services(const StatsInterval& p);
  void states(const StatsInterval& p);
  void durations(const StatsInterval& p);
  void time_waits(const StatsInterval& p);
  void failures(const StatsInterval& p);
  void talkers(const StatsInterval& p);
  void line(std::string_view text);
  void title(std::string_view text);
  void wrapped(std::string_view text, std::string_view head, std::size_t indent);
  [[nodiscard]] std::string clock_text(std::uint64_t boot_ns) const;

  OutFile& out_;
  WallClock& clock_;
  StatsTextOptions options_;
  std::string labels_;
  LossReporter loss_;
  bool first_ = true;
};

struct StatsJsonOptions {
  std::uint64_t interval_ns = 0;
  Labels labels{};
};

class StatsJson final : public StatsSink {
 public:
  StatsJson(OutFile& out, WallClock& clock, const StatsJsonOptions& options,
            std::size_t max_groups = kMaxGroups);
  using StatsSink::on;
  void on(const StartupRecord& r) override;
  void on(const LossRecord& r) override { stream_.on(r); }
  void on(const SummaryRecord& r) override;

 private:
  void put(const StatsInterval& period) override;
  JsonWriter begin(std::string_view type, const StatsInterval& p);
  void put_rollup(const StatsInterval& p, const Group& g);
  void put_period(const StatsInterval& p);

  OutFile& out_;
  WallClock& clock_;
  JsonSink stream_;  // startup, loss and summary
};

enum class DiagramForm : std::uint8_t { kText, kDot };

class StatsDiagram final : public StatsSink {
 public:
  StatsDiagram(OutFile& out, DiagramForm form, std::function<void(std::string_view)> warn);
  using StatsSink::on;
  void on(const LossRecord& r) override { loss_.on(r); }
  void on(const SummaryRecord& r) override;

 private:
  void put(const StatsInterval& period) override;

  OutFile& out_;
  DiagramForm form_;
  LossReporter loss_;
};

// The diagram as text: at most 100 columns, or Graphviz DOT.
std::string diagram_text(const StatsInterval& period);
std::string diagram_dot(const StatsInterval& period);

// "1,200 expired, 3 reset": how TIME_WAITs ended; empty when none did.
std::string leaves_text(const LeaveCounts& leaves);

}  // namespace tcptrail
