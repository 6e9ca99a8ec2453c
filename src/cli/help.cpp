// SPDX-License-Identifier: BSD-2-Clause
#include "cli/help.h"

#include <fmt/format.h>

#include <cctype>

#include "cli/flag_rules.h"
#include "cli/version.h"
#include "output/wrap.h"

namespace tcptrail {
namespace {

constexpr std::size_t kWidth = 80;
constexpr std::size_t kHelpColumn = 29;
constexpr std::string_view kUsage = "Usage: tcptrail [COMMAND] [FLAGS] [-- CMD ARGS...]\n";

std::string lines_of(std::string_view text, std::string_view head, std::size_t indent) {
  return fmt::format("{}\n", fmt::join(wrap_text(text, head, indent, kWidth), "\n"));
}

// "  -p, --pid PID[,PID]        owner of the socket"
std::string entry(const std::string& left, std::string_view help) {
  if (left.size() + 2 <= kHelpColumn)
    return lines_of(help, fmt::format("{:<{}}", left, kHelpColumn), kHelpColumn);
  return left + "\n" + lines_of(help, std::string(kHelpColumn, ' '), kHelpColumn);
}

// " [life, trace]", " [not ports]"; empty where every command that shows or keeps connections
// takes the flag, or only one.
std::string takers(const Flag& flag) {
  std::vector<std::string_view> with;
  std::vector<std::string_view> without;
  for (const CommandInfo& info : command_table())
    if (info.is_view || info.traces)
      (takes(info.command, flag) ? with : without).push_back(info.name);
  if (without.empty() || with.size() < 2) return {};
  if (with.size() > without.size()) return fmt::format(" [not {}]", fmt::join(without, ", "));
  return fmt::format(" [{}]", fmt::join(with, ", "));
}

std::string commands() {
  std::string text = "\nCommands:\n";
  for (const CommandInfo& info : command_table())
    text += fmt::format("  {:<10}  {}\n", info.name, info.help);
  return text;
}

// One of the two columns of -h: "  -p PID            only process PID".
std::string brief(const Flag& flag) {
  std::string left(names_of(flag).front());
  if (flag.takes_value()) left += fmt::format(" {}", flag.value.substr(0, flag.value.find('[')));
  return fmt::format("  {:<16}  {:<20}", left, flag.brief);
}

std::string child() {
  return "\nA command to run:\n" +
         entry("  -- CMD ARGS...",
               "run CMD and trace only it and its children; its exit status is ours");
}

template <class Taken>
std::string groups(Taken taken, bool with_takers) {
  std::string text;
  for (const FlagGroup& group : flag_groups()) {
    std::string entries;
    for (const Flag& flag : group.flags)
      if (taken(flag))
        entries +=
            entry(fmt::format("  {}{}{}", flag.names, flag.takes_value() ? " " : "", flag.value),
                  describe(flag) + (with_takers ? takers(flag) : ""));
    if (!entries.empty()) text += fmt::format("\n{}:\n{}", group.title, entries);
  }
  return text;
}

}  // namespace

std::string describe(const Flag& flag) {
  std::string text(flag.help);
  if (flag.words != nullptr && flag.value.find('|') == std::string_view::npos)
    text += fmt::format(": {}", fmt::join(flag.words(), ", "));
  return text;
}

std::string short_help() {
  std::string text = std::string(kUsage) + commands() + "\n";
  bool second = false;
  for (const Flag& flag : flag_table()) {
    if (flag.brief.empty()) continue;
    text += brief(flag);
    if (second) text.replace(text.find_last_not_of(' ') + 1, std::string::npos, "\n");
    second = !second;
  }
  if (second) text += '\n';
  return text + "\nAll flags: tcptrail --help. One command: tcptrail help ports\n";
}

std::string full_help() {
  return std::string(kUsage) +
         "\nShows each TCP connection of this machine: who owns it, how it lived, and which\n"
         "side closed it first.\n" +
         commands() + "  help        the help of a command: tcptrail help ports\n" +
         groups([](const Flag&) { return true; }, true) + child() +
         "\nExit codes: 0 done; 1 the machine refused, or the output could not be written;\n"
         "2 usage; 3 data was lost (with --fail-on-loss).\n";
}

std::string command_help(Command command) {
  const CommandInfo& info = command_info(command);
  std::string text = fmt::format("Usage: tcptrail {}{}{}\n\n", info.name,
                                 info.arguments.empty() ? "" : " ", info.arguments);
  std::string sentence = fmt::format("{}.\n", info.help);
  sentence[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(sentence[0])));
  text += sentence;
  text += fmt::format("\nExamples:\n  {}\n", fmt::join(info.examples, "\n  "));
  text += groups([command](const Flag& flag) { return takes(command, flag); }, false);
  if (info.traces) text += child();
  return text;
}

std::string version_text() { return "tcptrail " TCPTRAIL_VERSION "\n"; }

}  // namespace tcptrail
