// SPDX-License-Identifier: BSD-2-Clause
#include "ports/port_table.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

namespace tcptrail {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::size_t kPorts = 65536;

}  // namespace

bool BoundAddress::mapped() const { return is_mapped(bytes); }

bool BoundAddress::any() const {
  return std::all_of(
      bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}

bool BoundAddress::any_mapped() const {
  return mapped() && std::all_of(
                         bytes.begin() + 12, bytes.end(), [](std::uint8_t b) { return b == 0; });
}

BoundAddress bound_address(const Address& address, Family family, bool inet6, bool v6only) {
  BoundAddress bound{{}, inet6, v6only};
  if (family == Family::kIpv6) {
    bound.bytes = address.bytes;
  } else {
    std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), bound.bytes.begin());
    std::copy_n(address.bytes.begin(), 4, bound.bytes.begin() + 12);
  }
  return bound;
}

void PortTable::set_bucket(std::uint16_t port, const PortBucket& bucket) {
  if (bucket_at_.empty()) bucket_at_.resize(kPorts);
  std::uint32_t& at = bucket_at_[port];
  if (at == 0) {
    buckets_.emplace_back();
    at = static_cast<std::uint32_t>(buckets_.size());
  }
  buckets_[at - 1] = bucket;
}

// Sockets are big: each is moved once, to where its port's are counted to begin.
void PortTable::finish() {
  struct Sighting {
    std::uint64_t cookie;
    std::uint32_t index;  // they were added in order of time
  };
  count(added_);
  std::vector<std::uint32_t> next(first_at_.begin(), first_at_.end() - 1);
  std::vector<Sighting> order(added_.size());
  for (std::uint32_t i = 0; i < added_.size(); ++i)
    order[next[added_[i].tuple.lport]++] = {added_[i].cookie, i};

  sockets_.clear();
  sockets_.reserve(added_.size());
  for (std::size_t port = 0, begin = 0; port < kPorts; ++port) {
    const std::size_t end = first_at_[port + 1];
    first_at_[port] = static_cast<std::uint32_t>(sockets_.size());
    std::sort(order.begin() + static_cast<std::ptrdiff_t>(begin),
              order.begin() + static_cast<std::ptrdiff_t>(end),
              [](const Sighting& a, const Sighting& b) {
                return std::tie(a.cookie, a.index) < std::tie(b.cookie, b.index);
              });
    for (; begin < end; ++begin) {
      const bool seen_again = begin + 1 < end && order[begin].cookie != 0 &&
                              order[begin].cookie == order[begin + 1].cookie;
      if (!seen_again) sockets_.push_back(added_[order[begin].index]);
    }
  }
  first_at_[kPorts] = static_cast<std::uint32_t>(sockets_.size());
  added_.clear();
}

void PortTable::clear() {
  added_.clear();
  sockets_.clear();
  first_at_.clear();
  buckets_.clear();
  bucket_at_.clear();
}

void PortTable::drop_gone(std::uint64_t now_ns) {
  std::erase_if(sockets_, [&](const PortSocket& s) {
    return s.minisocket && s.expires_ns != 0 && s.expires_ns + s.step_ms * kNsPerMs < now_ns;
  });
  count(sockets_);
}

void PortTable::count(std::span<const PortSocket> sockets) {
  first_at_.assign(kPorts + 1, 0);
  for (const PortSocket& s : sockets) ++first_at_[s.tuple.lport + 1U];
  std::partial_sum(first_at_.begin(), first_at_.end(), first_at_.begin());
}

std::span<const PortSocket> PortTable::on_port(std::uint16_t port) const {
  if (first_at_.empty()) return {};
  return std::span(sockets_).subspan(first_at_[port], first_at_[port + 1U] - first_at_[port]);
}

const PortBucket* PortTable::bucket(std::uint16_t port) const {
  const std::uint32_t at = bucket_at_.empty() ? 0 : bucket_at_[port];
  return at == 0 ? nullptr : &buckets_[at - 1];
}

bool PortTable::pinned(std::uint16_t port) const {
  if (const PortBucket* known = bucket(port)) return known->pinned();
  const auto here = on_port(port);
  return std::any_of(here.begin(), here.end(), [](const PortSocket& s) {
    return s.state == TcpState::kListen || s.state == TcpState::kBound;
  });
}

bool PortTable::is_client_port(std::uint16_t port) const {
  const PortBucket* known = bucket(port);
  return known != nullptr && !known->pinned();
}

std::optional<std::uint64_t> expires_in_ms(const PortSocket& s, std::uint64_t now_ns) {
  if (!s.minisocket) return std::nullopt;
  return s.expires_ns > now_ns ? (s.expires_ns - now_ns) / kNsPerMs : 0;
}

std::vector<std::pair<TcpState, std::uint64_t>> states_of(
    std::span<const PortSocket* const> sockets) {
  std::map<TcpState, std::uint64_t> counts;
  for (const PortSocket* s : sockets) ++counts[s->state];
  std::vector<std::pair<TcpState, std::uint64_t>> states(counts.begin(), counts.end());
  std::stable_sort(states.begin(), states.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return states;
}

}  // namespace tcptrail
