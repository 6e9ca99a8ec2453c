// SPDX-License-Identifier: BSD-2-Clause
// From tokens to Options: the command, then every flag by its row of the table, then what only
// the whole command line tells. See options.h.
#include "cli/options.h"

#include <algorithm>
#include <utility>

#include "cli/flag_rules.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/tokens.h"
#include "cli/usage.h"
#include "util/suggest.h"

namespace tcptrail {
namespace {

using Values = std::vector<std::string>;

std::string joined(const Values& values, char between) {
  std::string out;
  for (const std::string& value : values) {
    if (!out.empty()) out += between;
    out += value;
  }
  return out;
}

Error unknown_command(const Values& words) {
  const auto close = nearest(words[0], command_names());
  return usage("unknown command " + words[0], "",
               close ? "did you mean " + std::string(*close) + "?"
                     : "tcptrail -h lists the commands; to run a command: tcptrail -- " +
                           joined(words, ' '));
}

// A word too many: a port for -L, or a command to run without the `--` before it.
Error unexpected(Command command, const Values& words) {
  const std::string call = "tcptrail " + std::string(to_string(command)) +
                           (command == Command::kRecord ? " -o FILE" : "");
  std::string fix = call + " --help";
  if (command_info(command).traces)
    fix = (command == Command::kRecord ? call + "; " : "") + "to run a command: " + call + " -- " +
          joined(words, ' ');
  if (command_info(command).is_view && parse_ports("", words[0]).ok())
    fix = "did you mean -L " + words[0] + "?";
  return usage("unexpected argument " + words[0], "", fix);
}

Result<void> take_replay_words(Values words, Options& o) {
  if (words.empty())
    return usage("replay needs a file", "", "tcptrail replay FILE, or - for stdin");
  o.replay_file = words[0];
  if (words.size() > 2)
    return usage("unexpected argument " + words[2], "", "tcptrail replay FILE VIEW");
  if (words.size() < 2) return {};
  const auto view = command_named(words[1]);
  if (view && command_info(*view).is_view) {
    o.replay_view = *view;
    return {};
  }
  const auto close = nearest(words[1], view_names());
  return usage("unknown view " + words[1],
               "a recording is shown as life, trace, ports, explain or stats",
               close ? "did you mean " + std::string(*close) + "?"
                     : "tcptrail replay " + words[0] + " life");
}

// The words behind the command.
Result<void> take_words(Values words, Options& o) {
  if (o.command == Command::kReplay) return take_replay_words(std::move(words), o);
  const auto take_first = [&words] {
    std::string first = std::move(words.front());
    words.erase(words.begin());
    return first;
  };
  if (o.command == Command::kExplain &&
      !words.empty()) {  // `explain FILE` is `replay FILE explain`
    o.command = Command::kReplay;
    o.replay_view = Command::kExplain;
    o.replay_file = take_first();
  }
  if (o.command == Command::kCompletion && !words.empty()) o.shell = take_first();
  if (!words.empty()) return unexpected(o.command, words);
  return {};
}

// What a view prints, unless --events or --watch change it.
EventSet events_of(Command command, Command view) {
  switch (view) {
    case Command::kTrace:
      return {.transition = true, .time_wait = true, .blocked = true};
    case Command::kPorts:
      return {.time_wait = true, .blocked = command == Command::kReplay};
    case Command::kExplain:  // explain and stats read the records that they need
      return {true, true, true, true};
    case Command::kStats:
      return {.connection = true, .time_wait = true, .blocked = true};
    case Command::kRecord:
      return {};
    default:
      return {.connection = true, .blocked = true};
  }
}

// What stands in startup.filters for a flag: its key, and for one without a value the value too.
std::pair<std::string, std::string> filter_of(const Flag& flag, std::string_view value) {
  const std::size_t equals = flag.filter.find('=');
  if (equals == std::string_view::npos) return {std::string(flag.filter), std::string(value)};
  return {std::string(flag.filter.substr(0, equals)), std::string(flag.filter.substr(equals + 1))};
}

// In the order of the table.
Result<void> convert(std::vector<GivenFlag> flags, std::span<const std::string_view> features,
                     Options& o) {
  for (const Flag& flag : flag_table()) {
    Values values;
    for (GivenFlag& given : flags)
      if (given.flag == &flag) values.push_back(std::move(given.value));
    if (values.empty() || flag.set == nullptr) continue;
    const std::string list = joined(values, ',');
    if (!flag.filter.empty())
      o.given_filters.push_back(
          filter_of(flag, flag.repeat == Repeat::kList ? list : values.back()));
    if (flag.repeat == Repeat::kList) values = {list};
    for (const std::string& value : values)
      if (Result<void> set = flag.set(o, {flag.name(), value, features}); !set) return set;
  }
  return {};
}

// -4 and -6 together are both families: no filter.
void drop_both_families(Tokens& tokens) {
  if (!tokens.has("--ipv4") || !tokens.has("--ipv6")) return;
  std::erase_if(tokens.flags, [](const GivenFlag& given) {
    return given.flag->name() == "--ipv4" || given.flag->name() == "--ipv6";
  });
}

Result<void> check_recording(Options& o) {
  if (o.command == Command::kRecord) {
    if (o.output.empty()) return usage("record needs a file", "", "tcptrail record -o FILE");
    o.record_path = std::exchange(o.output, {});
  } else if (!o.record_path.empty() && o.record_path == (o.output.empty() ? "-" : o.output)) {
    return usage("--record and the output are the same file",
                 "one is a recording, the other what is shown", "name another file with --record");
  }
  if (o.record_path.empty() && (o.max_bytes || o.rotate != 0))
    return usage("--max-size and --rotate are about a recording", "",
                 "tcptrail record -o FILE --max-size 1G");
  if (o.force && o.record_path.empty())
    return usage("--force is about a recording", "-o of a view replaces its file anyway",
                 "tcptrail record -o FILE --force");
  if (o.record_path == "-" && o.rotate != 0)
    return usage("--rotate with a recording to stdout", "its older files would need names",
                 "name a file");
  return {};
}

Result<void> check_child(const Tokens& tokens, const Options& o) {
  if (!tokens.has_dashes) return {};
  if (tokens.child.empty())
    return usage("nothing follows --", "-- is followed by the command to run",
                 "tcptrail -- curl example.org");
  if (!o.replay_file.empty())
    return usage("a recording and a command to run",
                 "what is in " + o.replay_file + " has happened already", "leave one of them out");
  if (!command_info(o.command).traces)
    return usage(std::string(to_string(o.command)) + " runs no command", "",
                 "leave out what follows --, or use life, trace, record, explain or stats");
  return {};
}

Result<void> check_whole(const Tokens& tokens, Options& o) {
  if (o.format == Format::kCsv && o.events.connection &&
      (o.events.transition || o.events.time_wait))
    return usage(
        "--csv with record types of two tables",
        "a CSV file has one header line, but connections and transitions have different columns",
        "name one kind with --events, or use --json");
  if (Result<void> recording = check_recording(o); !recording) return recording;
  return check_child(tokens, o);
}

// Help and version: asked for anywhere, whatever else is wrong. Empty = not asked for.
Result<std::string> answer(const Tokens& tokens) {
  if (tokens.has("--version")) return version_text();
  const bool by_word = !tokens.words.empty() && tokens.words[0] == "help";
  const Values words(tokens.words.begin() + (by_word ? 1 : 0), tokens.words.end());
  if (!by_word && !tokens.has("-h") && !tokens.has("--help")) return std::string();
  if (!words.empty()) {
    if (const auto command = command_named(words[0])) return command_help(*command);
    if (by_word) return unknown_command(words);
  }
  return tokens.has("-h") && !tokens.has("--help") ? short_help() : full_help();
}

}  // namespace

Result<CommandLine> parse_command_line(int argc, const char* const* argv,
                                       std::span<const std::string_view> known_features) {
  Tokens tokens = split_command_line(argc, argv);
  CommandLine line;
  Options& o = line.options;
  Result<std::string> text = answer(tokens);
  if (!text) return text.error();
  line.text = std::move(*text);
  if (!line.text.empty()) return line;
  if (tokens.error) return *tokens.error;

  if (!tokens.words.empty()) {
    const auto command = command_named(tokens.words[0]);
    if (!command) return unknown_command(tokens.words);
    o.command = *command;
    tokens.words.erase(tokens.words.begin());
    if (const Result<void> taken = take_words(tokens.words, o); !taken) return taken.error();
  }
  if (const Result<void> fit = check_flags(tokens, o.command, view_of(o)); !fit) return fit.error();
  drop_both_families(tokens);
  o.events = events_of(o.command, view_of(o));
  if (const Result<void> converted = convert(tokens.flags, known_features, o); !converted)
    return converted.error();
  if (const Result<void> whole = check_whole(tokens, o); !whole) return whole.error();
  o.child = std::move(tokens.child);
  o.filters.in_tree = !o.child.empty();
  return line;
}

Result<void> add_recorded_filters(Options& options,
                                  std::span<const std::pair<std::string, std::string>> recorded) {
  const auto given = [before = options.given_filters](std::string_view key) {
    return std::any_of(before.begin(), before.end(),
                       [&](const auto& filter) { return filter.first == key; });
  };
  std::vector<GivenFlag> flags;
  for (const auto& [key, value] : recorded) {
    if (given(key)) continue;
    if (key == "netns" || key == "cgroup") {
      options.given_filters.emplace_back(key, value);
      continue;
    }
    for (const Flag& flag : flag_table())
      if (!flag.filter.empty() && filter_of(flag, value) == std::pair(key, value))
        flags.push_back({&flag, value});
  }
  return convert(std::move(flags), {}, options);
}

bool use_color(ColorMode mode, bool is_terminal, const char* no_color, const char* term) {
  if (mode != ColorMode::kAuto) return mode == ColorMode::kAlways;
  if (!is_terminal || term == nullptr || std::string_view(term) == "dumb") return false;
  return no_color == nullptr || *no_color == '\0';  // https://no-color.org
}

}  // namespace tcptrail
