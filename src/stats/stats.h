// SPDX-License-Identifier: BSD-2-Clause
// The records of a run, summed by intervals of the stream's own time (multiples of
// the interval in CLOCK_BOOTTIME, so the first and the last one are parts) or over the whole run,
// and the TIME_WAITs that each service holds over time. No clock of its own: records and tick() say
// how late it is. Pure; called by the stats sinks.
//
// A record can come somewhat later than one that happened after it: an interval is
// finished a tenth of a second after its end, and what comes later still (the end of
// a TIME_WAIT may be noticed 1.5 s late) counts in the interval that is open then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "stats/stats_interval.h"
#include "stats/time_wait_series.h"
#include "tcp/record.h"
#include "util/hash.h"

namespace tcptrail {

struct StatsOptions {
  std::uint64_t interval_ns = 0;  // 0 = the whole run
  std::size_t max_groups = kMaxGroups;
};

// One program at one port: who holds how many TIME_WAITs.
struct Service {
  Comm comm;
  std::uint16_t port = 0;
  Role role = Role::kUnknown;
  bool rest = false;  // all services beyond the limit
  TimeWaitSeries time_wait;
};

class Stats {
 public:
  static constexpr std::uint64_t kGraceNs = 100'000'000;
  static constexpr std::size_t kMaxServices = 1000;

  // `flush` gets each interval in which something was counted; without an interval the one period
  // of the run.
  Stats(const StatsOptions& options, std::function<void(const StatsInterval&)> flush);

  void on(const StartupRecord& record);
  void on(const ConnectionRecord& record);
  void on(const TimeWaitRecord& record);
  void on(const BlockedRecord& record);
  // The stream has come this far.
  void tick(std::uint64_t boot_ns);
  // When the open interval can be finished; UINT64_MAX without intervals.
  [[nodiscard]] std::uint64_t next_tick() const;
  // At the end of the run: what is open is flushed, as partial.
  void finish(std::uint64_t boot_ns);

  // The services that hold or held TIME_WAITs, the most at once first, as of `boot_ns`.
  [[nodiscard]] std::vector<const Service*> services(std::uint64_t boot_ns);

 private:
  struct ServiceKey {
    Comm comm;
    std::uint16_t port = 0;
    Role role = Role::kUnknown;
    std::uint8_t padding = 0;
    friend bool operator==(const ServiceKey&, const ServiceKey&) = default;
  };
  StatsInterval& period_of(std::uint64_t boot_ns);
  void begin(std::uint64_t boot_ns);
  void advance(std::uint64_t boot_ns);
  void close(bool partial, std::uint64_t end_ns);
  Service& service_of(const Process& owner, std::uint16_t port, Role role);
  Service* known_service(const Process& owner, std::uint16_t port, Role role);
  [[nodiscard]] std::uint64_t second(std::uint64_t boot_ns) const {
    return boot_ns > start_ns_ ? (boot_ns - start_ns_) / 1'000'000'000 : 0;
  }

  StatsOptions options_;
  std::function<void(const StatsInterval&)> flush_;
  std::unique_ptr<StatsInterval> current_;
  std::unique_ptr<StatsInterval>
      next_;  // what is later than the open interval, while that waits for its last records
  std::uint64_t start_ns_ = 0;
  std::uint64_t reached_ns_ = 0;
  bool begun_ = false;
  std::vector<Service> services_;
  std::unordered_map<ServiceKey, std::size_t, BytesHash> service_index_;  // in services_
};

}  // namespace tcptrail
