// SPDX-License-Identifier: BSD-2-Clause
// The logarithmic axes on which stats draws times: columns of a line, and rows of a
// histogram. Called by stats_text.cpp. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "stats/histogram.h"

namespace tcptrail {

inline constexpr std::size_t kAxis = 27;  // nine decades from 1 us, three columns each

// How many values are in each column of the axis.
std::array<double, kAxis> over_axis(const DenseHistogram& h);

// 1, 2, 5, 10, ... microseconds, and as text: "1 us", "200 ms", "5 s".
std::uint64_t round_limit(std::size_t i);
std::string round_text(std::uint64_t ns);

}  // namespace tcptrail
