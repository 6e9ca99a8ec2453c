// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>

namespace tcpload {

// What the program asks for. `mapped` is an AF_INET6 socket whose packets are IPv4.
enum class Family { v4, v6, mapped };

// An IPv4 address is kept in its v4-mapped form, so that one type serves all three families.
struct Address {
  std::array<std::uint8_t, 16> bytes{};
  std::uint16_t port = 0;  // host order
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Address ipv4(std::uint32_t host_order, std::uint16_t port);
Address loopback(Family family, std::uint16_t port,
                 unsigned nth = 1);  // 127.0.0.<nth> and on; ::1 always
Address any(Family family, std::uint16_t port);

SocketAddress to_socket(const Address& address, Family family);
Address from_socket(const SocketAddress& address);

// Without the port; a v4-mapped address as plain IPv4, as the packets have it.
std::string text(const Address& address);

inline int domain(Family family) { return family == Family::v4 ? AF_INET : AF_INET6; }
bool available(Family family);             // its loopback address can be bound here
const char* packet_family(Family family);  // "ipv4" or "ipv6"

}  // namespace tcpload
