// SPDX-License-Identifier: BSD-2-Clause
// What the kernel would answer to bind()+listen() and to connect() now, and what
// is in the way: the rules of inet_csk_get_port() and __inet_hash_connect() on a
// picture of one network namespace. Inputs: its sockets and port buckets (from a
// snapshot), its sysctls, a question. Output: a verdict, the blockers, and when
// it ends. Pure; called by port_report. Sockets in a VRF are taken as outside it.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tcp/address.h"
#include "tcp/port_sysctls.h"
#include "tcp/record.h"
#include "tcp/tcp_state.h"

namespace tcptrail {

// The address that a socket is bound to, as bind conflicts see it: always 16
// bytes, IPv4 as ::ffff:a.b.c.d, and what kind of socket holds it.
struct BoundAddress {
  std::array<std::uint8_t, 16> bytes{};
  bool inet6 = false;   // the socket is AF_INET6
  bool v6only = false;  // sk_ipv6only; the kernel sets it too when bind() names an IPv6 address

  [[nodiscard]] bool mapped() const;      // IPv4, whatever the socket
  [[nodiscard]] bool any() const;         // ::
  [[nodiscard]] bool any_mapped() const;  // 0.0.0.0 or ::ffff:0.0.0.0
  friend bool operator==(const BoundAddress&, const BoundAddress&) = default;
};

BoundAddress bound_address(const Address& address, Family family, bool inet6, bool v6only);

// The same of a fresh socket that bind() gives this address: an IPv6 address other than
// :: makes it sk_ipv6only.
BoundAddress address_to_bind(const Address& address, Family family, bool inet6, bool v6only);

// Whether a socket that asks for `mine` meets one that has `other` (inet_rcv_saddr_equal()
// for wildcards, the address table of 6.1+ for the rest). Not symmetric: an IPv4
// wildcard meets the IPv6 connections of a dual-stack listener.
bool addresses_overlap(const BoundAddress& mine, const BoundAddress& other);

struct PortSocket {
  std::uint64_t cookie = 0;          // 0 = the kernel never made one
  std::uint64_t seen_ns = 0;         // boot time of the sighting
  std::uint64_t expires_ns = 0;      // boot time of the kernel's timer; minisockets only
  std::uint64_t reuse_since_ns = 0;  // what tcp_tw_reuse_delay counts from; minisockets only
  Tuple tuple;                       // as it is printed
  BoundAddress bound;
  std::uint32_t uid = 0;  // of full sockets
  std::uint32_t bound_dev_if = 0;
  std::uint32_t step_ms = 0;  // how much later than expires_ns the timer wheel may be
  TcpState state{};           // BOUND for a socket that only has a port
  bool minisocket = false;    // TIME_WAIT, or FIN_WAIT2 without a socket
  bool orphan = false;        // closed by its process; the kernel still says goodbye
  bool reuseaddr = false;
  bool reuseport = false;
  bool timestamps = false;  // minisocket: the connection used them
  std::optional<Process>
      closed_by;  // minisocket: who closed it (pid 0 = nobody knows); nullopt = ask PortSnapshot
};

// What struct inet_bind_bucket remembers of earlier binds of the port.
struct PortBucket {
  int fastreuse = -1;      // both -1: all users were given the port by connect()
  int fastreuseport = -1;  // 1 any, 2 strict: only with the address that follows
  std::uint32_t fastuid = 0;
  BoundAddress fast{};
  [[nodiscard]] bool pinned() const { return fastreuse >= 0 || fastreuseport >= 0; }
};

// The sockets of one namespace by port.
class PortTable {
 public:
  void add(const PortSocket& socket) { added_.push_back(socket); }
  void set_bucket(std::uint16_t port, const PortBucket& bucket);
  // Puts them in order of port, and keeps the last sighting of what was seen twice. Before any
  // question.
  void finish();
  // Minisockets whose timer has fired by now, however late. A look that is not of now shows them
  // still.
  void drop_gone(std::uint64_t now_ns);
  // Empty again; the memory is kept.
  void clear();

  [[nodiscard]] std::span<const PortSocket> all() const { return sockets_; }
  [[nodiscard]] std::span<const PortSocket> on_port(std::uint16_t port) const;
  // nullptr = nobody has the port, or the kernel did not show its bucket.
  [[nodiscard]] const PortBucket* bucket(std::uint16_t port) const;
  // connect() passes over the port whatever the destination. Without a bucket to
  // look at: somebody listens on it, or only has it bound.
  [[nodiscard]] bool pinned(std::uint16_t port) const;

 private:
  void count(std::span<const PortSocket> sockets);  // into first_at_

  // A hundred thousand sockets are looked at each second: what a port has is found by its number.
  std::vector<PortSocket> added_;
  std::vector<PortSocket> sockets_;
  std::vector<std::uint32_t>
      first_at_;  // in sockets_, of each port and one past the last; empty before finish()
  std::vector<PortBucket> buckets_;
  std::vector<std::uint32_t> bucket_at_;  // in buckets_ plus 1, of each port; 0 = none
};

// The ports that connect() and bind(:0) look at. In a range with an odd number of
// ports the kernel leaves out one end each time; counted is what it finds most often.
bool in_ephemeral_range(const PortSysctls& sysctls, std::uint16_t port);
// Every port of ip_local_port_range that is reserved.
unsigned reserved_in_range(const PortSysctls& sysctls);

enum class BindOptions : std::uint8_t { kPlain, kReuseAddr, kReusePort, kBoth };

struct BindQuestion {
  BoundAddress address;    // of the fresh socket
  std::uint16_t port = 0;  // 0 = the kernel chooses
  std::uint32_t uid = 0;
  bool address_is_local = true;  // or bind() of others is allowed
  bool may_bind_low = true;      // CAP_NET_BIND_SERVICE
};

// Why bind() fails whatever the other sockets are.
enum class BindRefusal : std::uint8_t { kNone, kNotLocal, kNoPermission, kMappedV6Only };
BindRefusal refusal(const BindQuestion& question, const PortSysctls& sysctls);

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

ConnectAnswer connect_verdict(const PortTable& table, const PortSysctls& sysctls,
                              const ConnectQuestion& question, std::uint64_t now_ns);

// Whether the socket stands between these two addresses in the established table, where
// it keeps a connect() without a device of its own from taking its local port.
bool stands_between(const PortSocket& socket, const Tuple& tuple);

// The same for many destinations: what is true of the range for all of them, computed once.
class EphemeralPorts {
 public:
  EphemeralPorts(const PortTable& table, const PortSysctls& sysctls);
  // `to_destination`: the sockets between the two addresses, on any local port, in order of it.
  [[nodiscard]] ConnectAnswer verdict(std::span<const PortSocket* const> to_destination,
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
