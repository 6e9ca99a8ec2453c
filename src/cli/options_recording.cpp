// SPDX-License-Identifier: BSD-2-Clause
// The part of the command line that is about recordings; see options.cpp.
#include <array>
#include <string_view>

#include "cli/parse.h"
#include "cli/raw_options.h"
#include "util/suggest.h"

namespace tcptrail {
namespace {

struct ViewName {
  std::string_view name;
  Command command;
};
// What replay shows.
constexpr std::array<ViewName, 5> kViews = {{{"life", Command::kLife},
                                             {"trace", Command::kTrace},
                                             {"ports", Command::kPorts},
                                             {"explain", Command::kExplain},
                                             {"stats", Command::kStats}}};

}  // namespace

void convert_record(const Raw& raw, Options& o, Converter& c) {
  if (o.command == Command::kRecord) {
    if (!raw.record.empty())
      c.fail(usage("record with --record", "record writes its recording to -o",
                   "tcptrail record -o FILE"));
    if (o.output.empty()) c.fail(usage("record needs a file", "", "tcptrail record -o FILE"));
    if (o.format != Format::kText || !raw.columns.empty() || !raw.events.empty() ||
        raw.count.size() + o.local_time + o.timestamps + o.wide != 0)
      c.fail(usage("record has no format, no columns and no records to count",
                   "it keeps everything, for any view",
                   "choose when you look: tcptrail replay FILE --json"));
    o.record_path = std::exchange(o.output, {});
  } else if (!raw.record.empty()) {
    o.record_path = raw.record.back();
    if (o.command == Command::kPorts && !raw.watches)
      c.fail(usage("ports with --record", "it is one look, and a recording keeps what happens",
                   "ports --watch --record FILE"));
    if (o.command == Command::kReplay)
      c.fail(usage("replay with --record", "it is recorded already", "copy the file"));
    if (o.command == Command::kDoctor || o.command == Command::kSchema ||
        o.command == Command::kCompletion)
      c.fail(usage(std::string(to_string(o.command)) + " with --record",
                   "nothing happens that could be recorded", "tcptrail record -o FILE"));
    if (o.record_path == (o.output.empty() ? "-" : o.output))
      c.fail(usage("--record and the output are the same file",
                   "one is a recording, the other what is shown",
                   "name another file with --record"));
  }
  if (!raw.max_size.empty()) c.set(o.max_bytes, parse_file_size("--max-size", raw.max_size.back()));
  if (!raw.rotate.empty()) {
    const auto keep = parse_number("--rotate", raw.rotate.back(), 1, 10'000);
    if (keep) o.rotate = static_cast<unsigned>(*keep);
    if (!keep) c.fail(keep.error());
    if (raw.max_size.empty())
      c.fail(usage("--rotate without --max-size", "nothing says when the next file begins",
                   "--max-size 1G --rotate " + raw.rotate.back()));
  }
  if (o.record_path.empty() && !(raw.max_size.empty() && raw.rotate.empty()))
    c.fail(usage("--max-size and --rotate are about a recording", "",
                 "tcptrail record -o FILE --max-size 1G"));
  o.force = raw.force;
  if (o.force && o.record_path.empty())
    c.fail(usage("--force is about a recording", "-o of a view replaces its file anyway",
                 "tcptrail record -o FILE --force"));
  if (o.record_path == "-" && o.rotate != 0)
    c.fail(usage("--rotate with a recording to stdout", "its older files would need names",
                 "name a file"));
}

void convert_replay(const Raw& raw, Options& o, Converter& c) {
  if (!raw.at.empty()) {
    if (o.command != Command::kReplay || o.replay_view != Command::kPorts)
      c.fail(usage("--at is the moment that `replay FILE ports` looks at", "",
                   "tcptrail replay FILE ports --at " + raw.at.back()));
    c.set(o.at, parse_at("--at", raw.at.back()));
  }
  if (o.command != Command::kReplay) return;
  const auto refuse = [&c](bool given, const char* flag) {
    if (given)
      c.fail(usage("replay with " + std::string(flag),
                   "it is about tracing, and replay reads a file", "leave it out"));
  };
  refuse(!raw.run_for.empty(), "--for");
  refuse(!raw.ring_size.empty(), "--ring-size");
  refuse(!raw.deny.empty(), "--deny-feature");
  refuse(raw.no_snapshot, "--no-snapshot");
}

// A recording and a view.
Result<void> take_replay_words(const Values& words, Options& o) {
  if (words.empty())
    return usage("replay needs a file", "", "tcptrail replay FILE, or - for stdin");
  o.replay_file = words[0];
  if (words.size() > 2)
    return usage("unexpected argument " + words[2], "", "tcptrail replay FILE VIEW");
  if (words.size() < 2) return {};
  std::vector<std::string_view> names;
  for (const ViewName& known : kViews) {
    names.push_back(known.name);
    if (known.name != words[1]) continue;
    o.replay_view = known.command;
    return {};
  }
  const auto close = nearest(words[1], names);
  return usage("unknown view " + words[1],
               "a recording is shown as life, trace, ports, explain or stats",
               close ? "did you mean " + std::string(*close) + "?"
                     : "tcptrail replay " + words[0] + " life");
}

}  // namespace tcptrail
