// SPDX-License-Identifier: BSD-2-Clause
#include "actor.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fmt/format.h>

namespace tcpload {

Actor::Actor(const char* comm) {
  int ends[2];
  check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  channel_ = Fd(ends[0]);
  Fd theirs(ends[1]);
  pid_ = static_cast<pid_t>(check(fork(), "fork"));
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, comm);
    channel_ = Fd();
    serve(theirs.get());
  }
}

Actor::~Actor() {
  if (!gone_) {
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

void Actor::serve(int channel) {
  Request request;
  while (::recv(channel, &request, sizeof request, 0) == static_cast<ssize_t>(sizeof request)) {
    Reply reply{};
    const auto tell = [&](int error, const char* what) {
      reply.error = error;
      std::snprintf(reply.what.data(), reply.what.size(), "%s", what);
    };
    try {
      request.invoker(request.closure, reply.result);
    } catch (const std::system_error& error) {
      tell(error.code().value(), error.what());
    } catch (const std::exception& error) {
      tell(-1, error.what());
    }
    if (::send(channel, &reply, sizeof reply, MSG_NOSIGNAL) < 0) break;
  }
  _exit(0);  // its sockets end as those of a program that just ends
}

void Actor::send(const Request& request) {
  check(::send(channel_.get(), &request, sizeof request, MSG_NOSIGNAL), "to the actor");
}

Actor::Reply Actor::receive() {
  pollfd waiting{channel_.get(), POLLIN, 0};
  if (check(poll(&waiting, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())),
            "poll") == 0)
    throw std::runtime_error(fmt::format("actor {} does not answer", pid_));
  Reply reply{};
  if (check(::recv(channel_.get(), &reply, sizeof reply, 0), "from the actor") == 0)
    throw std::runtime_error(fmt::format("actor {} is gone", pid_));
  if (reply.error != 0) throw std::runtime_error(reply.what.data());
  return reply;
}

void Actor::reap() {
  gone_ = true;
  check(waitpid(pid_, nullptr, 0), "waitpid");
}

void Actor::exit() {
  // Not a close(): children forked later have inherited our end, and the actor would never see it.
  check(::shutdown(channel_.get(), SHUT_RDWR), "shutdown");
  reap();
}

void Actor::kill() {
  check(::kill(pid_, SIGKILL), "kill");
  reap();
}

}  // namespace tcpload
