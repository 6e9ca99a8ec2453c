// SPDX-License-Identifier: BSD-2-Clause
// Errors of the command line: exit code 2. Included by the parts of cli only.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "util/result.h"

namespace tcptrail {

inline Error usage(std::string what, std::string why, std::string fix) {
  return {.what = std::move(what), .why = std::move(why), .fix = std::move(fix), .exit_code = 2};
}

inline Error bad_value(std::string_view flag, std::string_view text, std::string_view why,
                       std::string_view fix) {
  return {.what = "bad value for " + std::string(flag) + ": " +
                  (text.empty() ? "''" : std::string(text)),
          .why = std::string(why),
          .fix = std::string(fix),
          .exit_code = 2};
}

}  // namespace tcptrail
