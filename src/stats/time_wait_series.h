// SPDX-License-Identifier: BSD-2-Clause
// How many sockets of a service are in TIME_WAIT, now and over time, from the times at
// which they entered it. Each lasts until its timer ends, unless its end is reported
// earlier. The past is kept in a fixed number of columns: when they are full, two
// become one. Pure; used by stats.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace tcptrail {

class TimeWaitSeries {
 public:
  static constexpr std::size_t kColumns = 40;

  TimeWaitSeries() = default;
  // Times are seconds since the run began.
  explicit TimeWaitSeries(std::uint64_t now) : second_(now) { widen(now); }

  void enter(std::uint64_t now, std::uint64_t lasts) {
    advance(now);
    ++entered_;
    ++held_;
    peak_ = std::max(peak_, held_);
    ++ends_[(second_ + std::clamp<std::uint64_t>(lasts, 1, kRing - 1)) % kRing];
    note();
  }
  // One that entered it `held` seconds ago and was to last for `lasts` is gone.
  void leave_early(std::uint64_t now, std::uint64_t held, std::uint64_t lasts) {
    advance(now);
    if (held >= lasts) return;  // it was due
    std::uint32_t& end =
        ends_[(second_ + std::clamp<std::uint64_t>(lasts - held, 1, kRing - 1)) % kRing];
    if (end == 0 || held_ == 0) return;
    --end;
    --held_;
  }
  void advance(std::uint64_t now) {
    // What is left after a round of the ring is nothing.
    for (std::size_t steps = 0; second_ < now && steps < kRing; ++steps) {
      ++second_;
      std::uint32_t& due = ends_[second_ % kRing];
      held_ -= due;
      due = 0;
      note();
    }
    if (second_ < now) {
      second_ = now;
      note();
    }
  }

  [[nodiscard]] std::uint64_t entered() const { return entered_; }
  [[nodiscard]] std::uint32_t held() const { return held_; }
  [[nodiscard]] std::uint32_t peak() const { return peak_; }
  // The highest number held in each column of `column_seconds()`, the first at the beginning of the
  // run.
  [[nodiscard]] const std::array<std::uint32_t, kColumns>& columns() const { return columns_; }
  [[nodiscard]] std::uint64_t column_seconds() const { return width_; }

 private:
  static constexpr std::size_t kRing = 128;  // seconds; no timer is longer

  void widen(std::uint64_t now) {
    while (now / width_ >= kColumns) {
      for (std::size_t i = 0; i < kColumns / 2; ++i)
        columns_[i] = std::max(columns_[2 * i], columns_[2 * i + 1]);
      std::fill(columns_.begin() + kColumns / 2, columns_.end(), 0U);
      width_ *= 2;
    }
  }
  void note() {
    widen(second_);
    std::uint32_t& column = columns_[second_ / width_];
    column = std::max(column, held_);
  }

  std::uint64_t second_ = 0;
  std::uint64_t entered_ = 0;
  std::uint64_t width_ = 1;
  std::uint32_t held_ = 0;
  std::uint32_t peak_ = 0;
  std::array<std::uint32_t, kRing> ends_{};
  std::array<std::uint32_t, kColumns> columns_{};
};

}  // namespace tcptrail
