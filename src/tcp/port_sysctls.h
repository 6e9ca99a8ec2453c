// SPDX-License-Identifier: BSD-2-Clause
// The sysctls of a network namespace that decide which port bind() and connect() may use.
#pragma once

#include <bitset>
#include <cstdint>

namespace tcptrail {

struct PortSysctls {
  unsigned range_low = 32768;  // net.ipv4.ip_local_port_range, inclusive
  unsigned range_high = 60999;
  bool own_range = false;       // ... narrowed by IP_LOCAL_PORT_RANGE of the socket
  std::bitset<65536> reserved;  // net.ipv4.ip_local_reserved_ports
  unsigned tcp_tw_reuse = 2;
  // net.ipv4.tcp_tw_reuse_delay; kernels without it wait for the next second of the
  // clock, which is at most 1 s
  std::uint64_t tw_reuse_delay_ms = 1000;
  bool tcp_timestamps = true;
  bool autobind_reuse = false;  // net.ipv4.ip_autobind_reuse
  bool bindv6only = false;      // net.ipv6.bindv6only
  unsigned unprivileged_port_start = 1024;
  bool ipv6 = true;  // the namespace has IPv6 at all
  friend bool operator==(const PortSysctls&, const PortSysctls&) = default;
};

}  // namespace tcptrail
