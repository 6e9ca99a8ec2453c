// SPDX-License-Identifier: BSD-2-Clause
// The control sequences that are written to a terminal (ECMA-48), and nothing else writes any.
#pragma once

#include <string_view>

namespace tcptrail::ansi {

inline constexpr std::string_view kReset = "\x1b[0m";
inline constexpr std::string_view kBold = "\x1b[1m";
inline constexpr std::string_view kDim = "\x1b[2m";
inline constexpr std::string_view kRed = "\x1b[31m";
inline constexpr std::string_view kGreen = "\x1b[32m";
inline constexpr std::string_view kYellow = "\x1b[33m";
inline constexpr std::string_view kMagenta = "\x1b[35m";
inline constexpr std::string_view kCyan = "\x1b[36m";
inline constexpr std::string_view kClearLine = "\x1b[K";  // from the cursor on
inline constexpr std::string_view kHomeAndClear = "\x1b[H\x1b[J";

}  // namespace tcptrail::ansi
