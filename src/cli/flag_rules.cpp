// SPDX-License-Identifier: BSD-2-Clause
// The commands of a flag stand in its row. The tables here add the reason where there is a better
// one than "it is not a flag of this command"; a new flag needs no line in them.
#include "cli/flag_rules.h"

#include <string>

#include "cli/usage.h"

namespace tcptrail {
namespace {

constexpr CommandSet kAny = ~CommandSet{0};
constexpr CommandSet kSums = on(Command::kExplain, Command::kStats);

// In the texts COMMAND, FLAG and VALUE stand for what was given. The first row that fits counts.
struct Refusal {
  std::string_view what;
  std::string_view flags;  // with blanks between
  CommandSet commands;
  std::string_view why;
  std::string_view fix;
};
constexpr Refusal kRefusals[] = {
    Refusal{"record has no format, no columns and no records to count",
            "--json --csv --events --columns --time --timestamp --wide --count",
            on(Command::kRecord), "it keeps everything, for any view",
            "choose when you look: tcptrail replay FILE --json"},
    Refusal{"record with --record", "--record", on(Command::kRecord),
            "record writes its recording to -o", "tcptrail record -o FILE"},
    Refusal{"replay with --record", "--record", on(Command::kReplay), "it is recorded already",
            "copy the file"},
    Refusal{"replay with FLAG", "--for --ring-size --deny-feature --no-snapshot --verbose",
            on(Command::kReplay), "it is about tracing, and replay reads a file", "leave it out"},
    Refusal{"ports with --record", "--record", on(Command::kPorts),
            "without --watch it takes one snapshot, and a recording keeps what happens",
            "ports --watch --record FILE"},
    Refusal{"COMMAND with FLAG", "--max-size --rotate --force --for --count --max-connections",
            on(Command::kPorts), "without --watch it takes one snapshot",
            "tcptrail ports --watch FLAG VALUE"},
    Refusal{"COMMAND with --record", "--record",
            on(Command::kDoctor, Command::kSchema, Command::kCompletion),
            "nothing happens that could be recorded", "tcptrail record -o FILE"},
    Refusal{"COMMAND has no CSV", "--csv", on(Command::kPorts),
            "its records are of two kinds and hold lists", "use --json"},
    Refusal{"COMMAND has no CSV", "--csv", kSums, "its output is no table of rows", "use --json"},
    Refusal{"COMMAND has no columns to choose", "--columns", kSums | on(Command::kPorts), "",
            "use --json"},
    Refusal{"COMMAND with --events", "--events", kSums, "COMMAND reads the records that it needs",
            "leave it out; for the records: tcptrail trace"},
    Refusal{"stats has no --count", "--count", on(Command::kStats),
            "it adds records up and prints sums", "use --for"},
    Refusal{"ports has no --cgroup", "--cgroup", on(Command::kPorts),
            "a TIME_WAIT socket belongs to no cgroup", "leave it out"},
    Refusal{"ports has no FLAG", "--closed-by --how --min-ms --errors", on(Command::kPorts),
            "it shows sockets, not how connections ended", "use it with life, explain or stats"},
    Refusal{"--no-snapshot with ports", "--no-snapshot", on(Command::kPorts), "ports is a snapshot",
            "leave it out"},
    Refusal{"--watch is a flag of ports", "--watch", kAny, "", "tcptrail ports --watch"},
    Refusal{"--bind, --connect, --from and --v6only are questions to ports",
            "--bind --connect --from --v6only", kAny, "", "tcptrail ports --bind 127.0.0.1:80"},
    Refusal{"--interval and --diagram belong to stats", "--interval --diagram", kAny, "",
            "tcptrail stats --interval 60"},
    Refusal{"--at is the moment that `replay FILE ports` looks at", "--at", kAny, "",
            "tcptrail replay FILE ports --at VALUE"},
    Refusal{"FLAG is not a flag of COMMAND", "", kAny, "",
            "tcptrail COMMAND --help lists its flags"},
};

// Two flags: both, or the first without the second.
struct Pair {
  std::string_view what;
  std::string_view first;
  std::string_view second;
  std::string_view why;
  std::string_view fix;
};
constexpr Pair kExclude[] = {
    Pair{"--json and --csv together", "--json", "--csv", "the output has one format",
         "choose one of them"},
    Pair{"--bind and --connect together", "--bind", "--connect", "each asks one question",
         "ask them one after the other"},
    Pair{"--watch with --bind or --connect", "--watch", "--bind", "a question is answered once",
         "leave one of them out"},
    Pair{"--watch with --bind or --connect", "--watch", "--connect", "a question is answered once",
         "leave one of them out"},
    Pair{"--columns with --json", "--columns", "--json", "JSON Lines always carry every key",
         "leave one of them out"},
    Pair{"--diagram with --json", "--diagram", "--json", "the diagram is a picture",
         "leave one of them out; the period record of --json has the same counts as edges"},
    Pair{"--diagram with --interval", "--diagram", "--interval", "the diagram counts the whole run",
         "leave one of them out"},
};
constexpr Pair kNeed[] = {
    Pair{"--v6only without --bind", "--v6only", "--bind", "",
         "tcptrail ports --bind '[::]:80' --v6only"},
    Pair{"--from without --connect", "--from", "--connect", "",
         "tcptrail ports --connect 192.0.2.1:443 --from 10.0.0.1"},
    Pair{"--rotate without --max-size", "--rotate", "--max-size",
         "nothing says when the next file begins", "--max-size 1G --rotate VALUE"},
};

std::string filled(std::string_view text, std::string_view command, const GivenFlag& given) {
  std::string out(text);
  const auto replace = [&out](std::string_view name, std::string_view by) {
    for (std::size_t at = out.find(name); at != std::string::npos; at = out.find(name, at))
      out.replace(at, name.size(), by), at += by.size();
  };
  replace("COMMAND", command);
  replace("FLAG", given.flag->name());
  replace("VALUE", given.value);
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

bool is_among(std::string_view name, std::string_view names) {
  const std::string padded = " " + std::string(names) + " ";
  return padded.find(" " + std::string(name) + " ") != std::string::npos;
}

Error refusal(Command command, const GivenFlag& given) {
  for (const Refusal& row : kRefusals) {
    if (!row.flags.empty() && !is_among(given.flag->name(), row.flags)) continue;
    if ((row.commands & on(command)) == 0) continue;
    const std::string_view name = to_string(command);
    return usage(filled(row.what, name, given), filled(row.why, name, given),
                 filled(row.fix, name, given));
  }
  return usage(std::string(given.flag->name()), "", "");  // the last row fits everything
}

// What replay shows is `ports --watch`, if it is ports.
CommandSet of_view(Command view) { return on(view) | (view == Command::kPorts ? kPortsWatch : 0); }

}  // namespace

bool takes(Command command, const Flag& flag) { return (flag.commands & of_view(command)) != 0; }

Result<void> check_flags(const Tokens& tokens, Command command, Command view) {
  const bool one_snapshot = command == Command::kPorts && !tokens.has("--watch");
  const CommandSet taken = one_snapshot ? on(command) : of_view(command);
  for (const GivenFlag& given : tokens.flags) {
    if ((given.flag->commands & taken) == 0) return refusal(command, given);
    if (command != Command::kReplay) continue;
    // A flag of replay alone (--at) is about its view ports.
    const bool of_replay = given.flag->commands == on(Command::kReplay);
    if (of_replay ? view != Command::kPorts : (given.flag->commands & of_view(view)) == 0)
      return refusal(view, given);
  }
  for (const Pair& pair : kExclude)
    if (tokens.has(pair.first) && tokens.has(pair.second))
      return usage(std::string(pair.what), std::string(pair.why), std::string(pair.fix));
  for (const Pair& pair : kNeed)
    if (tokens.has(pair.first) && !tokens.has(pair.second))
      return usage(std::string(pair.what), std::string(pair.why),
                   filled(pair.fix, "", *tokens.find(pair.first)));
  return {};
}

}  // namespace tcptrail
