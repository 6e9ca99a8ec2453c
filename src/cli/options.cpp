// SPDX-License-Identifier: BSD-2-Clause
// CLI11 splits the command line into flags and texts; everything else (values,
// what excludes what, suggestions) is decided here, so that each error says what,
// why and how to fix it. See options.h.
#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <utility>

#include "cli/help.h"
#include "cli/parse.h"
#include "cli/raw_options.h"
#include "util/suggest.h"

namespace tcptrail {
namespace {

struct CommandName {
  std::string_view name;
  Command command;
};
constexpr std::array<CommandName, 10> kCommands = {{{"life", Command::kLife},
                                                    {"trace", Command::kTrace},
                                                    {"ports", Command::kPorts},
                                                    {"explain", Command::kExplain},
                                                    {"stats", Command::kStats},
                                                    {"record", Command::kRecord},
                                                    {"replay", Command::kReplay},
                                                    {"doctor", Command::kDoctor},
                                                    {"schema", Command::kSchema},
                                                    {"completion", Command::kCompletion}}};

struct ValueFlag {
  const char* names;
  Values Raw::*values;
  const char* filter;   // its key in startup.filters; null = not a filter
  const char* example;  // of a value
};
constexpr ValueFlag kValueFlags[] = {
    {"-p,--pid", &Raw::pid, "pid", "1234"},
    {"-L,--lport,--localport", &Raw::lport, "lport", "80,443"},
    {"-D,--rport,--remoteport", &Raw::rport, "rport", "443"},
    {"--comm", &Raw::comm, "comm", "'nginx*'"},
    {"--laddr", &Raw::laddr, "laddr", "10.0.0.0/8"},
    {"--raddr", &Raw::raddr, "raddr", "10.0.0.0/8"},
    {"--netns", &Raw::netns, "netns", "blue"},
    {"--cgroup", &Raw::cgroup, "cgroup", "/system.slice/nginx.service"},
    {"--uid", &Raw::uid, "uid", "1000"},
    {"--closed-by", &Raw::closed_by, "closed_by", "remote"},
    {"--how", &Raw::how, "how", "rst-received"},
    {"--min-ms", &Raw::min_ms, "min_ms", "500"},
    {"--events", &Raw::events, nullptr, "transition"},
    {"-o,--output", &Raw::output, nullptr, "FILE"},
    {"--for", &Raw::run_for, nullptr, "10s"},
    {"--count", &Raw::count, nullptr, "100"},
    {"--columns", &Raw::columns, nullptr, "+UID"},
    {"--color", &Raw::color, nullptr, "never"},
    {"--label", &Raw::label, nullptr, "site=fra1"},
    {"--ring-size", &Raw::ring_size, nullptr, "16M"},
    {"--max-connections", &Raw::max_connections, nullptr, "4194304"},
    {"--deny-feature", &Raw::deny, nullptr, "NAME"},
    {"--bind", &Raw::bind, nullptr, "'[::]:80'"},
    {"--connect", &Raw::connect, nullptr, "192.0.2.1:443"},
    {"--from", &Raw::from, nullptr, "10.0.0.1"},
    {"--interval", &Raw::interval, nullptr, "60"},
    {"--diagram", &Raw::diagram, nullptr, "dot"},
    {"--record", &Raw::record, nullptr, "FILE"},
    {"--max-size", &Raw::max_size, nullptr, "1G"},
    {"--rotate", &Raw::rotate, nullptr, "5"},
    {"--at", &Raw::at, nullptr, "10s"},
};

struct BoolFlag {
  const char* names;
  bool Raw::*value;
};
constexpr BoolFlag kBoolFlags[] = {
    {"-h", &Raw::help_short},
    {"--help", &Raw::help_full},
    {"--version", &Raw::version},
    {"-4,--ipv4", &Raw::ipv4},
    {"-6,--ipv6", &Raw::ipv6},
    {"--errors", &Raw::errors},
    {"--json", &Raw::json},
    {"-s,--csv", &Raw::csv},
    {"-T,--time", &Raw::local_time},
    {"-t,--timestamp", &Raw::timestamps},
    {"-w,--wide", &Raw::wide},
    {"--fail-on-loss", &Raw::fail_on_loss},
    {"--no-snapshot", &Raw::no_snapshot},
    {"--v6only", &Raw::v6only},
    {"--force", &Raw::force},
};

std::unique_ptr<CLI::App> make_app(Raw& raw) {
  auto app = std::make_unique<CLI::App>();
  app->set_help_flag();
  // Unknown words come back as `remaining`, and get a suggestion.
  app->allow_extras();
  for (const ValueFlag& flag : kValueFlags) {
    // One value for each occurrence: `-p 1 life` must leave `life` alone.
    app->add_option(flag.names, raw.*flag.values)->allow_extra_args(false);
  }
  for (const BoolFlag& flag : kBoolFlags) app->add_flag(flag.names, raw.*flag.value);
  app->add_flag("-v,--verbose", raw.verbose);
  app->add_option("--watch", raw.watch)->expected(0, 1);
  app->add_option("command", raw.command);
  app->add_option("argument", raw.argument);
  return app;
}

std::string joined(const Values& values) {
  std::string out;
  for (const std::string& value : values) {
    if (!out.empty()) out += ',';
    out += value;
  }
  return out;
}

Error unknown_word(const std::string& word) {
  // What CLI11 leaves of `-T=1`.
  if (word.starts_with("-="))
    return usage("a flag that takes no value was given " + word.substr(1), "", "leave it out");
  if (!word.starts_with('-'))
    return usage("unexpected argument " + word, "", "to run a command: tcptrail ... -- " + word);
  const std::string name = word.substr(0, word.find('='));
  const std::vector<std::string> flags = known_flags();
  std::vector<std::string_view> long_flags;
  for (const std::string& flag : flags)
    if (flag.starts_with("--")) long_flags.emplace_back(flag);
  // A wrong letter is not a slip of the finger: any other letter is as near.
  const auto close = name.size() > 2 ? nearest(name, long_flags) : std::nullopt;
  return usage(
      "unknown flag " + name, "",
      close ? "did you mean " + std::string(*close) + "?" : "tcptrail --help lists all flags");
}

Result<Command> parse_command(const std::string& word) {
  if (word.empty()) return Command::kLife;
  std::vector<std::string_view> names;
  for (const CommandName& known : kCommands) {
    if (known.name == word) return known.command;
    names.push_back(known.name);
  }
  const auto close = nearest(word, names);
  return usage("unknown command " + word, "",
               close ? "did you mean " + std::string(*close) + "?"
                     : "tcptrail -h lists the commands; to run a command: tcptrail -- " + word);
}

// `--diagram` alone is `--diagram text`: its value may be left out, which CLI11 would only see at
// the next flag.
void say_which_diagram(Values& words) {
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (*word != "--diagram") continue;
    const auto next = std::next(word);
    if (next != words.end() && (*next == "text" || *next == "dot")) continue;
    *word = "--diagram=text";
  }
}

void convert_filters(const Raw& raw, Options& o, Converter& c) {
  Filters& f = o.filters;
  if (!raw.pid.empty()) c.set(f.pids, parse_pids("--pid", joined(raw.pid)));
  if (!raw.lport.empty()) c.set(f.lports, parse_ports("--lport", joined(raw.lport)));
  if (!raw.rport.empty()) c.set(f.rports, parse_ports("--rport", joined(raw.rport)));
  if (raw.ipv4 != raw.ipv6) f.family = raw.ipv4 ? FamilyFilter::kIpv4 : FamilyFilter::kIpv6;
  if (!raw.comm.empty()) f.comm_glob = raw.comm.back();
  if (!raw.laddr.empty()) c.set(f.laddrs, parse_prefixes("--laddr", joined(raw.laddr)));
  if (!raw.raddr.empty()) c.set(f.raddrs, parse_prefixes("--raddr", joined(raw.raddr)));
  const std::string netns = joined(raw.netns);
  for (const std::string_view part : split_list(netns)) o.netns.emplace_back(part);
  if (!raw.cgroup.empty()) o.cgroup = raw.cgroup.back();
  if (!raw.uid.empty()) {
    // (uid_t)-1 means "no user" to the kernel.
    const auto uid = parse_number("--uid", raw.uid.back(), 0, 4'294'967'294);
    if (uid) f.uid = static_cast<std::uint32_t>(*uid);
    if (!uid) c.fail(uid.error());
  }
  if (!raw.closed_by.empty())
    c.set(f.closed_by, parse_closers("--closed-by", joined(raw.closed_by)));
  if (!raw.how.empty()) c.set(f.how, parse_hows("--how", joined(raw.how)));
  if (!raw.min_ms.empty()) c.set(f.min_duration_ns, parse_ms_as_ns("--min-ms", raw.min_ms.back()));
  if (raw.errors) f.errors_only = true;

  for (const ValueFlag& flag : kValueFlags) {
    const Values& values = raw.*flag.values;
    if (flag.filter != nullptr && !values.empty())
      o.given_filters.emplace_back(flag.filter, joined(values));
  }
  if (raw.ipv4 != raw.ipv6) o.given_filters.emplace_back("family", raw.ipv4 ? "ipv4" : "ipv6");
  if (raw.errors) o.given_filters.emplace_back("errors", "true");
}

void convert_run(const Raw& raw, std::span<const std::string_view> features, Options& o,
                 Converter& c) {
  if (!raw.output.empty()) o.output = raw.output.back();
  if (!raw.run_for.empty()) c.set(o.run_for_ns, parse_duration_ns("--for", raw.run_for.back()));
  if (!raw.count.empty()) c.set(o.count, parse_number("--count", raw.count.back(), 1, UINT64_MAX));
  if (!raw.ring_size.empty())
    c.set(o.ring_bytes, parse_ring_size("--ring-size", raw.ring_size.back()));
  if (!raw.max_connections.empty())
    c.set(o.max_connections,
          parse_number("--max-connections", raw.max_connections.back(), 1'000, 16'777'216));
  if (!raw.deny.empty())
    c.set(o.denied_features, parse_words("--deny-feature", joined(raw.deny), features));
  o.fail_on_loss = raw.fail_on_loss;
  o.no_snapshot = raw.no_snapshot;
  o.verbose = static_cast<unsigned>(std::max(raw.verbose, 0));
}

void convert_ports(const Raw& raw, Options& o, Converter& c) {
  const bool asks = !raw.bind.empty() || !raw.connect.empty() || !raw.from.empty() || raw.v6only;
  if (o.command != Command::kPorts) {
    if (raw.watches) c.fail(usage("--watch is a flag of ports", "", "tcptrail ports --watch"));
    if (asks)
      c.fail(usage("--bind, --connect, --from and --v6only are questions to ports", "",
                   "tcptrail ports --bind 127.0.0.1:80"));
  }
  if (view_of(o) != Command::kPorts) return;
  if (o.format == Format::kCsv)
    c.fail(usage("ports has no CSV", "its records are of two kinds and hold lists", "use --json"));
  if (!raw.columns.empty()) c.fail(usage("ports has no columns to choose", "", "use --json"));
  if (!raw.cgroup.empty())
    c.fail(
        usage("ports has no --cgroup", "a TIME_WAIT socket belongs to no cgroup", "leave it out"));
  if (o.command != Command::kPorts) return;
  if (raw.no_snapshot)
    c.fail(usage("--no-snapshot with ports", "ports is a snapshot", "leave it out"));
  if (!raw.bind.empty() && !raw.connect.empty())
    c.fail(usage("--bind and --connect together", "each asks one question",
                 "ask them one after the other"));
  if (raw.v6only && raw.bind.empty())
    c.fail(usage("--v6only without --bind", "", "tcptrail ports --bind '[::]:80' --v6only"));
  if (!raw.from.empty() && raw.connect.empty())
    c.fail(usage("--from without --connect", "",
                 "tcptrail ports --connect 192.0.2.1:443 --from 10.0.0.1"));
  if (!raw.bind.empty()) c.set(o.bind, parse_address_port("--bind", raw.bind.back(), true));
  if (!raw.connect.empty())
    c.set(o.connect, parse_address_port("--connect", raw.connect.back(), false));
  if (!raw.from.empty()) c.set(o.from, parse_address("--from", raw.from.back()));
  o.v6only = raw.v6only;
  if (!raw.watches) return;
  if (o.bind || o.connect)
    c.fail(usage("--watch with --bind or --connect", "a question is answered once",
                 "leave one of them out"));
  o.watch_ns = 1'000'000'000;
  // CLI11 gives "" for a value that was left out.
  if (!raw.watch.empty() && !raw.watch.back().empty())
    c.set(o.watch_ns, parse_duration_ns("--watch", raw.watch.back()));
}

// Views of sentences and sums: they choose what they read, and have no rows.
void convert_told(const Raw& raw, Options& o, Converter& c) {
  const std::string name(to_string(view_of(o)));
  if (o.format == Format::kCsv)
    c.fail(usage(name + " has no CSV", "its output is no table of rows", "use --json"));
  if (!raw.columns.empty()) c.fail(usage(name + " has no columns to choose", "", "use --json"));
  if (!raw.events.empty())
    c.fail(usage(name + " with --events", name + " reads the records that it needs",
                 "leave it out; for the records: tcptrail trace"));
  o.events = {.transition = view_of(o) == Command::kExplain,
              .connection = true,
              .time_wait = true,
              .blocked = true};
}

constexpr std::uint64_t kShortestIntervalNs = 1'000'000'000;

void convert_stats(const Raw& raw, Options& o, Converter& c) {
  if (view_of(o) != Command::kStats) {
    if (!raw.interval.empty() || !raw.diagram.empty())
      c.fail(usage("--interval and --diagram belong to stats", "", "tcptrail stats --interval 60"));
    return;
  }
  if (!raw.count.empty())
    c.fail(usage("stats has no --count", "it adds records up and prints sums", "use --for"));
  if (!raw.interval.empty())
    c.set(o.interval_ns, parse_duration_ns("--interval", raw.interval.back()));
  if (o.interval_ns != 0 && o.interval_ns < kShortestIntervalNs)
    c.fail(usage("bad value for --interval: " + raw.interval.back(),
                 "records arrive up to half a second after their event",
                 "1 second or more, for example --interval 60"));
  if (raw.diagram.empty()) return;
  static constexpr std::array<std::string_view, 2> kForms = {"text", "dot"};
  const auto form = parse_words("--diagram", raw.diagram.back(), kForms);
  if (!form) return c.fail(form.error());
  o.diagram = form->back() == "dot" ? Diagram::kDot : Diagram::kText;
  if (o.format == Format::kJson)
    c.fail(
        usage("--diagram with --json", "the diagram is a picture",
              "leave one of them out; the period record of --json has the same counts as edges"));
  if (o.interval_ns != 0)
    c.fail(usage("--diagram with --interval", "the diagram counts the whole run",
                 "leave one of them out"));
}

void convert_columns(const Raw& raw, Options& o, Converter& c) {
  const bool life = o.events.connection;
  const bool trace = o.events.transition || o.events.time_wait;
  if (o.format == Format::kCsv && life && trace) {
    c.fail(usage(
        "--csv with record types of two tables",
        "a CSV file has one header line, but connections and transitions have different columns",
        "name one kind with --events, or use --json"));
  }
  if (raw.columns.empty()) return;
  if (o.format == Format::kJson) {
    c.fail(usage("--columns with --json", "JSON Lines always carry every key",
                 "leave one of them out"));
  }
  const std::string list = joined(raw.columns);
  if (life) c.set(o.life_columns, parse_columns(Table::kLife, list));
  if (trace) c.set(o.trace_columns, parse_columns(Table::kTrace, list));
}

void convert_output(const Raw& raw, Options& o, Converter& c) {
  if (raw.json && raw.csv)
    c.fail(usage("--json and --csv together", "the output has one format", "choose one of them"));
  if (raw.json) o.format = Format::kJson;
  if (raw.csv) o.format = Format::kCsv;
  const Command view = view_of(o);
  o.events = view == Command::kTrace
                 ? EventSet{.transition = true, .time_wait = true, .blocked = true}
                 : EventSet{.connection = true, .blocked = true};
  if (view == Command::kPorts)
    o.events = {.time_wait = true, .blocked = raw.watches || o.command == Command::kReplay};
  if (view == Command::kRecord) o.events = {};
  if (!raw.events.empty()) c.set(o.events, parse_events("--events", joined(raw.events)));
  if (!raw.color.empty()) {
    static constexpr std::array<std::string_view, 3> kModes = {"auto", "always", "never"};
    const auto mode = parse_words("--color", raw.color.back(), kModes);
    if (!mode) {
      c.fail(mode.error());
    } else {
      o.color = mode->back() == "always"
                    ? ColorMode::kAlways
                    : (mode->back() == "never" ? ColorMode::kNever : ColorMode::kAuto);
    }
  }
  for (const std::string& label : raw.label) {
    const auto pair = parse_label("--label", label);
    if (!pair) {
      c.fail(pair.error());
      continue;
    }
    // A JSON object with a key twice means different things to different readers.
    std::erase_if(o.labels, [&](const auto& known) { return known.first == pair->first; });
    o.labels.push_back(*pair);
  }
  o.local_time = raw.local_time;
  o.timestamps = raw.timestamps;
  o.wide = raw.wide;
  convert_ports(raw, o, c);
  convert_stats(raw, o, c);
  if (view == Command::kExplain || view == Command::kStats) return convert_told(raw, o, c);
  if (view != Command::kPorts) convert_columns(raw, o, c);
}

bool is_flag(const std::string& word) { return word.starts_with('-') && word != "-"; }

// What stands behind the command. CLI11 has left over all but the first word.
Result<void> take_words(const Raw& raw, const Values& rest, Options& o) {
  Values words = rest;
  if (!raw.argument.empty()) words.insert(words.begin(), raw.argument);
  if (o.command == Command::kReplay) return take_replay_words(words, o);
  if (o.command == Command::kExplain &&
      !words.empty()) {  // `explain FILE` is `replay FILE explain`
    o.command = Command::kReplay;
    o.replay_view = Command::kExplain;
    o.replay_file = words.front();
    words.erase(words.begin());
  }
  if (o.command == Command::kCompletion && !words.empty()) {
    o.shell = words.front();
    words.erase(words.begin());
  }
  if (!words.empty() && o.command == Command::kRecord && !is_flag(words.front()))
    return usage(
        "unexpected argument " + words.front(), "",
        "tcptrail record -o FILE; to run a command: tcptrail record -o FILE -- " + words.front());
  if (!words.empty()) return unknown_word(words.front());
  return {};
}

// CLI11's texts ("--for: 1 required TEXT missing", "Could not convert: --json =
// pretty") hold the flag's name, and not what to do.
Error parse_failure(const CLI::ParseError& error) {
  const std::string text = error.what();
  for (const ValueFlag& flag : kValueFlags) {
    const std::vector<std::string_view> names = split_list(flag.names);
    for (const std::string_view name : names) {
      if (!text.starts_with(std::string(name) + ":")) continue;
      return usage(std::string(name) + " needs a value", "",
                   std::string(name) + " " + flag.example);
    }
  }
  const std::size_t from = text.find("--");
  const std::size_t to = text.find(" = ");
  if (from != std::string::npos && to != std::string::npos && from < to) {
    const std::string name = text.substr(from, to - from);
    return usage(name + " takes no value", "", name + " alone");
  }
  return usage(text, "", "tcptrail --help lists all flags");
}

}  // namespace

std::string_view to_string(Command command) {
  for (const CommandName& known : kCommands)
    if (known.command == command) return known.name;
  return "unknown";
}

Result<CommandLine> parse_command_line(int argc, const char* const* argv,
                                       std::span<const std::string_view> known_features) {
  // CLI11 takes its words in reverse. What follows `--` is not ours to look at.
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  const auto mark = std::find(words.begin(), words.end(), "--");
  CommandLine line;
  Options& o = line.options;
  if (mark != words.end()) o.child.assign(std::next(mark), words.end());
  const bool child_missing = mark != words.end() && o.child.empty();
  words.erase(mark, words.end());
  say_which_diagram(words);
  std::reverse(words.begin(), words.end());

  Raw raw;
  const auto app = make_app(raw);
  try {
    app->parse(words);
  } catch (const CLI::ParseError& error) {
    return parse_failure(error);
  }
  raw.watches = app->count("--watch") != 0;
  if (raw.help_full || raw.command == "help") {
    line.text = full_help();
    return line;
  }
  if (raw.help_short || raw.version) {
    line.text = raw.help_short ? short_help() : version_text();
    return line;
  }
  const auto command = parse_command(raw.command);
  // A mistyped flag before a mistyped command.
  for (const std::string& word : app->remaining())
    if (is_flag(word)) return unknown_word(word);
  if (!command && !raw.argument.empty()) return unknown_word(raw.argument);
  if (!command) return command.error();
  o.command = *command;
  if (const Result<void> taken = take_words(raw, app->remaining(), o); !taken) return taken.error();
  Converter converter;
  convert_filters(raw, o, converter);
  convert_run(raw, known_features, o, converter);
  convert_output(raw, o, converter);
  convert_record(raw, o, converter);
  convert_replay(raw, o, converter);
  if (converter.error()) return *converter.error();

  if (child_missing) {
    return usage("nothing follows --", "-- is followed by the command to run",
                 "tcptrail -- curl example.org");
  }
  if (!o.child.empty() && !o.replay_file.empty())
    return usage("a recording and a command to run",
                 "what is in " + o.replay_file + " has happened already", "leave one of them out");
  const bool live = o.command == Command::kLife || o.command == Command::kTrace ||
                    o.command == Command::kRecord || o.command == Command::kExplain ||
                    o.command == Command::kStats;
  if (!o.child.empty() && !live) {
    return usage(std::string(to_string(o.command)) + " runs no command", "",
                 "leave out what follows --, or use life, trace, record, explain or stats");
  }
  o.filters.in_tree = !o.child.empty();
  return line;
}

Result<void> add_recorded_filters(Options& options,
                                  std::span<const std::pair<std::string, std::string>> recorded) {
  const auto given = [before = options.given_filters](std::string_view key) {
    return std::any_of(before.begin(), before.end(),
                       [&](const auto& filter) { return filter.first == key; });
  };
  Raw raw;
  for (const auto& [key, value] : recorded) {
    if (given(key)) continue;
    if (key == "netns" || key == "cgroup") {
      options.given_filters.emplace_back(key, value);
      continue;
    }
    if (key == "errors") raw.errors = true;
    if (key == "family") (value == "ipv4" ? raw.ipv4 : raw.ipv6) = true;
    for (const ValueFlag& flag : kValueFlags)
      if (flag.filter != nullptr && flag.filter == key) (raw.*flag.values).push_back(value);
  }
  Converter converter;
  convert_filters(raw, options, converter);
  if (converter.error()) return *converter.error();
  return {};
}

std::vector<FlagInfo> flag_table() {
  std::vector<FlagInfo> table;
  const auto add = [&table](std::string_view names, bool takes_value) {
    FlagInfo& flag = table.emplace_back();
    for (const std::string_view name : split_list(names)) flag.names.emplace_back(name);
    flag.takes_value = takes_value;
  };
  for (const ValueFlag& flag : kValueFlags) add(flag.names, true);
  for (const BoolFlag& flag : kBoolFlags) add(flag.names, false);
  add("-v,--verbose", false);
  add("--watch", false);  // its value may be left out
  return table;
}

std::vector<std::string> known_flags() {
  std::vector<std::string> flags;
  for (const FlagInfo& flag : flag_table())
    flags.insert(flags.end(), flag.names.begin(), flag.names.end());
  return flags;
}

std::vector<std::string_view> command_names() {
  std::vector<std::string_view> names;
  for (const CommandName& known : kCommands) names.push_back(known.name);
  return names;
}

bool use_color(ColorMode mode, bool is_terminal, const char* no_color, const char* term) {
  if (mode != ColorMode::kAuto) return mode == ColorMode::kAlways;
  if (!is_terminal || term == nullptr || std::string_view(term) == "dumb") return false;
  return no_color == nullptr || *no_color == '\0';  // https://no-color.org
}

}  // namespace tcptrail
