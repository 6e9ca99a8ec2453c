// SPDX-License-Identifier: BSD-2-Clause
// What the kernel would answer to bind()+listen() and to connect() now, and what
// is in the way: the rules of inet_csk_get_port() and __inet_hash_connect() on a
// picture of one network namespace. Inputs: its sockets and port buckets (from a
// snapshot), its sysctls, a question. Output: an answer, the blockers, and when
// it ends. Pure; called by port_answers and port_report. Sockets in a VRF are taken
// as outside it.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ports/port_table.h"
#include "tcp/address.h"
#include "tcp/port_sysctls.h"

namespace tcptrail {

// The address of a fresh socket that bind() gives this one: an IPv6 address other than
// :: makes it sk_ipv6only.
BoundAddress address_to_bind(const Address& address, Family family, bool inet6, bool v6only);

// Whether a socket that asks for `mine` meets one that has `other` (inet_rcv_saddr_equal()
// for wildcards, the address table of 6.1+ for the rest). Not symmetric: an IPv4
// wildcard meets the IPv6 connections of a dual-stack listener.
bool addresses_overlap(const BoundAddress& mine, const BoundAddress& other);

// The ports that connect() and bind(:0) look at. In a range with an odd number of
// ports the kernel leaves out one end each time; counted is what it finds most often.
bool in_ephemeral_range(const PortSysctls& sysctls, std::uint16_t port);
// Those of a socket with IP_LOCAL_PORT_RANGE (high << 16 | low; 0 = none):
// inet_sk_get_local_port_range().
PortSysctls with_own_range(PortSysctls sysctls, std::uint32_t port_range);
// Every port of ip_local_port_range that is reserved.
unsigned reserved_in_range(const PortSysctls& sysctls);

enum class BindOptions : std::uint8_t { kPlain, kReuseAddr, kReusePort, kBoth };

struct BindQuestion {
  BoundAddress address;    // of the fresh socket
  std::uint16_t port = 0;  // 0 = the kernel chooses
  std::uint32_t uid = 0;
  std::uint32_t device = 0;      // ifindex of SO_BINDTODEVICE; 0 = none
  bool address_is_local = true;  // or bind() of others is allowed
  bool may_bind_low = true;      // CAP_NET_BIND_SERVICE
};

// Why bind() fails whatever the other sockets are.
enum class BindRefusal : std::uint8_t { kNone, kNotLocal, kNoPermission, kMappedV6Only };
BindRefusal refusal(const BindQuestion& question, const PortSysctls& sysctls);

// The same question of a dual-stack socket with IPV6_V6ONLY; nullopt where the option changes
// nothing.
std::optional<BindQuestion> with_v6only(const BindQuestion& question);

// Whether bind() and then listen() succeed on a fresh socket with these options.
// The refusals above are not looked at.
bool bind_succeeds(const PortTable& table, const PortSysctls& sysctls, const BindQuestion& question,
                   BindOptions options);
// The sockets in the way of a bind with these options, one that names a port.
std::vector<const PortSocket*> bind_blockers(const PortTable& table, const BindQuestion& question,
                                             BindOptions options);

struct ConnectQuestion {
  Tuple tuple;  // lport 0; laddr is where the connection would come from
};

// Whether connect() may take over this minisocket's ports, `bound` to a port by
// bind() or not (tcp_twsk_unique()).
bool may_reuse(const PortSocket& minisocket, const PortSysctls& sysctls, bool bound,
               std::uint64_t now_ns);
// When an unbound connect() first may; nullopt = not before it has gone.
std::optional<std::uint64_t> reusable_from_ns(const PortSocket& minisocket,
                                              const PortSysctls& sysctls);

struct ConnectAnswer {
  bool ok = false;
  unsigned used = 0;       // ports of the range with a socket to the destination
  unsigned time_wait = 0;  // of these, in TIME_WAIT
  unsigned available = 0;
  unsigned pinned = 0;  // closed to connect() whatever the destination
  // In how many ms a port comes free: 0 now, nullopt when no timer will do it.
  std::optional<std::uint64_t> free_in_ms;
  std::vector<const PortSocket*> blockers;  // sockets on ports of the range to that destination
};

ConnectAnswer connect_answer(const PortTable& table, const PortSysctls& sysctls,
                             const ConnectQuestion& question, std::uint64_t now_ns);

// Whether the socket stands between these two addresses in the established table, where
// it keeps a connect() without a device of its own from taking its local port.
bool stands_between(const PortSocket& socket, const Tuple& tuple);

// The same for many destinations: what is true of the range for all of them, computed once.
class EphemeralPorts {
 public:
  EphemeralPorts(const PortTable& table, const PortSysctls& sysctls);
  // `to_destination`: the sockets between the two addresses, on any local port, in order of it.
  [[nodiscard]] ConnectAnswer answer(std::span<const PortSocket* const> to_destination,
                                     std::uint64_t now_ns) const;

 private:
  [[nodiscard]] std::optional<std::uint64_t> next_release(
      std::span<const PortSocket* const> to_destination, std::uint64_t now_ns) const;
  const PortTable& table_;
  const PortSysctls& sysctls_;
  std::bitset<65536> candidates_;  // neither reserved nor pinned
  unsigned candidate_count_ = 0;
  unsigned pinned_ = 0;
};

// After how many ms from now the socket has gone for certain: its timer and the
// timer wheel's step. nullopt = it has no timer.
std::optional<std::uint64_t> gone_in_ms(const PortSocket& socket, std::uint64_t now_ns);
// When all of them have gone.
std::optional<std::uint64_t> all_gone_in_ms(std::span<const PortSocket* const> sockets,
                                            std::uint64_t now_ns);

// How late a timer of this length may be: it is put into a slot of the wheel that
// is a power of 8 ticks wide, and fires at the end of it (kernel/time/timer.c).
std::uint64_t timer_step_ms(std::uint64_t timeout_ms, unsigned hz);

}  // namespace tcptrail
