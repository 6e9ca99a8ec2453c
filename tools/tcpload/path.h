// SPDX-License-Identifier: BSD-2-Clause
// A slow, lossy or broken path between two addresses of one network namespace. Packets between them
// leave through a TUN device; a pump process reads them there and, as it is told, sends them back
// in, keeps them, or drops them. The pump also is a nasty witness: the kernel processes every
// packet in its context, and it owns no socket.
#pragma once

#include <sys/types.h>

#include <cstddef>

#include "address.h"
#include "sys.h"

namespace tcpload {

class Path {
 public:
  // Needs a network namespace of our own: it puts the local routing table behind a rule of its own.
  Path();
  ~Path();
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

  static Address client(std::uint16_t port = 0);
  static Address server(std::uint16_t port = 0);

  void pass();                 // what was held goes on, in order
  void hold();                 // packets wait on the path
  void drop();                 // packets vanish
  void refuse();               // packets are answered with ICMP host unreachable
  void wait_held(unsigned n);  // until n packets wait
  void release(unsigned n);    // while holding: lets the first n go on

  struct Control;

 private:
  void tell(int mode);

  Control* control_ = nullptr;
  pid_t pump_ = -1;
  Fd wake_;
};

}  // namespace tcpload
