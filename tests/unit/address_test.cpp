// SPDX-License-Identifier: BSD-2-Clause
// Address text against inet_ntop(3), and prefixes.
#include "tcp/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <random>

namespace tcptrail {
namespace {

std::string by_inet_ntop(const Address& address, Family family) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(family == Family::kIpv4 ? AF_INET : AF_INET6, address.bytes.data(), text,
                   sizeof text);
}

Address parsed(const char* text, Family family) {
  Address address;
  EXPECT_EQ(inet_pton(family == Family::kIpv4 ? AF_INET : AF_INET6, text, address.bytes.data()), 1)
      << text;
  return address;
}

TEST(Address, Ipv4TextEqualsInetNtop) {
  for (const char* text :
       {"0.0.0.0", "127.0.0.1", "10.20.30.40", "255.255.255.255", "1.10.100.9"}) {
    EXPECT_EQ(address_text(parsed(text, Family::kIpv4), Family::kIpv4), text);
  }
}

TEST(Address, Ipv6TextEqualsInetNtopForEveryPatternOfZeroGroups) {
  // Each of the 8 groups is zero, or one of two other values: all runs and ties.
  for (unsigned pattern = 0; pattern < 6561; ++pattern) {
    Address address;
    unsigned rest = pattern;
    for (std::size_t group = 0; group < 8; ++group, rest /= 3) {
      if (rest % 3 != 0) address.bytes[2 * group] = address.bytes[2 * group + 1] = 0xff;
      if (rest % 3 == 2) address.bytes[2 * group] = 0x0a;
    }
    ASSERT_EQ(address_text(address, Family::kIpv6), by_inet_ntop(address, Family::kIpv6));
  }
}

TEST(Address, Ipv6TextEqualsInetNtopForRandomBytes) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    Address address;
    for (std::uint8_t& byte : address.bytes)
      byte = random() % 2 == 0 ? 0 : static_cast<std::uint8_t>(random());
    ASSERT_EQ(address_text(address, Family::kIpv6), by_inet_ntop(address, Family::kIpv6));
  }
}

TEST(Address, LongestTextFitsTheStatedRoom) {
  const Address address = parsed("::ffff:255.255.255.255", Family::kIpv6);
  EXPECT_LE(address_text(address, Family::kIpv6).size(), kMaxAddressText);
  const Address full = parsed("1111:2222:3333:4444:5555:6666:7777:8888", Family::kIpv6);
  EXPECT_LE(address_text(full, Family::kIpv6).size(), kMaxAddressText);
}

TEST(Address, LoopbackIsTheWholeOf127AndColonColonOne) {
  EXPECT_TRUE(is_loopback(parsed("127.8.8.8", Family::kIpv4), Family::kIpv4));
  EXPECT_FALSE(is_loopback(parsed("128.0.0.1", Family::kIpv4), Family::kIpv4));
  EXPECT_TRUE(is_loopback(parsed("::1", Family::kIpv6), Family::kIpv6));
  EXPECT_FALSE(is_loopback(parsed("::2", Family::kIpv6), Family::kIpv6));
}

TEST(Prefix, ContainsComparesOnlyItsOwnBits) {
  const auto prefix = parse_prefix("10.16.0.0/12");
  ASSERT_TRUE(prefix);
  EXPECT_TRUE(prefix->contains(parsed("10.31.255.255", Family::kIpv4), Family::kIpv4));
  EXPECT_FALSE(prefix->contains(parsed("10.32.0.0", Family::kIpv4), Family::kIpv4));
  const auto all = parse_prefix("0.0.0.0/0");
  EXPECT_TRUE(all->contains(parsed("203.0.113.9", Family::kIpv4), Family::kIpv4));
  EXPECT_FALSE(all->contains(parsed("::1", Family::kIpv6), Family::kIpv6));
  const auto six = parse_prefix("2001:db8::/33");
  EXPECT_TRUE(six->contains(parsed("2001:db8:7fff::1", Family::kIpv6), Family::kIpv6));
  EXPECT_FALSE(six->contains(parsed("2001:db8:8000::1", Family::kIpv6), Family::kIpv6));
  EXPECT_TRUE(parse_prefix("::1/128")->contains(parsed("::1", Family::kIpv6), Family::kIpv6));
}

TEST(Prefix, BareAddressIsItself) {
  const auto prefix = parse_prefix("192.0.2.1");
  ASSERT_TRUE(prefix);
  EXPECT_EQ(prefix->length, 32U);
  EXPECT_FALSE(prefix->contains(parsed("192.0.2.2", Family::kIpv4), Family::kIpv4));
}

TEST(Prefix, MappedPrefixIsIpv4BecauseItsPacketsAre) {
  const auto prefix = parse_prefix("::ffff:10.0.0.0/104");
  ASSERT_TRUE(prefix);
  EXPECT_EQ(prefix->family, Family::kIpv4);
  EXPECT_EQ(prefix->length, 8U);
  EXPECT_TRUE(prefix->contains(parsed("10.1.2.3", Family::kIpv4), Family::kIpv4));
}

TEST(Prefix, GarbageIsRefused) {
  for (const char* text : {"", "/", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x",
                           "::1/129", "host", "10.0.0", "10.0.0.0 /8", "::ffff:300.0.0.1"}) {
    EXPECT_FALSE(parse_prefix(text)) << text;
  }
}

}  // namespace
}  // namespace tcptrail
