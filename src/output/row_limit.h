// SPDX-License-Identifier: BSD-2-Clause
// How many rows a second a terminal gets. Nobody reads ten thousand; and a terminal
// that takes them holds the tracer up until its ring overflows, which a stranger who
// opens connections in a loop could bring about. Input: the time of each row (boot
// ns); what was left out is for one line a second. Used by the text views.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace tcptrail {

class RowLimit {
 public:
  // Rows, explanations a second.
  static constexpr std::uint64_t kRowsOnATerminal = 2'000;
  static constexpr std::uint64_t kExplanationsOnATerminal = 200;  // of some ten lines each

  explicit RowLimit(std::uint64_t rows_per_second) : most_(rows_per_second) {}  // 0 = no limit

  // Whether a row of this time may be printed. Call it after due().
  bool admits(std::uint64_t boot_ns) {
    if (most_ == 0) return true;
    if (boot_ns >= ends_ns_) {
      ends_ns_ = boot_ns + kSecond;
      rows_ = 0;
    }
    if (rows_ < most_) {
      ++rows_;
      return true;
    }
    ++left_out_;
    return false;
  }
  // Whether there is something to say of rows that were left out before this time.
  [[nodiscard]] bool due(std::uint64_t boot_ns) const {
    return left_out_ != 0 && boot_ns >= ends_ns_;
  }
  [[nodiscard]] std::uint64_t next_tick() const { return left_out_ != 0 ? ends_ns_ : UINT64_MAX; }
  [[nodiscard]] bool pending() const { return left_out_ != 0; }
  // The line for them, which ends with a newline.
  [[nodiscard]] std::string take() {
    const std::uint64_t n = std::exchange(left_out_, 0);
    return "... " + std::to_string(n) +
           " more not shown: too many for a terminal (all of them: -o FILE, or | less)\n";
  }

 private:
  static constexpr std::uint64_t kSecond = 1'000'000'000;
  std::uint64_t most_;
  std::uint64_t rows_ = 0;
  std::uint64_t left_out_ = 0;
  std::uint64_t ends_ns_ = 0;
};

}  // namespace tcptrail
