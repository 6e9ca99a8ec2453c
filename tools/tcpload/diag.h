// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "address.h"

namespace tcpload {

struct Tuple {
  Address local;
  Address remote;
};

// The kernel's state (TCP_ESTABLISHED, ...) of the socket with this tuple in the caller's network
// namespace, orphans and minisockets included; 0 when there is none. A FIN_WAIT2 minisocket is
// TCP_FIN_WAIT2.
int tcp_state(const Tuple& tuple, Family family);

// Waits until it is `state`; throws when that takes longer than kPatience.
void wait_for_state(const Tuple& tuple, Family family, int state);

}  // namespace tcpload
