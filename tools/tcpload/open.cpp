// SPDX-License-Identifier: BSD-2-Clause
// Many connections open at once. The ends live in two processes; the client closes first, all of
// them, when told to.
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

#include "address.h"
#include "sys.h"
#include "tcpload.h"

namespace tcpload {

namespace {

// Accepts `count` connections, says so with one byte on `channel`, and closes each one after its
// peer.
void serve(const Fd& listener, unsigned count, const Fd& channel) {
  std::vector<int> accepted;
  accepted.reserve(count);
  while (accepted.size() < count) {
    const int fd = static_cast<int>(check(accept(listener.get(), nullptr, nullptr), "accept"));
    // Else the FINs of all of them are acknowledged from a timer, thousands in one softirq: another
    // test's matter.
    const int on = 1;
    check(setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on), "TCP_QUICKACK");
    accepted.push_back(fd);
  }
  check(write(channel.get(), "a", 1), "channel");
  for (const int fd : accepted) {
    char byte = 0;
    check(recv(fd, &byte, 1, 0), "recv");
    check(close(fd), "close");
  }
}

void wait_for_word(const OpenOptions& options) {
  if (options.hold_seconds) {
    check(poll(nullptr, 0, static_cast<int>(*options.hold_seconds * 1000)), "poll");
    return;
  }
  pollfd in{STDIN_FILENO, POLLIN, 0};
  check(poll(&in, 1, -1), "poll");
}

}  // namespace

int open_many(const OpenOptions& options) {
  raise_descriptor_limit();
  const Fd listener(
      static_cast<int>(check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")));
  SocketAddress name = to_socket(any(Family::v4, 0), Family::v4);
  check(bind(listener.get(), name.get(), name.length), "bind");
  check(listen(listener.get(), SOMAXCONN), "listen");
  check(getsockname(listener.get(), name.get(), &name.length), "getsockname");
  const std::uint16_t port = from_socket(name).port;

  int ends[2];
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  const pid_t server = static_cast<pid_t>(check(fork(), "fork"));
  if (server == 0) {
    try {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      ours = Fd();
      serve(listener, options.count, theirs);
      _exit(0);
    } catch (const std::exception& error) {
      fmt::print(stderr, "tcpload: error: open: server: {}\n", error.what());
    }
    _exit(1);
  }
  theirs = Fd();

  const unsigned addresses = options.addresses != 0
                                 ? options.addresses
                                 : (options.count + kPerDestination - 1) / kPerDestination;
  std::vector<Fd> open;
  open.reserve(options.count);
  for (unsigned i = 0; i < options.count; ++i) {
    Fd fd(static_cast<int>(check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")));
    const SocketAddress to = to_socket(loopback(Family::v4, port, 1 + i % addresses), Family::v4);
    check(connect(fd.get(), to.get(), to.length), "connect");
    open.push_back(std::move(fd));
  }
  char byte = 0;
  if (check(read(ours.get(), &byte, 1), "channel") != 1)
    throw std::runtime_error("the server process failed");
  print_line("open");
  wait_for_word(options);

  open.clear();
  int status = 0;
  check(waitpid(server, &status, 0), "waitpid");
  if (status != 0) throw std::runtime_error("the server process failed");
  print_line(fmt::format(R"({{"connections":{},"port":{},"client_pid":{},"server_pid":{}}})",
                         options.count, port, getpid(), server));
  return 0;
}

}  // namespace tcpload
