// SPDX-License-Identifier: BSD-2-Clause
#include "ports/port_rules.h"

#include <algorithm>

namespace tcptrail {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
// LOOPBACK4_IPV6: what stands in sk_rcv_saddr of a socket with an IPv6 address.
constexpr std::array<std::uint8_t, 4> kNoIpv4 = {127, 0, 0, 6};

// sk_rcv_saddr, which the IPv4 side of the comparison looks at.
std::array<std::uint8_t, 4> ipv4_part(const BoundAddress& address) {
  if (address.any()) return {};
  if (!address.mapped()) return kNoIpv4;
  return {address.bytes[12], address.bytes[13], address.bytes[14], address.bytes[15]};
}

// ipv4_rcv_saddr_equal(); the wildcard of a side counts where its flag says so.
bool ipv4_overlap(const BoundAddress& mine, const BoundAddress& other, bool my_wildcard,
                  bool other_wildcard) {
  if (other.v6only) return false;
  const auto a = ipv4_part(mine);
  const auto b = ipv4_part(other);
  constexpr std::array<std::uint8_t, 4> kAny{};
  return a == b || (my_wildcard && a == kAny) || (other_wildcard && b == kAny);
}

// inet_rcv_saddr_equal().
bool rcv_saddr_equal(const BoundAddress& mine, const BoundAddress& other, bool my_wildcard,
                     bool other_wildcard) {
  if (!mine.inet6) return ipv4_overlap(mine, other, my_wildcard, other_wildcard);
  const bool other_mapped = !other.inet6 || other.mapped();
  if (mine.mapped() && other_mapped) return ipv4_overlap(mine, other, my_wildcard, other_wildcard);
  if (mine.any() && other.any()) return true;
  if (other.any() && other_wildcard && !(other.v6only && mine.mapped())) return true;
  if (mine.any() && my_wildcard && !(mine.v6only && other_mapped)) return true;
  return mine.bytes == other.bytes;
}

bool is_specific(const BoundAddress& a) { return !a.any() && !a.any_mapped(); }

bool has_reuseaddr(BindOptions options) {
  return options == BindOptions::kReuseAddr || options == BindOptions::kBoth;
}
bool has_reuseport(BindOptions options) {
  return options == BindOptions::kReusePort || options == BindOptions::kBoth;
}

// inet_bind_conflict(): an unbound device meets every device. `relax` and
// `reuseport_ok` as there: both true for a bind that names its port.
bool conflicts(const PortSocket& other, const BindQuestion& q, BindOptions options, bool relax,
               bool reuseport_ok) {
  if (q.device != 0 && other.bound_dev_if != 0 && q.device != other.bound_dev_if) return false;
  const bool share = has_reuseport(options) && other.reuseport &&
                     (other.state == TcpState::kTimeWait || other.minisocket || other.uid == q.uid);
  if (has_reuseaddr(options) && other.reuseaddr && other.state != TcpState::kListen) {
    if (relax && !(share && !reuseport_ok)) return false;
  } else if (reuseport_ok && share) {
    return false;
  }
  return addresses_overlap(q.address, other.bound);
}

// sk_reuseport_match(): the bucket remembers a bind that this one repeats.
bool bucket_lets_in(const PortBucket& bucket, const BindQuestion& q) {
  if (bucket.fastreuseport <= 0 || bucket.fastuid != q.uid) return false;
  return bucket.fastreuseport == 1 || rcv_saddr_equal(bucket.fast, q.address, true, false);
}

// listen() asks again after bind(), with the socket in LISTEN: then only SO_REUSEPORT
// has a short cut, and our own bind() has just confirmed it.
bool named_port_succeeds(const PortTable& table, const BindQuestion& q, BindOptions options) {
  if (has_reuseport(options)) {
    const PortBucket* bucket = table.bucket(q.port);
    if (bucket != nullptr &&
        (bucket_lets_in(*bucket, q) || (bucket->fastreuse > 0 && has_reuseaddr(options))))
      return true;
  }
  const auto others = table.on_port(q.port);
  return std::none_of(others.begin(), others.end(),
                      [&](const PortSocket& s) { return conflicts(s, q, options, true, true); });
}

// inet_csk_find_open_port(): first a port without any overlap, then (with
// ip_autobind_reuse) one where only SO_REUSEADDR lets us in.
bool chosen_port_succeeds(const PortTable& table, const PortSysctls& sysctls, const BindQuestion& q,
                          BindOptions options) {
  for (const bool relax : {false, true}) {
    if (relax && !sysctls.autobind_reuse) break;
    for (unsigned port = sysctls.range_low; port <= sysctls.range_high; ++port) {
      const auto number = static_cast<std::uint16_t>(port);
      if (!in_ephemeral_range(sysctls, number) || sysctls.reserved[port]) continue;
      const auto others = table.on_port(number);
      if (std::any_of(others.begin(), others.end(),
                      [&](const PortSocket& s) { return conflicts(s, q, options, relax, false); }))
        continue;
      BindQuestion at = q;
      at.port = number;
      if (named_port_succeeds(table, at, options)) return true;  // listen()
    }
  }
  return false;
}

bool loopback_involved(const PortSocket& s) {
  constexpr std::uint32_t kLoopbackIfindex = 1;
  return s.bound_dev_if == kLoopbackIfindex || is_loopback(s.tuple.laddr, s.tuple.family) ||
         is_loopback(s.tuple.raddr, s.tuple.family);
}

}  // namespace

BoundAddress address_to_bind(const Address& address, Family family, bool inet6, bool v6only) {
  BoundAddress bound = bound_address(address, family, inet6, v6only);
  if (inet6 && !bound.mapped() && !bound.any()) bound.v6only = true;
  return bound;
}

bool addresses_overlap(const BoundAddress& mine, const BoundAddress& other) {
  if (!is_specific(mine)) return rcv_saddr_equal(mine, other, true, true);
  const bool ipv4 = mine.mapped();
  if (other.v6only && ipv4) return false;
  if (other.any()) return true;
  if (other.any_mapped()) return ipv4;
  return mine.bytes == other.bytes;
}

bool in_ephemeral_range(const PortSysctls& sysctls, std::uint16_t port) {
  if (port < sysctls.range_low || port > sysctls.range_high) return false;
  const unsigned count = sysctls.range_high - sysctls.range_low + 1;
  if (sysctls.own_range) return true;
  if (count % 2 == 0 || count == 1) return true;
  // `remaining &= ~1`: with three ports the last is never tried, with more it is one
  // of the two ends, and seldom the last.
  return port != (count == 3 ? sysctls.range_high : sysctls.range_low);
}

PortSysctls with_own_range(PortSysctls sysctls, std::uint32_t port_range) {
  if (port_range == 0) return sysctls;
  const unsigned low = port_range & 0xffff;
  const unsigned high = port_range >> 16;
  const auto inside = [&](unsigned port) {
    return port >= sysctls.range_low && port <= sysctls.range_high;
  };
  const bool low_counts = inside(low);
  const bool high_counts = inside(high);
  if (low_counts) sysctls.range_low = low;
  if (high_counts) sysctls.range_high = high;
  sysctls.own_range = true;
  return sysctls;
}

unsigned reserved_in_range(const PortSysctls& sysctls) {
  if (sysctls.reserved.none()) return 0;
  unsigned count = 0;
  for (unsigned port = sysctls.range_low; port <= sysctls.range_high; ++port)
    count += sysctls.reserved[port] ? 1U : 0U;
  return count;
}

BindRefusal refusal(const BindQuestion& question, const PortSysctls& sysctls) {
  if (question.address.inet6 && question.address.v6only && question.address.mapped())
    return BindRefusal::kMappedV6Only;
  if (!question.address_is_local) return BindRefusal::kNotLocal;
  if (question.port != 0 && question.port < sysctls.unprivileged_port_start &&
      !question.may_bind_low)
    return BindRefusal::kNoPermission;
  return BindRefusal::kNone;
}

std::optional<BindQuestion> with_v6only(const BindQuestion& question) {
  if (!question.address.inet6 || !question.address.any() || question.address.v6only)
    return std::nullopt;
  BindQuestion with = question;
  with.address.v6only = true;
  return with;
}

bool bind_succeeds(const PortTable& table, const PortSysctls& sysctls, const BindQuestion& question,
                   BindOptions options) {
  if (question.port == 0) return chosen_port_succeeds(table, sysctls, question, options);
  return named_port_succeeds(table, question, options);
}

std::vector<const PortSocket*> bind_blockers(const PortTable& table, const BindQuestion& question,
                                             BindOptions options) {
  std::vector<const PortSocket*> blockers;
  for (const PortSocket& socket : table.on_port(question.port))
    if (conflicts(socket, question, options, true, true)) blockers.push_back(&socket);
  return blockers;
}

std::optional<std::uint64_t> reusable_from_ns(const PortSocket& s, const PortSysctls& sysctls) {
  if (!s.minisocket || s.state != TcpState::kTimeWait || !s.timestamps) return std::nullopt;
  if (sysctls.tcp_tw_reuse == 0 || (sysctls.tcp_tw_reuse == 2 && !loopback_involved(s)))
    return std::nullopt;
  // "more than": both clocks count whole milliseconds.
  return s.reuse_since_ns + (sysctls.tw_reuse_delay_ms + 1) * kNsPerMs;
}

bool may_reuse(const PortSocket& s, const PortSysctls& sysctls, bool bound, std::uint64_t now_ns) {
  if (bound) return s.minisocket && s.timestamps;
  const auto from = reusable_from_ns(s, sysctls);
  return from && now_ns >= *from;
}

EphemeralPorts::EphemeralPorts(const PortTable& table, const PortSysctls& sysctls)
    : table_(table), sysctls_(sysctls) {
  for (unsigned port = sysctls.range_low; port <= sysctls.range_high; ++port)
    candidates_[port] =
        in_ephemeral_range(sysctls, static_cast<std::uint16_t>(port)) && !sysctls.reserved[port];
  for (std::size_t i = 0; i < table.all().size();) {
    const std::uint16_t port = table.all()[i].tuple.lport;
    if (candidates_[port] && table.pinned(port)) {
      candidates_[port] = false;
      ++pinned_;
    }
    while (i < table.all().size() && table.all()[i].tuple.lport == port) ++i;
  }
  candidate_count_ = static_cast<unsigned>(candidates_.count());
}

ConnectAnswer EphemeralPorts::answer(std::span<const PortSocket* const> to_destination,
                                     std::uint64_t now_ns) const {
  ConnectAnswer answer;
  answer.pinned = pinned_;
  unsigned taken = 0;
  unsigned used_port = 0;
  unsigned taken_port = 0;
  for (const PortSocket* s : to_destination) {
    const std::uint16_t port = s->tuple.lport;
    if (port < sysctls_.range_low || port > sysctls_.range_high) continue;
    answer.blockers.push_back(s);
    if (used_port != port) {
      ++answer.used;
      if (s->state == TcpState::kTimeWait) ++answer.time_wait;
      used_port = port;
    }
    if (taken_port != port && candidates_[port] && !may_reuse(*s, sysctls_, false, now_ns)) {
      ++taken;
      taken_port = port;
    }
  }
  answer.available = candidate_count_ - taken;
  answer.ok = answer.available > 0;
  answer.free_in_ms =
      answer.ok ? std::optional<std::uint64_t>(0) : next_release(to_destination, now_ns);
  return answer;
}

// Of all ports the one that comes free first: one that a minisocket to this
// destination holds, or one that is closed to connect() until its last user is gone.
std::optional<std::uint64_t> EphemeralPorts::next_release(
    std::span<const PortSocket* const> to_destination, std::uint64_t now_ns) const {
  std::optional<std::uint64_t> best;
  const auto offer = [&best](std::optional<std::uint64_t> ms) {
    if (ms && (!best || *ms < *best)) best = ms;
  };
  for (const PortSocket* s : to_destination) {
    if (!candidates_[s->tuple.lport]) continue;
    if (const auto from = reusable_from_ns(*s, sysctls_))
      offer(*from > now_ns ? (*from - now_ns) / kNsPerMs + 1 : 0);
    offer(gone_in_ms(*s, now_ns));
  }
  if (pinned_ == 0) return best;
  std::vector<const PortSocket*> here;
  for (unsigned port = sysctls_.range_low; port <= sysctls_.range_high; ++port) {
    const auto number = static_cast<std::uint16_t>(port);
    if (candidates_[port] || sysctls_.reserved[port] || !in_ephemeral_range(sysctls_, number))
      continue;
    here.clear();
    for (const PortSocket& s : table_.on_port(number)) here.push_back(&s);
    offer(all_gone_in_ms(here, now_ns));
  }
  return best;
}

// inet_match(): a socket that is bound to a device is another one's business.
bool stands_between(const PortSocket& s, const Tuple& tuple) {
  return s.bound_dev_if == 0 && s.state != TcpState::kListen && s.state != TcpState::kBound &&
         s.tuple.family == tuple.family && s.tuple.rport == tuple.rport &&
         s.tuple.raddr == tuple.raddr && s.tuple.laddr == tuple.laddr;
}

ConnectAnswer connect_answer(const PortTable& table, const PortSysctls& sysctls,
                             const ConnectQuestion& question, std::uint64_t now_ns) {
  std::vector<const PortSocket*> to_destination;
  for (const PortSocket& s : table.all())
    if (stands_between(s, question.tuple)) to_destination.push_back(&s);
  return EphemeralPorts(table, sysctls).answer(to_destination, now_ns);
}

std::optional<std::uint64_t> gone_in_ms(const PortSocket& socket, std::uint64_t now_ns) {
  if (!socket.minisocket || socket.expires_ns == 0) return std::nullopt;
  const std::uint64_t left =
      socket.expires_ns > now_ns ? (socket.expires_ns - now_ns + kNsPerMs - 1) / kNsPerMs : 0;
  return left + socket.step_ms;
}

std::optional<std::uint64_t> all_gone_in_ms(std::span<const PortSocket* const> sockets,
                                            std::uint64_t now_ns) {
  std::uint64_t latest = 0;
  for (const PortSocket* s : sockets) {
    const auto gone = gone_in_ms(*s, now_ns);
    if (!gone) return std::nullopt;
    latest = std::max(latest, *gone);
  }
  return latest;
}

std::uint64_t timer_step_ms(std::uint64_t timeout_ms, unsigned hz) {
  if (hz == 0) hz = 250;
  const std::uint64_t ticks = timeout_ms * hz / 1000;
  std::uint64_t width = 1;
  // Levels begin at 63 * 8^(level-1) ticks.
  for (std::uint64_t start = 63; ticks >= start; start *= 8) width *= 8;
  return (width * 1000 + hz - 1) / hz;
}

}  // namespace tcptrail
