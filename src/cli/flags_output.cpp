// SPDX-License-Identifier: BSD-2-Clause
// Output, the run, and help.
#include "cli/flag_rows.h"
#include "output/columns.h"

namespace tcptrail {
namespace {

std::span<const std::string_view> color_words() {
  static constexpr std::string_view kWords[] = {"auto", "always", "never"};
  return kWords;
}

template <Format Form>
Result<void> set_format(Options& o, const FlagValue&) {
  o.format = Form;
  return {};
}

Result<void> set_color(Options& o, const FlagValue& v) {
  const auto word = parse_word(v.flag, v.text, color_words());
  if (!word) return word.error();
  o.color = *word == "always"  ? ColorMode::kAlways
            : *word == "never" ? ColorMode::kNever
                               : ColorMode::kAuto;
  return {};
}

Result<void> set_columns(Options& o, const FlagValue& v) {
  if (o.events.connection) {
    if (auto put_life = put(o.life_columns, parse_columns(Table::kLife, v.text)); !put_life)
      return put_life;
  }
  if (!o.events.transition && !o.events.time_wait) return {};
  return put(o.trace_columns, parse_columns(Table::kTrace, v.text));
}

// A JSON object with a key twice means different things to different readers: the last one counts.
Result<void> add_label(Options& o, const FlagValue& v) {
  auto pair = parse_label(v.flag, v.text);
  if (!pair) return pair.error();
  std::erase_if(o.labels, [&](const auto& known) { return known.first == pair->first; });
  o.labels.push_back(std::move(*pair));
  return {};
}

constexpr Flag kOutput[] = {
    {.names = "--json",
     .help = "JSON Lines; `tcptrail schema` describes them",
     .brief = "JSON Lines",
     .commands = kViews | on(Command::kReplay),
     .set = set_format<Format::kJson>},
    {.names = "-s, --csv",
     .help = "CSV with a header line (RFC 4180)",
     .brief = "CSV",
     .commands = kRows | on(Command::kReplay),
     .set = set_format<Format::kCsv>},
    {.names = "--events",
     .value = "LIST",
     .example = "transition",
     .help = "record types to print",
     .commands = (kViews & ~kSums) | on(Command::kReplay),
     .repeat = Repeat::kList,
     .words = event_words,
     .set = parsed<&Options::events, parse_events>},
    {.names = "--columns",
     .value = "LIST",
     .example = "+UID",
     .help = "PID,CLOSER: exactly these columns; +UID,RTT_US: the usual ones and these",
     .brief = "which columns",
     .commands = kRows | on(Command::kReplay),
     .repeat = Repeat::kList,
     .kind = ValueKind::kColumns,
     .set = set_columns},
    {.names = "-T, --time",
     .help = "local time: a column, or in place of UTC",
     .brief = "local time",
     .commands = kRows | kSums | on(Command::kReplay),
     .set = turn_on<&Options::local_time>},
    {.names = "-t, --timestamp",
     .help = "column with seconds since start",
     .commands = kRows | on(Command::kReplay),
     .set = turn_on<&Options::timestamps>},
    {.names = "-w, --wide",
     .help = "room for IPv6 addresses; no column dropped on a narrow terminal",
     .commands = kRows | on(Command::kReplay),
     .set = turn_on<&Options::wide>},
    {.names = "-n, --numeric",
     .help = "accepted because ss and netstat have it: addresses and ports are always numbers",
     .commands = kSockets},
    {.names = "--color",
     .value = "WHEN",
     .example = "never",
     .help = "auto is the default and respects NO_COLOR",
     .commands = kViews | on(Command::kReplay),
     .words = color_words,
     .set = set_color},
    {.names = "--label",
     .value = "KEY=VALUE",
     .example = "site=fra1",
     .help = "put at the end of every record; repeatable",
     .commands = kSockets,
     .set = add_label},
    {.names = "-o, --output",
     .value = "FILE",
     .example = "FILE",
     .help = "write to FILE (mode 0600); reopened on SIGHUP",
     .brief = "write to FILE",
     .commands = kSockets,
     .kind = ValueKind::kFile,
     .set = as_given<&Options::output>},
};

constexpr Flag kRun[] = {
    {.names = "--for",
     .value = "DURATION",
     .example = "10s",
     .help = "stop after 500ms, 10s, 2m, 1h; a bare number is seconds",
     .brief = "stop after e.g. 10s",
     .commands = kTracing,
     .set = parsed<&Options::run_for_ns, parse_duration_ns>},
    {.names = "--count",
     .value = "N",
     .example = "100",
     .help = "stop after N records",
     .commands = kRows | on(Command::kExplain, Command::kReplay) | kPortsWatch,
     .set =
         [](Options& o, const FlagValue& v) {
           return put(o.count, parse_number(v.flag, v.text, 1, UINT64_MAX));
         }},
    {.names = "--ring-size",
     .value = "SIZE",
     .example = "16M",
     .help = "event buffer, a power of two from 64K to 1G; raise it if events are lost",
     .commands = kLoading,
     .set = parsed<&Options::ring_bytes, parse_ring_size>},
    {.names = "--max-connections",
     .value = "N",
     .example = "4194304",
     .help = "connections followed at a time, 1000 to 16777216 (default 1048576)",
     .commands = kTracing | on(Command::kReplay),
     .set =
         [](Options& o, const FlagValue& v) {
           return put(o.max_connections, parse_number(v.flag, v.text, 1'000, 16'777'216));
         }},
    {.names = "--fail-on-loss",
     .help = "exit with 3 if any event was lost",
     .commands = kSockets,
     .set = turn_on<&Options::fail_on_loss>},
    {.names = "--no-snapshot",
     .help = "ignore the connections that exist at the start",
     .commands = (kTracing & ~kPortsWatch) | on(Command::kDoctor),
     .set = turn_on<&Options::no_snapshot>},
    {.names = "--deny-feature",
     .value = "NAME[,NAME]",
     .example = "NAME",
     .help = "act as if this machine lacked it; `tcptrail doctor` lists the names",
     .commands = kLoading | on(Command::kDoctor),
     .repeat = Repeat::kList,
     .kind = ValueKind::kFeatures,
     .set =
         [](Options& o, const FlagValue& v) {
           return put(o.denied_features, parse_words(v.flag, v.text, v.features));
         }},
    {.names = "-v, --verbose",
     .help = "say more on stderr",
     .commands = kLoading | on(Command::kDoctor),
     .set = [](Options& o, const FlagValue&) -> Result<void> {
       ++o.verbose;
       return {};
     }},
};

constexpr Flag kHelp[] = {
    {.names = "-h",
     .help = "the short help; with a command, the help of this command",
     .commands = kEvery},
    {.names = "--help",
     .help = "all flags; with a command, those of this command",
     .commands = kEvery},
    {.names = "-V, --version", .help = "the version", .commands = kEvery},
};

}  // namespace

std::span<const Flag> output_flags() { return kOutput; }
std::span<const Flag> run_flags() { return kRun; }
std::span<const Flag> help_flags() { return kHelp; }

}  // namespace tcptrail
