// SPDX-License-Identifier: BSD-2-Clause
// Listening sockets: they have no connection record, but they explain passive
// ones (role, and the owner of a connection that nobody accepted). Closed ones
// are remembered for a while, because their un-accepted children end after them.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "connections/conn.h"

namespace tcptrail {

class Listeners {
 public:
  // The listener with this cookie, made if need be.
  Listener& add(std::uint64_t cookie, std::uint32_t netns, const Tuple& tuple);
  // nullptr when there is none.
  Listener* find(std::uint64_t cookie);
  void close(std::uint64_t cookie, std::uint64_t boot_ns);
  // Drops the open ones that the snapshot did not show.
  void keep_seen(std::uint32_t snapshot_number, std::uint64_t began_ns);

  // Whether a connection with this local end came through one of them, as far as is known.
  // One that was closed before the connection began had another socket's children.
  [[nodiscard]] bool covers(std::uint32_t netns, const Tuple& tuple, std::uint64_t began_ns) const;

  // The listener that the kernel chose for it; nullptr where none is known, or where more than
  // one can have been chosen (SO_REUSEPORT). `device` is what the connection is bound to, 0 = none,
  // nullopt = not known: then a listener that is bound to one leaves the choice open.
  [[nodiscard]] const Listener* only_one_for(std::uint32_t netns, const Tuple& tuple,
                                             std::optional<std::uint32_t> device,
                                             std::uint64_t began_ns) const;

 private:
  using Key = std::pair<std::uint32_t, std::uint16_t>;  // netns, port
  static constexpr std::size_t kClosedKept = 256;

  void unlink(std::uint64_t cookie, const Listener& listener);
  // Those on its port that were open when it began: consider(listener).
  template <class Consider>
  void each_open_at(std::uint32_t netns, std::uint16_t port, std::uint64_t boot_ns,
                    Consider consider) const;

  std::map<std::uint64_t, Listener> open_;
  std::multimap<Key, std::uint64_t> by_port_;
  std::deque<Listener> closed_;
};

}  // namespace tcptrail
