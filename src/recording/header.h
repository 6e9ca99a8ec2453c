// SPDX-License-Identifier: BSD-2-Clause
// The first block of a recording: who recorded what, where, and what the model
// has to know to say the same again. JSON, so that later versions can add to it
// and `strings` shows it. Pure; written by the recording writer, read by the reader.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tcp/record.h"
#include "util/result.h"

namespace tcptrail {

// What the model has to know of the programs that feed it.
struct ProgramCapabilities {
  bool snapshots = true;                        // they are taken; `can_look` in the file
  bool resets_traced = false;                   // tcp_send_reset is attached
  bool listen_traced = true;                    // refused listen() comes as an event of its own
  bool cookie_is_address = false;               // no cookie helper
  std::vector<std::string> reset_reasons = {};  // the kernel's words by number; empty = it has none
  friend bool operator==(const ProgramCapabilities&, const ProgramCapabilities&) = default;
};

struct RecordingHeader {
  // As the run that recorded had it; boot_ns is when that run began, in every part.
  StartupRecord startup;
  std::uint64_t recording_id = 0;    // random
  std::uint64_t part_began_ns = 0;   // boot ns
  std::int64_t clock_offset_ns = 0;  // CLOCK_REALTIME minus CLOCK_BOOTTIME when the part began
  std::vector<std::uint32_t> netns;  // --netns as inode numbers; startup.filters has the text
  bool in_tree = false;              // -- CMD
  std::vector<std::pair<std::string, std::string>> labels;
  ProgramCapabilities programs;
  std::uint32_t own_netns =
      0;                 // of the recorder: what `ports` shows unless told otherwise; 0 = unknown
  bool rotates = false;  // --rotate: a later run may rename the file, and drop it as the oldest
};

std::string header_json(const RecordingHeader& header);
// Unknown keys are passed over; one that is missing has the value of a fresh
// RecordingHeader; one of another type than it should have is an error.
Result<RecordingHeader> header_from_json(std::string_view text);

}  // namespace tcptrail
