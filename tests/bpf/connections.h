// SPDX-License-Identifier: BSD-2-Clause
// Connections inside the test's own network namespace, and snapshots of what they leave behind.
#pragma once

#include <poll.h>

#include <algorithm>

#include "live.h"

namespace tcptrail::test {

struct Connection {
  Fd client;
  Fd server;
  std::uint16_t lport = 0;  // of the client
  std::uint64_t cookie = 0;
};

class WithConnections : public InOwnNetwork {
 protected:
  // SO_REUSEADDR: or the listener's end of the connections would pin its port for the next test.
  static Fd listen_on(const std::string& address) {
    const Endpoint name(address, 0);
    Fd fd = tcp_socket(name.family(), {SO_REUSEADDR});
    EXPECT_EQ(::bind(fd.get(), name.get(), name.length), 0) << std::strerror(errno);
    EXPECT_EQ(::listen(fd.get(), 16), 0);
    return fd;
  }
  static Connection connect_to(const Fd& listener, const std::string& address) {
    const Endpoint name(address, test::port_of(listener));
    Connection c;
    c.client = tcp_socket(name.family());
    EXPECT_EQ(::connect(c.client.get(), name.get(), name.length), 0) << std::strerror(errno);
    c.server = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    c.lport = test::port_of(c.client);
    socklen_t size = sizeof c.cookie;
    EXPECT_EQ(::getsockopt(c.client.get(), SOL_SOCKET, SO_COOKIE, &c.cookie, &size), 0);
    return c;
  }
  // The client's end is left in TIME_WAIT.
  static void close_client_first(Connection& c) {
    c.client = Fd();
    char byte = 0;
    EXPECT_EQ(::recv(c.server.get(), &byte, 1, 0), 0);
    c.server = Fd();
  }

  struct Snapshot {
    SnapshotScope scope;
    std::vector<Event> events;
    [[nodiscard]] std::vector<Event> of(std::uint8_t kind) const {
      std::vector<Event> found;
      std::copy_if(events.begin(), events.end(), std::back_inserter(found),
                   [&](const Event& e) { return e.kind() == kind; });
      return found;
    }
  };
  static Snapshot snapshot(Session& session, const SnapshotRequest& request) {
    take(session);  // what was before
    Snapshot seen;
    const auto drain = [&] {
      const std::vector<Event> more = take(session);
      seen.events.insert(seen.events.end(), more.begin(), more.end());
    };
    seen.scope = session.snapshot(request, drain);
    drain();
    return seen;
  }
  [[nodiscard]] SnapshotRequest minisockets() const {
    return {.netns = {netns_}, .minisockets_only = true};
  }

  // The peer's ACK of a FIN may be delayed: until then FIN_WAIT2 is a full socket.
  [[nodiscard]] std::vector<Event> wait_for_minisocket(Session& session) const {
    std::vector<Event> seen;
    // 30 s and more: an emulated machine keeps softirqs waiting.
    for (int i = 0; i < 6000 && seen.empty(); ++i) {
      seen = snapshot(session, minisockets()).of(TCPTRAIL_SEEN_TIMEWAIT);
      if (seen.empty()) ::poll(nullptr, 0, 5);
    }
    return seen;
  }
};

}  // namespace tcptrail::test
