// SPDX-License-Identifier: BSD-2-Clause
// Command lines that must be good, or bad with a usage error. Used by the tests of options.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/flags.h"
#include "cli/options.h"
#include "util/message.h"

namespace tcptrail::test {

inline Result<CommandLine> parse(std::vector<const char*> words) {
  static constexpr std::array<std::string_view, 3> kFeatures = {"tp_btf", "ehash_walk", "iter_tcp"};
  words.insert(words.begin(), "tcptrail");
  return parse_command_line(static_cast<int>(words.size()), words.data(), kFeatures);
}

inline Options good(std::vector<const char*> words) {
  Result<CommandLine> line = parse(std::move(words));
  EXPECT_TRUE(line.ok()) << (line.ok() ? "" : error_text(line.error()));
  return line.ok() ? line->options : Options{};
}

// "-L", "--lport", "--localport" and so on, of every flag.
inline std::vector<std::string> flag_names() {
  std::vector<std::string> all;
  for (const Flag& flag : flag_table())
    for (const std::string_view name : names_of(flag)) all.emplace_back(name);
  return all;
}

// The whole message.
inline std::string bad(std::vector<const char*> words) {
  const Result<CommandLine> line = parse(std::move(words));
  EXPECT_FALSE(line.ok());
  if (line.ok()) return "";
  EXPECT_EQ(line.error().exit_code, 2);
  return error_text(line.error());
}

}  // namespace tcptrail::test
