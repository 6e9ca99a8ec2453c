// SPDX-License-Identifier: BSD-2-Clause
// When to look at the kernel's tables again: not before the asked time, and so
// that looking takes less than a tenth of a core; but never later than `longest_ns`.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace tcptrail {

class Pace {
 public:
  explicit Pace(std::uint64_t period_ns, std::uint64_t longest_ns = UINT64_MAX) : period_ns_(period_ns), longest_ns_(longest_ns) {}

  [[nodiscard]] std::uint64_t next_ns() const { return next_ns_; }

  // A look that began at `began_ns` has taken `cpu_ns`. What the last four have taken on average counts; but one alone
  // may have been dear because a hypervisor took the CPU away in the middle of it, and counts as twice the cheapest.
  void looked(std::uint64_t began_ns, std::uint64_t cpu_ns) {
    costs_ns_[looks_++ % costs_ns_.size()] = cpu_ns;
    const std::span known(costs_ns_.data(), std::min(looks_, costs_ns_.size()));
    const std::uint64_t most_ns = 2 * *std::min_element(known.begin(), known.end());
    std::uint64_t sum_ns = 0;
    for (const std::uint64_t cost_ns : known) sum_ns += std::min(cost_ns, most_ns);
    interval_ns_ = std::min(std::max(period_ns_, sum_ns * kRestPerLook / known.size()), longest_ns_);
    next_ns_ = began_ns + interval_ns_;
  }
  void not_before(std::uint64_t ns) { next_ns_ = std::max(next_ns_, ns); }

  // Longer than asked for, or nullopt.
  [[nodiscard]] std::optional<std::uint64_t> slowed_to_ns() const {
    return interval_ns_ > period_ns_ ? std::optional(interval_ns_) : std::nullopt;
  }

 private:
  // 8.3 % of the time; the rest to a tenth is for what the tracer does between the looks.
  static constexpr std::uint64_t kRestPerLook = 12;

  std::uint64_t period_ns_;
  std::uint64_t longest_ns_;
  std::array<std::uint64_t, 4> costs_ns_{};
  std::size_t looks_ = 0;
  std::uint64_t interval_ns_ = 0;
  std::uint64_t next_ns_ = 0;
};

}  // namespace tcptrail
