// SPDX-License-Identifier: BSD-2-Clause
// What the programs are told before they are loaded. Filled in by src/run; read by
// session and bpf_objects.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tcp/filter.h"

namespace tcptrail {

struct SessionOptions {
  Filters filters;
  std::size_t ring_bytes = 0;     // a power of two, divided among the rings
  std::uint32_t command_pid = 0;  // -- CMD; 0 = none
  bool verbose = false;           // libbpf's own messages to stderr
};

}  // namespace tcptrail
