// SPDX-License-Identifier: BSD-2-Clause
#include "ports/exhaustion.h"

#include <algorithm>
#include <vector>

namespace tcptrail {
namespace {

constexpr double kNsPerSecond = 1e9;
constexpr double kTimeWaitSeconds = 60;  // TCP_TIMEWAIT_LEN

}  // namespace

std::optional<double> exhausted_in_s(std::span<const PortSocket* const> sockets, unsigned usable,
                                     double rate, const PortSysctls& sysctls,
                                     std::uint64_t now_ns) {
  // When each port comes back, in seconds from now.
  std::vector<double> returns;
  double held = 0;
  double hold_s = kTimeWaitSeconds;
  for (const PortSocket* s : sockets) {
    if (!s->minisocket) {
      ++held;
      continue;
    }
    std::uint64_t back_ns = s->expires_ns;
    if (const auto from = reusable_from_ns(*s, sysctls); from && *from < back_ns) {
      back_ns = *from;
      hold_s = static_cast<double>(sysctls.tw_reuse_delay_ms) / 1000;
    }
    if (back_ns <= now_ns) continue;
    ++held;
    returns.push_back(static_cast<double>(back_ns - now_ns) / kNsPerSecond);
  }
  std::sort(returns.begin(), returns.end());

  const double limit = usable;
  if (held >= limit) return 0;
  if (rate <= 0) return std::nullopt;
  // Between two returns the number in use grows by the rate, until the first of the new ones come
  // back.
  double from_s = 0;
  for (std::size_t i = 0; i <= returns.size(); ++i) {
    const double to_s = std::min(i < returns.size() ? returns[i] : hold_s, hold_s);
    // Ports that come back at one moment count before those that go out then.
    if (const double full_s = (limit - held) / rate; to_s > from_s && full_s < to_s)
      return std::max(full_s, from_s);
    if (to_s >= hold_s) return std::nullopt;  // from here on as many come back as go out
    from_s = to_s;
    --held;
  }
  return std::nullopt;
}

}  // namespace tcptrail
