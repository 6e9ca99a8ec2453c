// SPDX-License-Identifier: BSD-2-Clause
// Shell completion, made from the tables of commands and flags, so that it cannot lag behind
// them. Output: a script for stdout. Called by main().
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "util/result.h"

namespace tcptrail {

// `shell`: bash, zsh or fish; anything else is a usage error. `features`: what --deny-feature
// takes.
Result<std::string> completion_script(std::string_view shell,
                                      std::span<const std::string_view> features);

}  // namespace tcptrail
