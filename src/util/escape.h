// SPDX-License-Identifier: BSD-2-Clause
// The one place where names from strangers (comm, cgroup) become printable.
// Each byte that is not part of valid UTF-8, each C0 or C1 control, DEL, and
// each line or bidi separator (U+2028 2029 202A-202E 2066-2069) is written \xhh
// per byte, a backslash as \\. The bytes can be recovered, and no name can
// drive a terminal or break a line. Called by every sink and by messages. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tcptrail {

// Bytes of output per byte of input, at most.
inline constexpr std::size_t kEscapeGrowth = 4;
inline constexpr std::size_t kJsonEscapeGrowth = 6;

// Writes the escaped name and returns the end. `out` has kEscapeGrowth * size bytes.
char* escape_name(char* out, std::string_view name);
std::string escaped_name(std::string_view name);

// The escaped name as the inside of a JSON string (kJsonEscapeGrowth).
char* escape_name_json(char* out, std::string_view name);

// Text of our own or of the user (evidence, label, flag value) as the inside of
// a JSON string: valid UTF-8 keeps its meaning, anything else is treated as a name.
char* escape_text_json(char* out, std::string_view text);

bool is_valid_utf8(std::string_view text);

}  // namespace tcptrail
