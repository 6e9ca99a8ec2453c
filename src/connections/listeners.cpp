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

// 0 = does not cover, 1 = by its wildcard, 2 = exactly.
int covers(const Listener& listener, std::uint32_t netns, const Tuple& tuple) {
  if (listener.netns != netns || listener.tuple.lport != tuple.lport) return 0;
  if (listener.tuple.laddr == Address{}) return 1;  // 0.0.0.0 or ::
  return same_address(listener.tuple, tuple) ? 2 : 0;
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

const Listener* Listeners::of_connection(std::uint32_t netns, const Tuple& tuple,
                                         std::uint64_t began_ns) const {
  const Listener* best = nullptr;
  int best_fit = 0;
  const auto consider = [&](const Listener& listener) {
    const int fit = covers(listener, netns, tuple);
    if (fit > best_fit) {
      best = &listener;
      best_fit = fit;
    }
  };
  auto [first, last] = by_port_.equal_range({netns, tuple.lport});
  for (; first != last; ++first) consider(open_.at(first->second));
  if (best == nullptr)
    for (const Listener& listener : closed_)
      if (listener.closed >= began_ns) consider(listener);
  return best;
}

}  // namespace tcptrail
