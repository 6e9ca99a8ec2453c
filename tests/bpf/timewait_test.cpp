// SPDX-License-Identifier: BSD-2-Clause
// The hooks at minisockets: each way in which one ends gives its cause. Needs a kernel that allows
// fentry.
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include <chrono>

#include "connections.h"

namespace tcptrail {
namespace {

using test::Connection;
using test::Endpoint;
using test::tcp_socket;

class TimeWaitHooks : public test::WithConnections {
 protected:
  void SetUp() override {
    WithConnections::SetUp();
    if (IsSkipped()) return;
    const Features features = probe_features({});
    if (!features.on(Feature::kTimeWaitHooks))
      GTEST_SKIP() << features[Feature::kTimeWaitHooks].why_off;
    session_ = start({}, {}, options());
    ASSERT_NE(session_, nullptr);
  }
  void TearDown() override {
    session_.reset();
    WithConnections::TearDown();
  }

  // Waits for the end of the minisocket that has this cookie; kind 0 when it does not come.
  [[nodiscard]] Event end_of(std::uint64_t cookie, int seconds = 5) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    do {
      for (const Event& event : take(*session_, TCPTRAIL_TIMEWAIT_END))
        if (event.cookie() == cookie) return event;
      ::poll(nullptr, 0, 5);
    } while (std::chrono::steady_clock::now() < deadline);
    ADD_FAILURE() << "no end of minisocket " << cookie;
    return {};
  }
  static std::uint64_t cookie_of(const Fd& fd) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    EXPECT_EQ(::getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
    return cookie;
  }
  static Connection connect_from(const Fd& listener, std::uint16_t port) {
    const Endpoint from("127.0.0.1", port);
    const Endpoint name("127.0.0.1", test::port_of(listener));
    Connection c;
    c.client = tcp_socket(AF_INET, {SO_REUSEADDR});
    EXPECT_EQ(::bind(c.client.get(), from.get(), from.length), 0) << std::strerror(errno);
    EXPECT_EQ(::connect(c.client.get(), name.get(), name.length), 0) << std::strerror(errno);
    c.server = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    c.lport = test::port_of(c.client);
    c.cookie = cookie_of(c.client);
    return c;
  }
  // What a FIN_WAIT2 minisocket of the client's is left after.
  static Connection half_closed(const Fd& listener) {
    Connection c = connect_to(listener, "127.0.0.1");
    c.client = Fd();
    char byte = 0;
    EXPECT_EQ(::recv(c.server.get(), &byte, 1, 0), 0);
    return c;
  }

  std::unique_ptr<Session> session_;
};

// The sequence number that the next byte of this end will have.
std::uint32_t next_sequence(const Fd& fd) {
  int on = 1;
  EXPECT_EQ(::setsockopt(fd.get(), IPPROTO_TCP, TCP_REPAIR, &on, sizeof on), 0)
      << std::strerror(errno);
  const int queue = TCP_SEND_QUEUE;
  EXPECT_EQ(::setsockopt(fd.get(), IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof queue), 0);
  std::uint32_t sequence = 0;
  socklen_t size = sizeof sequence;
  EXPECT_EQ(::getsockopt(fd.get(), IPPROTO_TCP, TCP_QUEUE_SEQ, &sequence, &size), 0);
  on = -1;  // TCP_REPAIR_OFF_NO_WP
  EXPECT_EQ(::setsockopt(fd.get(), IPPROTO_TCP, TCP_REPAIR, &on, sizeof on), 0);
  return sequence;
}

// A RST on 127.0.0.1, with the checksum that nobody else fills in.
void send_rst(std::uint16_t from, std::uint16_t to, std::uint32_t sequence) {
  struct {
    std::uint32_t source, target;
    std::uint8_t zero, protocol;
    std::uint16_t length;
    tcphdr tcp;
  } packet{};
  packet.source = packet.target = htonl(INADDR_LOOPBACK);
  packet.protocol = IPPROTO_TCP;
  packet.length = htons(sizeof packet.tcp);
  packet.tcp.source = htons(from);
  packet.tcp.dest = htons(to);
  packet.tcp.seq = htonl(sequence);
  packet.tcp.doff = sizeof packet.tcp / 4;
  packet.tcp.rst = 1;
  std::uint16_t words[sizeof packet / 2];
  std::memcpy(words, &packet, sizeof packet);
  std::uint32_t sum = 0;
  for (const std::uint16_t word : words) sum += word;
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  packet.tcp.check = static_cast<std::uint16_t>(~sum);
  const Fd raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP));
  const Endpoint target("127.0.0.1", 0);
  EXPECT_EQ(::sendto(raw.get(), &packet.tcp, sizeof packet.tcp, 0, target.get(), target.length),
            static_cast<ssize_t>(sizeof packet.tcp))
      << std::strerror(errno);
}

// What `ss -K` sends. 0, or the errno of the answer.
int destroy(std::uint16_t lport, std::uint16_t rport) {
  const Fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } message{};
  message.header.nlmsg_len = sizeof message;
  message.header.nlmsg_type = SOCK_DESTROY;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  message.request.sdiag_family = AF_INET;
  message.request.sdiag_protocol = IPPROTO_TCP;
  message.request.idiag_states = ~0U;
  message.request.id.idiag_sport = htons(lport);
  message.request.id.idiag_dport = htons(rport);
  message.request.id.idiag_src[0] = message.request.id.idiag_dst[0] = htonl(INADDR_LOOPBACK);
  message.request.id.idiag_cookie[0] = message.request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  if (::send(netlink.get(), &message, sizeof message, 0) != static_cast<ssize_t>(sizeof message))
    return errno;
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char more[256];
  } answer{};
  if (::recv(netlink.get(), &answer, sizeof answer, 0) <= 0) return errno;
  return -answer.error.error;
}

TEST_F(TimeWaitHooks, TheTimerIsExpired) {
  test::write_file("/proc/sys/net/ipv4/tcp_fin_timeout", "2");
  const Fd listener = listen_on("127.0.0.1");
  const Connection c = half_closed(listener);
  const Event end = end_of(c.cookie, 15);
  EXPECT_EQ(end.base.new_state, TCPTRAIL_CAUSE_EXPIRED);
  EXPECT_EQ(end.base.netns, netns_);
  EXPECT_EQ(end.base.pid, 0U);
  EXPECT_EQ(end.base.flags, TCPTRAIL_F_IPV4);
}

TEST_F(TimeWaitHooks, ARstThatIsReceivedIsReset) {
  const Fd listener = listen_on("127.0.0.1");
  Connection c = connect_to(listener, "127.0.0.1");
  const std::uint32_t sequence = next_sequence(c.server);
  close_client_first(c);
  ASSERT_EQ(wait_for_minisocket(*session_).size(), 1U);
  send_rst(test::port_of(listener), c.lport, sequence + 1);  // its FIN took one
  EXPECT_EQ(end_of(c.cookie).base.new_state, TCPTRAIL_CAUSE_RESET);
}

TEST_F(TimeWaitHooks, DataForFinWait2IsReset) {
  const Fd listener = listen_on("127.0.0.1");
  const Connection c = half_closed(listener);
  ASSERT_EQ(wait_for_minisocket(*session_).size(), 1U);
  EXPECT_EQ(::send(c.server.get(), "x", 1, MSG_NOSIGNAL), 1);
  EXPECT_EQ(end_of(c.cookie).base.new_state, TCPTRAIL_CAUSE_RESET);
}

TEST_F(TimeWaitHooks, ANewSynIsReuseBySyn) {
  const Fd listener = listen_on("127.0.0.1");
  Connection c = connect_to(listener, "127.0.0.1");
  const std::uint16_t port = c.lport;
  const std::uint64_t cookie = cookie_of(c.server);
  std::swap(c.client, c.server);
  close_client_first(c);  // the server's end is the one that waits
  const Connection again = connect_from(listener, port);
  const Event end = end_of(cookie);
  EXPECT_EQ(end.base.new_state, TCPTRAIL_CAUSE_REUSED_BY_SYN);
  EXPECT_EQ(end.base.pid, 0U);
}

TEST_F(TimeWaitHooks, AConnectFromTheSamePortIsReuseByThisProcess) {
  const Fd listener = listen_on("127.0.0.1");
  Connection c = connect_from(listener, 0);
  const std::uint16_t port = c.lport;
  close_client_first(c);
  const Connection again = connect_from(listener, port);
  const Event end = end_of(c.cookie);
  EXPECT_EQ(end.base.new_state, TCPTRAIL_CAUSE_REUSED_BY_CONNECT);
  EXPECT_EQ(end.base.pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(end.base.flags, TCPTRAIL_F_OWN | TCPTRAIL_F_IPV4);
}

TEST_F(TimeWaitHooks, SockDestroyIsAKillByThisProcess) {
  const Fd listener = listen_on("127.0.0.1");
  Connection c = connect_to(listener, "127.0.0.1");
  close_client_first(c);
  if (const int error = destroy(c.lport, test::port_of(listener)); error == EOPNOTSUPP)
    GTEST_SKIP() << "minisockets cannot be killed here";
  const Event end = end_of(c.cookie);
  EXPECT_EQ(end.base.new_state, TCPTRAIL_CAUSE_KILLED);
  EXPECT_EQ(end.base.pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(end.base.flags, TCPTRAIL_F_KILLER | TCPTRAIL_F_IPV4);
}

TEST_F(TimeWaitHooks, TheEndOfTheNamespaceEndsItsMinisockets) {
  std::uint64_t cookie = 0;
  {
    const Fd listener = listen_on("127.0.0.1");
    Connection c = connect_to(listener, "127.0.0.1");
    cookie = c.cookie;
    close_client_first(c);
  }
  ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
  EXPECT_EQ(end_of(cookie, 30).base.new_state, TCPTRAIL_CAUSE_NETNS_EXIT);
}

TEST_F(TimeWaitHooks, ALateFinMakesFinWait2ATimeWaitOfAMinute) {
  const Fd listener = listen_on("127.0.0.1");
  Connection c = half_closed(listener);
  const std::vector<Event> before = wait_for_minisocket(*session_);
  ASSERT_EQ(before.size(), 1U);
  EXPECT_EQ(before[0].timewait.tw & TCPTRAIL_TW_PHASE, TCPTRAIL_TW_FIN_WAIT2);
  take(*session_);
  c.server = Fd();
  const std::vector<Event> after = take(*session_, TCPTRAIL_SEEN_TIMEWAIT);
  ASSERT_EQ(after.size(), 1U);
  EXPECT_EQ(after[0].cookie(), c.cookie);
  EXPECT_EQ(after[0].timewait.tw & TCPTRAIL_TW_PHASE, TCPTRAIL_TW_TIME_WAIT);
  EXPECT_EQ(after[0].timewait.lport, c.lport);
  EXPECT_EQ(after[0].timewait.rport, test::port_of(listener));
  EXPECT_GT(after[0].timewait.expires_ms, 59'000U);
  EXPECT_LE(after[0].timewait.expires_ms, 60'100U);
}

// What the hook at its birth tells stands in for the walk, in the record of the CLOSE.
class BirthHook : public TimeWaitHooks {
 protected:
  // The part of the CLOSE event of a client that closes first.
  unsigned close_one(const Fd& listener, std::uint32_t* expires_ms = nullptr) {
    Connection c = connect_to(listener, "127.0.0.1");
    close_client_first(c);
    for (const Event& event : take(*session_, TCPTRAIL_TRANSITION_END)) {
      if (event.cookie() != c.cookie) continue;
      if (expires_ms != nullptr) *expires_ms = event.end.tw_expires_ms;
      return event.end.tw & TCPTRAIL_TW_PHASE;
    }
    ADD_FAILURE() << "no CLOSE of the client";
    return 99;
  }
};

TEST_F(BirthHook, StandsInForTheWalkAndSaysWhenThereIsNone) {
  session_.reset();
  session_ = start({"timewait_walk"}, {}, options());
  ASSERT_NE(session_, nullptr);
  const Fd listener = listen_on("127.0.0.1");
  std::uint32_t expires_ms = 0;
  EXPECT_EQ(close_one(listener, &expires_ms), static_cast<unsigned>(TCPTRAIL_TW_TIME_WAIT));
  EXPECT_GT(expires_ms, 59'000U);
  EXPECT_LE(expires_ms, 60'100U);
  test::write_file("/proc/sys/net/ipv4/tcp_max_tw_buckets", "0");
  EXPECT_EQ(close_one(listener), static_cast<unsigned>(TCPTRAIL_TW_NONE));
}

TEST_F(TimeWaitHooks, FiltersHold) {
  const Fd listener = listen_on("127.0.0.1");
  const auto count = [&](auto&& change) {
    session_.reset();
    SessionOptions filtered = options();
    Connection c = connect_from(listener, 0);
    change(filtered.filters, c.lport);
    session_ = start({}, {}, filtered);
    close_client_first(c);
    const Connection again = connect_from(listener, c.lport);
    return session_ == nullptr ? 99U : take(*session_, TCPTRAIL_TIMEWAIT_END).size();
  };
  EXPECT_EQ(count([](Filters& f, std::uint16_t lport) { f.lports.ranges = {{lport, lport}}; }), 1U);
  EXPECT_EQ(count([](Filters& f, std::uint16_t) { f.lports.ranges = {{1, 2}}; }), 0U);
  EXPECT_EQ(count([](Filters& f, std::uint16_t) { f.family = FamilyFilter::kIpv6; }), 0U);
  EXPECT_EQ(count([](Filters& f, std::uint16_t) { f.netns = {1}; }), 0U);
}

}  // namespace
}  // namespace tcptrail
