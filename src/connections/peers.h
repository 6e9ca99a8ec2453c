// SPDX-License-Identifier: BSD-2-Clause
// Finds the other end of a connection when both are on this host: a set of the
// ends that have not found theirs yet, hashed by the 4-tuple without its
// direction. Loopback never leaves its namespace; other addresses may cross
// namespaces, and where two connections at once have the same 4-tuple no end is
// named rather than a wrong one.
#pragma once

#include <cstdint>

#include "connections/conn.h"
#include "util/cookie_table.h"
#include "util/index_set.h"

namespace tcptrail {

class Peers {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  // The ends are entries of `conns`, given by their index there. Tuple and namespace of
  // one that has been here may not change, nor may it be erased, before leave().
  explicit Peers(CookieTable<Conn>& conns) : conns_(conns) {}

  // Registers an end. Returns the other one when it was waiting (both are then
  // forgotten here), kNone otherwise.
  std::uint32_t meet(std::uint32_t end);
  // The one that waits with the other end's tuple, kNone otherwise: what took the place of the
  // connection that this end belongs to.
  [[nodiscard]] std::uint32_t successor_of_peer(std::uint32_t end) const;
  // The end has closed: nobody shall find it any more.
  void leave(std::uint32_t end);

 private:
  CookieTable<Conn>& conns_;
  IndexSet waiting_;
};

}  // namespace tcptrail
