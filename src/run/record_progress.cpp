// SPDX-License-Identifier: BSD-2-Clause
#include "run/record_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "output/ansi.h"
#include "run/sinks.h"
#include "tcp/phrase.h"

namespace tcptrail {
namespace {

constexpr std::uint64_t kPeriodNs = 1'000'000'000;

}  // namespace

std::string progress_text(std::uint64_t events, std::uint64_t bytes, std::uint64_t lost) {
  return fmt::format("{} events, {:.1f} MB, {} lost", grouped(events),
                     static_cast<double>(bytes) / 1e6, grouped(lost));
}

RecordProgress::RecordProgress() {
  const char* term = std::getenv("TERM");
  on_ = ::isatty(STDERR_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

// The cursor goes back to the beginning of the line: a message writes over it.
void RecordProgress::tick(std::uint64_t now_ns, std::uint64_t events, std::uint64_t bytes,
                          std::uint64_t lost) {
  if (!on_ || now_ns < next_ns_) return;
  next_ns_ = now_ns + kPeriodNs;
  print_error(progress_text(events, bytes, lost) + std::string(ansi::kClearLine) + "\r");
}

void RecordProgress::finish(std::uint64_t events, std::uint64_t bytes, std::uint64_t lost) const {
  if (on_)
    print_error("\r" + progress_text(events, bytes, lost) + std::string(ansi::kClearLine) +
                "\n");  // over the ^C that the terminal has echoed
}

}  // namespace tcptrail
