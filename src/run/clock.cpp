// SPDX-License-Identifier: BSD-2-Clause
#include "run/clock.h"

#include <ctime>
#include <limits>

namespace tcptrail {
namespace {

std::int64_t read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

}  // namespace

std::uint64_t boot_now_ns() { return static_cast<std::uint64_t>(read_clock(CLOCK_BOOTTIME)); }

std::uint64_t thread_cpu_ns() { return static_cast<std::uint64_t>(read_clock(CLOCK_THREAD_CPUTIME_ID)); }

std::int64_t realtime_offset_ns() {
  std::int64_t narrowest = std::numeric_limits<std::int64_t>::max();
  std::int64_t offset = 0;
  for (int i = 0; i < 8; ++i) {
    const std::int64_t before = read_clock(CLOCK_BOOTTIME);
    const std::int64_t real = read_clock(CLOCK_REALTIME);
    const std::int64_t after = read_clock(CLOCK_BOOTTIME);
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    offset = real - (before + (after - before) / 2);
  }
  return offset;
}

}  // namespace tcptrail
