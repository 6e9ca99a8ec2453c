// SPDX-License-Identifier: BSD-2-Clause
// The capabilities of the calling thread, by capget(2) and capset(2): the one place
// that reads or sets them. Used by diagnose, netns, port_queries and privilege.
#pragma once

#include <linux/capability.h>

#include <cstdint>
#include <optional>

namespace tcptrail {

// One bit for each CAP_ number.
using CapabilitySet = std::uint64_t;
constexpr CapabilitySet capability_bit(int capability) { return CapabilitySet{1} << capability; }

struct Capabilities {
  CapabilitySet effective = 0;
  CapabilitySet permitted = 0;

  [[nodiscard]] bool has(int capability) const {
    return (effective & capability_bit(capability)) != 0;
  }
};

// nullopt with errno.
std::optional<Capabilities> read_capabilities();
// What is inheritable becomes nothing. False with errno.
bool write_capabilities(const Capabilities& capabilities);

// Whether the calling thread has it; where that cannot be read, true: the kernel itself will say
// what is missing.
inline bool has_capability(int capability) {
  const std::optional<Capabilities> have = read_capabilities();
  return !have || have->has(capability);
}

}  // namespace tcptrail
