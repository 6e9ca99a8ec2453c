// SPDX-License-Identifier: BSD-2-Clause
#include "cli/commands.h"

namespace tcptrail {
namespace {

constexpr std::string_view kRun = "[FLAGS] [-- CMD ARGS...]";

constexpr CommandInfo kCommands[] = {
    {.command = Command::kLife,
     .name = "life",
     .arguments = kRun,
     .help = "one line per finished connection (the default)",
     .is_view = true,
     .traces = true,
     .examples = {"tcptrail life -L 443 --errors", "tcptrail life -- curl example.org"}},
    {.command = Command::kTrace,
     .name = "trace",
     .arguments = kRun,
     .help = "one line per state transition, and when TIME_WAIT begins and ends",
     .is_view = true,
     .traces = true,
     .examples = {"tcptrail trace -p 1234 -T", "tcptrail trace -- curl example.org"}},
    {.command = Command::kPorts,
     .name = "ports",
     .arguments = "[FLAGS]",
     .help = "which ports are blocked now, by whom, until when, and what helps",
     .is_view = true,
     .examples = {"tcptrail ports --bind :8080", "tcptrail ports --watch -L 8080"}},
    {.command = Command::kExplain,
     .name = "explain",
     .arguments = "[FLAGS] [FILE | -- CMD ARGS...]",
     .help = "the story of each finished connection: who, when, why, what helps",
     .is_view = true,
     .traces = true,
     .examples = {"tcptrail explain -- curl example.org", "tcptrail explain --errors r1"}},
    {.command = Command::kStats,
     .name = "stats",
     .arguments = kRun,
     .help = "a summary: who closes first, time in each state, failures",
     .is_view = true,
     .traces = true,
     .examples = {"tcptrail stats --for 10s", "tcptrail stats --interval 60 --json"}},
    {.command = Command::kRecord,
     .name = "record",
     .arguments = "-o FILE [FLAGS] [-- CMD ARGS...]",
     .help = "write every event to FILE, for replay",
     .traces = true,
     .examples = {"tcptrail record -o r1 --for 10m", "tcptrail record -o r1 --max-size 1G"}},
    {.command = Command::kReplay,
     .name = "replay",
     .arguments = "FILE [life|trace|ports|explain|stats] [FLAGS]",
     .help = "show a recording in any view, without privilege; FILE - is stdin",
     .examples = {"tcptrail replay r1 --errors", "tcptrail replay r1 ports --at 10s"}},
    {.command = Command::kDoctor,
     .name = "doctor",
     .arguments = "[FLAGS]",
     .help = "what works on this machine, what is off and why, how to fix it",
     .examples = {"tcptrail doctor", "tcptrail doctor --deny-feature tp_btf"}},
    {.command = Command::kSchema,
     .name = "schema",
     .help = "the JSON schema of --json",
     .examples = {"tcptrail schema > schema.json", "tcptrail schema | jq .description"}},
    {.command = Command::kCompletion,
     .name = "completion",
     .arguments = "bash|zsh|fish",
     .help = "a completion script for the shell",
     .examples = {"source <(tcptrail completion bash)",
                  "tcptrail completion fish > ~/.config/fish/completions/tcptrail.fish"}},
};

}  // namespace

std::span<const CommandInfo> command_table() { return kCommands; }

const CommandInfo& command_info(Command command) {
  for (const CommandInfo& known : kCommands)
    if (known.command == command) return known;
  return kCommands[0];
}

std::string_view to_string(Command command) { return command_info(command).name; }

std::optional<Command> command_named(std::string_view word) {
  for (const CommandInfo& known : kCommands)
    if (known.name == word) return known.command;
  return std::nullopt;
}

std::vector<std::string_view> command_names() {
  std::vector<std::string_view> names;
  for (const CommandInfo& known : kCommands) names.push_back(known.name);
  return names;
}

std::vector<std::string_view> view_names() {
  std::vector<std::string_view> names;
  for (const CommandInfo& known : kCommands)
    if (known.is_view) names.push_back(known.name);
  return names;
}

}  // namespace tcptrail
