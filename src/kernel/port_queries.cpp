// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/port_queries.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "kernel/capabilities.h"
#include "kernel/handles.h"
#include "kernel/machine.h"

namespace tcptrail {
namespace {

constexpr const char* kIpv4 = "/proc/sys/net/ipv4/";
constexpr const char* kIpv6 = "/proc/sys/net/ipv6/";

// The first number of the file.
std::optional<unsigned long> number_in(const std::string& path) {
  const std::string line = first_line(path);
  char* end = nullptr;
  const unsigned long value = std::strtoul(line.c_str(), &end, 10);
  if (end == line.c_str()) return std::nullopt;
  return value;
}

struct Route {
  unsigned char type = RTN_UNSPEC;
  std::optional<Address> source;
};

// RTM_GETROUTE: what the kernel's own lookup for a packet to the address gives.
std::optional<Route> look_up(const Address& address, Family family) {
  const Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return std::nullopt;
  const std::size_t size = family == Family::kIpv4 ? 4 : 16;
  struct {
    nlmsghdr header;
    rtmsg route;
    rtattr attribute;
    std::uint8_t address[16];
  } request{};
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.header.nlmsg_len = static_cast<__u32>(NLMSG_LENGTH(sizeof(rtmsg)) + RTA_LENGTH(size));
  request.route.rtm_family = family == Family::kIpv4 ? AF_INET : AF_INET6;
  request.route.rtm_dst_len = static_cast<unsigned char>(size * 8);
  request.attribute.rta_type = RTA_DST;
  request.attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(size));
  std::memcpy(request.address, address.bytes.data(), size);
  if (::send(fd.get(), &request, request.header.nlmsg_len, 0) < 0) return std::nullopt;

  alignas(nlmsghdr) char reply[4096];
  const ssize_t n = ::recv(fd.get(), reply, sizeof reply, 0);
  const auto* header = reinterpret_cast<const nlmsghdr*>(reply);
  if (n < 0 || !NLMSG_OK(header, static_cast<std::size_t>(n)) || header->nlmsg_type != RTM_NEWROUTE)
    return std::nullopt;
  const auto* route = static_cast<const rtmsg*>(NLMSG_DATA(header));
  Route found;
  found.type = route->rtm_type;
  auto left = static_cast<unsigned>(header->nlmsg_len - NLMSG_LENGTH(sizeof(rtmsg)));
  for (const rtattr* a = RTM_RTA(route); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
    if (a->rta_type != RTA_PREFSRC || RTA_PAYLOAD(a) != size) continue;
    Address source;
    std::memcpy(source.bytes.data(), RTA_DATA(a), size);
    found.source = source;
  }
  return found;
}

}  // namespace

PortSysctls read_port_sysctls() {
  PortSysctls s;
  const std::string v4 = kIpv4;
  std::istringstream range(first_line(v4 + "ip_local_port_range"));
  unsigned low = 0;
  unsigned high = 0;
  if (range >> low >> high && low <= high && high < 65536) {
    s.range_low = low;
    s.range_high = high;
  }
  // "8080,9148-9200"
  std::istringstream reserved(first_line(v4 + "ip_local_reserved_ports"));
  for (std::string part; std::getline(reserved, part, ',');) {
    unsigned first = 0;
    unsigned last = 0;
    const int fields = std::sscanf(part.c_str(), "%u-%u", &first, &last);
    if (fields < 1) continue;
    if (fields == 1) last = first;
    for (unsigned port = first; port <= last && port < 65536; ++port) s.reserved[port] = true;
  }
  s.tcp_tw_reuse = static_cast<unsigned>(number_in(v4 + "tcp_tw_reuse").value_or(2));
  s.tcp_timestamps = number_in(v4 + "tcp_timestamps").value_or(1) != 0;
  // Kernels without it let a TIME_WAIT be taken over from the next second of the clock on,
  // 1000 ms after the timestamp at the latest.
  s.tw_reuse_delay_ms = number_in(v4 + "tcp_tw_reuse_delay").value_or(999);
  s.autobind_reuse = number_in(v4 + "ip_autobind_reuse").value_or(0) != 0;
  s.unprivileged_port_start =
      static_cast<unsigned>(number_in(v4 + "ip_unprivileged_port_start").value_or(1024));
  const auto bindv6only = number_in(std::string(kIpv6) + "bindv6only");
  s.ipv6 = bindv6only.has_value();
  s.bindv6only = bindv6only.value_or(0) != 0;
  return s;
}

bool address_is_bindable(const Address& address, Family family) {
  if (address == Address{}) return true;
  const bool ipv4 = family == Family::kIpv4;
  if (number_in(std::string(ipv4 ? kIpv4 : kIpv6) + "ip_nonlocal_bind").value_or(0) != 0)
    return true;
  const auto route = look_up(address, family);
  if (!route) return false;
  // inet_addr_valid_or_nonlocal() lets IPv4 broadcast and multicast addresses pass.
  return route->type == RTN_LOCAL ||
         (ipv4 && (route->type == RTN_BROADCAST || route->type == RTN_MULTICAST));
}

std::optional<Address> source_address_to(const Address& address, Family family) {
  const auto route = look_up(address, family);
  if (!route || (route->type != RTN_UNICAST && route->type != RTN_LOCAL)) return std::nullopt;
  if (!route->source && route->type == RTN_LOCAL) return address;
  return route->source;
}

bool may_bind_low_ports(std::uint32_t uid) {
  if (uid != ::geteuid()) return uid == 0;
  const std::optional<Capabilities> have = read_capabilities();
  return have ? have->has(CAP_NET_BIND_SERVICE) : uid == 0;
}

}  // namespace tcptrail
