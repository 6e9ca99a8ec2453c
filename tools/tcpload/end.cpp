// SPDX-License-Identifier: BSD-2-Clause
#include "end.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

namespace tcpload {

namespace {

// What follows runs in an actor's process. No socket blocks: what takes time is waited for with a
// limit.

void wait_for(int fd, short events) {
  pollfd waiting{fd, events, 0};
  const auto limit =
      std::chrono::duration_cast<std::chrono::milliseconds>(kPatience) - std::chrono::seconds(1);
  if (check(poll(&waiting, 1, static_cast<int>(limit.count())), "poll") == 0)
    throw std::runtime_error("nothing happens on the socket");
}

void set_option(int fd, int level, int name, int value) {
  check(setsockopt(fd, level, name, &value, sizeof value), "setsockopt");
}

int new_socket(Family family, int protocol) {
  const int fd = static_cast<int>(check(
      ::socket(domain(family), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol), "socket"));
  if (family == Family::mapped) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  return fd;
}

Address name_of(int fd, int (*get)(int, sockaddr*, socklen_t*)) {
  SocketAddress name;
  return get(fd, name.get(), &name.length) == 0 ? from_socket(name) : Address{};
}

std::size_t read_up_to(int fd, std::size_t wanted) {
  std::vector<char> buffer(65536);
  std::size_t got = 0;
  while (got < wanted) {
    wait_for(fd, POLLIN);
    const long n = check(recv(fd, buffer.data(), std::min(buffer.size(), wanted - got), 0), "recv");
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  return got;
}

bool unspecified(const Address& address) {
  const auto zero = [](std::uint8_t byte) { return byte == 0; };
  return std::all_of(address.bytes.begin(), address.bytes.begin() + 10, zero) &&
         std::all_of(address.bytes.begin() + 12, address.bytes.end(), zero);
}

void linger_zero(int fd) {
  const linger zero{1, 0};
  check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &zero, sizeof zero), "SO_LINGER");
}

}  // namespace

End::End(const char* comm, Family family, const char* role)
    : actor_(comm), family_(family), role_(role) {}

void End::remember_names() {
  tuple_ = actor_.run([fd = socket_] {
    return Tuple{name_of(fd, getsockname), name_of(fd, getpeername)};
  });
}

void End::listen(const Address& address, int backlog, int protocol) {
  listener_ = actor_.run([family = family_, address, backlog, protocol] {
    const int fd = new_socket(family, protocol);
    const SocketAddress name = to_socket(address, family);
    check(::bind(fd, name.get(), name.length), "bind");
    check(::listen(fd, backlog), "listen");
    return fd;
  });
  listening_ = actor_.run([fd = listener_] { return name_of(fd, getsockname); });
}

void End::accept() {
  socket_ = actor_.run([fd = listener_] {
    wait_for(fd, POLLIN);
    return static_cast<int>(
        check(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK), "accept"));
  });
  remember_names();
  sent_ = 0;
  ended_ = orphan_ = false;
}

void End::close_listener() {
  actor_.run([fd = listener_] { check(::close(fd), "close"); });
  if (socket_ < 0) {
    release();
    ended_ = true;
  }
}

void End::make_socket(int protocol) {
  socket_ = actor_.run([family = family_, protocol] { return new_socket(family, protocol); });
}

void End::bind(const Address& address) {
  if (socket_ < 0) make_socket();
  tuple_.local = actor_.run([fd = socket_, family = family_, address] {
    // A test may meet the TIME_WAIT of the one before.
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    const SocketAddress name = to_socket(address, family);
    check(::bind(fd, name.get(), name.length), "bind");
    return name_of(fd, getsockname);
  });
}

int End::connect(const Address& to) {
  const int error = start_connect(to);
  return error == EINPROGRESS ? finish_connect() : error;
}

int End::start_connect(const Address& to) {
  if (socket_ < 0) make_socket();
  struct Result {
    int error;
    Address local;
  };
  const auto result = actor_.run([fd = socket_, family = family_, to] {
    const SocketAddress name = to_socket(to, family);
    const int error = ::connect(fd, name.get(), name.length) < 0 ? errno : 0;
    return Result{error, name_of(fd, getsockname)};
  });
  // A refused connect() has wiped the source address again; here it can only be one.
  const bool wiped = unspecified(result.local);
  tuple_ = {wiped ? loopback(family_, result.local.port) : result.local, to};
  return result.error;
}

int End::finish_connect() {
  return actor_.run([fd = socket_, family = family_, to = tuple_.remote] {
    wait_for(fd, POLLOUT);
    // Asking connect() again, not SO_ERROR, also makes a socket whose connect() failed fit for
    // another one.
    const SocketAddress name = to_socket(to, family);
    const int error = ::connect(fd, name.get(), name.length) < 0 ? errno : 0;
    return error == EISCONN ? 0 : error;
  });
}

void End::again() {
  ++generation_;
  sent_ = 0;
  ended_ = orphan_ = false;
}

void End::option(int level, int name, int value) {
  if (socket_ < 0) make_socket();
  actor_.run([fd = socket_, level, name, value] { set_option(fd, level, name, value); });
}

void End::listener_option(int level, int name, int value) {
  actor_.run([fd = listener_, level, name, value] { set_option(fd, level, name, value); });
}

void End::send(std::size_t bytes) {
  if (const int error = try_send(bytes); error != 0)
    throw std::system_error(error, std::generic_category(), "send");
}

int End::try_send(std::size_t bytes) {
  const int error = actor_.run([fd = socket_, bytes] {
    const std::vector<char> buffer(bytes, 'x');
    return ::send(fd, buffer.data(), bytes, MSG_NOSIGNAL) < 0 ? errno : 0;
  });
  sent_ += error == 0 ? bytes : 0;
  return error;
}

int End::send_fast_open(const Address& to, std::size_t bytes) {
  if (socket_ < 0) make_socket();
  const int error = actor_.run([fd = socket_, family = family_, to, bytes] {
    const std::vector<char> buffer(bytes, 'x');
    const SocketAddress name = to_socket(to, family);
    return sendto(fd, buffer.data(), bytes, MSG_FASTOPEN | MSG_NOSIGNAL, name.get(), name.length) <
                   0
               ? errno
               : 0;
  });
  tuple_ = {actor_.run([fd = socket_] { return name_of(fd, getsockname); }), to};
  sent_ += error == 0 ? bytes : 0;
  return error;
}

void End::fill() {
  sent_ += actor_.run([fd = socket_] {
    const std::vector<char> buffer(65536, 'x');
    std::size_t total = 0;
    for (long n = 0; (n = ::send(fd, buffer.data(), buffer.size(), MSG_NOSIGNAL)) > 0;)
      total += static_cast<std::size_t>(n);
    return total;
  });
}

std::size_t End::receive(std::size_t bytes) {
  return actor_.run([fd = socket_, bytes] { return read_up_to(fd, bytes); });
}

std::size_t End::drain() { return receive(SIZE_MAX); }

int End::wait_error() {
  return actor_.run([fd = socket_] {
    wait_for(fd, POLLERR);
    int error = 0;
    socklen_t length = sizeof error;
    check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), "SO_ERROR");
    return error;
  });
}

void End::wait_readable() {
  actor_.run([fd = socket_] { wait_for(fd, POLLIN); });
}

void End::wait_state(int state) const { wait_for_state(tuple_, family_, state); }

void End::shutdown_write() {
  actor_.run([fd = socket_] { check(::shutdown(fd, SHUT_WR), "shutdown"); });
}

void End::shutdown_both() {
  actor_.run([fd = socket_] { check(::shutdown(fd, SHUT_RDWR), "shutdown"); });
}

void End::answer_fin(std::size_t bytes) {
  actor_.run([fd = socket_, bytes] {
    read_up_to(fd, SIZE_MAX);
    if (bytes == 0) {
      check(::close(fd), "close");
      return;
    }
    const std::vector<char> buffer(bytes, 'x');
    check(::send(fd, buffer.data(), bytes, MSG_NOSIGNAL), "send");
  });
  sent_ += bytes;
  if (bytes == 0) {
    release();
    ended_ = true;
  }
}

void End::close() {
  start_close();
  finish_close();
}

void End::abort() {
  start_abort();
  finish_close();
}

void End::start_close() {
  actor_.start([fd = socket_] { check(::close(fd), "close"); });
  release();
}

void End::start_abort() {
  actor_.start([fd = socket_] {
    linger_zero(fd);
    check(::close(fd), "close");
  });
  release();
}

void End::finish_close() {
  actor_.finish<void>();
  ended_ = true;
}

void End::release() {
  socket_ = -1;
  // Two ends that close at the same moment have both been left before the other finished.
  orphan_ = peer_ == nullptr || !peer_->ended_;
}

void End::disconnect() {
  actor_.run([fd = socket_] {
    const sockaddr nowhere{AF_UNSPEC, {}};
    check(::connect(fd, &nowhere, sizeof nowhere), "connect(AF_UNSPEC)");
  });
}

void End::exit() {
  actor_.exit();
  release();
  ended_ = true;
}

void End::kill() {
  actor_.kill();
  release();
  ended_ = true;
}

}  // namespace tcpload
