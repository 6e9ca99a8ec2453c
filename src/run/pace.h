// SPDX-License-Identifier: BSD-2-Clause
// When to look at the kernel's tables again: not before the asked time, and so
// that looking takes less than a tenth of a core; but never later than `longest_ns`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace tcptrail {

class Pace {
 public:
  explicit Pace(std::uint64_t period_ns, std::uint64_t longest_ns = UINT64_MAX) : period_ns_(period_ns), longest_ns_(longest_ns) {}

  [[nodiscard]] std::uint64_t next_ns() const { return next_ns_; }

  // A look that began at `began_ns` has taken `cpu_ns`. One alone may have been dear because a hypervisor took the
  // CPU away in the middle of it: what the cheaper of the last two has taken counts.
  void looked(std::uint64_t began_ns, std::uint64_t cpu_ns) {
    const std::uint64_t cost_ns = std::min(cpu_ns, std::exchange(last_cpu_ns_, cpu_ns));
    interval_ns_ = std::min(std::max(period_ns_, cost_ns * kRestPerLook), longest_ns_);
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
  std::uint64_t last_cpu_ns_ = UINT64_MAX;
  std::uint64_t interval_ns_ = 0;
  std::uint64_t next_ns_ = 0;
};

}  // namespace tcptrail
