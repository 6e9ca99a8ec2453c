// SPDX-License-Identifier: BSD-2-Clause
// Values of flags: every unit, every edge, every refusal.
#include "cli/parse.h"

#include <gtest/gtest.h>

namespace tcptrail {
namespace {

std::uint64_t duration(std::string_view text) {
  const auto ns = parse_duration_ns("--for", text);
  return ns ? *ns : 0;
}

TEST(ParseDuration, TakesEveryUnitAndBareSeconds) {
  EXPECT_EQ(duration("500ms"), 500'000'000U);
  EXPECT_EQ(duration("10s"), 10'000'000'000U);
  EXPECT_EQ(duration("2m"), 120'000'000'000U);
  EXPECT_EQ(duration("1h"), 3'600'000'000'000U);
  EXPECT_EQ(duration("1d"), 86'400'000'000'000U);
  EXPECT_EQ(duration("3"), 3'000'000'000U);
  EXPECT_EQ(duration("1.5s"), 1'500'000'000U);
  EXPECT_EQ(duration(".25"), 250'000'000U);
  EXPECT_EQ(duration("250us"), 250'000U);
}

TEST(ParseDuration, RefusesTheRest) {
  for (const char* text : {"", "s", ".", "1x", "-1", "1.2.3", "1 s", "ms", "99999999999999999999",
                           "9999999999h", "300y", "0", "0ms", "1e3"}) {
    EXPECT_FALSE(parse_duration_ns("--for", text)) << text;
  }
}

TEST(ParsePorts, SortsAndMerges) {
  const auto ports = parse_ports("-L", "8000-8099,443,80,8050-8200,81,8201");
  ASSERT_TRUE(ports);
  EXPECT_EQ(ports->ranges, (std::vector<PortRange>{{80, 81}, {443, 443}, {8000, 8201}}));
  EXPECT_EQ(parse_ports("-L", "65535,1")->ranges, (std::vector<PortRange>{{1, 1}, {65535, 65535}}));
  EXPECT_EQ(parse_ports("-L", "1-65535,65535")->ranges.size(), 1U);
}

TEST(ParsePorts, RefusesWhatIsNoPort) {
  for (const char* text : {"", ",", "0", "65536", "http", "80-", "-80", "90-80", "80-90-100",
                           "80;443", "8 0", "+80"}) {
    EXPECT_FALSE(parse_ports("-L", text)) << text;
  }
  EXPECT_EQ(parse_ports("-L", "90-80").error().why, "the range 90-80 is backwards");
}

TEST(ParsePids, SortsAndDropsDoubles) {
  EXPECT_EQ(*parse_pids("-p", "34,12,34"), (std::vector<std::uint32_t>{12, 34}));
  for (const char* text : {"", "0", "-1", "nginx", "4294967296", "4194305"}) {
    EXPECT_FALSE(parse_pids("-p", text)) << text;
  }
}

TEST(ParseRingSize, IsAPowerOfTwoInItsRange) {
  EXPECT_EQ(*parse_ring_size("--ring-size", "64K"), 65536U);
  EXPECT_EQ(*parse_ring_size("--ring-size", "65536"), 65536U);
  EXPECT_EQ(*parse_ring_size("--ring-size", "4M"), 4U << 20U);
  EXPECT_EQ(*parse_ring_size("--ring-size", "1G"), 1U << 30U);
  EXPECT_EQ(*parse_ring_size("--ring-size", "8MiB"), 8U << 20U);
  for (const char* text : {"", "K", "32K", "3M", "2G", "64k64", "99999999999G",
                           "18446744073709551615K", "1T", "-1M"}) {
    EXPECT_FALSE(parse_ring_size("--ring-size", text)) << text;
  }
  EXPECT_EQ(parse_ring_size("--ring-size", "3M").error().why,
            "the kernel takes only powers of two");
}

TEST(ParseNumber, SaysItsRange) {
  EXPECT_EQ(*parse_number("--count", "5", 1, 10), 5U);
  EXPECT_EQ(parse_number("--count", "0", 1, 10).error().fix, "a number from 1 to 10");
  EXPECT_EQ(parse_number("--count", "x", 1, 10).error().why, "it is not a number");
}

TEST(ParseMs, TakesFractions) {
  EXPECT_EQ(*parse_ms_as_ns("--min-ms", "0"), 0U);
  EXPECT_EQ(*parse_ms_as_ns("--min-ms", "0.5"), 500'000U);
  EXPECT_EQ(*parse_ms_as_ns("--min-ms", "0.0000001"), 0U);
  EXPECT_FALSE(parse_ms_as_ns("--min-ms", "5s"));
}

TEST(ParseLabel, SplitsAtTheFirstEqualsSign) {
  EXPECT_EQ(*parse_label("--label", "a=b=c"), (std::pair<std::string, std::string>("a", "b=c")));
  EXPECT_EQ(*parse_label("--label", "a="), (std::pair<std::string, std::string>("a", "")));
  for (const char* text : {"", "a", "=b", "a=\xff"})
    EXPECT_FALSE(parse_label("--label", text)) << text;
}

TEST(ParsePrefixes, TakesAList) {
  EXPECT_EQ(parse_prefixes("--laddr", "10.0.0.0/8,::1")->size(), 2U);
  EXPECT_FALSE(parse_prefixes("--laddr", "10.0.0.0/8,host"));
  EXPECT_FALSE(parse_prefixes("--laddr", ""));
}

TEST(ParseWords, EmptyListIsAnError) {
  EXPECT_FALSE(parse_hows("--how", ""));
  EXPECT_FALSE(parse_closers("--closed-by", ","));
  EXPECT_FALSE(parse_events("--events", ""));
}

AddressPort at(std::string_view text, bool port_may_be_0 = false) {
  const auto parsed = parse_address_port("--bind", text, port_may_be_0);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : AddressPort{};
}

TEST(ParseAddressPort, TakesEveryFormOfTheContract) {
  EXPECT_EQ(address_text(at("127.0.0.1:80").address, Family::kIpv4), "127.0.0.1");
  EXPECT_EQ(at("127.0.0.1:80").port, 80);
  EXPECT_FALSE(at("127.0.0.1:80").inet6);
  EXPECT_EQ(at("*:80"), at("0.0.0.0:80")) << "the IPv4 wildcard";
  EXPECT_EQ(address_text(at("[::1]:80").address, Family::kIpv6), "::1");
  EXPECT_TRUE(at("[::]:80").inet6);
  EXPECT_FALSE(at("[::]:80").default_family);
  const AddressPort mapped = at("[::ffff:127.0.0.1]:80");
  EXPECT_TRUE(mapped.inet6);
  EXPECT_EQ(mapped.family, Family::kIpv6) << "an AF_INET6 socket";
  EXPECT_EQ(at(":80"), at("80"));
  EXPECT_TRUE(at("80").inet6 && at("80").default_family);
  EXPECT_EQ(at("127.0.0.1:0", true).port, 0);
}

TEST(ParseAddressPort, RefusesTheRest) {
  for (const char* text :
       {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:0", "::1:80",
        "[::1]", "[127.0.0.1]:80", "[::1:80", "localhost:80", "[]:80", "[*]:80", "127.0.0.1:-1"}) {
    const auto parsed = parse_address_port("--bind", text, false);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().exit_code, 2);
    EXPECT_FALSE(parsed.error().fix.empty()) << text;
  }
  EXPECT_EQ(parse_address_port("--bind", "::1:80", false).error().fix,
            "put the address into brackets: [::1]:80");
}

TEST(ParseAddress, TakesAnAddressWithOrWithoutBrackets) {
  EXPECT_EQ(*parse_address("--from", "::1"), *parse_address("--from", "[::1]"));
  EXPECT_FALSE(parse_address("--from", "10.0.0.1")->inet6);
  EXPECT_FALSE(parse_address("--from", "10.0.0"));
}

}  // namespace
}  // namespace tcptrail
