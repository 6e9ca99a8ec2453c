// SPDX-License-Identifier: BSD-2-Clause
// The parts of the model: decode, the table, the peers, the listeners.
#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

#include "connections/peers.h"
#include "events.h"
#include "tcp/event.h"
#include "util/cookie_table.h"

namespace tcptrail::test {
namespace {

std::span<const std::byte> bytes_of(const Event& event, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(&event), size};
}

TEST(Decode, TakesEachKindInItsOwnSizeOnly) {
  for (std::uint8_t kind = 0; kind < 255; ++kind) {
    Event in{};
    in.base.kind = kind;
    Event out{};
    const bool small = decode(bytes_of(in, 64), out);
    const bool large = decode(bytes_of(in, 128), out);
    const bool known = kind >= TCPTRAIL_TRANSITION && kind <= TCPTRAIL_REFUSED;
    EXPECT_EQ(small || large, known) << unsigned{kind};
    EXPECT_FALSE(small && large) << unsigned{kind};
  }
}

TEST(Decode, RefusesShortAndOddLengths) {
  Event in{};
  in.base.kind = TCPTRAIL_TRANSITION;
  Event out{};
  for (std::size_t size = 0; size <= sizeof in; ++size)
    EXPECT_EQ(decode(bytes_of(in, size), out), size == 64) << size;
}

TEST(CookieTable, AgreesWithAStandardMapThroughGrowthAndChurn) {
  std::mt19937_64 random(7);
  CookieTable<std::uint64_t> table;
  std::unordered_map<std::uint64_t, std::uint64_t> oracle;
  for (int i = 0; i < 300'000; ++i) {
    const std::uint64_t key = random() % 50'000;
    const std::uint32_t index = table.find(key);
    ASSERT_EQ(index != table.kNone, oracle.contains(key));
    if (index == table.kNone) {
      table[table.insert(key)] = key * 3;
      oracle[key] = key * 3;
    } else {
      ASSERT_EQ(table[index], oracle[key]);
      if (random() % 3 == 0) {
        table.erase(index);
        oracle.erase(key);
      }
    }
    ASSERT_EQ(table.size(), oracle.size());
  }
}

TEST(CookieTable, WalksInOrderOfInsertion) {
  CookieTable<int> table;
  for (std::uint64_t key = 1; key <= 10'000; ++key) table.insert(key);
  for (std::uint64_t key = 2; key <= 10'000; key += 2) table.erase(table.find(key));
  std::uint64_t expected = 1;
  for (std::uint32_t i = table.first(); i != table.kNone; i = table.next(i), expected += 2)
    ASSERT_EQ(table.key(i), expected);
  EXPECT_EQ(expected, 10'001U);
}

Tuple tuple(std::uint8_t l, std::uint16_t lport, std::uint8_t r, std::uint16_t rport) {
  Tuple t;
  t.laddr.bytes = {10, 0, 0, l};
  t.raddr.bytes = {10, 0, 0, r};
  t.lport = lport;
  t.rport = rport;
  return t;
}

Tuple loopback(std::uint16_t lport, std::uint16_t rport) {
  Tuple t = tuple(1, lport, 1, rport);
  t.laddr.bytes[0] = t.raddr.bytes[0] = 127;
  return t;
}

// Connections that look for their other ends, known by their index as in the lifecycle.
struct PeersTest : testing::Test {
  std::uint32_t end(std::uint32_t netns, const Tuple& tuple) {
    const std::uint32_t index = conns.insert(conns.size() + 1);
    conns[index].netns = netns;
    conns[index].tuple = tuple;
    return index;
  }
  std::uint32_t meet(std::uint32_t netns, const Tuple& tuple) {
    return peers.meet(end(netns, tuple));
  }
  CookieTable<Conn> conns;
  Peers peers{conns};
};

TEST_F(PeersTest, TheSecondEndFindsTheFirst) {
  const std::uint32_t first = end(5, loopback(40000, 80));
  EXPECT_EQ(peers.meet(first), Peers::kNone);
  EXPECT_EQ(meet(5, loopback(80, 40000)), first);
}

TEST_F(PeersTest, LoopbackDoesNotLeaveItsNamespace) {
  meet(5, loopback(40000, 80));
  EXPECT_EQ(meet(6, loopback(80, 40000)), Peers::kNone);
}

TEST_F(PeersTest, OtherAddressesMeetAcrossNamespaces) {
  const std::uint32_t first = end(5, tuple(1, 40000, 2, 80));
  peers.meet(first);
  EXPECT_EQ(meet(6, tuple(2, 80, 1, 40000)), first);
}

TEST_F(PeersTest, TwoConnectionsWithOneTupleNameNobody) {
  meet(5, tuple(1, 40000, 2, 80));
  meet(7, tuple(1, 40000, 2, 80));
  EXPECT_EQ(meet(6, tuple(2, 80, 1, 40000)), Peers::kNone);
}

TEST_F(PeersTest, TheSecondOfTwoWithOneTupleLeavesBoth) {
  meet(5, tuple(1, 40000, 2, 80));
  const std::uint32_t second = end(7, tuple(1, 40000, 2, 80));
  peers.meet(second);
  peers.leave(second);
  conns.erase(second);
  const std::uint32_t third = end(6, tuple(2, 80, 1, 40000));
  EXPECT_EQ(peers.meet(third), Peers::kNone);
  EXPECT_EQ(meet(8, tuple(1, 40000, 2, 80)), third);
}

TEST_F(PeersTest, ASocketConnectedToItselfIsNobodysPeer) {
  meet(5, loopback(40000, 40000));
  EXPECT_EQ(meet(5, loopback(40000, 40000)), Peers::kNone);
}

TEST_F(PeersTest, AnEndThatHasLeftIsNotFound) {
  const std::uint32_t first = end(5, loopback(40000, 80));
  peers.meet(first);
  peers.leave(first);
  conns.erase(first);
  EXPECT_EQ(meet(5, loopback(80, 40000)), Peers::kNone);
}

}  // namespace
}  // namespace tcptrail::test
