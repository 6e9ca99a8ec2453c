// SPDX-License-Identifier: BSD-2-Clause
// Who accepted a connection: by the hook, where fentry works, and by the tracepoints; also what is
// a system call of another name (io_uring), or another kind of listener (MPTCP).
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "connections.h"

namespace tcptrail {
namespace {

using test::Connection;
using test::Endpoint;
using test::tcp_socket;

// One operation at a time, without liburing.
class Uring {
 public:
  Uring() : fd_(static_cast<int>(::syscall(SYS_io_uring_setup, 1, &setup_))) {
    if (!fd_) return;
    const std::size_t size = std::max<std::size_t>(setup_.sq_off.array + sizeof(unsigned),
                                                   setup_.cq_off.cqes + 2 * sizeof(io_uring_cqe));
    rings_ = map(size, IORING_OFF_SQ_RING);
    entries_ = map(sizeof(io_uring_sqe), IORING_OFF_SQES);
  }
  [[nodiscard]] bool works() const {
    return fd_ && (setup_.features & IORING_FEAT_SINGLE_MMAP) != 0;
  }
  // The result of the operation: -EINVAL also when the kernel does not know it.
  int operator()(const io_uring_sqe& entry) {
    std::memcpy(entries_, &entry, sizeof entry);
    at<unsigned>(setup_.sq_off.array) = 0;
    __atomic_add_fetch(&at<unsigned>(setup_.sq_off.tail), 1, __ATOMIC_RELEASE);
    EXPECT_EQ(::syscall(SYS_io_uring_enter, fd_.get(), 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0), 1)
        << std::strerror(errno);
    const unsigned head =
        __atomic_fetch_add(&at<unsigned>(setup_.cq_off.head), 1, __ATOMIC_RELEASE);
    const std::size_t index = head & at<unsigned>(setup_.cq_off.ring_mask);
    return at<io_uring_cqe>(setup_.cq_off.cqes + index * sizeof(io_uring_cqe)).res;
  }

 private:
  char* map(std::size_t size, off_t what) {
    return static_cast<char*>(
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_.get(), what));
  }
  template <class T>
  T& at(std::size_t offset) {
    return *reinterpret_cast<T*>(rings_ + offset);
  }

  io_uring_params setup_{};
  Fd fd_;
  char* rings_ = nullptr;
  char* entries_ = nullptr;
};

constexpr std::uint8_t kUringBind = 56, kUringListen = 57;  // headers before 6.11 lack them

io_uring_sqe operation(std::uint8_t code, const Fd& fd) {
  io_uring_sqe entry{};
  entry.opcode = code;
  entry.fd = fd.get();
  return entry;
}

class Accept : public test::WithConnections,
               public testing::WithParamInterface<std::vector<std::string>> {
 protected:
  void SetUp() override {
    InOwnNetwork::SetUp();
    if (!IsSkipped() && !probe_features(GetParam()).on(Feature::kAccept))
      GTEST_SKIP() << "accept is off here";
  }
  // The one record of an accept(), which gave this socket.
  void expect_one(Session& session, const Fd& accepted) const {
    const std::vector<Event> events = take(session, TCPTRAIL_ACCEPT);
    ASSERT_EQ(events.size(), 1U);
    const tcptrail_holder_record& r = events.front().holder;
    if (make_plan(probe_features(GetParam()), {}).cookie) {
      EXPECT_EQ(r.cookie, cookie_of(accepted));
    }
    EXPECT_EQ(r.pid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_EQ(std::string(r.comm), "bpf_tests");
    EXPECT_EQ(r.uid, ::getuid());
    EXPECT_EQ(r.netns, netns_);
    EXPECT_EQ(r.flags, TCPTRAIL_F_OWN);
  }
  static std::uint64_t cookie_of(const Fd& fd) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    EXPECT_EQ(::getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
    return cookie;
  }
};

TEST_P(Accept, WhoAcceptsIsTold) {
  const auto session = start(GetParam(), {}, options());
  ASSERT_NE(session, nullptr);
  const Fd listener = listen_on("127.0.0.1");
  const Connection c = connect_to(listener, "127.0.0.1");
  expect_one(*session, c.server);
}

TEST_P(Accept, OfAnotherNamespaceNothingIsSaid) {
  SessionOptions elsewhere = options();
  elsewhere.filters.netns = {1};
  const auto session = start(GetParam(), {}, elsewhere);
  ASSERT_NE(session, nullptr);
  const Fd listener = listen_on("127.0.0.1");
  const Connection c = connect_to(listener, "127.0.0.1");
  EXPECT_TRUE(take(*session, TCPTRAIL_ACCEPT).empty());
}

// What Go 1.24 and later listen with.
TEST_P(Accept, ATcpConnectionThroughAnMptcpListenerIsToldToo) {
  constexpr int kMptcp = 262;
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, kMptcp));
  if (!listener) GTEST_SKIP() << "this kernel has no MPTCP: " << std::strerror(errno);
  const Endpoint name("127.0.0.1", 0);
  ASSERT_EQ(::bind(listener.get(), name.get(), name.length), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const auto session = start(GetParam(), {}, options());
  ASSERT_NE(session, nullptr);
  const Connection c = connect_to(listener, "127.0.0.1");
  expect_one(*session, c.server);
}

INSTANTIATE_TEST_SUITE_P(Without, Accept,
                         testing::Values(std::vector<std::string>{},
                                         std::vector<std::string>{"socket_hooks"},
                                         std::vector<std::string>{"tp_btf"}),
                         [](const auto& denied) {
                           return denied.param.empty() ? std::string("nothing")
                                                       : denied.param.front();
                         });

class SocketHooks : public test::WithConnections {
 protected:
  void SetUp() override {
    InOwnNetwork::SetUp();
    if (IsSkipped()) return;
    const Features features = probe_features({});
    if (!features.on(Feature::kSocketHooks))
      GTEST_SKIP() << features[Feature::kSocketHooks].why_off;
    if (!ring_.works()) GTEST_SKIP() << "no io_uring";
    session_ = start({}, {}, options());
    ASSERT_NE(session_, nullptr);
  }
  void TearDown() override {
    session_.reset();
    InOwnNetwork::TearDown();
  }
  Uring ring_;
  std::unique_ptr<Session> session_;
};

TEST_F(SocketHooks, AnAcceptOfIoUringIsTold) {
  const Fd listener = listen_on("127.0.0.1");
  const Endpoint name("127.0.0.1", test::port_of(listener));
  const Fd client = tcp_socket(AF_INET);
  ASSERT_EQ(::connect(client.get(), name.get(), name.length), 0);
  const Fd accepted(ring_(operation(IORING_OP_ACCEPT, listener)));
  ASSERT_TRUE(accepted);
  const std::vector<Event> events = take(*session_, TCPTRAIL_ACCEPT);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events.front().holder.pid, static_cast<std::uint32_t>(::getpid()));
}

TEST_F(SocketHooks, ARefusedBindAndListenOfIoUringAreTold) {
  if (!probe_features({}).on(Feature::kRefusedCalls)) GTEST_SKIP() << "refused_calls is off here";
  const Fd taken = tcp_socket(AF_INET, {SO_REUSEADDR});
  Endpoint name("127.0.0.1", 0);
  ASSERT_EQ(::bind(taken.get(), name.get(), name.length), 0);
  name.in.sin_port = htons(test::port_of(taken));
  const Fd second = tcp_socket(AF_INET, {SO_REUSEADDR});
  ASSERT_EQ(::bind(second.get(), name.get(), name.length), 0);
  ASSERT_EQ(::listen(taken.get(), 1), 0);
  const Fd third = tcp_socket(AF_INET);
  io_uring_sqe bind = operation(kUringBind, third);
  bind.addr = reinterpret_cast<std::uintptr_t>(name.get());
  bind.addr2 = name.length;
  const int result = ring_(bind);
  if (result == -EINVAL) GTEST_SKIP() << "no IORING_OP_BIND (6.11)";
  EXPECT_EQ(result, -EADDRINUSE);
  EXPECT_EQ(ring_(operation(kUringListen, second)), -EADDRINUSE);
  const std::vector<Event> events = take(*session_, TCPTRAIL_REFUSED);
  ASSERT_EQ(events.size(), 2U);
  for (const Event& event : events) {
    EXPECT_EQ(event.refused.base.lport, test::port_of(taken));
    EXPECT_EQ(event.refused.base.pid, static_cast<std::uint32_t>(::getpid()));
  }
  EXPECT_EQ(events[0].refused.op, TCPTRAIL_OP_BIND);
  EXPECT_EQ(events[1].refused.op, TCPTRAIL_OP_LISTEN);
}

// A kernel that was thought to allow the hooks and refuses them.
TEST(SocketHooksRefused, TheTracepointsTakeTheirPlace) {
  if (const auto obstacle = find_obstacle())
    GTEST_SKIP() << obstacle->what << ": " << obstacle->why;
  if (probe_features({}).on(Feature::kSocketHooks)) GTEST_SKIP() << "this kernel allows them";
  Features features = probe_features({});
  if (!features.on(Feature::kTpBtf)) GTEST_SKIP() << "tp_btf is off here";
  features[Feature::kSocketHooks] = {};
  Plan plan = make_plan(features, {});
  ASSERT_TRUE(plan.loads("accept_hook"));
  const auto session =
      Session::start(features, plan, {}, {}, {.filters = {}, .ring_bytes = test::kRing});
  ASSERT_TRUE(session) << session.error().what << ": " << session.error().why;
  ASSERT_EQ((*session)->warnings().size(), 1U);
  EXPECT_TRUE((*session)->warnings().front().starts_with("the hooks at sockets: "))
      << (*session)->warnings().front();
  EXPECT_FALSE(features.on(Feature::kSocketHooks));
  EXPECT_TRUE(plan.loads("accept4_return"));
}

}  // namespace
}  // namespace tcptrail
