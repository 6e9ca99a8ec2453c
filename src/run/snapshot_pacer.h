// SPDX-License-Identifier: BSD-2-Clause
// When the next snapshot or scan is due: not before the asked time, and so that
// they take less than a tenth of a core; but never later than `longest_ns`. After
// a pause some may follow each other at once, until they have used up what would
// have rested for `burst_ns`.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace tcptrail {

class SnapshotPacer {
 public:
  explicit SnapshotPacer(std::uint64_t period_ns, std::uint64_t longest_ns = UINT64_MAX,
                         std::uint64_t burst_ns = 0)
      : period_ns_(period_ns), longest_ns_(longest_ns), burst_ns_(burst_ns) {}

  [[nodiscard]] std::uint64_t next_ns() const { return next_ns_; }

  // One that began at `began_ns` has taken `cpu_ns`. A single one may have been expensive because
  // a hypervisor took the CPU away in the middle of it: none counts for more than twice the
  // cheapest of the last four.
  void taken(std::uint64_t began_ns, std::uint64_t cpu_ns) {
    costs_ns_[taken_++ % costs_ns_.size()] = cpu_ns;
    const auto known =
        costs_ns_.begin() + static_cast<std::ptrdiff_t>(std::min(taken_, costs_ns_.size()));
    const std::uint64_t cost_ns = std::min(cpu_ns, 2 * *std::min_element(costs_ns_.begin(), known));
    rested_ns_ = std::max(rested_ns_, began_ns) + cost_ns * kRestPerSnapshot;
    const std::uint64_t rest_ns = rested_ns_ - began_ns;
    interval_ns_ =
        std::min(std::max(period_ns_, rest_ns - std::min(rest_ns, burst_ns_)), longest_ns_);
    next_ns_ = began_ns + interval_ns_;
    rested_ns_ = std::min(rested_ns_, next_ns_ + burst_ns_);
  }
  void not_before(std::uint64_t ns) { next_ns_ = std::max(next_ns_, ns); }

  // Longer than asked for, or nullopt.
  [[nodiscard]] std::optional<std::uint64_t> slowed_to_ns() const {
    return interval_ns_ > period_ns_ ? std::optional(interval_ns_) : std::nullopt;
  }

 private:
  // 8.3 % of the time; the rest to a tenth is for what the tracer does between them.
  static constexpr std::uint64_t kRestPerSnapshot = 12;

  std::uint64_t period_ns_;
  std::uint64_t longest_ns_;
  std::uint64_t burst_ns_;
  std::array<std::uint64_t, 4> costs_ns_{};
  std::size_t taken_ = 0;
  std::uint64_t rested_ns_ = 0;  // when all so far are a twelfth of the time
  std::uint64_t interval_ns_ = 0;
  std::uint64_t next_ns_ = 0;
};

}  // namespace tcptrail
