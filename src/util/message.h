// SPDX-License-Identifier: BSD-2-Clause
// The form of everything that is said on stderr: what failed, then why, then
// how to fix it, each on a line of its own. Pure: returns text, prints nothing.
#pragma once

#include <string>
#include <string_view>

#include "util/result.h"

namespace tcptrail {

// "tcptrail: error: WHAT\n  why: WHY\n  fix: FIX\n"; empty parts are left out.
// Names from strangers inside the parts are escaped, so that no file or process
// name can drive the terminal.
std::string message_text(std::string_view level, const Error& error);
inline std::string error_text(const Error& error) { return message_text("error", error); }
inline std::string warning_text(const Error& error) { return message_text("warning", error); }

}  // namespace tcptrail
