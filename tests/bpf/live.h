// SPDX-License-Identifier: BSD-2-Clause
// A session on the running kernel, and a network namespace of the test's own for what it traces.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernel/diagnose.h"
#include "kernel/features.h"
#include "kernel/handles.h"
#include "kernel/netns.h"
#include "kernel/plan.h"
#include "kernel/session.h"
#include "tcp/event.h"

namespace tcptrail::test {

inline constexpr std::size_t kRing = 256 * 1024;

class OnThisKernel : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto obstacle = find_obstacle())
      GTEST_SKIP() << obstacle->what << ": " << obstacle->why;
  }

  static std::unique_ptr<Session> start(const std::vector<std::string>& denied,
                                        const PlanRequest& request, const SessionOptions& options) {
    const Plan plan = make_plan(probe_features(denied), request);
    auto session = Session::start(plan, options);
    if (!session) {
      ADD_FAILURE() << session.error().what << "\n" << session.error().why;
      return nullptr;
    }
    for (const std::string& warning : (*session)->warnings()) ADD_FAILURE() << warning;
    return std::move(*session);
  }

  // Everything that is in the rings; a record that does not decode is a failure.
  static std::vector<Event> take(Session& session) {
    std::vector<Event> events;
    const auto drain = [&] {
      session.ring().drain([&](std::span<const std::byte> bytes) {
        Event event{};
        if (decode(bytes, event))
          events.push_back(event);
        else
          ADD_FAILURE() << "a record of " << bytes.size() << " bytes does not decode";
        return true;
      });
    };
    session.ring().drain_all(drain);
    return events;
  }

  static std::vector<Event> take(Session& session, std::uint8_t kind) {
    std::vector<Event> events = take(session);
    std::erase_if(events, [&](const Event& event) { return event.kind() != kind; });
    return events;
  }
};

inline void write_file(const std::string& path, const std::string& text) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error(path + ": " + std::strerror(errno));
}

// The test runs in a fresh network namespace with lo up; it goes with the last socket in it.
class InOwnNetwork : public OnThisKernel {
 protected:
  void SetUp() override {
    OnThisKernel::SetUp();
    if (IsSkipped()) return;
    home_ = Fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << std::strerror(errno);
    const Fd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    ASSERT_EQ(::ioctl(any.get(), SIOCSIFFLAGS, &request), 0) << std::strerror(errno);
    netns_ = own_netns();
  }
  void TearDown() override {
    if (home_) {
      ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
    }
  }

  // Of this namespace only.
  [[nodiscard]] SessionOptions options() const {
    SessionOptions options{.filters = {}, .ring_bytes = kRing};
    options.filters.netns = {netns_};
    return options;
  }

  Fd home_;
  std::uint32_t netns_ = 0;
};

struct Endpoint {  // of AF_INET or AF_INET6, by the text of the address
  Endpoint(const std::string& address, std::uint16_t port) {
    if (address.find(':') == std::string::npos) {
      length = sizeof in;
      in.sin_family = AF_INET;
      in.sin_port = htons(port);
      EXPECT_EQ(::inet_pton(AF_INET, address.c_str(), &in.sin_addr), 1) << address;
    } else {
      length = sizeof in6;
      in6.sin6_family = AF_INET6;
      in6.sin6_port = htons(port);
      EXPECT_EQ(::inet_pton(AF_INET6, address.c_str(), &in6.sin6_addr), 1) << address;
    }
  }
  [[nodiscard]] const sockaddr* get() const { return &any; }
  [[nodiscard]] int family() const { return any.sa_family; }

  union {
    sockaddr any;
    sockaddr_in in;
    sockaddr_in6 in6{};
  };
  socklen_t length;
};

inline Fd tcp_socket(int family, const std::vector<int>& options = {}) {
  Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (const int option : options) {
    const int on = 1;
    EXPECT_EQ(::setsockopt(fd.get(), option == IPV6_V6ONLY ? IPPROTO_IPV6 : SOL_SOCKET, option, &on,
                           sizeof on),
              0)
        << std::strerror(errno);
  }
  return fd;
}

inline std::uint16_t port_of(const Fd& fd) {
  Endpoint name("::", 0);
  EXPECT_EQ(::getsockname(fd.get(), &name.any, &name.length), 0);
  return ntohs(name.in.sin_port);  // at the same place in both
}

}  // namespace tcptrail::test
