// SPDX-License-Identifier: BSD-2-Clause
// Which listener a connection came through: the kernel's order of preference, row by
// row, and no answer where two of them can have had it.
#include "connections/listeners.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>

namespace tcptrail {
namespace {

constexpr std::uint32_t kNetns = 4026531840U;

Tuple local_end(const char* address, std::uint16_t port = 80) {
  Tuple tuple;
  tuple.lport = port;
  const std::string text = address;
  tuple.family = text.find(':') != std::string::npos ? Family::kIpv6 : Family::kIpv4;
  inet_pton(tuple.family == Family::kIpv6 ? AF_INET6 : AF_INET, address, tuple.laddr.bytes.data());
  return tuple;
}

struct Listening {
  const char* address;
  bool v6only = false;
  std::uint32_t device = 0;
  std::uint64_t since = 0;
  std::uint64_t closed = 0;
};

struct Row {
  const char* what;
  std::vector<Listening> listeners;  // their pids are 1, 2, ...
  const char* connection;
  std::optional<std::uint32_t> device;
  std::uint32_t owner;  // 0 = not known
};

constexpr std::uint64_t kBegan = 10;

TEST(Listeners, TheOnlyOneThatCanHaveHadTheConnection) {
  const std::vector<Row> rows = {
      {"the only one", {{"0.0.0.0"}}, "10.0.0.1", 0, 1},
      {"two of a SO_REUSEPORT group", {{"0.0.0.0"}, {"0.0.0.0"}}, "10.0.0.1", 0, 0},
      {"the second began later", {{"0.0.0.0"}, {"0.0.0.0", false, 0, 11}}, "10.0.0.1", 0, 1},
      {"the first was closed before", {{"0.0.0.0", false, 0, 0, 9}, {"0.0.0.0"}}, "10.0.0.1", 0, 2},
      {"the first was closed after it began",
       {{"0.0.0.0", false, 0, 0, 11}, {"0.0.0.0"}},
       "10.0.0.1",
       0,
       0},
      {"an exact address before the wildcard", {{"0.0.0.0"}, {"10.0.0.1"}}, "10.0.0.1", 0, 2},
      {"another address", {{"10.0.0.2"}}, "10.0.0.1", 0, 0},
      {"a mapped address", {{"::ffff:10.0.0.1"}}, "10.0.0.1", 0, 1},
      {"dual stack", {{"::"}}, "10.0.0.1", 0, 1},
      {"IPV6_V6ONLY has no IPv4", {{"::", true}, {"0.0.0.0"}}, "10.0.0.1", 0, 2},
      {"IPV6_V6ONLY alone", {{"::", true}}, "10.0.0.1", 0, 0},
      {"AF_INET before dual stack", {{"::"}, {"0.0.0.0"}}, "10.0.0.1", 0, 2},
      {"AF_INET has no IPv6", {{"0.0.0.0"}, {"::"}}, "fd00::1", 0, 2},
      {"the connection's device", {{"0.0.0.0", false, 3}, {"0.0.0.0", false, 4}}, "10.0.0.1", 4, 2},
      {"no device", {{"0.0.0.0", false, 3}, {"0.0.0.0"}}, "10.0.0.1", 0, 2},
      {"a device before none", {{"0.0.0.0"}, {"0.0.0.0", false, 3}}, "10.0.0.1", 3, 2},
      {"the device is not known",
       {{"0.0.0.0"}, {"0.0.0.0", false, 3}},
       "10.0.0.1",
       std::nullopt,
       0},
      {"the device does not matter", {{"0.0.0.0"}}, "10.0.0.1", std::nullopt, 1},
      {"none", {}, "10.0.0.1", 0, 0},
  };
  for (const Row& row : rows) {
    Listeners listeners;
    std::uint32_t pid = 0;
    for (const Listening& l : row.listeners) {
      ++pid;
      Listener& listener = listeners.add(pid, kNetns, local_end(l.address));
      listener.owner.pid = pid;
      listener.v6only = l.v6only;
      listener.device = l.device;
      listener.since = l.since;
      if (l.closed != 0) listeners.close(pid, l.closed);
    }
    const Listener* found =
        listeners.only_one_for(kNetns, local_end(row.connection), row.device, kBegan);
    EXPECT_EQ(found != nullptr ? found->owner.pid : 0U, row.owner) << row.what;
    EXPECT_EQ(listeners.only_one_for(kNetns + 1, local_end(row.connection), row.device, kBegan),
              nullptr)
        << row.what << ", in another namespace";
  }
}

// A role needs less than an owner: that there is a listener at all.
TEST(Listeners, TwoThatCanHaveHadItCoverIt) {
  Listeners listeners;
  listeners.add(1, kNetns, local_end("0.0.0.0"));
  listeners.add(2, kNetns, local_end("0.0.0.0"));
  EXPECT_TRUE(listeners.covers(kNetns, local_end("10.0.0.1"), kBegan));
  EXPECT_FALSE(listeners.covers(kNetns, local_end("fd00::1"), kBegan));
  listeners.close(1, kBegan - 1);
  listeners.close(2, kBegan - 1);
  EXPECT_FALSE(listeners.covers(kNetns, local_end("10.0.0.1"), kBegan));
}

}  // namespace
}  // namespace tcptrail
