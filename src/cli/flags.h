// SPDX-License-Identifier: BSD-2-Clause
// The table of flags. Everything that knows a flag is made from its row: the parser, which
// command takes it, -h, --help, the help of a command, completion, and the test of the man page.
// To add a flag: a row here, a field in Options, and the place that uses it. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/options.h"
#include "util/result.h"

namespace tcptrail {

// What completion offers as the value, where `words` are not given.
enum class ValueKind : std::uint8_t { kText, kFile, kNetns, kFeatures, kColumns };

enum class Repeat : std::uint8_t {
  kEach,  // set() is called for each; of a plain value the last one counts
  kList,  // the values add up: set() is called once, with commas between
};

struct FlagValue {
  std::string_view flag;  // the name, for messages
  std::string_view text;
  std::span<const std::string_view> features;  // what --deny-feature takes
};

struct Flag {
  std::string_view names;      // "-L, --lport, --localport", as the help prints them
  std::string_view value{};    // "PORTS"; "[DURATION]" may be left out; empty = takes none
  std::string_view example{};  // of a value
  std::string_view help;
  std::string_view brief{};   // for -h; empty = not there
  CommandSet commands = 0;    // which take it
  std::string_view filter{};  // its key in startup.filters; "errors=true" where it takes no value
  Repeat repeat = Repeat::kEach;
  ValueKind kind = ValueKind::kText;
  std::span<const std::string_view> (*words)() = nullptr;  // the values, where they are few
  // Null where Options keep nothing of it: help, version, -n.
  Result<void> (*set)(Options&, const FlagValue&) = nullptr;

  [[nodiscard]] std::string_view name() const;  // "--lport"
  [[nodiscard]] bool takes_value() const { return !value.empty(); }
  [[nodiscard]] bool needs_value() const { return takes_value() && value[0] != '['; }
};

struct FlagGroup {
  std::string_view title;  // in the help
  std::span<const Flag> flags;
};
std::span<const FlagGroup> flag_groups();
// All of them, one group after the other.
std::span<const Flag> flag_table();
// By "--lport", "--localport" or "-L"; null when there is none.
const Flag* find_flag(std::string_view name);
// "-L", "--lport", "--localport".
std::vector<std::string_view> names_of(const Flag& flag);

}  // namespace tcptrail
