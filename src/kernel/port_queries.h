// SPDX-License-Identifier: BSD-2-Clause
// What the port rules need besides the sockets: the sysctls of the network
// namespace that the thread is in, and what its routing says of an address.
#pragma once

#include <optional>

#include "ports/port_rules.h"
#include "tcp/address.h"

namespace tcptrail {

PortSysctls read_port_sysctls();

// Whether bind() takes the address: it is one of this namespace's, a wildcard, or
// net.ipv4/ipv6.ip_nonlocal_bind is set.
bool address_is_bindable(const Address& address, Family family);

// The source address that connect() without bind() gets; nullopt = no route.
std::optional<Address> source_address_to(const Address& address, Family family);

// CAP_NET_BIND_SERVICE for a process of this uid: ours if it is our own, else root's.
bool may_bind_low_ports(std::uint32_t uid);

}  // namespace tcptrail
