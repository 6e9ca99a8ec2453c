// SPDX-License-Identifier: BSD-2-Clause
// The nearest known word to a mistyped one, for "did you mean". Pure; called by
// the command line and the column table.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace tcptrail {

// Insertions, deletions, substitutions and swaps of neighbours, each 1; letters
// compare without case.
std::size_t edit_distance(std::string_view a, std::string_view b);

// nullopt when nothing is near enough to be meant: more than a third of the
// word would have to change (one letter is always allowed).
std::optional<std::string_view> nearest(std::string_view word,
                                        std::span<const std::string_view> known);

}  // namespace tcptrail
