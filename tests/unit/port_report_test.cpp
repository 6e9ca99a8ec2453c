// SPDX-License-Identifier: BSD-2-Clause
// From records of the snapshot to what `ports` says: records, remedies, JSON, text.
#include "ports/port_report.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "memory_output.h"
#include "output/json.h"
#include "output/ports_json.h"
#include "output/ports_screen.h"
#include "output/ports_text.h"
#include "ports/port_remedies.h"
#include "schema_check.h"
#include "util/display_width.h"

namespace tcptrail {
namespace {

using enum TcpState;

constexpr std::uint64_t kNow = 5'000'000'000'000;
constexpr std::uint32_t kNetns = 4026531840;

void put_address(const char* text, std::uint8_t (&bytes)[16], std::uint8_t& flags) {
  if (inet_pton(AF_INET, text, bytes) == 1) {
    flags |= TCPTRAIL_F_IPV4;
    return;
  }
  ASSERT_EQ(inet_pton(AF_INET6, text, bytes), 1) << text;
  flags |= TCPTRAIL_F_INET6;
}

struct Seen {
  TcpState state = kTimeWait;
  const char* laddr = "127.0.0.1";
  std::uint16_t lport = 8080;
  const char* raddr = "127.0.0.1";
  std::uint16_t rport = 40000;
  std::uint64_t cookie = 1;
  bool reuseaddr = false;
  bool reuseport = false;
  int fastreuse = 0;
  bool fin_wait2_minisocket = false;
  bool has_socket = true;
  bool timestamps = true;
  std::uint32_t expires_ms = 30'000;
};

Event seen(const Seen& s) {
  Event event{};
  tcptrail_owned_record& r = event.owned;
  r.base.ts_boot_ns = kNow;
  r.base.kind = TCPTRAIL_SEEN_SOCKET;
  r.base.cookie = s.cookie;
  r.base.netns = kNetns;
  r.base.lport = s.lport;
  r.base.rport = s.rport;
  put_address(s.laddr, r.base.laddr, r.base.flags);
  put_address(s.raddr, r.base.raddr, r.base.flags);
  r.base.new_state = r.base.old_state = static_cast<std::uint8_t>(s.state);
  r.has_socket = s.has_socket;
  r.reuseaddr = s.reuseaddr;
  r.reuseport = s.reuseport;
  r.bind = static_cast<__u8>(TCPTRAIL_BIND_BUCKET | (s.timestamps ? TCPTRAIL_BIND_TIMESTAMPS : 0));
  r.fastreuse = static_cast<__s8>(s.fastreuse);
  r.fastreuseport = static_cast<__s8>(s.fastreuse);
  if (s.state == kTimeWait) {
    r.tw = s.fin_wait2_minisocket ? TCPTRAIL_TW_FIN_WAIT2 : TCPTRAIL_TW_TIME_WAIT;
    r.expires_ms = s.expires_ms;
    r.step_ms = 2048;
    r.reuse_age_ms = 30'000;
  }
  return event;
}

Event held(std::uint64_t cookie, std::uint32_t pid, const char* comm) {
  Event event{};
  event.holder.kind = TCPTRAIL_SEEN_HOLDER;
  event.holder.cookie = cookie;
  event.holder.netns = kNetns;
  event.holder.pid = pid;
  std::memcpy(event.holder.comm, comm, std::min(std::strlen(comm), sizeof event.holder.comm - 1));
  return event;
}

PortSnapshot snapshot_of(std::initializer_list<Event> events) {
  PortSnapshot snapshot(kNetns);
  for (const Event& event : events) snapshot.apply(event);
  snapshot.finish();
  return snapshot;
}

BindQuestion ask(const char* address, std::uint16_t port) {
  std::uint8_t bytes[16] = {};
  std::uint8_t flags = 0;
  put_address(address, bytes, flags);
  Address a;
  std::copy(std::begin(bytes), std::end(bytes), a.bytes.begin());
  const bool ipv4 = (flags & TCPTRAIL_F_IPV4) != 0;
  return {.address = address_to_bind(a, ipv4 ? Family::kIpv4 : Family::kIpv6, !ipv4, false),
          .port = port};
}

std::string all(const std::vector<std::string>& remedies) {
  std::string text;
  for (const std::string& remedy : remedies) text += remedy + "\n";
  return text;
}

bool says(const std::vector<std::string>& remedies, std::string_view word) {
  return all(remedies).find(word) != std::string::npos;
}

TEST(PortReport, AFreePortIsAnsweredToo) {
  const PortRecord r = answer_bind(snapshot_of({}), {}, ask("127.0.0.1", 8080), kNow);
  EXPECT_TRUE(r.bind_plain && r.bind_reuseaddr && r.bind_reuseport);
  EXPECT_TRUE(r.blockers.empty() && r.states.empty() && r.remedies.empty());
  EXPECT_EQ(r.free_in_ms, 0U);
}

TEST(PortReport, BlockersAreCutAndCounted) {
  PortSnapshot snapshot(kNetns);
  for (std::uint16_t i = 0; i < 100; ++i)
    snapshot.apply(seen({.rport = static_cast<std::uint16_t>(40000 + i),
                         .cookie = 100U + i,
                         .expires_ms = 1000U * i}));
  snapshot.apply(seen({.state = kListen, .raddr = "0.0.0.0", .rport = 0, .cookie = 7}));
  snapshot.finish();
  const PortRecord r = answer_bind(snapshot, {}, ask("127.0.0.1", 8080), kNow);
  EXPECT_EQ(r.blockers.size(), kMaxBlockers);
  EXPECT_EQ(r.blocker_count, 101U);
  EXPECT_EQ(r.blockers[0].state, kListen) << "what stays longest comes first";
  EXPECT_EQ(r.blockers[1].expires_in_ms, 99'000U);
  EXPECT_EQ(r.free_in_ms, std::nullopt);
  EXPECT_EQ(r.states,
            (std::vector<std::pair<TcpState, std::uint64_t>>{{kTimeWait, 100}, {kListen, 1}}));
}

TEST(PortReport, OfAnotherNamespaceNothingIsTaken) {
  Event other = seen({});
  other.base.netns = kNetns + 1;
  EXPECT_TRUE(answer_bind(snapshot_of({other}), {}, ask("127.0.0.1", 8080), kNow).bind_plain);
}

TEST(PortReport, HoldersAreOwnersOnceForEachSocket) {
  const PortSnapshot s =
      snapshot_of({seen({.state = kListen, .raddr = "0.0.0.0", .rport = 0}), held(1, 12, "nginx"),
                   held(1, 13, "nginx"), held(1, 12, "nginx")});
  const PortRecord r = answer_bind(s, {}, ask("127.0.0.1", 8080), kNow);
  ASSERT_EQ(r.owners.size(), 2U);
  EXPECT_EQ(r.owners[0].count, 1U);
  EXPECT_EQ(r.blockers[0].owner.pid, 12U);
  EXPECT_EQ(r.blockers[0].owner_alive, true);
}

TEST(PortReport, OneRecordPerEndpointWorstFirst) {
  const PortSnapshot s = snapshot_of({
      seen(
          {.state = kListen, .laddr = "::", .lport = 9000, .raddr = "::", .rport = 0, .cookie = 1}),
      seen({.laddr = "127.0.0.1", .lport = 8080, .cookie = 2}),
      seen({.laddr = "127.0.0.2", .lport = 8080, .cookie = 3}),
      seen({.laddr = "127.0.0.2", .lport = 8080, .rport = 40001, .cookie = 4}),
      seen({.lport = 40000, .rport = 80, .cookie = 5, .fastreuse = -1}),
  });
  const PortReport report = report_ports(s, {}, {}, kNow, PortList::kEach);
  std::string order;
  for (const PortRecord& r : report.ports)
    order += address_text(r.laddr, r.family) + ":" + std::to_string(r.lport) + " ";
  EXPECT_EQ(order, "127.0.0.2:8080 127.0.0.1:8080 :::9000 127.0.0.1:40000 ");
  ASSERT_EQ(report.destinations.size(), 1U);
  EXPECT_EQ(report.destinations[0].tuple.rport, 80);
  EXPECT_EQ(report.destinations[0].used, 1U);
  EXPECT_EQ(report.destinations[0].available, 28232U) << "tcp_tw_reuse 2, loopback, 30 s old";
}

TEST(PortReport, ConnectionsOfAServerInTheRangeAreNoDestinations) {
  const PortSnapshot s =
      snapshot_of({seen({.state = kEstablished, .lport = 50000, .rport = 1234, .fastreuse = 0})});
  EXPECT_TRUE(report_ports(s, {}, {}, kNow, PortList::kEach).destinations.empty());
}

TEST(PortReport, FiltersChooseEndpointsByTheirSockets) {
  const PortSnapshot s = snapshot_of(
      {seen({.lport = 8080, .cookie = 1}),
       seen({.state = kListen, .lport = 9000, .raddr = "0.0.0.0", .rport = 0, .cookie = 2}),
       held(2, 12, "nginx")});
  Filters by_port;
  by_port.lports.ranges = {{8080, 8080}};
  EXPECT_EQ(report_ports(s, {}, by_port, kNow, PortList::kEach).ports.at(0).lport, 8080);
  Filters by_name;
  by_name.comm_glob = "ngin*";
  const PortReport report = report_ports(s, {}, by_name, kNow, PortList::kEach);
  ASSERT_EQ(report.ports.size(), 1U);
  EXPECT_EQ(report.ports[0].lport, 9000);
  int records = 0;
  report_time_wait(s, by_name, kNow, [&](const TimeWaitRecord&) { ++records; });
  EXPECT_EQ(records, 0);
  report_time_wait(s, by_port, kNow + 1'000'000, [&](const TimeWaitRecord& r) {
    ++records;
    EXPECT_EQ(r.expires_in_ms, 29'999U) << "from the record's own time";
  });
  EXPECT_EQ(records, 1);
}

// --- remedies
// -----------------------------------------------------------------------------------------------------

std::vector<std::string> remedies(std::initializer_list<Event> events,
                                  const char* address = "127.0.0.1", std::uint16_t port = 8080) {
  return answer_bind(snapshot_of(events), {}, ask(address, port), kNow).remedies;
}

TEST(Remedies, TimeWaitWithoutTheOptionMeansWaitingAndNeverTheNewSocketAlone) {
  const auto r = remedies({seen({})});
  EXPECT_TRUE(r.front().starts_with("Wait 33 s, or bind another")) << all(r);
  EXPECT_TRUE(says(
      r,
      "For next time set SO_REUSEADDR before every bind() to this port, from the first start on"));
  EXPECT_TRUE(says(r, "on the restarted one alone it does not help"));
  EXPECT_FALSE(says(r, "Set SO_REUSEADDR on the new socket"));
  EXPECT_FALSE(says(r, "tw_recycle"));
}

TEST(Remedies, WhereTheOptionHelpsNowItComesFirst) {
  const auto r = remedies({seen({.reuseaddr = true})});
  EXPECT_TRUE(r.front().starts_with("Set SO_REUSEADDR on the new socket")) << all(r);
  EXPECT_FALSE(says(r, "For next time set SO_REUSEADDR")) << "it is set already";
  EXPECT_TRUE(remedies({seen({.reuseport = true})}).front().starts_with("Set SO_REUSEPORT"));
}

TEST(Remedies, NothingThatIsAlreadyDone) {
  const PortSnapshot s = snapshot_of({seen({.reuseaddr = true})});
  std::vector<const PortSocket*> blockers = {&s.table().all()[0]};
  BindCase c;
  c.question = ask("127.0.0.1", 8080);
  c.asked = BindOptions::kReuseAddr;
  c.reuseaddr_ok = true;
  c.blockers = blockers;
  c.free_in_ms = 32'000;
  EXPECT_FALSE(says(bind_remedies(c, {}), "Set SO_REUSEADDR on the new socket"));
}

TEST(Remedies, NameWhoHoldsThePortAndWhatHeShouldDo) {
  EXPECT_EQ(
      remedies({seen({.state = kListen, .raddr = "0.0.0.0", .rport = 0}), held(1, 12, "nginx")})
          .front(),
      "Stop nginx (pid 12), which listens here, or use another port.");
  EXPECT_EQ(remedies({seen({.state = kClose, .raddr = "0.0.0.0", .rport = 0}), held(1, 12, "rsh")})
                .front(),
            "Stop rsh (pid 12), which holds the port with bind() and does not use it.");
  EXPECT_TRUE(remedies({seen({.state = kCloseWait}), held(1, 12, "leaky")})
                  .front()
                  .starts_with("Make leaky (pid 12) close its connection whose peer"));
  EXPECT_EQ(remedies({seen({.state = kEstablished, .cookie = 1}),
                      seen({.state = kEstablished, .rport = 4, .cookie = 2}), held(1, 12, "x"),
                      held(2, 12, "x")})
                .front(),
            "Let x (pid 12) close its 2 connections here, or stop it.");
}

TEST(Remedies, TheCallerIsNeverToldToStopItself) {
  const PortSnapshot s =
      snapshot_of({seen({.state = kListen, .raddr = "0.0.0.0", .rport = 0}), held(1, 12, "nginx")});
  const std::vector<const PortSocket*> blockers = {&s.table().all()[0]};
  BindCase c;
  c.question = ask("127.0.0.1", 8080);
  c.blockers = blockers;
  c.holders = [&](std::uint64_t cookie) { return s.holders(cookie); };
  c.asker.pid = 12;
  EXPECT_TRUE(says(bind_remedies(c, {}), "nginx (pid 12) itself listens here already"));
  EXPECT_FALSE(says(bind_remedies(c, {}), "Stop nginx"));
  c.asker.pid = 13;
  EXPECT_TRUE(says(bind_remedies(c, {}), "Stop nginx (pid 12)"));
}

TEST(Remedies, ASocketUnitIsStoppedAndNotSystemd) {
  const Event listens = seen({.state = kListen, .raddr = "0.0.0.0", .rport = 0});
  const auto r = remedies({listens, held(1, 1, "systemd")});
  EXPECT_TRUE(says(r, "systemctl list-sockets")) << all(r);
  EXPECT_FALSE(says(r, "Stop systemd")) << all(r);
  EXPECT_TRUE(says(remedies({listens, held(1, 1, "nginx")}), "Stop nginx (pid 1)"))
      << "the first process of a container";
}

TEST(Remedies, AWildcardBesideSingleAddressesMayBindTheOthers) {
  const Event resolver =
      seen({.state = kListen, .laddr = "127.0.0.53", .raddr = "0.0.0.0", .rport = 0});
  EXPECT_TRUE(says(remedies({resolver}, "0.0.0.0"), "the port is taken at 127.0.0.53 only"));
  EXPECT_FALSE(says(remedies({resolver}, "127.0.0.53"), "one by one"));
  const Event wildcard =
      seen({.state = kListen, .laddr = "0.0.0.0", .raddr = "0.0.0.0", .rport = 0});
  EXPECT_FALSE(says(remedies({resolver, wildcard}, "0.0.0.0"), "one by one"));
}

TEST(Remedies, IPv6OnlyPartsADualStackPair) {
  const Event ipv4 = seen({.state = kListen, .laddr = "0.0.0.0", .raddr = "0.0.0.0", .rport = 0});
  EXPECT_TRUE(says(remedies({ipv4}, "::"), "Set IPV6_V6ONLY before bind() to [::]:8080"));
  EXPECT_FALSE(says(remedies({ipv4}, "0.0.0.0"), "IPV6_V6ONLY"));
  Event dual = seen({.state = kListen, .laddr = "::", .raddr = "::", .rport = 0});
  EXPECT_TRUE(says(remedies({dual}, "0.0.0.0"),
                   "Set IPV6_V6ONLY on the socket that is bound to [::]:8080"));
  EXPECT_FALSE(says(remedies({dual}, "::"), "IPV6_V6ONLY"));
}

TEST(Remedies, AStrangersNameCannotDriveTheTerminal) {
  EXPECT_EQ(
      remedies({seen({.state = kListen, .raddr = "0.0.0.0", .rport = 0}), held(1, 12, "\x1b[2Jx")})
          .front(),
      "Stop \\x1b[2Jx (pid 12), which listens here, or use another port.");
}

TEST(Remedies, AnOrphanIsTheKernels) {
  const auto r = remedies({seen({.state = kFinWait1, .has_socket = false})});
  EXPECT_TRUE(says(r, "1 connection belongs to no process any more")) << all(r);
}

TEST(Remedies, NobodyIsGuessedWhereNoProcessWasFound) {
  const auto r =
      remedies({seen({.state = kListen, .raddr = "0.0.0.0", .rport = 0}), held(1, 0, "x")});
  ASSERT_EQ(r.size(), 1U);
  EXPECT_TRUE(says(r, "it belongs to the kernel, or to a process that is not visible here"));
}

// Scenario B: the server was interrupted, the client sits in a read and never closes.
TEST(Remedies, AFinWait2NamesWhoKeepsTheOtherEndOpen) {
  const auto r = remedies(
      {seen({.cookie = 1, .fin_wait2_minisocket = true}),
       seen({.state = kCloseWait, .lport = 40000, .rport = 8080, .cookie = 2, .fastreuse = -1}),
       held(2, 77, "telnet")});
  EXPECT_TRUE(
      r.front().starts_with("Wait 33 s, or bind another local address or port: telnet (pid 77) has "
                            "not closed the other end (CLOSE_WAIT)"))
      << all(r);
  EXPECT_TRUE(says(r, "When it does, 60 s of TIME_WAIT begin")) << all(r);
  EXPECT_FALSE(says(r, "tcp_fin_timeout does not")) << "it does shorten a FIN_WAIT2";
}

TEST(Remedies, AServerInTheEphemeralRangeIsToldSo) {
  const auto r =
      remedies({seen({.lport = 40000, .rport = 80, .fastreuse = -1})}, "127.0.0.1", 40000);
  EXPECT_TRUE(says(r, "ip_local_reserved_ports")) << all(r);
  EXPECT_FALSE(says(r, "set SO_REUSEADDR before every bind()")) << "no listener made it";
}

TEST(Remedies, RefusalsHaveOneEach) {
  const PortSnapshot nothing(kNetns);
  BindQuestion away = ask("192.0.2.1", 80);
  away.address_is_local = false;
  const PortRecord r = answer_bind(nothing, {}, away, kNow);
  EXPECT_FALSE(r.bind_plain || r.bind_reuseaddr || r.bind_reuseport);
  EXPECT_EQ(r.free_in_ms, std::nullopt);
  EXPECT_TRUE(says(r.remedies, "no address of this network namespace"));
  EXPECT_TRUE(says(r.remedies, "net.ipv4.ip_nonlocal_bind=1"));
  BindQuestion low = ask("127.0.0.1", 80);
  low.may_bind_low = false;
  EXPECT_TRUE(says(answer_bind(nothing, {}, low, kNow).remedies, "CAP_NET_BIND_SERVICE"));
  BindQuestion mapped = ask("::ffff:127.0.0.1", 80);
  mapped.address.v6only = true;
  EXPECT_TRUE(says(answer_bind(nothing, {}, mapped, kNow).remedies, "IPV6_V6ONLY"));
}

PortSysctls one_port() {
  PortSysctls sysctls;
  sysctls.range_low = sysctls.range_high = 40000;
  return sysctls;
}

DestinationRecord to_port_80(std::initializer_list<Event> events, const PortSysctls& sysctls,
                             const char* from = "127.0.0.1", const char* to = "127.0.0.1") {
  ConnectQuestion question;
  std::uint8_t flags = 0;
  std::uint8_t bytes[16] = {};
  put_address(from, bytes, flags);
  std::copy(std::begin(bytes), std::end(bytes), question.tuple.laddr.bytes.begin());
  put_address(to, bytes, flags);
  std::copy(std::begin(bytes), std::end(bytes), question.tuple.raddr.bytes.begin());
  question.tuple.rport = 80;
  return answer_connect(snapshot_of(events), sysctls, question, kNow);
}

TEST(Remedies, OfAConnectThatTcpTwReuseWouldLetThrough) {
  PortSysctls sysctls = one_port();
  const auto events = {seen(
      {.laddr = "10.0.0.1", .lport = 40000, .raddr = "10.0.0.2", .rport = 80, .fastreuse = -1})};
  const DestinationRecord r = to_port_80(events, sysctls, "10.0.0.1", "10.0.0.2");
  EXPECT_FALSE(r.connect);
  EXPECT_EQ(r.free_in_ms, 32'048U);
  EXPECT_TRUE(r.remedies.front().starts_with("net.ipv4.tcp_tw_reuse=1 (now 2)")) << all(r.remedies);
  EXPECT_TRUE(says(r.remedies, "Widen net.ipv4.ip_local_port_range (now 40000 40000)"));
  sysctls.tcp_tw_reuse = 1;
  const DestinationRecord reuse = to_port_80(events, sysctls, "10.0.0.1", "10.0.0.2");
  EXPECT_TRUE(reuse.connect);
  EXPECT_FALSE(says(reuse.remedies, "tcp_tw_reuse=1")) << "it is so already";
}

TEST(Remedies, WithoutTimestampsAllThatHasToChangeIsSaidAtOnce) {
  PortSysctls sysctls = one_port();
  sysctls.tcp_timestamps = false;
  const auto events = {seen({.lport = 40000, .rport = 80, .fastreuse = -1, .timestamps = false})};
  const DestinationRecord applies = to_port_80(events, sysctls);
  EXPECT_TRUE(says(applies.remedies, "net.ipv4.tcp_timestamps=1")) << all(applies.remedies);
  EXPECT_FALSE(says(applies.remedies, "tcp_tw_reuse=1")) << "it is in force on loopback";
  sysctls.tcp_tw_reuse = 0;
  const DestinationRecord off = to_port_80(events, sysctls);
  EXPECT_TRUE(off.remedies.front().starts_with(
      "net.ipv4.tcp_timestamps=1 together with net.ipv4.tcp_tw_reuse=1 (now 0)"))
      << all(off.remedies);
}

TEST(Remedies, OfAPortThatAServerPinned) {
  const DestinationRecord r = to_port_80({seen({.lport = 40000, .rport = 1})}, one_port());
  EXPECT_FALSE(r.connect);
  EXPECT_TRUE(says(r.remedies, "1 port of the range is closed to connect()")) << all(r.remedies);
}

// --- output
// -------------------------------------------------------------------------------------------------------

PortSnapshot rich() {
  return snapshot_of({seen({.state = kListen,
                            .laddr = "::",
                            .lport = 9000,
                            .raddr = "::",
                            .rport = 0,
                            .cookie = 1,
                            .reuseaddr = true}),
                      held(1, 12, "a name\n"), seen({.cookie = 2}),
                      seen({.lport = 40000, .rport = 80, .cookie = 3, .fastreuse = -1}),
                      seen({.state = kEstablished,
                            .laddr = "2001:db8:ffff:ffff:ffff:ffff:ffff:fff1",
                            .lport = 40001,
                            .raddr = "2001:db8:ffff:ffff:ffff:ffff:ffff:fff2",
                            .rport = 65000,
                            .cookie = 4,
                            .fastreuse = -1}),
                      held(4, 4'000'000, "a-client-of-15b")});
}

TEST(PortsJson, EveryRecordFollowsTheSchema) {
  test::MemoryOutput memory;
  WallClock clock;
  const JsonSink sink(memory.file(), clock, {.events = {}, .labels = {{"site", "x"}}});
  PortsJson json(memory.file(), clock, sink.tail());
  const PortReport report = report_ports(rich(), {}, {}, kNow, PortList::kEach);
  for (const PortRecord& r : report.ports) json.put(r);
  for (const DestinationRecord& r : report.destinations) json.put(r);
  json.put(answer_bind(rich(), {}, ask("127.0.0.1", 0), kNow));
  DestinationRecord rated = report.destinations.at(0);
  rated.rate_per_s = 231.5;
  rated.exhausted_in_s = 61;
  json.put(rated);
  const test::SchemaCheck schema(nlohmann::json::parse(test::schema_text()));
  const auto lines = memory.lines();
  EXPECT_EQ(lines.size(), report.ports.size() + report.destinations.size() + 2);
  for (const std::string& line : lines) {
    EXPECT_EQ(schema.check(nlohmann::json::parse(line)), "") << line;
    EXPECT_TRUE(line.ends_with(R"("labels":{"site":"x"}})")) << line;
  }
}

TEST(PortsJson, KeysStandInTheOrderOfTheContract) {
  test::MemoryOutput memory;
  WallClock clock;
  PortsJson json(memory.file(), clock, "}\n");
  json.put(answer_bind(snapshot_of({seen({}), held(1, 5, "x")}), {}, ask("127.0.0.1", 8080), kNow));
  EXPECT_TRUE(memory.text().starts_with(
      R"({"type":"port","time":"1970-01-01T01:23:20.000000000Z","boot_ns":5000000000000,"netns":4026531840,"laddr":"127.0.0.1","lport":8080,)"
      R"("states":{"TIME_WAIT":1},"bind_plain":"blocked","bind_reuseaddr":"blocked","bind_reuseport":"blocked",)"
      R"("blockers":[{"state":"TIME_WAIT","cookie":"1","laddr":"127.0.0.1","lport":8080,"raddr":"127.0.0.1","rport":40000,"pid":5,"comm":"x",)"
      R"("owner_alive":true,"reuseaddr":false,"reuseport":false,"expires_in_ms":30000}],"blocker_count":1,"free_in_ms":32048,)"
      R"("owners":[{"pid":5,"comm":"x","alive":true,"count":1}],"remedies":["Wait 33 s)"))
      << memory.text();
}

void expect_100_columns(test::MemoryOutput& memory) {
  for (const std::string& line : memory.lines()) EXPECT_LE(display_width(line), 100U) << line;
}

TEST(PortsText, FitsIn100Columns) {
  const PortSnapshot s = rich();
  test::MemoryOutput memory;
  PortsText text(memory.file(), {});
  text.report(report_ports(s, {}, {}, kNow, PortList::kEach));
  text.answer(answer_bind(s, {}, ask("::", 9000), kNow), false);
  text.answer(answer_bind(s, {}, ask("127.0.0.1", 8080), kNow), false);
  text.answer(answer_bind(s, {}, ask("2001:db8:ffff:ffff:ffff:ffff:ffff:fff1", 40001), kNow), true);
  text.answer(to_port_80({seen({.lport = 40000, .rport = 80, .fastreuse = -1})}, one_port()));
  expect_100_columns(memory);
  EXPECT_NE(memory.text().find("a name\\x0a"), std::string::npos);
}

TEST(PortsText, EachBlockedPortHasOneSentence) {
  test::MemoryOutput memory;
  PortsText text(memory.file(), {});
  text.report(report_ports(snapshot_of({seen({})}), {}, {}, kNow, PortList::kEach));
  EXPECT_EQ(memory.lines().at(1),
            "127.0.0.1:8080         1 TIME_WAIT                    -                      -        "
            "       33 s");
  EXPECT_EQ(memory.lines().at(2),
            "    Wait 33 s, or bind another local address or port: nothing shortens TIME_WAIT "
            "(tcp_fin_timeout");
  EXPECT_EQ(memory.lines().at(3), "    does not).");
}

PortSnapshot clients() {
  PortSnapshot s(kNetns);
  for (std::uint16_t i = 0; i < 200; ++i)
    s.apply(seen({.lport = static_cast<std::uint16_t>(40000 + i),
                  .rport = 80,
                  .cookie = 1U + i,
                  .fastreuse = -1,
                  .expires_ms = 1000U + i}));
  s.apply(
      seen({.state = kEstablished, .lport = 40300, .rport = 80, .cookie = 500, .fastreuse = -1}));
  s.apply(
      seen({.state = kEstablished, .lport = 40301, .rport = 80, .cookie = 501, .fastreuse = -1}));
  s.apply(held(500, 12, "curl"));
  s.apply(held(501, 12, "curl"));
  s.apply(seen({.state = kListen, .lport = 80, .raddr = "0.0.0.0", .rport = 0, .cookie = 502}));
  s.apply(held(502, 7, "nginx"));
  s.finish();
  return s;
}

TEST(PortReport, ThePortsOfAClientAreOneForPeopleAndEachForPrograms) {
  const PortSnapshot s = clients();
  EXPECT_EQ(report_ports(s, {}, {}, kNow, PortList::kEach).ports.size(), 203U);
  const PortReport report = report_ports(s, {}, {}, kNow, PortList::kClientsTogether);
  ASSERT_EQ(report.ports.size(), 3U);
  EXPECT_EQ(endpoint_count(report.ports), 203U);
  const PortRecord& waiting = report.ports[1];
  EXPECT_EQ(waiting.lport, 40000);
  EXPECT_EQ(waiting.last_port, 40199);
  EXPECT_EQ(waiting.ports, 200U);
  EXPECT_EQ(waiting.states, (std::vector<std::pair<TcpState, std::uint64_t>>{{kTimeWait, 200}}));
  EXPECT_EQ(waiting.free_in_ms, 1199U + 2048U) << "the last of them";
  EXPECT_EQ(report.ports[2].owners.at(0).process.pid, 12U);
  EXPECT_EQ(report.ports[2].owners.at(0).count, 2U);
  EXPECT_EQ(report.ports[2].free_in_ms, std::nullopt) << "no timer ends an open connection";
}

TEST(PortsText, AClientsPortsAreOneLine) {
  test::MemoryOutput memory;
  PortsText text(memory.file(), {});
  text.report(report_ports(clients(), {}, {}, kNow, PortList::kClientsTogether));
  expect_100_columns(memory);
  EXPECT_EQ(
      memory.text(),
      R"(LOCAL ENDPOINT         BLOCKED BY                     OWNER                  BIND WORKS WITH FREE IN
127.0.0.1:80           1 LISTEN                       7/nginx                -               -
    Stop nginx (pid 7), which listens here, or use another port.
127.0.0.1:40000-40199  200 ports, 200 TIME_WAIT       -                      -               3.3 s
    Outgoing connections were given these ports: a server's belongs outside 32768-60999, or into
    net.ipv4.ip_local_reserved_ports.
127.0.0.1:40300-40301  2 ports, 2 ESTABLISHED         12/curl                -               -
    Outgoing connections were given these ports: a server's belongs outside 32768-60999, or into
    net.ipv4.ip_local_reserved_ports.

FROM               TO                       CONNECT  USED    TIME_WAIT PORTS LEFT     FREE IN
127.0.0.1          127.0.0.1:80             ok       202     200       28230 of 28232 now
)");
}

TEST(PortsScreen, ARoundAndARefusalFitIn100Columns) {
  const PortReport report = report_ports(rich(), {}, {}, kNow, PortList::kClientsTogether);
  LeakRecord leak;
  leak.state = kCloseWait;
  leak.owner = {4'000'000, comm_of("\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b")};
  leak.count = 1'000'000;
  leak.growth_per_s = 123.45;
  leak.remedy =
      "x (pid 1) must close() what its peers have finished (a read of 0 bytes); until then no "
      "timer ends it.";
  PortRound round;
  round.boot_ns = kNow;
  round.ports = report.ports;
  round.destinations = report.destinations;
  round.leaks = {&leak, 1};
  BlockedRecord refused;
  refused.boot_ns = kNow;
  refused.error = EADDRINUSE;
  refused.caller = leak.owner;
  refused.tuple.lport = 8080;
  refused.blocker_count = 1;
  refused.blockers = {{.state = kTimeWait,
                       .cookie = 1,
                       .tuple = {},
                       .owner = leak.owner,
                       .owner_alive = false,
                       .reuseaddr = {},
                       .reuseport = {},
                       .expires_in_ms = 1}};
  refused.remedies = {
      "Wait 33 s, or bind another local address or port: nothing shortens TIME_WAIT "
      "(tcp_fin_timeout does not)."};
  for (const unsigned rows : {0U, 40U}) {
    test::MemoryOutput memory;
    WallClock clock;
    PortsScreen screen(memory.file(), clock, {.rows = rows});
    screen.on(refused);
    screen.on(round);
    for (const std::string& line : memory.lines()) {
      const std::string_view text = line.starts_with("\x1b[H\x1b[J")
                                        ? std::string_view(line).substr(6)
                                        : std::string_view(line);
      EXPECT_LE(display_width(text), 100U) << rows << ": " << text;
    }
    EXPECT_NE(memory.text().find(" BLOCKED bind 0.0.0.0:8080: EADDRINUSE for"), std::string::npos)
        << memory.text();
  }
}

TEST(PortsText, ALongListIsCutAndSaysSo) {
  PortSnapshot s(kNetns);
  for (std::uint16_t i = 0; i < 60; ++i)
    s.apply(seen({.lport = static_cast<std::uint16_t>(1000 + i), .cookie = 1U + i}));
  s.finish();
  test::MemoryOutput memory;
  PortsText text(memory.file(), {});
  text.report(report_ports(s, {}, {}, kNow, PortList::kEach));
  EXPECT_NE(memory.text().find("... and 10 more blocked endpoints."), std::string::npos);
}

TEST(PortsText, SeveralNamespacesHaveAHeadingEach) {
  test::MemoryOutput memory;
  PortsText text(memory.file(), {});
  for (const std::uint32_t netns : {1U, 2U}) {
    text.heading(netns);
    text.report({});
  }
  EXPECT_EQ(memory.lines().at(0), "Network namespace 1:");
  EXPECT_EQ(memory.lines().at(2), "");
  EXPECT_EQ(memory.lines().at(3), "Network namespace 2:");
}

TEST(PortsText, NothingBlockedIsSaidSo) {
  test::MemoryOutput memory;
  PortsText text(memory.file(), {});
  text.report({});
  EXPECT_EQ(memory.text(), "No local endpoint is taken: bind() would succeed everywhere.\n");
}

}  // namespace
}  // namespace tcptrail
