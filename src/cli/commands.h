// SPDX-License-Identifier: BSD-2-Clause
// The table of commands: name, arguments, help, examples. The parser, the help texts and the
// completion scripts are made from it. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.h"

namespace tcptrail {

struct CommandInfo {
  Command command;
  std::string_view name;
  std::string_view arguments{};  // behind the name, in the usage line
  std::string_view help;         // one line of at most 68 characters
  bool is_view = false;          // `replay FILE` can show it
  bool traces = false;           // takes -- CMD
  std::array<std::string_view, 2> examples;
};

std::span<const CommandInfo> command_table();
const CommandInfo& command_info(Command command);
std::optional<Command> command_named(std::string_view word);
std::vector<std::string_view> command_names();
std::vector<std::string_view> view_names();

// A set of commands: which ones take a flag.
using CommandSet = std::uint32_t;
constexpr CommandSet on(Command command) { return 1U << static_cast<unsigned>(command); }
template <class... More>
constexpr CommandSet on(Command first, More... more) {
  return on(first) | on(more...);
}
// `ports --watch` traces, `ports` does not: a command of its own, as far as flags go.
constexpr CommandSet kPortsWatch = 1U << 31;

}  // namespace tcptrail
