// SPDX-License-Identifier: BSD-2-Clause
// What the fuzz targets share: a whole model behind whatever is decoded, so that
// not only the decoder but all that believes it meets the bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/model.h"
#include "recording/recorded_facts.h"
#include "tcp/record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace tcptrail::fuzz {

// Everything that any view asks for, with tables so small that they overflow.
inline ModelOptions every_view() {
  ModelOptions options;
  options.follow_time_wait = true;
  options.resets_traced = true;
  options.watch_ports = true;
  options.watched_netns = {0, 1, 4026531840U};
  options.list_time_waits = true;
  options.max_connections = 64;
  return options;
}

}  // namespace tcptrail::fuzz
