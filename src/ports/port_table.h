// SPDX-License-Identifier: BSD-2-Clause
// The sockets and port buckets of one network namespace, by local port: what the
// rules of port_rules are asked about. Filled by port_snapshot. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tcp/address.h"
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

struct PortSocket {
  std::uint64_t cookie = 0;          // 0 = the kernel never made one
  std::uint64_t seen_ns = 0;         // boot time of the sighting
  std::uint64_t expires_ns = 0;      // boot time of the kernel's timer; minisockets only
  std::uint64_t portless_us = 0;     // boot time at which it had no port yet; 0 = not known
  std::uint64_t reuse_since_ns = 0;  // what tcp_tw_reuse_delay counts from; minisockets only
  Tuple tuple;                       // as it is printed
  BoundAddress bound;
  std::uint32_t uid = 0;  // of full sockets
  std::uint32_t bound_dev_if = 0;
  std::uint32_t step_ms = 0;  // how much later than expires_ns the timer wheel may be
  TcpState state{};           // BOUND for a socket that only has a port
  bool minisocket = false;    // TIME_WAIT, or FIN_WAIT2 without a socket
  bool orphan = false;        // closed by its process; the kernel still says goodbye
  bool queued = false;        // waits for accept(): no process has it
  bool reuseaddr = false;
  bool reuseport = false;
  bool port_lock = false;   // bind() chose the port, not connect() or a listener
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
  // connect() gave the port to all who have it.
  [[nodiscard]] bool is_client_port(std::uint16_t port) const;

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

// What its timer has left; nullopt for a full socket.
std::optional<std::uint64_t> expires_in_ms(const PortSocket& socket, std::uint64_t now_ns);
// How many sockets are in each state, the most first.
std::vector<std::pair<TcpState, std::uint64_t>> states_of(
    std::span<const PortSocket* const> sockets);

}  // namespace tcptrail
