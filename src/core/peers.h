// SPDX-License-Identifier: BSD-2-Clause
// Finds the other end of a connection when both are on this host: a table of
// the ends that have not found theirs yet, keyed by the 4-tuple without its
// direction. Loopback never leaves its namespace; other addresses may cross
// namespaces, and where two connections at once have the same 4-tuple no end is
// named rather than a wrong one.
#pragma once

#include <cstdint>

#include "core/address.h"
#include "core/cookie_table.h"

namespace tcptrail {

class Peers {
 public:
  struct End {
    std::uint64_t cookie = 0;
    bool lower = false;  // which of the two ends of the tuple
    bool ambiguous = false;
  };

  // Registers an end. Returns the cookie of the other one when it was waiting
  // (both are then forgotten here), 0 otherwise. The tuple itself is not kept: that it is the
  // reverse is for the caller to check, who has it.
  std::uint64_t meet(std::uint64_t cookie, std::uint32_t netns, const Tuple& tuple);
  // The end has closed: nobody shall find it any more.
  void leave(std::uint64_t cookie, std::uint32_t netns, const Tuple& tuple);

 private:
  CookieTable<End> waiting_;
};

}  // namespace tcptrail
