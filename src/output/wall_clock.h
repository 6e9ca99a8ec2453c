// SPDX-License-Identifier: BSD-2-Clause
// CLOCK_BOOTTIME nanoseconds as wall-clock text. Input: the offset between the
// two clocks, measured by the caller (or read from a recording); it has no clock
// of its own. The text of the last seconds is kept. Called by the sinks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace tcptrail {

class WallClock {
 public:
  // "2026-08-01T12:34:56.123456789Z"
  static constexpr std::size_t kRfc3339Size = 30;
  static constexpr std::size_t kLocalSize = 8;  // "14:34:56"

  void set_offset(std::int64_t realtime_minus_boottime_ns) {
    offset_ns_ = realtime_minus_boottime_ns;
  }
  [[nodiscard]] std::int64_t offset() const { return offset_ns_; }

  // Writes kRfc3339Size bytes and returns the end. UTC.
  char* put_rfc3339(char* out, std::uint64_t boot_ns);
  // Writes kLocalSize bytes and returns the end. Local time by TZ.
  char* put_local(char* out, std::uint64_t boot_ns);
  std::string rfc3339(std::uint64_t boot_ns);

 private:
  struct Second {
    std::int64_t second = INT64_MIN;
    std::array<char, 20> prefix{};  // "2026-08-01T12:34:56."
  };

  std::int64_t offset_ns_ = 0;
  // A connection names up to five times that lie seconds to hours apart.
  std::array<Second, 16> seconds_;
  std::int64_t local_second_ = INT64_MIN;
  std::array<char, kLocalSize> local_text_{};
};

}  // namespace tcptrail
