// SPDX-License-Identifier: BSD-2-Clause
// Wall-clock text against gmtime(3), and the number helpers against the library.
#include "output/wall_clock.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <random>

#include "output/fast_format.h"

namespace tcptrail {
namespace {

std::string by_gmtime(std::int64_t ns) {
  const std::time_t second = ns / 1'000'000'000;
  std::tm tm{};
  gmtime_r(&second, &tm);
  char text[40];
  char whole[64];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  std::snprintf(whole, sizeof whole, "%s.%09dZ", text, static_cast<int>(ns % 1'000'000'000));
  return whole;
}

TEST(WallClock, BootTimePlusOffsetIsUtc) {
  WallClock clock;
  clock.set_offset(1'785'585'500'000'000'000);
  EXPECT_EQ(clock.rfc3339(100'123'456'789), "2026-08-01T12:00:00.123456789Z");
}

TEST(WallClock, EqualsGmtimeForAnySecondInAnyOrder) {
  WallClock clock;
  std::mt19937_64 random(3);
  for (int i = 0; i < 20000; ++i) {
    const auto ns = static_cast<std::int64_t>(random() % 4'000'000'000'000'000'000ULL);
    ASSERT_EQ(clock.rfc3339(static_cast<std::uint64_t>(ns)), by_gmtime(ns));
  }
}

TEST(WallClock, SameSecondGivesOtherNanoseconds) {
  WallClock clock;
  EXPECT_EQ(clock.rfc3339(1), "1970-01-01T00:00:00.000000001Z");
  EXPECT_EQ(clock.rfc3339(999'999'999), "1970-01-01T00:00:00.999999999Z");
}

TEST(WallClock, SteppedClockIsFollowed) {
  WallClock clock;
  EXPECT_EQ(clock.rfc3339(0), "1970-01-01T00:00:00.000000000Z");
  clock.set_offset(1'000'000'000);
  EXPECT_EQ(clock.rfc3339(0), "1970-01-01T00:00:01.000000000Z");
}

TEST(WallClock, TimeBeforeTheEpochAndAnyNumberStayText) {
  WallClock clock;
  clock.set_offset(-1);
  EXPECT_EQ(clock.rfc3339(0), "1969-12-31T23:59:59.999999999Z");
  EXPECT_EQ(clock.rfc3339(UINT64_MAX).size(), WallClock::kRfc3339Size);
  EXPECT_EQ(clock.rfc3339(1ULL << 63U).size(), WallClock::kRfc3339Size);
}

TEST(WallClock, LocalTimeFollowsTz) {
  setenv("TZ", "EST5", 1);
  tzset();
  WallClock clock;
  char text[WallClock::kLocalSize];
  const char* end = clock.put_local(text, 12ULL * 3600 * 1'000'000'000);
  EXPECT_EQ(std::string(static_cast<const char*>(text), end), "07:00:00");
  unsetenv("TZ");
  tzset();
}

TEST(Put, NumbersEqualToString) {
  char text[32];
  std::mt19937_64 random(5);
  const auto check = [&](std::uint64_t value) {
    ASSERT_EQ(std::string(text, put::number(text, value)), std::to_string(value));
    char hex[32];
    std::snprintf(hex, sizeof hex, "%llx", static_cast<unsigned long long>(value));
    ASSERT_EQ(std::string(text, put::hex(text, value)), hex);
  };
  for (std::uint64_t power = 1; power != 0 && power <= 10'000'000'000'000'000'000ULL / 10 * 10;) {
    check(power - 1);
    check(power);
    check(power + 1);
    if (__builtin_mul_overflow(power, 10, &power)) break;
  }
  for (unsigned shift = 0; shift < 64; ++shift) check(1ULL << shift);
  check(UINT64_MAX);
  for (int i = 0; i < 50000; ++i) check(random() >> (random() % 64));
}

TEST(Put, PaddedKeepsLeadingZeros) {
  char text[16];
  EXPECT_EQ(std::string(text, put::padded(text, 42, 6)), "000042");
  EXPECT_EQ(std::string(text, put::nanos(text, 7)), "000000007");
  EXPECT_EQ(std::string(text, put::nanos(text, 123456789)), "123456789");
}

}  // namespace
}  // namespace tcptrail
