// SPDX-License-Identifier: BSD-2-Clause
// How often the kernel's tables are read: as asked, a tenth of a core at most, never later than
// promised.
#include "run/snapshot_pacer.h"

#include <gtest/gtest.h>

namespace tcptrail {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

// Snapshots that cost one and the other in turn, each as soon as it is due: from the first to when
// the next one is due.
std::uint64_t time_of(SnapshotPacer& pace, int snapshots, std::uint64_t one, std::uint64_t other) {
  std::uint64_t now = 0;
  for (int i = 0; i < snapshots; ++i) {
    pace.taken(now, i % 2 == 0 ? one : other);
    now = pace.next_ns();
  }
  return now;
}

TEST(SnapshotPacer, TheFirstIsDueAtOnceAndTheNextAfterThePeriod) {
  SnapshotPacer pace(1'000 * kMs);
  EXPECT_EQ(pace.next_ns(), 0U);
  pace.taken(5'000 * kMs, 3 * kMs);
  EXPECT_EQ(pace.next_ns(), 6'000 * kMs);
  EXPECT_FALSE(pace.slowed_to_ns());
}

TEST(SnapshotPacer, ExpensiveOnesAreSoRareThatTheyTakeLessThanATenthOfACore) {
  SnapshotPacer pace(1'000 * kMs);
  EXPECT_LT(10 * 500 * kMs * 10, time_of(pace, 10, 500 * kMs, 500 * kMs));
  EXPECT_EQ(pace.slowed_to_ns(), 6'000 * kMs);
}

TEST(SnapshotPacer, OneExpensiveAloneSlowsNothing) {
  SnapshotPacer pace(1'000 * kMs);
  pace.taken(0, 10 * kMs);
  pace.taken(1'000 * kMs, 900 * kMs);
  EXPECT_EQ(pace.next_ns(), 2'000 * kMs);
  EXPECT_FALSE(pace.slowed_to_ns());
}

TEST(SnapshotPacer, WhatTheyTakeOnAverageCountsWhereTheyDiffer) {
  SnapshotPacer pace(1'000 * kMs);
  EXPECT_LT(40 * 140 * kMs * 10, time_of(pace, 40, 100 * kMs, 180 * kMs));
}

TEST(SnapshotPacer, NeverLaterThanPromised) {
  SnapshotPacer pace(0, 200 * kMs);
  pace.taken(0, 900 * kMs);
  pace.taken(200 * kMs, 900 * kMs);
  EXPECT_EQ(pace.next_ns(), 400 * kMs);
}

TEST(SnapshotPacer, AfterAPauseSomeFollowEachOtherAtOnceAndThenNoMore) {
  SnapshotPacer pace(0, 200 * kMs, 1'000 * kMs);
  std::uint64_t now = 50'000 * kMs;
  int at_once = 0;
  for (; pace.next_ns() <= now; ++at_once) pace.taken(now, 10 * kMs);
  EXPECT_EQ(at_once, 9);  // 8 rests of 120 ms, and the one that goes beyond
  const std::uint64_t began = now;
  std::uint64_t spent = 0;
  for (int i = 0; i < 40; ++i, spent += 10 * kMs) {
    now = pace.next_ns();
    pace.taken(now, 10 * kMs);
  }
  EXPECT_LT(spent * 10, now - began);
  EXPECT_LE(pace.next_ns(), now + 200 * kMs);
}

TEST(SnapshotPacer, CanBePutOff) {
  SnapshotPacer pace(1'000 * kMs);
  pace.taken(0, kMs);
  pace.not_before(1'300 * kMs);
  EXPECT_EQ(pace.next_ns(), 1'300 * kMs);
  pace.not_before(10 * kMs);
  EXPECT_EQ(pace.next_ns(), 1'300 * kMs);
}

}  // namespace
}  // namespace tcptrail
