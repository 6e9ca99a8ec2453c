// SPDX-License-Identifier: BSD-2-Clause
// argv, split by the table of flags: flags with their values, words, and the command behind `--`.
// Nothing is converted yet. Called by parse_command_line().
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/flags.h"
#include "util/result.h"

namespace tcptrail {

struct GivenFlag {
  const Flag* flag = nullptr;
  std::string value;  // empty where it takes none, or where its value was left out
};

struct Tokens {
  std::vector<GivenFlag> flags;    // in the order of the command line
  std::vector<std::string> words;  // what is neither a flag nor a value
  std::vector<std::string> child;  // behind --
  bool has_dashes = false;
  std::optional<Error> error;  // the first one; the rest was split all the same

  [[nodiscard]] const GivenFlag* find(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
};

Tokens split_command_line(int argc, const char* const* argv);

}  // namespace tcptrail
