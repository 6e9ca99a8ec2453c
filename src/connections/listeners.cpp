// SPDX-License-Identifier: BSD-2-Clause
#include "connections/listeners.h"

#include <algorithm>

namespace tcptrail {
namespace {

// A listener on ::ffff:127.0.0.1 is an IPv6 socket, its children are IPv4.
bool same_address(const Tuple& listener, const Tuple& child) {
  if (listener.family == child.family) return listener.laddr == child.laddr;
  return listener.family == Family::kIpv6 && is_mapped(listener.laddr.bytes) &&
         std::equal(listener.laddr.bytes.begin() + 12, listener.laddr.bytes.end(),
                    child.laddr.bytes.begin());
}

bool matches_address(const Listener& listener, const Tuple& tuple) {
  if (listener.v6only && tuple.family == Family::kIpv4) return false;
  if (listener.tuple.family == Family::kIpv4 && tuple.family == Family::kIpv6) return false;
  return listener.tuple.laddr == Address{} || same_address(listener.tuple, tuple);
}

// In the order in which the kernel prefers them (inet_lookup_listener(), compute_score()): an
// exact address, then a device, then for IPv4 a socket of AF_INET. Equal ones are of one
// SO_REUSEPORT group.
int preference(const Listener& listener, const Tuple& tuple) {
  const bool exact = listener.tuple.laddr != Address{};
  const bool inet = tuple.family == Family::kIpv4 && listener.tuple.family == Family::kIpv4;
  return (exact ? 8 : 0) + (listener.device != 0 ? 2 : 1) + (inet ? 1 : 0);
}

}  // namespace

Listener& Listeners::add(std::uint64_t cookie, std::uint32_t netns, const Tuple& tuple) {
  auto [it, is_new] = open_.try_emplace(cookie);
  Listener& listener = it->second;
  if (!is_new) unlink(cookie, listener);
  listener.netns = netns;
  listener.tuple = tuple;
  by_port_.emplace(Key{netns, tuple.lport}, cookie);
  return listener;
}

Listener* Listeners::find(std::uint64_t cookie) {
  const auto it = open_.find(cookie);
  return it == open_.end() ? nullptr : &it->second;
}

void Listeners::unlink(std::uint64_t cookie, const Listener& listener) {
  auto [first, last] = by_port_.equal_range({listener.netns, listener.tuple.lport});
  for (; first != last; ++first)
    if (first->second == cookie) {
      by_port_.erase(first);
      return;
    }
}

void Listeners::close(std::uint64_t cookie, std::uint64_t boot_ns) {
  const auto it = open_.find(cookie);
  if (it == open_.end()) return;
  unlink(cookie, it->second);
  closed_.push_front(it->second);
  closed_.front().closed = boot_ns;
  if (closed_.size() > kClosedKept) closed_.pop_back();
  open_.erase(it);
}

void Listeners::keep_seen(std::uint32_t snapshot_number, std::uint64_t began_ns) {
  std::vector<std::uint64_t> gone;
  for (const auto& [cookie, listener] : open_)
    if (listener.seen_in_snapshot != snapshot_number && listener.since < began_ns)
      gone.push_back(cookie);
  for (const std::uint64_t cookie : gone) close(cookie, began_ns);
}

template <class Consider>
void Listeners::each_open_at(std::uint32_t netns, std::uint16_t port, std::uint64_t boot_ns,
                             Consider consider) const {
  auto [first, last] = by_port_.equal_range({netns, port});
  for (; first != last; ++first)
    if (const Listener& listener = open_.at(first->second); listener.since <= boot_ns)
      consider(listener);
  for (const Listener& listener : closed_)
    if (listener.netns == netns && listener.tuple.lport == port && listener.since <= boot_ns &&
        listener.closed >= boot_ns)
      consider(listener);
}

bool Listeners::covers(std::uint32_t netns, const Tuple& tuple, std::uint64_t began_ns) const {
  bool any = false;
  each_open_at(netns, tuple.lport, began_ns,
               [&](const Listener& listener) { any = any || matches_address(listener, tuple); });
  return any;
}

const Listener* Listeners::only_one_for(std::uint32_t netns, const Tuple& tuple,
                                        std::optional<std::uint32_t> device,
                                        std::uint64_t began_ns) const {
  const Listener* best = nullptr;
  int best_preference = 0;
  bool open_choice = false;
  each_open_at(netns, tuple.lport, began_ns, [&](const Listener& listener) {
    if (!matches_address(listener, tuple)) return;
    if (listener.device != 0 && listener.device != device) {
      open_choice = open_choice || !device;
      return;
    }
    const int now = preference(listener, tuple);
    if (now < best_preference) return;
    best = now == best_preference ? nullptr : &listener;
    best_preference = now;
  });
  return open_choice ? nullptr : best;
}

}  // namespace tcptrail
