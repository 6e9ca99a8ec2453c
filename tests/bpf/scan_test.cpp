// SPDX-License-Identifier: BSD-2-Clause
// Scans of the minisockets alone, snapshots of one namespace, and namespaces that are hard to
// find; and the RST that takes a minisocket away.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "connections.h"
#include "kernel/machine.h"

namespace tcptrail {
namespace {

using test::Connection;
using test::Endpoint;
using test::tcp_socket;

using Scan = test::WithConnections;

std::string text_of(const Address& address, Family family) { return address_text(address, family); }

TEST_F(Scan, ATimeWaitIsDescribedInFull) {
  for (const auto& [listening, address, flags] :
       {std::tuple("127.0.0.1", "127.0.0.1", TCPTRAIL_F_IPV4),
        std::tuple("::1", "::1", TCPTRAIL_F_INET6),
        std::tuple("::", "::ffff:127.0.0.1", TCPTRAIL_F_IPV4 | TCPTRAIL_F_INET6)}) {
    SCOPED_TRACE(address);
    const auto session = start({}, {}, options());
    ASSERT_NE(session, nullptr);
    const Fd listener = listen_on(listening);
    Connection c = connect_to(listener, address);
    close_client_first(c);
    const Snapshot seen = snapshot(*session, minisockets());
    EXPECT_EQ(seen.scope.netns_read, std::vector<std::uint32_t>{netns_});
    EXPECT_TRUE(seen.scope.minisockets_only);
    const auto found = std::find_if(seen.events.begin(), seen.events.end(),
                                    [&](const Event& e) { return e.cookie() == c.cookie; });
    ASSERT_NE(found, seen.events.end());
    const tcptrail_timewait_record& r = found->timewait;
    EXPECT_EQ(r.kind, TCPTRAIL_SEEN_TIMEWAIT);
    EXPECT_EQ(r.netns, netns_);
    EXPECT_EQ(r.lport, c.lport);
    EXPECT_EQ(r.rport, test::port_of(listener));
    EXPECT_EQ(r.flags, flags);
    Address laddr;
    Address raddr;
    std::memcpy(laddr.bytes.data(), r.laddr, 16);
    std::memcpy(raddr.bytes.data(), r.raddr, 16);
    const std::string shown = (flags & TCPTRAIL_F_IPV4) != 0 ? "127.0.0.1" : "::1";
    const Family family = (flags & TCPTRAIL_F_IPV4) != 0 ? Family::kIpv4 : Family::kIpv6;
    EXPECT_EQ(text_of(laddr, family), shown);
    EXPECT_EQ(text_of(raddr, family), shown);
    EXPECT_EQ(r.tw, TCPTRAIL_TW_TIME_WAIT) << "auto-bound: neither an option nor the whole port";
    EXPECT_GT(r.expires_ms, 55'000U);
    EXPECT_LE(r.expires_ms, 60'100U);
    EXPECT_GT(r.step_32ms, 0);
    EXPECT_NE(r.ts_boot_ns, 0U);
  }
}

TEST_F(Scan, OneThatNobodyAskedForItsCookieGetsOne) {
  if (!probe_features({}).on(Feature::kCookie)) GTEST_SKIP() << "cookie is off here";
  const Fd listener = listen_on("127.0.0.1");
  {
    const Endpoint name("127.0.0.1", test::port_of(listener));
    Connection c;
    c.client = tcp_socket(AF_INET);
    ASSERT_EQ(::connect(c.client.get(), name.get(), name.length), 0);
    c.server = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    close_client_first(c);
  }
  const auto session = start({}, {}, options());
  ASSERT_NE(session, nullptr);
  const std::vector<Event> first = snapshot(*session, minisockets()).of(TCPTRAIL_SEEN_TIMEWAIT);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_NE(first[0].cookie(), 0U);
  const std::vector<Event> full = snapshot(*session, {}).of(TCPTRAIL_SEEN_SOCKET);
  EXPECT_TRUE(std::any_of(full.begin(), full.end(),
                          [&](const Event& e) { return e.cookie() == first[0].cookie(); }));
}

TEST_F(Scan, OptionsOfTheServersTimeWaitAreShown) {
  const auto session = start({}, {}, options());
  ASSERT_NE(session, nullptr);
  const Fd listener = listen_on("127.0.0.1");
  Connection c = connect_to(listener, "127.0.0.1");
  std::swap(c.client, c.server);
  close_client_first(c);
  const std::vector<Event> seen = snapshot(*session, minisockets()).of(TCPTRAIL_SEEN_TIMEWAIT);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].timewait.tw,
            TCPTRAIL_TW_TIME_WAIT | TCPTRAIL_TW_REUSEADDR | TCPTRAIL_TW_WHOLE_PORT);
}

TEST_F(Scan, AFinWait2MinisocketSaysSo) {
  test::write_file("/proc/sys/net/ipv4/tcp_fin_timeout", "7");
  const auto session = start({}, {}, options());
  ASSERT_NE(session, nullptr);
  const Fd listener = listen_on("127.0.0.1");
  Connection c = connect_to(listener, "127.0.0.1");
  c.client = Fd();
  char byte = 0;
  ASSERT_EQ(::recv(c.server.get(), &byte, 1, 0), 0);
  const std::vector<Event> seen = wait_for_minisocket(*session);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].cookie(), c.cookie);
  EXPECT_EQ(seen[0].timewait.tw & TCPTRAIL_TW_PHASE, TCPTRAIL_TW_FIN_WAIT2);
  EXPECT_GT(seen[0].timewait.expires_ms, 5'000U);
  EXPECT_LE(seen[0].timewait.expires_ms, 7'000U);
}

TEST_F(Scan, OfFullSocketsOnlyThoseInSynSentAndNoHolderAreShown) {
  const auto session = start({}, {}, options());
  ASSERT_NE(session, nullptr);
  const Fd listener = listen_on("127.0.0.1");
  const Connection established = connect_to(listener, "127.0.0.1");
  // A listener that takes one connection: the third SYN is dropped.
  const Fd full = listen_on("127.0.0.1");
  ASSERT_EQ(::listen(full.get(), 0), 0);
  const Endpoint name("127.0.0.1", test::port_of(full));
  std::vector<Fd> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::connect(clients.back().get(), name.get(), name.length);
  }
  const Snapshot seen = snapshot(*session, minisockets());
  ASSERT_FALSE(seen.events.empty());
  for (const Event& e : seen.events) {
    EXPECT_EQ(e.kind(), TCPTRAIL_SEEN_SOCKET);
    EXPECT_EQ(e.new_state(), TcpState::kSynSent);
    EXPECT_EQ(e.base.rport, test::port_of(full));
  }
}

TEST_F(Scan, FiltersOfTheTupleHold) {
  const Fd listener = listen_on("127.0.0.1");
  Connection c = connect_to(listener, "127.0.0.1");
  const std::uint16_t rport = test::port_of(listener);
  close_client_first(c);
  const auto count = [&](auto&& change) {
    SessionOptions filtered = options();
    change(filtered.filters);
    const auto session = start({}, {}, filtered);
    return session == nullptr ? 99U
                              : snapshot(*session, minisockets()).of(TCPTRAIL_SEEN_TIMEWAIT).size();
  };
  EXPECT_EQ(count([&](Filters& f) { f.lports.ranges = {{c.lport, c.lport}}; }), 1U);
  EXPECT_EQ(count([&](Filters& f) { f.lports.ranges = {{rport, rport}}; }), 0U);
  EXPECT_EQ(count([&](Filters& f) { f.rports.ranges = {{rport, rport}}; }), 1U);
  EXPECT_EQ(count([&](Filters& f) { f.rports.ranges = {{c.lport, c.lport}}; }), 0U);
  EXPECT_EQ(count([&](Filters& f) { f.family = FamilyFilter::kIpv4; }), 1U);
  EXPECT_EQ(count([&](Filters& f) { f.family = FamilyFilter::kIpv6; }), 0U);
  EXPECT_EQ(count([&](Filters& f) { f.laddrs = {*parse_prefix("127.0.0.0/8")}; }), 1U);
  EXPECT_EQ(count([&](Filters& f) { f.raddrs = {*parse_prefix("10.0.0.0/8")}; }), 0U);
}

TEST_F(Scan, ManyThroughASmallRingAreSeenOnceEach) {
  SessionOptions small = options();
  small.ring_bytes = 16 * 1024;
  const auto session = start({}, {.snapshot = true, .command_tree = false, .trace = false}, small);
  ASSERT_NE(session, nullptr);
  const Fd listener = listen_on("127.0.0.1");
  constexpr int kConnections = 2000;
  // Where 2,000 connections take a second, connect() would take over the ports of the first.
  test::write_file("/proc/sys/net/ipv4/tcp_tw_reuse", "0");
  std::map<std::uint16_t, int> ports;
  for (int i = 0; i < kConnections; ++i) {
    Connection c = connect_to(listener, "127.0.0.1");
    close_client_first(c);
    ports[c.lport] = 0;
  }
  std::uint64_t last = 0;
  for (const Event& e : snapshot(*session, minisockets()).of(TCPTRAIL_SEEN_TIMEWAIT)) {
    ++ports[e.timewait.lport];
    EXPECT_GE(e.boot_ns(), last);
    last = e.boot_ns();
  }
  EXPECT_EQ(ports.size(), static_cast<std::size_t>(kConnections));
  EXPECT_TRUE(
      std::all_of(ports.begin(), ports.end(), [](const auto& port) { return port.second == 1; }));
}

TEST_F(Scan, AFullSnapshotFollowsAsIfNothingHadBeen) {
  const auto session = start({}, {}, options());
  ASSERT_NE(session, nullptr);
  const Fd listener = listen_on("127.0.0.1");
  snapshot(*session, minisockets());
  const Snapshot seen = snapshot(*session, {});
  EXPECT_FALSE(seen.scope.minisockets_only);
  ASSERT_EQ(seen.of(TCPTRAIL_SEEN_SOCKET).size(), 1U);
  EXPECT_EQ(seen.of(TCPTRAIL_SEEN_SOCKET)[0].new_state(), TcpState::kListen);
  EXPECT_EQ(seen.of(TCPTRAIL_SEEN_HOLDER).size(),
            make_plan(probe_features({}), {}).holders ? 1U : 0U);
}

TEST_F(Scan, ASnapshotOfOneNamespaceShowsItsHoldersOnly) {
  if (!probe_features({}).on(Feature::kIterTaskFile)) GTEST_SKIP() << "iter_task_file is off here";
  SessionOptions everywhere = options();
  everywhere.filters.netns.clear();
  const auto session = start({}, {}, everywhere);
  ASSERT_NE(session, nullptr);
  const Fd here = listen_on("127.0.0.1");
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
  const std::uint32_t other = own_netns();
  const Fd there = tcp_socket(AF_INET);
  ASSERT_EQ(::listen(there.get(), 1), 0);  // on a port of the kernel's choice
  for (const auto& [wanted, netns] :
       {std::pair(std::vector{other}, other), std::pair(std::vector{netns_}, netns_)}) {
    const Snapshot seen = snapshot(*session, {.netns = wanted});
    if (netns == netns_) {  // nobody is in it any more; a socket keeps it alive
      EXPECT_EQ(seen.scope.netns_refused, wanted);
      EXPECT_TRUE(seen.scope.netns_read.empty() && seen.scope.netns_gone.empty());
      EXPECT_TRUE(seen.of(TCPTRAIL_SEEN_SOCKET).empty());
      continue;
    }
    EXPECT_EQ(seen.scope.netns_read, wanted);
    EXPECT_EQ(seen.of(TCPTRAIL_SEEN_SOCKET).size(), 1U);
    ASSERT_EQ(seen.of(TCPTRAIL_SEEN_HOLDER).size(), 1U);
    EXPECT_EQ(seen.of(TCPTRAIL_SEEN_HOLDER)[0].holder.netns, netns);
  }
  const std::vector<Event> all = snapshot(*session, {}).of(TCPTRAIL_SEEN_HOLDER);
  EXPECT_TRUE(std::any_of(all.begin(), all.end(),
                          [&](const Event& e) { return e.holder.netns == netns_; }));
  EXPECT_TRUE(
      std::any_of(all.begin(), all.end(), [&](const Event& e) { return e.holder.netns == other; }));
}

class HiddenNetns : public Scan {
 protected:
  void SetUp() override {
    Scan::SetUp();
    if (!IsSkipped() && !can_find_every_netns())
      GTEST_SKIP() << "not every namespace can be found here";
  }
  // Leaves the test's namespace as its only inhabitant, and tells what a snapshot makes of it.
  void leave() { ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0); }
  [[nodiscard]] SnapshotScope scope_of(Session& session) const {
    return snapshot(session, minisockets()).scope;
  }
};

TEST_F(HiddenNetns, IsFoundThroughAnOpenDescriptorAndGoneWithIt) {
  const auto session = start({}, {}, options());
  ASSERT_NE(session, nullptr);
  Fd hold(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  leave();
  EXPECT_EQ(scope_of(*session).netns_read, std::vector<std::uint32_t>{netns_});
  EXPECT_EQ(scope_of(*session).netns_read, std::vector<std::uint32_t>{netns_})
      << "where it was found before";
  hold = Fd();
  const SnapshotScope scope = scope_of(*session);
  EXPECT_EQ(scope.netns_gone, std::vector<std::uint32_t>{netns_});
  EXPECT_TRUE(scope.netns_read.empty() && scope.netns_refused.empty());
  EXPECT_EQ(session->snapshot({}, [] {}).netns_gone, std::vector<std::uint32_t>{netns_})
      << "by the filter's number";
}

TEST_F(HiddenNetns, IsFoundThroughABindMountAnywhere) {
  const auto session = start({}, {}, options());
  ASSERT_NE(session, nullptr);
  char path[] = "/tmp/tcptrail test XXXXXX";
  const Fd file(::mkstemp(path));
  ASSERT_TRUE(file);
  ASSERT_EQ(::mount("/proc/self/ns/net", path, nullptr, MS_BIND, nullptr), 0)
      << std::strerror(errno);
  leave();
  EXPECT_EQ(scope_of(*session).netns_read, std::vector<std::uint32_t>{netns_});
  EXPECT_EQ(::umount2(path, MNT_DETACH), 0);
  ::unlink(path);
  EXPECT_EQ(scope_of(*session).netns_gone, std::vector<std::uint32_t>{netns_});
}

TEST_F(HiddenNetns, IsFoundThroughAThread) {
  const auto session = start({}, {}, options());
  ASSERT_NE(session, nullptr);
  std::mutex mutex;
  std::condition_variable changed;
  bool inside = false;
  bool done = false;
  const Fd there(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  leave();
  std::thread thread([&] {
    std::unique_lock lock(mutex);
    EXPECT_EQ(::setns(there.get(), CLONE_NEWNET), 0);
    inside = true;
    changed.notify_all();
    changed.wait(lock, [&] { return done; });
  });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return inside; });
    const std::vector<NetNamespace> found = namespaces_with({netns_});
    const auto it = std::find_if(found.begin(), found.end(),
                                 [&](const NetNamespace& n) { return n.inode == netns_; });
    ASSERT_NE(it, found.end());
    EXPECT_NE(it->path.find("/task/"), std::string::npos) << it->path;
    EXPECT_EQ(scope_of(*session).netns_read, std::vector<std::uint32_t>{netns_});
    done = true;
    changed.notify_all();
  }
  thread.join();
}

TEST_F(Scan, ARstOfAMinisocketIsItsEnd) {
  unsigned major = 0;
  unsigned minor = 0;
  ASSERT_EQ(std::sscanf(kernel_release().c_str(), "%u.%u", &major, &minor), 2);
  if (major < 6 || (major == 6 && minor < 10))
    GTEST_SKIP() << "the tracepoint shows minisockets since 6.10";
  const auto session = start({"timewait_hooks"}, {}, options());
  ASSERT_NE(session, nullptr);
  const Fd listener = listen_on("127.0.0.1");
  Connection c = connect_to(listener, "127.0.0.1");
  c.client = Fd();
  char byte = 0;
  ASSERT_EQ(::recv(c.server.get(), &byte, 1, 0), 0);
  ASSERT_EQ(wait_for_minisocket(*session).size(), 1U);
  // Data for a FIN_WAIT2 minisocket.
  EXPECT_EQ(::send(c.server.get(), "x", 1, MSG_NOSIGNAL), 1);
  const std::vector<Event> ends = take(*session, TCPTRAIL_TIMEWAIT_END);
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].cookie(), c.cookie);
  EXPECT_EQ(ends[0].base.netns, netns_);
  EXPECT_EQ(ends[0].base.new_state, TCPTRAIL_CAUSE_RESET);
  EXPECT_EQ(ends[0].base.pid, 0U);
  EXPECT_TRUE(snapshot(*session, minisockets()).of(TCPTRAIL_SEEN_TIMEWAIT).empty());
}

}  // namespace
}  // namespace tcptrail
