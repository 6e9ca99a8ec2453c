// SPDX-License-Identifier: BSD-2-Clause
// When will a destination have no ephemeral port left? What is held now is given
// back at known moments (the timers of its minisockets), what is new at the
// present rate is held for a while. available / rate is wrong: ports come back.
// Pure; called by ports_watch.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "ports/port_rules.h"

namespace tcptrail {

// `sockets`: those on ports of the range towards the destination. `usable`: ports of the range
// that connect() could ever take towards it. `rate`: new connections a second, each of which is
// taken to hold its port for as long as TIME_WAIT does here (60 s, or until tcp_tw_reuse lets the
// port be taken over). Seconds from now; nullopt = never at this rate.
std::optional<double> exhausted_in_s(std::span<const PortSocket* const> sockets, unsigned usable,
                                     double rate, const PortSysctls& sysctls, std::uint64_t now_ns);

}  // namespace tcptrail
