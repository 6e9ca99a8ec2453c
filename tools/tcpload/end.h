// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <netinet/in.h>

#include "actor.h"
#include "address.h"
#include "diag.h"

namespace tcpload {

// One end. Every verb acts in the end's own process; what blocks has a limit of kPatience.
class End {
 public:
  End(const char* comm, Family family, const char* role);

  // Passive: listen on an address (port 0: any), then accept.
  void listen(const Address& address, int backlog = 16, int protocol = IPPROTO_TCP);
  Address listening() const { return listening_; }
  void accept();
  void close_listener();

  // Active. `connect` returns errno, 0 for success. Unbound unless bind() came first.
  void make_socket(int protocol = IPPROTO_TCP);
  void bind(const Address& address);
  int connect(const Address& to);
  int start_connect(const Address& to);  // returns at once: 0, EINPROGRESS or why not
  int finish_connect();                  // when it is connected or has failed
  void again();                          // the same socket is about to make its next connection

  void option(int level, int name, int value);
  void listener_option(int level, int name, int value);

  void send(std::size_t bytes);
  int try_send(std::size_t bytes);                           // errno
  int send_fast_open(const Address& to, std::size_t bytes);  // errno
  void fill();                                               // until the kernel takes no more
  std::size_t receive(std::size_t bytes);                    // until so many came or the peer's FIN
  std::size_t drain();                                       // until the peer's FIN
  int wait_error();                  // until the socket has failed; its errno
  void wait_readable();              // data or FIN is there and stays there
  void wait_state(int state) const;  // TCP_ESTABLISHED, ...: the kernel's state of this tuple

  void answer_fin(std::size_t bytes);  // reads the FIN and at once sends data (0: closes)
  void shutdown_write();
  void shutdown_both();
  void close();
  void abort();       // close() with SO_LINGER 0: a RST
  void disconnect();  // connect(AF_UNSPEC)
  void exit();
  void kill();

  // The two halves of close() and abort(), so that both ends can close at the same moment.
  void start_close();
  void start_abort();
  void finish_close();

  Family family() const { return family_; }
  Tuple tuple() const { return tuple_; }
  pid_t pid() const { return actor_.pid(); }

 private:
  friend class Stage;
  void remember_names();
  void release();

  Actor actor_;
  Family family_;
  const char* role_;
  int socket_ = -1;
  int listener_ = -1;
  Address listening_;
  Tuple tuple_;
  unsigned generation_ = 0;
  std::size_t sent_ = 0;
  const End* peer_ = nullptr;
  bool ended_ = false;   // its process is done with the socket
  bool orphan_ = false;  // ... and was so before the peer was
};

}  // namespace tcpload
