// SPDX-License-Identifier: BSD-2-Clause
// Flags of one command: ports, stats, and recordings.
#include "cli/flag_rows.h"

namespace tcptrail {
namespace {

std::span<const std::string_view> diagram_words() {
  static constexpr std::string_view kWords[] = {"text", "dot"};
  return kWords;
}

Result<void> set_watch(Options& o, const FlagValue& v) {
  o.watch_ns = 1'000'000'000;
  o.events.blocked = true;
  if (v.text.empty()) return {};
  return put(o.watch_ns, parse_duration_ns(v.flag, v.text));
}

Result<void> set_interval(Options& o, const FlagValue& v) {
  const auto ns = parse_duration_ns(v.flag, v.text);
  if (ns && *ns < 1'000'000'000)
    return bad_value(v.flag, v.text, "records arrive up to half a second after their event",
                     "1 second or more, for example --interval 60");
  return put(o.interval_ns, ns);
}

Result<void> set_diagram(Options& o, const FlagValue& v) {
  o.diagram = v.text == "dot" ? Diagram::kDot : Diagram::kText;
  if (v.text.empty()) return {};
  const auto word = parse_word(v.flag, v.text, diagram_words());
  return word ? Result<void>{} : word.error();
}

constexpr Flag kPorts[] = {
    {.names = "--watch",
     .value = "[DURATION]",
     .example = "5s",
     .help = "refresh every second (or DURATION), and trace: owners of TIME_WAIT, rates, when no "
             "port will be left, connections that nobody closes",
     .commands = on(Command::kPorts),
     .set = set_watch},
    {.names = "--bind",
     .value = "ADDR:PORT",
     .example = "'[::]:80'",
     .help = "would bind() and listen() succeed now? [::]:80, *:80, 127.0.0.1:80, :80",
     .commands = on(Command::kPorts),
     .set =
         [](Options& o, const FlagValue& v) {
           return put(o.bind, parse_address_port(v.flag, v.text, true));
         }},
    {.names = "--v6only",
     .help = "with --bind: the socket has IPV6_V6ONLY",
     .commands = on(Command::kPorts),
     .set = turn_on<&Options::v6only>},
    {.names = "--connect",
     .value = "ADDR:PORT",
     .example = "192.0.2.1:443",
     .help = "how many ports are left to this destination?",
     .commands = on(Command::kPorts),
     .set =
         [](Options& o, const FlagValue& v) {
           return put(o.connect, parse_address_port(v.flag, v.text, false));
         }},
    {.names = "--from",
     .value = "ADDR",
     .example = "10.0.0.1",
     .help = "with --connect: from this local address",
     .commands = on(Command::kPorts),
     .set = parsed<&Options::from, parse_address>},
};

constexpr Flag kStats[] = {
    {.names = "--interval",
     .value = "DURATION",
     .example = "60",
     .help =
         "a report for each interval instead of one at the end; with --json a stream of rollups",
     .commands = on(Command::kStats, Command::kReplay),
     .set = set_interval},
    {.names = "--diagram",
     .value = "[text|dot]",
     .example = "dot",
     .help = "the TCP state diagram with the counts of this run on its edges",
     .commands = on(Command::kStats, Command::kReplay),
     .words = diagram_words,
     .set = set_diagram},
};

constexpr Flag kRecordings[] = {
    {.names = "--record",
     .value = "FILE",
     .example = "FILE",
     .help = "show the view, and record it too",
     .commands = kTracing & ~on(Command::kRecord),
     .kind = ValueKind::kFile,
     .set = as_given<&Options::record_path>},
    {.names = "--max-size",
     .value = "SIZE",
     .example = "1G",
     .help = "stop before the recording exceeds SIZE: 500M, 1G",
     .commands = kTracing,
     .set = parsed<&Options::max_bytes, parse_file_size>},
    {.names = "--rotate",
     .value = "N",
     .example = "5",
     .help = "at --max-size begin a new file, and keep N older ones: FILE.1 (the newest) to FILE.N",
     .commands = kTracing,
     .set =
         [](Options& o, const FlagValue& v) {
           return put(o.rotate, parse_number(v.flag, v.text, 1, 10'000));
         }},
    {.names = "--force",
     .help = "replace an existing file with the recording",
     .commands = kTracing,
     .set = turn_on<&Options::force>},
    {.names = "--at",
     .value = "TIME",
     .example = "10s",
     .help = "the moment that `replay FILE ports` shows: 10s after the beginning, or "
             "2026-08-01T12:34:56Z",
     .commands = on(Command::kReplay),
     .set = parsed<&Options::at, parse_at>},
};

}  // namespace

std::span<const Flag> ports_flags() { return kPorts; }
std::span<const Flag> stats_flags() { return kStats; }
std::span<const Flag> recording_flags() { return kRecordings; }

}  // namespace tcptrail
