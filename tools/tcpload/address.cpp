// SPDX-License-Identifier: BSD-2-Clause
#include "address.h"

#include <arpa/inet.h>

#include <cstring>

#include "sys.h"

namespace tcpload {

namespace {

bool is_ipv4(const Address& address) {
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(address.bytes.data(), kMapped.data(), kMapped.size()) == 0;
}

}  // namespace

Address ipv4(std::uint32_t host_order, std::uint16_t port) {
  Address address;
  address.bytes[10] = address.bytes[11] = 0xff;
  const std::uint32_t be = htonl(host_order);
  std::memcpy(&address.bytes[12], &be, sizeof be);
  address.port = port;
  return address;
}

Address loopback(Family family, std::uint16_t port, unsigned nth) {
  if (family != Family::v6) return ipv4(INADDR_LOOPBACK - 1 + nth, port);
  Address address;
  address.bytes[15] = 1;
  address.port = port;
  return address;
}

Address any(Family family, std::uint16_t port) {
  if (family == Family::v4) return ipv4(INADDR_ANY, port);
  Address address;
  address.port = port;
  return address;
}

SocketAddress to_socket(const Address& address, Family family) {
  SocketAddress result;
  if (family == Family::v4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port);
    std::memcpy(&in.sin_addr, &address.bytes[12], sizeof in.sin_addr);
    std::memcpy(&result.storage, &in, sizeof in);
    result.length = sizeof in;
  } else {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(address.port);
    std::memcpy(&in6.sin6_addr, address.bytes.data(), sizeof in6.sin6_addr);
    std::memcpy(&result.storage, &in6, sizeof in6);
    result.length = sizeof in6;
  }
  return result;
}

Address from_socket(const SocketAddress& from) {
  if (from.storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &from.storage, sizeof in);
    return ipv4(ntohl(in.sin_addr.s_addr), ntohs(in.sin_port));
  }
  sockaddr_in6 in6{};
  std::memcpy(&in6, &from.storage, sizeof in6);
  Address address;
  std::memcpy(address.bytes.data(), &in6.sin6_addr, sizeof in6.sin6_addr);
  address.port = ntohs(in6.sin6_port);
  return address;
}

std::string text(const Address& address) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (is_ipv4(address))
    inet_ntop(AF_INET, &address.bytes[12], buffer.data(), buffer.size());
  else
    inet_ntop(AF_INET6, address.bytes.data(), buffer.data(), buffer.size());
  return buffer.data();
}

bool available(Family family) {
  const Fd fd(::socket(domain(family), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress name = to_socket(loopback(family, 0), family);
  return fd && bind(fd.get(), name.get(), name.length) == 0;
}

const char* packet_family(Family family) { return family == Family::v6 ? "ipv6" : "ipv4"; }

}  // namespace tcpload
