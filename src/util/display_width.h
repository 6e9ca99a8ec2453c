// SPDX-License-Identifier: BSD-2-Clause
// How many columns of a terminal a text takes: two for 日, none for a combining accent.
// Input: UTF-8 without control characters (escape.h). Called by the text views. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace tcptrail {

// The C library's wcwidth(3), in UTF-8 whatever the locale of the process is. Where the
// C library has no such locale, each character counts as one column.
std::size_t display_width(std::string_view text);

// The longest beginning of `text` that is at most `columns` wide and splits no character.
std::string_view fitting(std::string_view text, std::size_t columns);

}  // namespace tcptrail
