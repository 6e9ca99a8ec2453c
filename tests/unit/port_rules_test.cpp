// SPDX-License-Identifier: BSD-2-Clause
// The rules of the kernel for ports, line by line: each row was seen with real
// sockets on 5.10 ... 7.2 (docs/kernels.md), tests/net/test_ports.py repeats them live.
#include "ports/port_rules.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>

namespace tcptrail {
namespace {

using enum TcpState;
using enum BindOptions;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kNow = 1000 * kSecond;
constexpr std::uint16_t kPort = 8080;

// "127.0.0.1", "::1", "::ffff:127.0.0.1"; an AF_INET6 socket when there is a colon.
BoundAddress at(const std::string& text, bool v6only = false) {
  BoundAddress bound;
  bound.inet6 = text.find(':') != std::string::npos;
  bound.v6only = v6only;
  const std::string full = bound.inet6 ? text : "::ffff:" + text;
  EXPECT_EQ(inet_pton(AF_INET6, full.c_str(), bound.bytes.data()), 1) << text;
  return bound;
}

// A specific IPv6 address makes the kernel set sk_ipv6only.
BoundAddress bound_by_bind(const std::string& text, bool v6only = false) {
  BoundAddress bound = at(text, v6only);
  if (!bound.mapped() && !bound.any()) bound.v6only = true;
  return bound;
}

struct Flags {
  bool reuseaddr = false;
  bool reuseport = false;
};
constexpr Flags kNone{}, kR{true, false}, kP{false, true}, kRP{true, true};

PortSocket socket_at(TcpState state, const BoundAddress& bound, Flags flags = kNone,
                     std::uint16_t port = kPort) {
  static std::uint64_t cookies = 0;
  PortSocket s;
  s.cookie = ++cookies;
  s.state = state;
  s.bound = bound;
  s.tuple.lport = port;
  s.tuple.family = bound.mapped() ? Family::kIpv4 : Family::kIpv6;
  if (bound.mapped())
    std::copy(bound.bytes.begin() + 12, bound.bytes.end(), s.tuple.laddr.bytes.begin());
  else
    s.tuple.laddr.bytes = bound.bytes;
  s.reuseaddr = flags.reuseaddr;
  s.reuseport = flags.reuseport;
  if (state == kTimeWait) {
    s.minisocket = true;
    s.expires_ns = kNow + 30 * kSecond;
    s.step_ms = 2048;
  }
  return s;
}

PortSocket fin_wait2_minisocket(const BoundAddress& bound, Flags flags) {
  PortSocket s = socket_at(kTimeWait, bound, flags);
  s.state = kFinWait2;
  return s;
}

PortTable table_of(std::initializer_list<PortSocket> sockets) {
  PortTable table;
  for (const PortSocket& s : sockets) table.add(s);
  table.finish();
  return table;
}

bool ok(const PortTable& table, const BoundAddress& address, BindOptions options,
        std::uint32_t uid = 0) {
  return bind_succeeds(table, {}, {.address = address, .port = kPort, .uid = uid}, options);
}

// B1: rows none, REUSEPORT, REUSEADDR, both of the minisocket; columns of the binder.
struct OptionsRow {
  Flags socket;
  bool plain, reuseport, reuseaddr, both;
};
constexpr OptionsRow kB1[] = {{kNone, false, false, false, false},
                              {kP, false, true, false, true},
                              {kR, false, false, true, true},
                              {kRP, false, true, true, true}};

TEST(PortRulesB1, BindOnATimeWaitNeedsTheSameOptionOnBothSockets) {
  for (const OptionsRow& row : kB1) {
    const PortTable table = table_of({socket_at(kTimeWait, at("127.0.0.1"), row.socket)});
    EXPECT_EQ(ok(table, at("127.0.0.1"), kPlain), row.plain);
    EXPECT_EQ(ok(table, at("127.0.0.1"), kReusePort), row.reuseport);
    EXPECT_EQ(ok(table, at("127.0.0.1"), kReuseAddr), row.reuseaddr);
    EXPECT_EQ(ok(table, at("127.0.0.1"), kBoth), row.both);
  }
}

TEST(PortRulesB1, OneSocketWithoutTheOptionAmongManyBlocks) {
  PortTable table;
  for (int i = 0; i < 9; ++i) table.add(socket_at(kTimeWait, at("127.0.0.1"), kR));
  table.add(socket_at(kTimeWait, at("127.0.0.1"), kNone));
  table.finish();
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kReuseAddr));
  EXPECT_EQ(bind_blockers(table, {.address = at("127.0.0.1"), .port = kPort}, kReuseAddr).size(),
            1U);
  EXPECT_EQ(bind_blockers(table, {.address = at("127.0.0.1"), .port = kPort}, kPlain).size(), 10U);
}

struct AddressRow {
  const char* socket;
  bool socket_v6only;
  const char* binder;
  bool binder_v6only;
  bool ok;
};
constexpr AddressRow kB2[] = {
    {"127.0.0.1", false, "127.0.0.1", false, false},
    {"127.0.0.1", false, "0.0.0.0", false, false},
    {"127.0.0.1", false, "::", false, false},
    {"127.0.0.1", false, "::ffff:127.0.0.1", false, false},
    {"127.0.0.1", false, "::ffff:0.0.0.0", false, false},
    {"127.0.0.1", false, "127.0.0.2", false, true},
    {"127.0.0.1", false, "::", true, true},
    {"127.0.0.1", false, "::1", false, true},
    {"127.0.0.1", false, "::ffff:127.0.0.2", false, true},
    {"::1", true, "0.0.0.0", false, true},
    {"::1", true, "127.0.0.1", false, true},
    {"::1", true, "::", false, false},
    {"::1", true, "::", true, false},
    {"::1", true, "::1", false, false},
    {"::1", true, "::ffff:0.0.0.0", false, true},
    // The connections of a dual-stack listener, and of a client that did not bind:
    // sk_ipv6only is not set, and the IPv4 wildcard runs into them.
    {"::1", false, "0.0.0.0", false, false},
    {"::1", false, "127.0.0.1", false, true},
    {"::1", false, "127.0.0.6", false, true},
    {"::1", false, "::ffff:0.0.0.0", false, true},
    {"::ffff:127.0.0.1", false, "127.0.0.1", false, false},
    {"::ffff:127.0.0.1", false, "0.0.0.0", false, false},
    {"::ffff:127.0.0.1", false, "::", false, false},
    {"::ffff:127.0.0.1", false, "127.0.0.2", false, true},
    {"::ffff:127.0.0.1", false, "::", true, true},
    {"::ffff:127.0.0.1", false, "::1", false, true},
    // Wildcards that are only bound or listen.
    {"0.0.0.0", false, "127.0.0.1", false, false},
    {"0.0.0.0", false, "::1", false, true},
    {"0.0.0.0", false, "::", false, false},
    {"0.0.0.0", false, "::", true, true},
    {"0.0.0.0", false, "::ffff:127.0.0.1", false, false},
    {"::", false, "127.0.0.1", false, false},
    {"::", false, "0.0.0.0", false, false},
    {"::", false, "::1", false, false},
    {"::", true, "127.0.0.1", false, true},
    {"::", true, "0.0.0.0", false, true},
    {"::", true, "::ffff:127.0.0.1", false, true},
    {"::", true, "::1", false, false},
    {"::", true, "::", true, false},
};

TEST(PortTable, AnOldLookHasWhatItsTimerHasEndedNoMore) {
  PortSocket time_wait = socket_at(kTimeWait, at("127.0.0.1"));
  time_wait.expires_ns = 60'000'000'000;
  time_wait.step_ms = 500;
  PortTable table = table_of({time_wait, socket_at(kListen, at("127.0.0.1"))});
  table.drop_gone(60'500'000'000);
  EXPECT_EQ(table.all().size(), 2U);
  table.drop_gone(60'500'000'000 + 1);
  ASSERT_EQ(table.all().size(), 1U);
  EXPECT_EQ(table.all()[0].state, kListen);
  EXPECT_EQ(table.on_port(kPort).size(), 1U);
}

TEST(PortRulesB2, WhichAddressesMeet) {
  for (const AddressRow& row : kB2) {
    const PortTable table = table_of({socket_at(kTimeWait, at(row.socket, row.socket_v6only))});
    EXPECT_EQ(ok(table, bound_by_bind(row.binder, row.binder_v6only), kPlain), row.ok)
        << row.socket << (row.socket_v6only ? " v6only" : "") << " then " << row.binder
        << (row.binder_v6only ? " v6only" : "");
  }
}

TEST(PortRulesB2, ReuseAddrHelpsAcrossAddresses) {
  const PortTable table = table_of({socket_at(kTimeWait, at("::ffff:127.0.0.1"), kR)});
  EXPECT_TRUE(ok(table, at("0.0.0.0"), kReuseAddr));
}

TEST(PortRulesB3, TheUidOfATimeWaitIsNotCompared) {
  EXPECT_TRUE(ok(table_of({socket_at(kTimeWait, at("127.0.0.1"), kP)}), at("127.0.0.1"), kReusePort,
                 65534));
  EXPECT_TRUE(ok(table_of({socket_at(kTimeWait, at("127.0.0.1"), kR)}), at("127.0.0.1"), kReuseAddr,
                 65534));
  EXPECT_FALSE(
      ok(table_of({socket_at(kTimeWait, at("127.0.0.1"))}), at("127.0.0.1"), kReuseAddr, 65534));
}

TEST(PortRulesB3, TheUidOfALivingSocketIs) {
  const PortTable table = table_of({socket_at(kListen, at("127.0.0.1"), kP)});
  EXPECT_TRUE(ok(table, at("127.0.0.1"), kReusePort, 0));
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kReusePort, 65534));
}

TEST(PortRulesB4, TheTimeWaitOfAClientBlocksAServer) {
  PortSocket client = socket_at(kTimeWait, at("127.0.0.1"));
  client.tuple.rport = 80;
  PortTable table = table_of({client});
  table.set_bucket(kPort, {});  // -1/-1: the port was connect()'s choice
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kPlain));
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kReuseAddr));
  client.reuseaddr = true;
  table = table_of({client});
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kPlain));
  EXPECT_TRUE(ok(table, at("127.0.0.1"), kReuseAddr));
}

TEST(PortRulesB5, AFinWait2MinisocketIsLikeTimeWait) {
  for (const OptionsRow& row : kB1) {
    const PortTable table = table_of({fin_wait2_minisocket(at("127.0.0.1"), row.socket)});
    EXPECT_EQ(ok(table, at("127.0.0.1"), kPlain), row.plain);
    EXPECT_EQ(ok(table, at("127.0.0.1"), kReusePort, 65534), row.reuseport);
    EXPECT_EQ(ok(table, at("127.0.0.1"), kReuseAddr), row.reuseaddr);
  }
}

TEST(PortRulesB6, ALivingListenerIsNotOvercomeByReuseAddr) {
  const PortTable table = table_of(
      {socket_at(kListen, at("127.0.0.1"), kR), socket_at(kTimeWait, at("127.0.0.1"), kR)});
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kReuseAddr));
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kBoth));
}

TEST(PortRules, OtherLivingSocketsWithReuseAddrAreNotInTheWay) {
  for (const TcpState state : {kEstablished, kCloseWait, kFinWait1, kFinWait2, kBound, kSynSent}) {
    EXPECT_TRUE(ok(table_of({socket_at(state, at("127.0.0.1"), kR)}), at("127.0.0.1"), kReuseAddr))
        << state_name(state);
    EXPECT_FALSE(ok(table_of({socket_at(state, at("127.0.0.1"), kR)}), at("127.0.0.1"), kPlain))
        << state_name(state);
    EXPECT_FALSE(ok(table_of({socket_at(state, at("127.0.0.1"))}), at("127.0.0.1"), kReuseAddr))
        << state_name(state);
  }
}

PortSysctls small_range(unsigned low, unsigned high) {
  PortSysctls sysctls;
  sysctls.range_low = low;
  sysctls.range_high = high;
  return sysctls;
}

TEST(PortRulesB7, BindToPortZeroNeedsAPortWithoutAnyOverlap) {
  PortTable table = table_of({socket_at(kTimeWait, at("127.0.0.1"), kR, 40000),
                              socket_at(kTimeWait, at("127.0.0.1"), kR, 40001)});
  PortSysctls sysctls = small_range(40000, 40001);
  const BindQuestion here{.address = at("127.0.0.1")};
  for (const BindOptions options : {kPlain, kReuseAddr, kReusePort, kBoth})
    EXPECT_FALSE(bind_succeeds(table, sysctls, here, options));
  EXPECT_TRUE(bind_succeeds(table, sysctls, {.address = at("127.0.0.2")}, kPlain));
  sysctls.autobind_reuse = true;
  EXPECT_TRUE(bind_succeeds(table, sysctls, here, kReuseAddr));
  EXPECT_FALSE(bind_succeeds(table, sysctls, here, kPlain));
}

TEST(PortRulesB7, AReservedPortIsNotChosen) {
  PortSysctls sysctls = small_range(40000, 40001);
  sysctls.reserved[40000] = sysctls.reserved[40001] = true;
  EXPECT_FALSE(bind_succeeds({}, sysctls, {.address = at("127.0.0.1")}, kPlain));
  EXPECT_TRUE(bind_succeeds({}, sysctls, {.address = at("127.0.0.1"), .port = 40000}, kPlain))
      << "bind() may name it";
  EXPECT_EQ(reserved_in_range(sysctls), 2U);
}

TEST(PortRulesB8, AnUnboundBinderMeetsSocketsOfEveryDevice) {
  PortSocket s = socket_at(kTimeWait, at("127.0.0.1"));
  s.bound_dev_if = 1;
  EXPECT_FALSE(ok(table_of({s}), at("127.0.0.1"), kPlain));
}

TEST(PortRules, WhatBindRefusesWhateverTheSocketsAre) {
  EXPECT_EQ(refusal({.address = at("192.0.2.1"), .port = 80, .address_is_local = false}, {}),
            BindRefusal::kNotLocal);
  EXPECT_EQ(refusal({.address = at("127.0.0.1"), .port = 80, .may_bind_low = false}, {}),
            BindRefusal::kNoPermission);
  EXPECT_EQ(refusal({.address = at("127.0.0.1"), .port = 1024, .may_bind_low = false}, {}),
            BindRefusal::kNone);
  EXPECT_EQ(refusal({.address = at("::ffff:127.0.0.1", true), .port = 8080}, {}),
            BindRefusal::kMappedV6Only);
}

// The bucket's memory (sk_reuseport_match): seen live with TIME_WAIT 127.0.0.1 {REUSEADDR}
// and LISTEN 127.0.0.1 {both}, binder 127.0.0.1 {REUSEPORT}.
TEST(PortRulesBucket, ABindThatRepeatsTheLastReusePortBindIsLetIn) {
  PortTable table = table_of(
      {socket_at(kTimeWait, at("127.0.0.1"), kR), socket_at(kListen, at("127.0.0.1"), kRP)});
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kReusePort))
      << "without the bucket only the sockets count";
  table.set_bucket(kPort,
                   {.fastreuse = 0, .fastreuseport = 2, .fastuid = 0, .fast = at("127.0.0.1")});
  EXPECT_TRUE(ok(table, at("127.0.0.1"), kReusePort));
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kReusePort, 1000)) << "another user";
  EXPECT_FALSE(ok(table, at("0.0.0.0"), kReusePort)) << "a wider address";
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kPlain));
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kReuseAddr));
}

TEST(PortRulesBucket, AWildcardBindRememberedCoversAnAddress) {
  PortTable table =
      table_of({socket_at(kBound, at("::"), kR), socket_at(kBound, at("0.0.0.0"), kRP)});
  table.set_bucket(kPort,
                   {.fastreuse = 1, .fastreuseport = 2, .fastuid = 0, .fast = at("0.0.0.0")});
  EXPECT_TRUE(ok(table, at("127.0.0.1"), kReusePort));
  table.set_bucket(kPort, {.fastreuse = 1, .fastreuseport = 0});
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kReusePort));
}

// Seen live: the last REUSEPORT bind was 0.0.0.0, the binder asks for an IPv6 address.
TEST(PortRulesBucket, AnIpv4WildcardRememberedDoesNotCoverAnIpv6Address) {
  PortSocket child = socket_at(kCloseWait, at("::1", true), kP);
  child.uid = 0;
  PortTable table = table_of({child});
  table.set_bucket(kPort,
                   {.fastreuse = 0, .fastreuseport = 2, .fastuid = 65534, .fast = at("0.0.0.0")});
  EXPECT_FALSE(ok(table, bound_by_bind("::1"), kReusePort, 65534));
  table.set_bucket(
      kPort, {.fastreuse = 0, .fastreuseport = 2, .fastuid = 65534, .fast = bound_by_bind("::1")});
  EXPECT_TRUE(ok(table, bound_by_bind("::1"), kReusePort, 65534));
}

TEST(PortRules, AnIpv6AddressMakesASocketIpv6Only) {
  Address one;
  one.bytes[15] = 1;
  EXPECT_TRUE(address_to_bind(one, Family::kIpv6, true, false).v6only);
  EXPECT_FALSE(address_to_bind({}, Family::kIpv6, true, false).v6only);
  EXPECT_TRUE(address_to_bind({}, Family::kIpv6, true, true).v6only);
  EXPECT_FALSE(address_to_bind(one, Family::kIpv4, true, false).v6only) << "::ffff:a.b.c.d";
}

TEST(PortRulesBucket, FastReuseAloneDoesNotCarryListen) {
  // bind() passes, listen() looks at every socket again.
  PortTable table = table_of({socket_at(kTimeWait, at("127.0.0.1"))});
  table.set_bucket(kPort, {.fastreuse = 1, .fastreuseport = 0});
  EXPECT_FALSE(ok(table, at("127.0.0.1"), kReuseAddr));
}

// --- connect()
// ------------------------------------------------------------------------------------------------

PortSocket minisocket_to(const char* from, const char* to, std::uint16_t lport,
                         std::uint64_t age_ms) {
  PortSocket s = socket_at(kTimeWait, at(from), kNone, lport);
  const BoundAddress remote = at(to);
  if (remote.mapped())
    std::copy(remote.bytes.begin() + 12, remote.bytes.end(), s.tuple.raddr.bytes.begin());
  else
    s.tuple.raddr.bytes = remote.bytes;
  s.tuple.rport = 80;
  s.timestamps = true;
  s.reuse_since_ns = kNow - age_ms * 1'000'000;
  return s;
}

Tuple destination_of(const PortSocket& s) {
  Tuple tuple = s.tuple;
  tuple.lport = 0;
  return tuple;
}

struct ReuseRow {
  unsigned tw_reuse;
  bool timestamps;
  bool young, at_1300_ms, at_2300_ms;
};
constexpr ReuseRow kC1[] = {{0, true, false, false, false}, {0, false, false, false, false},
                            {1, true, false, true, true},   {1, false, false, false, false},
                            {2, true, false, true, true},   {2, false, false, false, false}};

TEST(PortRulesC1, TheOnlyPortOfTheRangeInTimeWait) {
  for (const ReuseRow& row : kC1) {
    for (const char* address : {"127.0.0.1", "::1"}) {
      PortSysctls sysctls = small_range(40000, 40000);
      sysctls.tcp_tw_reuse = row.tw_reuse;
      const auto works = [&](std::uint64_t age_ms) {
        PortSocket s = minisocket_to(address, address, 40000, age_ms);
        s.timestamps = row.timestamps;
        PortTable table = table_of({s});
        table.set_bucket(40000, {});
        return connect_answer(table, sysctls, {destination_of(s)}, kNow).ok;
      };
      EXPECT_EQ(works(900), row.young) << row.tw_reuse << row.timestamps << address;
      EXPECT_EQ(works(1300), row.at_1300_ms) << row.tw_reuse << row.timestamps << address;
      EXPECT_EQ(works(2300), row.at_2300_ms) << row.tw_reuse << row.timestamps << address;
    }
  }
}

TEST(PortRulesC1, TheDelayIsASysctl) {
  PortSysctls sysctls = small_range(40000, 40000);
  const PortSocket s = minisocket_to("127.0.0.1", "127.0.0.1", 40000, 1300);
  PortTable table = table_of({s});
  table.set_bucket(40000, {});
  sysctls.tw_reuse_delay_ms = 3000;
  const ConnectAnswer answer = connect_answer(table, sysctls, {destination_of(s)}, kNow);
  EXPECT_FALSE(answer.ok);
  EXPECT_EQ(answer.free_in_ms, 1702U) << "3001 ms after it began, not when it expires; rounded up";
  sysctls.tw_reuse_delay_ms = 500;
  EXPECT_TRUE(connect_answer(table, sysctls, {destination_of(s)}, kNow).ok);
}

TEST(PortRulesC2, ReuseOfTwoIsForLoopbackOnly) {
  for (const unsigned reuse : {1U, 2U}) {
    PortSysctls sysctls = small_range(40000, 40000);
    sysctls.tcp_tw_reuse = reuse;
    const PortSocket s = minisocket_to("10.77.0.1", "10.77.0.2", 40000, 5000);
    PortTable table = table_of({s});
    table.set_bucket(40000, {});
    EXPECT_EQ(connect_answer(table, sysctls, {destination_of(s)}, kNow).ok, reuse == 1);
  }
}

TEST(PortRulesC5, AFinWait2MinisocketIsNeverTakenOver) {
  PortSysctls sysctls = small_range(40000, 40000);
  sysctls.tcp_tw_reuse = 1;
  PortSocket s = minisocket_to("127.0.0.1", "127.0.0.1", 40000, 5000);
  s.state = kFinWait2;
  PortTable table = table_of({s});
  table.set_bucket(40000, {});
  const ConnectAnswer answer = connect_answer(table, sysctls, {destination_of(s)}, kNow);
  EXPECT_FALSE(answer.ok);
  EXPECT_EQ(answer.used, 1U);
  EXPECT_EQ(answer.time_wait, 0U);
  EXPECT_EQ(answer.free_in_ms, 30'000U + 2048U);
}

struct PinRow {
  const char* of;
  int fastreuse, fastreuseport;
  bool ok;
};
constexpr PinRow kC3[] = {{"auto-bound client", -1, -1, true},
                          {"client with explicit bind", 0, 0, false},
                          {"server, listener gone", 0, 0, false},
                          {"server with REUSEPORT", 0, 2, false}};

TEST(PortRulesC3, WhichTimeWaitClosesThePortToEveryDestination) {
  PortSysctls sysctls = small_range(40000, 40000);
  sysctls.tcp_tw_reuse = 0;
  for (const PinRow& row : kC3) {
    const PortSocket s = minisocket_to("127.0.0.2", "127.0.0.1", 40000, 5000);
    PortTable table = table_of({s});
    table.set_bucket(40000, {.fastreuse = row.fastreuse, .fastreuseport = row.fastreuseport});
    Tuple other = minisocket_to("127.0.0.1", "127.0.0.1", 0, 0).tuple;
    other.rport = 81;
    const ConnectAnswer answer = connect_answer(table, sysctls, {other}, kNow);
    EXPECT_EQ(answer.ok, row.ok) << row.of;
    EXPECT_EQ(answer.used, 0U) << row.of;
    EXPECT_EQ(answer.pinned, row.ok ? 0U : 1U) << row.of;
    if (!row.ok) {
      EXPECT_EQ(answer.free_in_ms, 32'048U) << row.of;
    }
  }
}

struct BoundRow {
  bool timestamps;
  bool fin_wait2;
  bool ok;
};
constexpr BoundRow kC4[] = {
    {true, false, true}, {false, false, false}, {true, true, true}, {false, true, false}};

TEST(PortRulesC4, AfterBindTheSysctlIsNotAsked) {
  PortSysctls sysctls;
  sysctls.tcp_tw_reuse = 0;
  for (const BoundRow& row : kC4) {
    PortSocket s = minisocket_to("127.0.0.1", "127.0.0.1", 40000, 0);
    s.timestamps = row.timestamps;
    if (row.fin_wait2) s.state = kFinWait2;
    EXPECT_EQ(may_reuse(s, sysctls, true, kNow), row.ok);
  }
  EXPECT_FALSE(may_reuse(socket_at(kEstablished, at("127.0.0.1")), sysctls, true, kNow));
}

TEST(PortRulesC6, ARangeThatIsUsedUpIsSoForOneDestinationAndOneSourceOnly) {
  PortSysctls sysctls = small_range(40000, 40003);
  sysctls.tcp_tw_reuse = 0;
  PortTable table;
  for (std::uint16_t port = 40000; port <= 40003; ++port) {
    table.add(minisocket_to("127.0.0.1", "127.0.0.9", port, 5000));
    table.set_bucket(port, {});
  }
  table.finish();
  Tuple there = destination_of(minisocket_to("127.0.0.1", "127.0.0.9", 0, 0));
  const ConnectAnswer full = connect_answer(table, sysctls, {there}, kNow);
  EXPECT_FALSE(full.ok);
  EXPECT_EQ(full.used, 4U);
  EXPECT_EQ(full.time_wait, 4U);
  EXPECT_EQ(full.available, 0U);
  EXPECT_EQ(full.blockers.size(), 4U);
  EXPECT_EQ(full.free_in_ms, 32'048U);
  there.rport = 81;
  EXPECT_EQ(connect_answer(table, sysctls, {there}, kNow).available, 4U);
  there.rport = 80;
  there.laddr.bytes[3] = 2;
  EXPECT_EQ(connect_answer(table, sysctls, {there}, kNow).available, 4U);
  sysctls.tcp_tw_reuse = 2;
  there.laddr.bytes[3] = 1;
  EXPECT_EQ(connect_answer(table, sysctls, {there}, kNow).available, 4U)
      << "TIME_WAIT that may be taken over is available";
  for (unsigned port = 40000; port <= 40003; ++port) sysctls.reserved[port] = true;
  EXPECT_FALSE(connect_answer({}, sysctls, {there}, kNow).ok) << "all ports reserved";
}

TEST(PortRulesConnect, AnOpenConnectionHasNoEndThatATimerKnows) {
  PortSysctls sysctls = small_range(40000, 40000);
  PortSocket s = minisocket_to("127.0.0.1", "127.0.0.1", 40000, 0);
  s.state = kEstablished;
  s.minisocket = false;
  PortTable table = table_of({s});
  table.set_bucket(40000, {});
  const ConnectAnswer answer = connect_answer(table, sysctls, {destination_of(s)}, kNow);
  EXPECT_FALSE(answer.ok);
  EXPECT_EQ(answer.free_in_ms, std::nullopt);
}

TEST(PortRulesConnect, ASocketBoundToADeviceDoesNotHoldTheTuple) {
  PortSysctls sysctls = small_range(40000, 40000);
  sysctls.tcp_tw_reuse = 0;
  PortSocket s = minisocket_to("127.0.0.1", "127.0.0.1", 40000, 0);
  s.bound_dev_if = 1;
  PortTable table = table_of({s});
  table.set_bucket(40000, {});
  EXPECT_TRUE(connect_answer(table, sysctls, {destination_of(s)}, kNow).ok);
}

TEST(PortRulesConnect, OfAnOddRangeOneEndIsNotTried) {
  EXPECT_TRUE(in_ephemeral_range(small_range(40000, 40000), 40000));
  const PortSysctls three = small_range(40000, 40002);
  EXPECT_TRUE(in_ephemeral_range(three, 40000) && in_ephemeral_range(three, 40001));
  EXPECT_FALSE(in_ephemeral_range(three, 40002));
  const PortSysctls four = small_range(40000, 40003);
  EXPECT_TRUE(in_ephemeral_range(four, 40000) && in_ephemeral_range(four, 40003));
  EXPECT_FALSE(in_ephemeral_range(four, 39999) || in_ephemeral_range(four, 40004));
}

TEST(PortRulesConnect, WithoutABucketAListenerClosesItsPort) {
  PortSysctls sysctls = small_range(40000, 40000);
  const Tuple there = destination_of(minisocket_to("127.0.0.1", "127.0.0.1", 0, 0));
  EXPECT_FALSE(connect_answer(table_of({socket_at(kListen, at("127.0.0.1"), kNone, 40000)}),
                              sysctls, {there}, kNow)
                   .ok);
  EXPECT_TRUE(connect_answer({}, sysctls, {there}, kNow).ok);
}

// --- times
// -------------------------------------------------------------------------------------------------------

TEST(PortRulesTimes, TheStepOfTheTimerWheel) {
  EXPECT_EQ(timer_step_ms(60'000, 100), 5120U);
  EXPECT_EQ(timer_step_ms(60'000, 250), 2048U);
  EXPECT_EQ(timer_step_ms(60'000, 300), 1707U);
  EXPECT_EQ(timer_step_ms(60'000, 1000), 4096U);
  EXPECT_EQ(timer_step_ms(2'000, 250), 32U);
}

TEST(PortRulesTimes, FreeIsWhenTheLastHasGoneWithItsStep) {
  PortSocket a = socket_at(kTimeWait, at("127.0.0.1"));
  PortSocket b = socket_at(kTimeWait, at("127.0.0.1"));
  b.expires_ns = kNow + 31 * kSecond + 1;
  const PortSocket* both[] = {&a, &b};
  EXPECT_EQ(all_gone_in_ms(both, kNow), 31'001U + 2048U);
  PortSocket c = socket_at(kListen, at("127.0.0.1"));
  const PortSocket* three[] = {&a, &b, &c};
  EXPECT_EQ(all_gone_in_ms(three, kNow), std::nullopt);
  a.expires_ns = kNow - 1;
  EXPECT_EQ(gone_in_ms(a, kNow), 2048U) << "the timer has fired late before";
}

TEST(PortTable, OfASocketSeenTwiceTheLastSightingCounts) {
  PortSocket first = socket_at(kEstablished, at("127.0.0.1"));
  PortSocket second = socket_at(kTimeWait, at("127.0.0.1"));
  second.cookie = first.cookie;
  const PortTable table = table_of({first, second});
  ASSERT_EQ(table.on_port(kPort).size(), 1U);
  EXPECT_EQ(table.on_port(kPort).front().state, kTimeWait);
  EXPECT_TRUE(table.on_port(kPort + 1).empty());
  PortSocket nameless = socket_at(kTimeWait, at("127.0.0.1"));
  nameless.cookie = 0;
  EXPECT_EQ(table_of({nameless, nameless}).on_port(kPort).size(), 2U) << "no cookie is no identity";
}

}  // namespace
}  // namespace tcptrail
