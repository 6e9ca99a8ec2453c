// SPDX-License-Identifier: BSD-2-Clause
#include "run/signals.h"

#include <sys/signalfd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace tcptrail {
namespace {

sigset_t set_of(std::initializer_list<int> signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
  return set;
}

}  // namespace

Signals::Signals() {
  const sigset_t all = set_of({SIGINT, SIGTERM, SIGHUP, SIGCHLD});
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  const sigset_t stop = set_of({SIGINT, SIGTERM});
  const sigset_t other = set_of({SIGHUP, SIGCHLD});
  stop_ = Fd(::signalfd(-1, &stop, SFD_NONBLOCK | SFD_CLOEXEC));
  other_ = stop_ ? Fd(::signalfd(-1, &other, SFD_NONBLOCK | SFD_CLOEXEC)) : Fd();
  if (!other_) error_ = errno;
}

Result<void> Signals::ready() const {
  if (stop_ && other_) return {};
  return Error{"cannot watch for signals", std::string("signalfd: ") + std::strerror(error_),
               error_ == EMFILE || error_ == ENFILE
                   ? "raise the limit of open files: ulimit -n 1024"
                   : "`tcptrail doctor` says what works here"};
}

int Signals::take(int fd) {
  signalfd_siginfo info{};
  return ::read(fd, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

void Signals::restore_in_child() {
  ::signal(SIGPIPE, SIG_DFL);
  ::signal(SIGXFSZ, SIG_DFL);
  const sigset_t none = set_of({});
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace tcptrail
