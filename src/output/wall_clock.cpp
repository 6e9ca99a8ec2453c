// SPDX-License-Identifier: BSD-2-Clause
// RFC 3339 and local time from boot time, see wall_clock.h.
#include "output/wall_clock.h"

#include <chrono>
#include <cstring>
#include <ctime>

#include "output/fast_format.h"

namespace tcptrail {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

struct Instant {
  std::int64_t second;
  unsigned nanos;
};

// Unsigned addition: a damaged recording may hold any number.
Instant instant(std::uint64_t boot_ns, std::int64_t offset_ns) {
  const auto ns = static_cast<std::int64_t>(boot_ns + static_cast<std::uint64_t>(offset_ns));
  std::int64_t second = ns / kSecond;
  std::int64_t rest = ns % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --second;
  }
  return {second, static_cast<unsigned>(rest)};
}

void put_prefix(char* out, std::int64_t second) {
  using namespace std::chrono;
  const sys_seconds time{seconds{second}};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const auto of_day = static_cast<unsigned>((time - day).count());
  out = put::padded(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  *out++ = '-';
  out = put::two(out, static_cast<unsigned>(date.month()));
  *out++ = '-';
  out = put::two(out, static_cast<unsigned>(date.day()));
  *out++ = 'T';
  out = put::two(out, of_day / 3600);
  *out++ = ':';
  out = put::two(out, of_day / 60 % 60);
  *out++ = ':';
  out = put::two(out, of_day % 60);
  *out = '.';
}

}  // namespace

char* WallClock::put_rfc3339(char* out, std::uint64_t boot_ns) {
  const Instant at = instant(boot_ns, offset_ns_);
  Second& slot = seconds_[static_cast<std::uint64_t>(at.second) % seconds_.size()];
  if (slot.second != at.second) {
    put_prefix(slot.prefix.data(), at.second);
    slot.second = at.second;
  }
  std::memcpy(out, slot.prefix.data(), slot.prefix.size());
  out = put::nanos(out + slot.prefix.size(), at.nanos);
  *out++ = 'Z';
  return out;
}

char* WallClock::put_local(char* out, std::uint64_t boot_ns) {
  const Instant at = instant(boot_ns, offset_ns_);
  if (local_second_ != at.second) {
    const auto time = static_cast<std::time_t>(at.second);
    std::tm local{};
    localtime_r(&time, &local);
    char* p = put::two(local_text_.data(), static_cast<unsigned>(local.tm_hour));
    *p++ = ':';
    p = put::two(p, static_cast<unsigned>(local.tm_min));
    *p++ = ':';
    put::two(p, static_cast<unsigned>(local.tm_sec));
    local_second_ = at.second;
  }
  std::memcpy(out, local_text_.data(), local_text_.size());
  return out + local_text_.size();
}

std::string WallClock::rfc3339(std::uint64_t boot_ns) {
  char text[kRfc3339Size];
  return {text, put_rfc3339(text, boot_ns)};
}

}  // namespace tcptrail
