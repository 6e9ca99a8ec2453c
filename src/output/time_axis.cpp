// SPDX-License-Identifier: BSD-2-Clause
#include "output/time_axis.h"

#include <fmt/format.h>

namespace tcptrail {
namespace {

// Limits of the columns of a time axis: 1, 2.15, 4.64, 10, ... microseconds.
std::uint64_t axis_limit(std::size_t i) {
  static constexpr std::array<double, 3> kSteps = {1, 2.154434690, 4.641588834};
  double ns = 1000 * kSteps[i % 3];
  for (std::size_t decade = 0; decade < i / 3; ++decade) ns *= 10;
  return static_cast<std::uint64_t>(ns);
}

}  // namespace

std::array<double, kAxis> over_axis(const DenseHistogram& h) {
  std::array<double, kAxis> out{};
  for (std::size_t i = 0; i < kAxis; ++i)
    out[i] = h.between(i == 0 ? 0 : axis_limit(i), i + 1 == kAxis ? UINT64_MAX : axis_limit(i + 1));
  return out;
}

std::uint64_t round_limit(std::size_t i) {
  static constexpr std::array<std::uint64_t, 3> kSteps = {1, 2, 5};
  std::uint64_t ns = 1000 * kSteps[i % 3];
  for (std::size_t decade = 0; decade < i / 3; ++decade) ns *= 10;
  return ns;
}

// Round limits need no three digits.
std::string round_text(std::uint64_t ns) {
  if (ns < 1'000'000) return fmt::format("{} us", ns / 1000);
  if (ns < 1'000'000'000) return fmt::format("{} ms", ns / 1'000'000);
  return fmt::format("{} s", ns / 1'000'000'000);
}

}  // namespace tcptrail
