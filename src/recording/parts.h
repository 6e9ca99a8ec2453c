// SPDX-License-Identifier: BSD-2-Clause
// The files of one recording: FILE, and with rotation its older parts FILE.1 (the newest of
// them) to FILE.N. Which of them may be replaced or renamed is decided here: nothing that holds
// data and is not a part of an earlier rotation. Called by the recording writer and src/run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "util/result.h"

namespace tcptrail {

struct RecordingTarget {
  std::string path;                          // created 0600, links refused; "-" = stdout
  std::optional<std::uint64_t> max_bytes{};  // of one file
  unsigned keep = 0;                         // older parts; 0 = the recording is full at max_bytes
  bool force = false;                        // replace files of any origin
};

// Part 0 is FILE itself.
std::string part_path(const std::string& path, unsigned number);

// True when FILE is left from an earlier rotation: move_parts() then makes room for a new one. An
// error names an existing file that the recording would destroy.
Result<bool> continues_rotation(const RecordingTarget& target);

// FILE.1 becomes FILE.2 and so on, FILE becomes FILE.1; the oldest is lost.
Result<void> move_parts(const RecordingTarget& target);

}  // namespace tcptrail
