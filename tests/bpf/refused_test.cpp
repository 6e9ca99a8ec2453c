// SPDX-License-Identifier: BSD-2-Clause
// bind() and listen() that are refused, against what the records say of them: with every way in
// which the programs find the arguments.
#include <linux/netlink.h>
#include <sys/prctl.h>

#include <thread>

#include "live.h"

namespace tcptrail {
namespace {

using test::Endpoint;
using test::tcp_socket;

class Refused : public test::InOwnNetwork,
                public testing::WithParamInterface<std::vector<std::string>> {
 protected:
  void SetUp() override {
    InOwnNetwork::SetUp();
    if (!IsSkipped() && !probe_features(GetParam()).on(Feature::kRefusedCalls))
      GTEST_SKIP() << "refused_calls is off here";
  }
  [[nodiscard]] std::unique_ptr<Session> trace(const SessionOptions& options) const {
    return start(GetParam(), {}, options);
  }
  [[nodiscard]] std::unique_ptr<Session> trace() const { return trace(options()); }

  // The one record of a bind() that fails with `error`.
  static tcptrail_refused_record refuse_bind(Session& session, const Fd& fd, const Endpoint& to,
                                             int error) {
    EXPECT_EQ(::bind(fd.get(), to.get(), to.length), -1);
    EXPECT_EQ(errno, error) << std::strerror(errno);
    return only(session);
  }
  static tcptrail_refused_record only(Session& session) {
    const std::vector<Event> events = take(session, TCPTRAIL_REFUSED);
    EXPECT_EQ(events.size(), 1U);
    return events.size() == 1 ? events.front().refused : tcptrail_refused_record{};
  }
  static std::string address_of(const tcptrail_refused_record& r) {
    char text[INET6_ADDRSTRLEN];
    ::inet_ntop((r.base.flags & TCPTRAIL_F_IPV4) != 0 ? AF_INET : AF_INET6, r.base.laddr, text,
                sizeof text);
    return text;
  }
};

// A socket that listens on `address`, on a port of the kernel's choice.
Fd listener_on(const std::string& address, const std::vector<int>& options = {}) {
  const Endpoint name(address, 0);
  Fd fd = tcp_socket(name.family(), options);
  EXPECT_EQ(::bind(fd.get(), name.get(), name.length), 0) << std::strerror(errno);
  EXPECT_EQ(::listen(fd.get(), 1), 0) << std::strerror(errno);
  return fd;
}

constexpr std::uint8_t kFamily = TCPTRAIL_F_IPV4 | TCPTRAIL_F_INET6;

TEST_P(Refused, BindOfATakenIpv4PortSaysWhoAskedForWhat) {
  const Fd taken = listener_on("127.0.0.1");
  const auto session = trace();
  ASSERT_NE(session, nullptr);
  const Fd fd = tcp_socket(AF_INET, {SO_REUSEADDR});
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  ASSERT_EQ(::getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
  const tcptrail_refused_record r =
      refuse_bind(*session, fd, {"127.0.0.1", test::port_of(taken)}, EADDRINUSE);
  if (make_plan(probe_features(GetParam()), {}).cookie)
    EXPECT_EQ(r.base.cookie, cookie);
  else
    EXPECT_NE(r.base.cookie, 0U) << "an address";
  EXPECT_EQ(r.op, TCPTRAIL_OP_BIND);
  EXPECT_EQ(r.error, EADDRINUSE);
  EXPECT_EQ(address_of(r), "127.0.0.1");
  EXPECT_EQ(r.base.lport, test::port_of(taken));
  EXPECT_EQ(r.base.rport, 0);
  EXPECT_EQ(r.base.netns, netns_);
  EXPECT_EQ(r.base.pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(r.base.flags, TCPTRAIL_F_IPV4 | TCPTRAIL_F_OWN);
  EXPECT_EQ(std::string(r.comm), "bpf_tests");
  EXPECT_EQ(r.uid, ::getuid());
  EXPECT_EQ(r.v6only, 0);
  EXPECT_EQ(r.reuseaddr, 1);
  EXPECT_EQ(r.reuseport, 0);
  EXPECT_EQ(r.bound_dev_if, 0U);
  EXPECT_NE(r.base.ts_boot_ns, 0U);
}

TEST_P(Refused, BindOfATakenIpv6PortIsV6only) {
  const Fd taken = listener_on("::1");
  const auto session = trace();
  ASSERT_NE(session, nullptr);
  const tcptrail_refused_record r = refuse_bind(*session, tcp_socket(AF_INET6, {SO_REUSEPORT}),
                                                {"::1", test::port_of(taken)}, EADDRINUSE);
  EXPECT_EQ(address_of(r), "::1");
  EXPECT_EQ(r.base.lport, test::port_of(taken));
  EXPECT_EQ(r.base.flags & kFamily, TCPTRAIL_F_INET6);
  EXPECT_EQ(r.v6only, 1);
  EXPECT_EQ(r.reuseaddr, 0);
  EXPECT_EQ(r.reuseport, 1);
}

TEST_P(Refused, BindOfAMappedAddressIsIpv4OnAnInet6Socket) {
  const Fd taken = listener_on("127.0.0.1");
  const auto session = trace();
  ASSERT_NE(session, nullptr);
  const tcptrail_refused_record r = refuse_bind(
      *session, tcp_socket(AF_INET6), {"::ffff:127.0.0.1", test::port_of(taken)}, EADDRINUSE);
  EXPECT_EQ(address_of(r), "127.0.0.1");
  EXPECT_EQ(r.base.flags & kFamily, kFamily);
  EXPECT_EQ(r.v6only, 0);
  EXPECT_TRUE(std::all_of(r.base.laddr + 4, r.base.laddr + 16,
                          [](std::uint8_t byte) { return byte == 0; }));
}

TEST_P(Refused, AnInet6WildcardIsV6onlyWhenTheSocketIs) {
  const Fd taken = listener_on("::");
  const auto session = trace();
  ASSERT_NE(session, nullptr);
  const Endpoint wildcard("::", test::port_of(taken));
  EXPECT_EQ(refuse_bind(*session, tcp_socket(AF_INET6), wildcard, EADDRINUSE).v6only, 0);
  const tcptrail_refused_record r =
      refuse_bind(*session, tcp_socket(AF_INET6, {IPV6_V6ONLY}), wildcard, EADDRINUSE);
  EXPECT_EQ(r.v6only, 1);
  EXPECT_EQ(address_of(r), "::");
  EXPECT_EQ(r.base.flags & kFamily, TCPTRAIL_F_INET6);
}

TEST_P(Refused, BindOfAForeignAddressIsAddrnotavail) {
  const auto session = trace();
  ASSERT_NE(session, nullptr);
  const tcptrail_refused_record four =
      refuse_bind(*session, tcp_socket(AF_INET), {"192.0.2.7", 4711}, EADDRNOTAVAIL);
  EXPECT_EQ(four.error, EADDRNOTAVAIL);
  EXPECT_EQ(address_of(four), "192.0.2.7");
  EXPECT_EQ(four.base.lport, 4711);
  const tcptrail_refused_record six =
      refuse_bind(*session, tcp_socket(AF_INET6), {"2001:db8::7", 4712}, EADDRNOTAVAIL);
  EXPECT_EQ(address_of(six), "2001:db8::7");
  EXPECT_EQ(six.base.lport, 4712);
}

TEST_P(Refused, BindWithoutAPortFailsWhenTheRangeIsTaken) {
  test::write_file("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000");
  const Fd taken = listener_on("127.0.0.1");
  const auto session = trace();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(refuse_bind(*session, tcp_socket(AF_INET), {"127.0.0.1", 0}, EADDRINUSE).base.lport, 0);
}

TEST_P(Refused, ListenSaysWhatTheSocketIsBoundTo) {
  for (const auto& [address, shown, flags, v6only] :
       {std::tuple("127.0.0.1", "127.0.0.1", TCPTRAIL_F_IPV4, 0),
        std::tuple("::1", "::1", TCPTRAIL_F_INET6, 1),
        std::tuple("::ffff:127.0.0.1", "127.0.0.1", TCPTRAIL_F_IPV4 | TCPTRAIL_F_INET6, 0)}) {
    SCOPED_TRACE(address);
    const Endpoint any_port(address, 0);
    const Fd first = tcp_socket(any_port.family(), {SO_REUSEADDR});
    const Fd second = tcp_socket(any_port.family(), {SO_REUSEADDR});
    ASSERT_EQ(::bind(first.get(), any_port.get(), any_port.length), 0);
    const Endpoint name(address, test::port_of(first));
    ASSERT_EQ(::bind(second.get(), name.get(), name.length), 0);
    ASSERT_EQ(::listen(first.get(), 1), 0);
    const auto session = trace();
    ASSERT_NE(session, nullptr);
    EXPECT_EQ(::listen(second.get(), 1), -1);
    EXPECT_EQ(errno, EADDRINUSE);
    const tcptrail_refused_record r = only(*session);
    EXPECT_EQ(r.op, TCPTRAIL_OP_LISTEN);
    EXPECT_EQ(r.error, EADDRINUSE);
    EXPECT_EQ(address_of(r), shown);
    EXPECT_EQ(r.base.lport, test::port_of(first));
    EXPECT_EQ(r.base.flags & kFamily, flags);
    EXPECT_EQ(r.v6only, v6only);
    EXPECT_EQ(r.reuseaddr, 1);
  }
}

TEST_P(Refused, TheDeviceIsThatOfTheSocket) {
  const Fd taken = listener_on("127.0.0.1");
  const auto session = trace();
  ASSERT_NE(session, nullptr);
  const Fd fd = tcp_socket(AF_INET);
  ASSERT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 2), 0)
      << std::strerror(errno);
  EXPECT_EQ(refuse_bind(*session, fd, {"127.0.0.1", test::port_of(taken)}, EADDRINUSE).bound_dev_if,
            ::if_nametoindex("lo"));
}

TEST_P(Refused, AThreadIsCalledByItsProcess) {
  const Fd taken = listener_on("127.0.0.1");
  const auto session = trace();
  ASSERT_NE(session, nullptr);
  tcptrail_refused_record r{};
  std::thread([&] {
    ::prctl(PR_SET_NAME, "some thread");
    r = refuse_bind(*session, tcp_socket(AF_INET), {"127.0.0.1", test::port_of(taken)}, EADDRINUSE);
  }).join();
  EXPECT_EQ(std::string(r.comm), "bpf_tests");
  EXPECT_EQ(r.base.pid, static_cast<std::uint32_t>(::getpid()));
}

TEST_P(Refused, WhatSucceedsFailsOtherwiseOrIsNotTcpIsSilent) {
  const Fd taken = listener_on("127.0.0.1");
  const Fd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const Fd second_udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const Endpoint name("127.0.0.1", test::port_of(taken));
  ASSERT_EQ(::bind(udp.get(), name.get(), name.length), 0);
  const auto session = trace();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(::bind(second_udp.get(), name.get(), name.length), -1);
  EXPECT_EQ(errno, EADDRINUSE);
  const Fd good = listener_on("127.0.0.1");
  EXPECT_EQ(::bind(good.get(), name.get(), name.length), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(::bind(-1, name.get(), name.length), -1);
  // Neither is TCP's protocol number TCP.
  const Fd raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP));
  const Endpoint elsewhere("192.0.2.1", 0);
  EXPECT_EQ(::bind(raw.get(), elsewhere.get(), elsewhere.length), -1);
  EXPECT_EQ(errno, EADDRNOTAVAIL);
  const Fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM));
  const Fd second_netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM));
  if (netlink && second_netlink) {
    sockaddr_nl port{};
    port.nl_family = AF_NETLINK;
    port.nl_pid = 4711;
    ASSERT_EQ(::bind(netlink.get(), reinterpret_cast<const sockaddr*>(&port), sizeof port), 0);
    EXPECT_EQ(::bind(second_netlink.get(), reinterpret_cast<const sockaddr*>(&port), sizeof port),
              -1);
    EXPECT_EQ(errno, EADDRINUSE);
  }
  EXPECT_EQ(take(*session, TCPTRAIL_REFUSED).size(), 0U);
}

TEST_P(Refused, FiltersHold) {
  const Fd taken = listener_on("127.0.0.1");
  const std::uint16_t port = test::port_of(taken);
  std::uint64_t cgroup = 0;
  const auto count = [&](auto&& change) {
    SessionOptions filtered = options();
    change(filtered.filters);
    const auto session = trace(filtered);
    const Fd fd = tcp_socket(AF_INET);
    const Endpoint name("127.0.0.1", port);
    EXPECT_EQ(::bind(fd.get(), name.get(), name.length), -1);
    const std::vector<Event> events =
        session == nullptr ? std::vector<Event>(99) : take(*session, TCPTRAIL_REFUSED);
    if (!events.empty()) cgroup = events.front().refused.cgroup_id;
    return events.size();
  };
  EXPECT_EQ(count([&](Filters& f) { f.lports.ranges = {{port, port}}; }), 1U);
  EXPECT_EQ(count([&](Filters& f) { f.lports.ranges = {{1, 2}}; }), 0U);
  EXPECT_EQ(count([&](Filters& f) { f.family = FamilyFilter::kIpv4; }), 1U);
  EXPECT_EQ(count([&](Filters& f) { f.family = FamilyFilter::kIpv6; }), 0U);
  EXPECT_EQ(count([&](Filters& f) { f.uid = ::getuid(); }), 1U);
  EXPECT_EQ(count([&](Filters& f) { f.uid = 4711; }), 0U);
  EXPECT_EQ(count([&](Filters& f) { f.netns = {1}; }), 0U);
  EXPECT_EQ(count([&](Filters& f) { f.cgroup_ids = {1}; }), 1U) << "below the root group";
  // Before some 5.10.x a socket does not say its group, and passes.
  if (cgroup != 0) {
    EXPECT_EQ(count([&](Filters& f) { f.cgroup_ids = {999'999'999}; }), 0U);
  }
}

TEST_P(Refused, AFullRingIsCounted) {
  SessionOptions small = options();
  small.ring_bytes = 4096;
  const Fd taken = listener_on("127.0.0.1");
  const auto session = trace(small);
  ASSERT_NE(session, nullptr);
  const Fd fd = tcp_socket(AF_INET);
  const Endpoint name("127.0.0.1", test::port_of(taken));
  constexpr std::size_t kTries = 100;
  for (std::size_t i = 0; i < kTries; ++i) EXPECT_EQ(::bind(fd.get(), name.get(), name.length), -1);
  const std::size_t seen = take(*session, TCPTRAIL_REFUSED).size();
  EXPECT_LT(seen, kTries);
  EXPECT_EQ(seen + session->lost_other(), kTries);
}

// The first by the hooks, where fentry works; the last two find the arguments on the stack, without
// the helper.
INSTANTIATE_TEST_SUITE_P(Without, Refused,
                         testing::Values(std::vector<std::string>{},
                                         std::vector<std::string>{"socket_hooks"},
                                         std::vector<std::string>{"task_btf", "socket_hooks"},
                                         std::vector<std::string>{"tp_btf"}),
                         [](const auto& denied) {
                           return denied.param.empty() ? std::string("nothing")
                                                       : denied.param.front();
                         });

class RefusedInTree : public test::InOwnNetwork {};

TEST_F(RefusedInTree, ACallOfTheCommandIsMarked) {
  const Fd taken = listener_on("127.0.0.1");
  SessionOptions with_command = options();
  with_command.command_pid = static_cast<std::uint32_t>(::getpid());
  const auto session = start({}, {.snapshot = true, .command_tree = true}, with_command);
  ASSERT_NE(session, nullptr);
  const Fd fd = tcp_socket(AF_INET);
  const Endpoint name("127.0.0.1", test::port_of(taken));
  EXPECT_EQ(::bind(fd.get(), name.get(), name.length), -1);
  const std::vector<Event> events = take(*session, TCPTRAIL_REFUSED);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_TRUE(events.front().has(TCPTRAIL_F_IN_TREE));
}

}  // namespace
}  // namespace tcptrail
