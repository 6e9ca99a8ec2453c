// SPDX-License-Identifier: BSD-2-Clause
// Small pictures in a line of text: one character for each value, or a bar. With
// block characters where the locale has UTF-8, else in ASCII. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace tcptrail {

// By LC_ALL, LC_CTYPE, LANG in that order; null when not set.
bool utf8_locale(const char* lc_all, const char* lc_ctype, const char* lang);

// One character a value, by its share of the highest; what is not zero is visible.
std::string spark_line(std::span<const double> values, bool unicode);

// A bar of `value` by `highest`, at most `width` characters wide.
std::string bar_text(double value, double highest, std::size_t width, bool unicode);

}  // namespace tcptrail
