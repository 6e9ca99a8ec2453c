// SPDX-License-Identifier: BSD-2-Clause
// Breaks text into lines of a given width: at spaces, not within `backticks` if that
// can be helped, and where a word alone is too long, between characters. Pure; used by the views
// that write sentences.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tcptrail {

inline constexpr std::size_t kTextWidth = 100;

// `head` begins the first line; the lines after it begin with `indent` spaces.
std::vector<std::string> wrap_text(std::string_view text, std::string_view head, std::size_t indent,
                                   std::size_t width = kTextWidth);

}  // namespace tcptrail
