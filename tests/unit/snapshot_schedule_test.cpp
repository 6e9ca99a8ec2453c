// SPDX-License-Identifier: BSD-2-Clause
// Which part of the kernel's tables is read when, by what the run needs: no kernel needed.
#include "run/snapshot_schedule.h"

#include <gtest/gtest.h>

namespace tcptrail {
namespace {

using enum SnapshotKind;

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1'000 * kMs;
constexpr SnapshotNeeds kNothing{};
constexpr SnapshotNeeds kEverything{
    .gap = true, .connections = true, .blocked = true, .minisockets = true};

// One that has taken its first full snapshot at 100 s.
SnapshotSchedule started(bool record = false, std::optional<std::uint64_t> round_ns = {}) {
  SnapshotSchedule schedule(record, round_ns);
  schedule.taken(kFull, 100 * kSecond, kMs);
  return schedule;
}

TEST(SnapshotSchedule, WhereNobodyNeedsOneNothingIsDueAndNothingWakes) {
  const SnapshotSchedule schedule = started();
  for (const SnapshotKind kind : kSnapshotKinds)
    EXPECT_FALSE(schedule.due(kind, 10'000 * kSecond, kNothing));
  EXPECT_EQ(schedule.next(kNothing), UINT64_MAX);
}

TEST(SnapshotSchedule, AGapIsClosedASecondAfterTheLastFullSnapshot) {
  const SnapshotSchedule schedule = started();
  const SnapshotNeeds gap{.gap = true};
  EXPECT_FALSE(schedule.due(kFull, 101 * kSecond - 1, gap));
  EXPECT_TRUE(schedule.due(kFull, 101 * kSecond, gap));
  EXPECT_EQ(schedule.next(gap), 101 * kSecond);
}

TEST(SnapshotSchedule, ConnectionsAreCheckedEveryMinuteButDoNotWakeAnIdleRun) {
  const SnapshotSchedule schedule = started();
  const SnapshotNeeds connections{.connections = true};
  EXPECT_FALSE(schedule.due(kFull, 160 * kSecond - 1, connections));
  EXPECT_TRUE(schedule.due(kFull, 160 * kSecond, connections));
  EXPECT_EQ(schedule.next(connections), UINT64_MAX);
}

TEST(SnapshotSchedule, ARecordingGetsAFullSnapshotEveryTenSecondsThoughNothingHappens) {
  const SnapshotSchedule schedule = started(true);
  EXPECT_FALSE(schedule.due(kFull, 110 * kSecond - 1, kNothing));
  EXPECT_TRUE(schedule.due(kFull, 110 * kSecond, kNothing));
  EXPECT_EQ(schedule.next(kNothing), 110 * kSecond);
}

TEST(SnapshotSchedule, MinisocketsAreScannedEverySecondAndAFullSnapshotIsAScanToo) {
  SnapshotSchedule schedule = started();
  const SnapshotNeeds minisockets{.minisockets = true};
  EXPECT_EQ(schedule.next(minisockets), 101 * kSecond);
  EXPECT_TRUE(schedule.due(kScan, 101 * kSecond, minisockets));
  schedule.taken(kScan, 101 * kSecond, kMs);
  EXPECT_FALSE(schedule.due(kScan, 102 * kSecond - 1, minisockets));
  schedule.taken(kFull, 101'500 * kMs, kMs);
  EXPECT_EQ(schedule.next(minisockets), 102'500 * kMs);
}

TEST(SnapshotSchedule, BlockersAreReadAtOnceAndExpensiveSnapshotsPutThemOffFor200Ms) {
  SnapshotSchedule schedule = started();
  const SnapshotNeeds blocked{.blocked = true};
  EXPECT_TRUE(schedule.due(kBlocked, 100 * kSecond, blocked));
  schedule.taken(kBlocked, 200 * kSecond, 900 * kMs);
  EXPECT_FALSE(schedule.due(kBlocked, 200'200 * kMs - 1, blocked));
  EXPECT_EQ(schedule.next(blocked), 200'200 * kMs);
}

TEST(SnapshotSchedule, RoundsFollowEachOtherAsAskedFor) {
  SnapshotSchedule schedule = started(false, 2 * kSecond);
  EXPECT_TRUE(schedule.due(kRound, 100 * kSecond, kNothing));
  schedule.taken(kRound, 100 * kSecond, kMs);
  EXPECT_EQ(schedule.next(kNothing), 102 * kSecond);
}

TEST(SnapshotSchedule, ARoundThatComesSoonIsAScan) {
  SnapshotSchedule schedule = started(false, 1'200 * kMs);
  schedule.taken(kRound, 101 * kSecond, kMs);
  EXPECT_FALSE(schedule.due(kScan, 102 * kSecond, {.minisockets = true}));
  EXPECT_TRUE(schedule.due(kScan, 102'200 * kMs, {.minisockets = true}));
}

TEST(SnapshotSchedule, BetweenRoundsThatAreFarApartThereAreScans) {
  SnapshotSchedule schedule = started(false, 5 * kSecond);
  schedule.taken(kRound, 101 * kSecond, kMs);
  EXPECT_FALSE(schedule.due(kScan, 102 * kSecond - 1, {.minisockets = true}));
  EXPECT_TRUE(schedule.due(kScan, 102 * kSecond, {.minisockets = true}));
}

TEST(SnapshotSchedule, ScansAddNothingWhereRoundsAreLateBecauseTheyAreExpensive) {
  SnapshotSchedule schedule = started(false, kSecond);
  schedule.taken(kRound, 101 * kSecond, 500 * kMs);
  ASSERT_EQ(schedule.slowed_to_ns(kRound), 6 * kSecond);
  EXPECT_FALSE(schedule.due(kScan, 107 * kSecond - 1, {.minisockets = true}));
  EXPECT_TRUE(schedule.due(kScan, 107 * kSecond, {.minisockets = true}));
}

TEST(SnapshotSchedule, ScansThatAreSlowerThanAskedForSaySo) {
  SnapshotSchedule schedule = started(false, kSecond);
  EXPECT_FALSE(schedule.slowed_to_ns(kScan));
  for (const std::uint64_t second : {200U, 210U, 220U, 230U})
    schedule.taken(kScan, second * kSecond, 400 * kMs);
  EXPECT_EQ(schedule.slowed_to_ns(kScan), 4'800 * kMs);
  EXPECT_FALSE(schedule.slowed_to_ns(kRound));
}

TEST(SnapshotSchedule, WhatWakesTheLoopIsDueThen) {
  SnapshotSchedule schedule = started(true, 3 * kSecond);
  schedule.taken(kRound, 100 * kSecond, 40 * kMs);
  schedule.taken(kBlocked, 100 * kSecond, 40 * kMs);
  for (const SnapshotNeeds& needs :
       {kNothing, kEverything, SnapshotNeeds{.gap = true}, SnapshotNeeds{.blocked = true},
        SnapshotNeeds{.minisockets = true}}) {
    const std::uint64_t at = schedule.next(needs);
    bool any = false;
    for (const SnapshotKind kind : kSnapshotKinds) any = any || schedule.due(kind, at, needs);
    EXPECT_TRUE(any) << at;
  }
}

}  // namespace
}  // namespace tcptrail
