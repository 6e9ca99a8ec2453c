// SPDX-License-Identifier: BSD-2-Clause
// The two clocks that a run looks at.
#pragma once

#include <cstdint>

namespace tcptrail {

// CLOCK_BOOTTIME of the initial time namespace, the clock of every event.
std::uint64_t boot_now_ns();

// What CLOCK_BOOTTIME is ahead of it in the time namespace of this process.
std::int64_t boot_namespace_offset_ns();

// CPU time of all threads of this process.
std::uint64_t process_cpu_ns();

// CLOCK_REALTIME minus CLOCK_BOOTTIME, from the narrowest of several readings of
// the one between two of the other (tens of nanoseconds wide).
std::int64_t realtime_offset_ns();

}  // namespace tcptrail
