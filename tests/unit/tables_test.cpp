// SPDX-License-Identifier: BSD-2-Clause
// What the model keeps its millions in: slabs, the set of indices, the part of a
// connection that only a closing one has.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <unordered_map>
#include <vector>

#include "allocations.h"
#include "connections/closing_state.h"
#include "util/index_set.h"
#include "util/slab.h"

namespace tcptrail::test {
namespace {

TEST(Slab, ValuesDoNotMoveWhenItGrows) {
  Slab<std::uint64_t> slab;
  const std::uint32_t first = slab.take();
  const std::uint64_t* at = &slab[first];
  for (int i = 0; i < 100'000; ++i) slab.take();
  EXPECT_EQ(&slab[first], at);
  EXPECT_EQ(slab.size(), 100'001U);
}

TEST(Slab, APlaceIsUsedAgainAndEmpty) {
  Slab<std::uint64_t> slab;
  const std::uint32_t kept = slab.take();
  const std::uint32_t gone = slab.take();
  slab[kept] = 1;
  slab[gone] = 2;
  slab.give_back(gone);
  EXPECT_EQ(slab.take(), gone);
  EXPECT_EQ(slab[gone], 0U);
  EXPECT_EQ(slab[kept], 1U);
}

TEST(Slab, ChurnDoesNotAllocate) {
  Slab<std::uint64_t> slab;
  std::vector<std::uint32_t> taken(10'000);
  const auto churn = [&] {
    for (std::uint32_t& index : taken) index = slab.take();
    for (const std::uint32_t index : taken) slab.give_back(index);
  };
  churn();
  const std::size_t before = allocations();
  for (int i = 0; i < 10; ++i) churn();
  EXPECT_EQ(allocations() - before, 0U);
}

TEST(OrderedSlab, WalksInOrderOfInsertionWhateverPlacesAreUsedAgain) {
  OrderedSlab<int> slab;
  std::vector<std::uint32_t> index;
  for (int i = 0; i < 10; ++i) slab[index.emplace_back(slab.insert())] = i;
  for (const std::size_t i : {0U, 4U, 9U}) slab.erase(index[i]);
  slab[slab.insert()] = 10;
  slab[slab.insert()] = 11;
  std::vector<int> order;
  for (std::uint32_t i = slab.first(); i != slab.kNone; i = slab.next(i)) order.push_back(slab[i]);
  EXPECT_EQ(order, (std::vector{1, 2, 3, 5, 6, 7, 8, 10, 11}));
  EXPECT_EQ(slab.size(), order.size());
}

// A set over values of our own. Several values may have one key: that is for the caller to tell
// apart.
struct IndexSetTest : testing::Test {
  static std::uint64_t key(std::uint64_t value) { return value / 2; }
  auto key_of() {
    return [this](std::uint32_t i) { return key(values[i]); };
  }
  void insert(std::uint32_t index) { set.insert(key(values[index]), index, key_of()); }
  bool erase(std::uint32_t index) { return set.erase(key(values[index]), index, key_of()); }
  std::uint32_t find(std::uint64_t value) {
    return set.find(key(value), [&](std::uint32_t i) { return values[i] == value; });
  }
  std::vector<std::uint64_t> values;
  IndexSet set;
};

TEST_F(IndexSetTest, AgreesWithAStandardMapThroughGrowthAndChurn) {
  std::mt19937_64 random(7);
  std::unordered_map<std::uint64_t, std::uint32_t> oracle;
  for (int i = 0; i < 300'000; ++i) {
    const std::uint64_t value = random() % 50'000;
    const auto known = oracle.find(value);
    ASSERT_EQ(find(value), known == oracle.end() ? set.kNone : known->second);
    if (known == oracle.end()) {
      const auto index = static_cast<std::uint32_t>(values.size());
      values.push_back(value);
      insert(index);
      oracle[value] = index;
    } else if (random() % 3 == 0) {
      ASSERT_TRUE(erase(known->second));
      ASSERT_FALSE(erase(known->second));
      oracle.erase(known);
    }
    ASSERT_EQ(set.size(), oracle.size());
  }
}

// The work of a growth is in the operations after it: none of them looks at more than a few
// entries.
TEST_F(IndexSetTest, NoOperationRehashesMoreThanAFewEntries) {
  std::size_t looked_at = 0;
  std::size_t most = 0;
  for (std::uint32_t i = 0; i < 300'000; ++i) {
    values.push_back(i * 2);
    looked_at = 0;
    set.insert(key(values[i]), i, [&](std::uint32_t index) {
      ++looked_at;
      return key(values[index]);
    });
    most = std::max(most, looked_at);
  }
  EXPECT_GT(most, 0U);
  EXPECT_LE(most, 16U);
  for (std::uint32_t i = 0; i < 300'000; ++i) ASSERT_EQ(find(i * 2), i);
}

// An erased slot that nothing lies behind is empty again.
TEST_F(IndexSetTest, ChurnAloneDoesNotRehashWhatIsNotCrowded) {
  std::size_t rehashed = 0;
  const auto counted = [&](std::uint32_t index) {
    ++rehashed;
    return key(values[index]);
  };
  values = {1};
  insert(0);
  for (std::uint64_t value = 2; value < 200'000; value += 2) {
    values.assign({1, value});
    set.insert(key(value), 1, counted);
    ASSERT_TRUE(set.erase(key(value), 1, counted));
  }
  EXPECT_LE(rehashed, 1U);
  EXPECT_EQ(find(1), 0U);
}

TEST_F(IndexSetTest, AnIndexThatASlotCannotHoldIsRefused) {
  EXPECT_THROW(set.insert(1, 1U << 26, [](std::uint32_t) { return 1U; }), std::length_error);
  EXPECT_EQ(set.size(), 0U);
  const std::uint32_t largest = (1U << 26) - 3;
  set.insert(1, largest, [](std::uint32_t) { return 1U; });
  EXPECT_EQ(set.find(1, [](std::uint32_t) { return true; }), largest);
}

TEST(ClosingStates, AnOpenConnectionHasNone) {
  ClosingStates endings;
  Conn conn;
  endings.enter(conn, TcpState::kListen, 1);
  endings.enter(conn, TcpState::kSynRecv, 2);
  endings.enter(conn, TcpState::kEstablished, 3);
  EXPECT_EQ(endings.size(), 0U);
  EXPECT_EQ(endings.local_close(conn).pid, 0U);
  EXPECT_EQ(endings.remote_close(conn).pid, 0U);
}

TEST(ClosingStates, ThePathGoesOnWhereTheConnectionHasNoRoom) {
  ClosingStates endings;
  Conn conn;
  for (std::uint8_t i = 0; i < kMaxSteps; ++i)
    endings.enter(conn, TcpState{static_cast<std::uint8_t>(i + 1)}, 100U + i);
  EXPECT_TRUE(conn.complete);
  for (std::uint8_t i = 0; i < kMaxSteps; ++i) {
    EXPECT_EQ(endings.step(conn, i).state(), TcpState{static_cast<std::uint8_t>(i + 1)});
    EXPECT_EQ(endings.step(conn, i).boot_ns(), 100U + i);
  }
  endings.enter(conn, TcpState::kClosing, 200);
  EXPECT_FALSE(conn.complete) << "there is no room for a ninth";
  EXPECT_EQ(conn.state, TcpState::kClosing);
  EXPECT_EQ(conn.steps, kMaxSteps);
}

TEST(ClosingStates, OneThatIsGivenBackServesTheNextConnection) {
  ClosingStates endings;
  Conn first;
  endings.set_local_close(first, {7, {}});
  endings.set_remote_close(first, {8, {}});
  EXPECT_EQ(endings.local_close(first).pid, 7U);
  EXPECT_EQ(endings.remote_close(first).pid, 8U);
  endings.drop(first);
  EXPECT_EQ(endings.size(), 0U);
  EXPECT_EQ(endings.local_close(first).pid, 0U);
  Conn second;
  endings.set_remote_close(second, {9, {}});
  EXPECT_EQ(endings.local_close(second).pid, 0U) << "nothing of the first is left";
  EXPECT_EQ(endings.size(), 1U);
}

TEST(ClosingStates, ACopyThatLivesOnTakesItAlong) {
  ClosingStates endings;
  Conn conn;
  endings.set_local_close(conn, {7, {}});
  Conn copy = conn;
  ClosingStates::hand_over(conn, copy);
  endings.drop(conn);
  EXPECT_EQ(endings.local_close(copy).pid, 7U);
  endings.drop(copy);
  EXPECT_EQ(endings.size(), 0U);
}

}  // namespace
}  // namespace tcptrail::test
