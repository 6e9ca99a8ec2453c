// SPDX-License-Identifier: BSD-2-Clause
// What `record` says to a terminal while it works: one line, about once a second.
// Called by the run loop.
#pragma once

#include <cstdint>
#include <string>

namespace tcptrail {

// "12,345 events, 1.2 MB, 0 lost"
std::string progress_text(std::uint64_t events, std::uint64_t bytes, std::uint64_t lost);

class RecordProgress {
 public:
  // Says something only when stderr is a terminal that can redraw a line.
  RecordProgress();
  void tick(std::uint64_t now_ns, std::uint64_t events, std::uint64_t bytes, std::uint64_t lost);
  // The last figures, on a line that stays.
  void finish(std::uint64_t events, std::uint64_t bytes, std::uint64_t lost) const;

 private:
  bool on_ = false;
  std::uint64_t next_ns_ = 0;
};

}  // namespace tcptrail
