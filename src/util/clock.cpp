// SPDX-License-Identifier: BSD-2-Clause
#include "util/clock.h"

#include <ctime>
#include <fstream>
#include <limits>
#include <string>

namespace tcptrail {
namespace {

std::int64_t read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// In a time namespace clock_gettime() adds an offset that bpf_ktime_get_boot_ns() does not know.
std::int64_t read_namespace_offset() {
  std::ifstream file("/proc/self/timens_offsets");  // "boottime  100000  0"
  std::string clock;
  std::int64_t seconds = 0;
  std::int64_t ns = 0;
  while (file >> clock >> seconds >> ns)
    if (clock == "boottime") return seconds * 1'000'000'000 + ns;
  return 0;
}

std::int64_t read_boot_clock() { return read_clock(CLOCK_BOOTTIME) - boot_namespace_offset_ns(); }

}  // namespace

std::int64_t boot_namespace_offset_ns() {
  static const std::int64_t offset = read_namespace_offset();
  return offset;
}

std::uint64_t boot_now_ns() { return static_cast<std::uint64_t>(read_boot_clock()); }

std::uint64_t process_cpu_ns() {
  return static_cast<std::uint64_t>(read_clock(CLOCK_PROCESS_CPUTIME_ID));
}

std::int64_t realtime_offset_ns() {
  std::int64_t narrowest = std::numeric_limits<std::int64_t>::max();
  std::int64_t offset = 0;
  for (int i = 0; i < 8; ++i) {
    const std::int64_t before = read_boot_clock();
    const std::int64_t real = read_clock(CLOCK_REALTIME);
    const std::int64_t after = read_boot_clock();
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    offset = real - (before + (after - before) / 2);
  }
  return offset;
}

}  // namespace tcptrail
