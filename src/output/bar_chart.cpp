// SPDX-License-Identifier: BSD-2-Clause
#include "output/bar_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace tcptrail {
namespace {

// From nothing to full.
constexpr std::array<std::string_view, 9> kHigh = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<std::string_view, 9> kHighAscii = {" ", ".", ":", "-", "=",
                                                        "+", "*", "#", "@"};
constexpr std::array<std::string_view, 9> kWide = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};

}  // namespace

bool utf8_locale(const char* lc_all, const char* lc_ctype, const char* lang) {
  for (const char* value : {lc_all, lc_ctype, lang}) {
    if (value == nullptr || *value == '\0') continue;
    std::string name(value);
    std::transform(name.begin(), name.end(), name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return name.ends_with("utf-8") || name.ends_with("utf8") ||
           name.find("utf-8@") != std::string::npos || name.find("utf8@") != std::string::npos;
  }
  return false;
}

std::string spark_line(std::span<const double> values, bool unicode) {
  double highest = 0;
  for (const double value : values) highest = std::max(highest, value);
  std::string out;
  for (const double value : values) {
    std::size_t level = 0;
    if (value > 0)
      level = std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(value / highest * 8)));
    out += (unicode ? kHigh : kHighAscii)[std::min<std::size_t>(level, 8)];
  }
  return out;
}

std::string bar_text(double value, double highest, std::size_t width, bool unicode) {
  if (value <= 0 || highest <= 0) return {};
  const auto eighths = std::max<std::size_t>(
      1, static_cast<std::size_t>(std::lround(value / highest * static_cast<double>(width * 8))));
  std::string out;
  if (!unicode) return std::string(std::min(width, (eighths + 7) / 8), '#');
  for (std::size_t i = 0; i < std::min(width, eighths / 8); ++i) out += kWide[8];
  if (eighths / 8 < width) out += kWide[eighths % 8];
  return out;
}

}  // namespace tcptrail
