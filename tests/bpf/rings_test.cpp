// SPDX-License-Identifier: BSD-2-Clause
// A ring per CPU: what several CPUs write at once is handed out in order of time, without loss.
#include <sched.h>

#include <algorithm>
#include <map>
#include <thread>

#include "live.h"

namespace tcptrail {
namespace {

class Rings : public test::InOwnNetwork {
 protected:
  static std::vector<std::size_t> cpus() {
    cpu_set_t allowed;
    EXPECT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
    std::vector<std::size_t> found;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE && found.size() < 4; ++cpu)
      if (CPU_ISSET(cpu, &allowed)) found.push_back(cpu);
    return found;
  }

  // CLOSE to LISTEN and back, `times` times on this CPU.
  static void listen_and_close(std::size_t cpu, int times) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    EXPECT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    for (int i = 0; i < times; ++i) {
      const Fd fd = test::tcp_socket(AF_INET);
      EXPECT_EQ(::listen(fd.get(), 1), 0);
    }
  }
};

TEST_F(Rings, WhatSeveralCpusWriteComesInOrderOfTime) {
  const std::vector<std::size_t> used = cpus();
  if (used.size() < 2) GTEST_SKIP() << "one CPU";
  constexpr int kTimes = 2000;
  SessionOptions wanted = options();
  wanted.ring_bytes = 8U << 20;
  const auto session = start({}, {.snapshot = false, .command_tree = false}, wanted);
  ASSERT_NE(session, nullptr);
  std::vector<std::jthread> threads;
  for (const std::size_t cpu : used) threads.emplace_back(listen_and_close, cpu, kTimes);

  std::vector<Event> events;
  Event event{};
  const auto drain = [&] {
    session->ring().drain([&](std::span<const std::byte> bytes) {
      EXPECT_TRUE(decode(bytes, event));
      events.push_back(event);
      return true;
    });
  };
  // While they write, too: a record that comes late must not be overtaken.
  const std::size_t all = used.size() * kTimes * 2;
  for (int i = 0; i < 200'000 && events.size() < all; ++i) drain();
  threads.clear();
  session->ring().drain_all(drain);

  EXPECT_EQ(session->lost_ring(), 0U);
  EXPECT_EQ(events.size(), all);
  EXPECT_TRUE(std::is_sorted(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.boot_ns() < b.boot_ns();
  }));
  std::map<std::uint64_t, int> seen;
  for (const Event& e : events)
    EXPECT_EQ(e.new_state() == TcpState::kListen ? 0 : 1, seen[e.cookie()]++) << "of one socket";
}

}  // namespace
}  // namespace tcptrail
