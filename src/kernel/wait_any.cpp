// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/wait_any.h"

#include <sys/epoll.h>

namespace tcptrail {

Fd wait_any(const std::vector<int>& fds) {
  Fd any(::epoll_create1(EPOLL_CLOEXEC));
  for (const int fd : fds) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (any && fd >= 0 && ::epoll_ctl(any.get(), EPOLL_CTL_ADD, fd, &event) != 0) any = Fd();
  }
  return any;
}

}  // namespace tcptrail
