// SPDX-License-Identifier: BSD-2-Clause
#include "diag.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "sys.h"

namespace tcpload {

namespace {

void put(__be32 (&to)[4], const Address& address, Family family) {
  if (family == Family::v4)
    std::memcpy(&to[0], &address.bytes[12], 4);
  else
    std::memcpy(&to[0], address.bytes.data(), 16);
}

}  // namespace

int tcp_state(const Tuple& tuple, Family family) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 body;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;  // this one socket, no dump
  request.body.sdiag_family = static_cast<__u8>(domain(family));
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = ~0U;
  request.body.id.idiag_sport = htons(tuple.local.port);
  request.body.id.idiag_dport = htons(tuple.remote.port);
  put(request.body.id.idiag_src, tuple.local, family);
  put(request.body.id.idiag_dst, tuple.remote, family);
  request.body.id.idiag_cookie[0] = request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;

  const Fd netlink(static_cast<int>(
      check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), "netlink")));
  check(send(netlink.get(), &request, sizeof request, 0), "sock_diag");
  alignas(nlmsghdr) char answer[8192];
  check(recv(netlink.get(), answer, sizeof answer, 0), "sock_diag");
  nlmsghdr header{};
  std::memcpy(&header, answer, sizeof header);
  if (header.nlmsg_type == NLMSG_ERROR) {
    nlmsgerr error{};
    std::memcpy(&error, answer + NLMSG_HDRLEN, sizeof error);
    if (error.error == -ENOENT) return 0;
    throw std::system_error(-error.error, std::generic_category(), "sock_diag");
  }
  inet_diag_msg found{};
  std::memcpy(&found, answer + NLMSG_HDRLEN, sizeof found);
  // With no connection of that tuple the kernel answers with a listener of the same local address.
  return found.id.idiag_dport == htons(tuple.remote.port) ? found.idiag_state : 0;
}

void wait_for_state(const Tuple& tuple, Family family, int state) {
  wait_until([&] { return tcp_state(tuple, family) == state; }, "a TCP state");
}

}  // namespace tcpload
