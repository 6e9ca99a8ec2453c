// SPDX-License-Identifier: BSD-2-Clause
// The command line as a plain struct. Input: argv and the names of the features
// that --deny-feature may name; output: Options, a text for stdout (help,
// version), or a usage error (exit code 2). Called by main().
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/parse.h"
#include "output/columns.h"
#include "tcp/filter.h"
#include "util/result.h"

namespace tcptrail {

enum class Command : std::uint8_t {
  kLife,
  kTrace,
  kPorts,
  kRecord,
  kReplay,
  kExplain,
  kStats,
  kDoctor,
  kSchema,
  kCompletion
};
enum class Format : std::uint8_t { kText, kCsv, kJson };
enum class ColorMode : std::uint8_t { kAuto, kAlways, kNever };
enum class Diagram : std::uint8_t { kNone, kText, kDot };  // stats --diagram

std::string_view to_string(Command command);

struct Options {
  Command command = Command::kLife;
  Filters filters;                 // but netns and cgroup_ids: the caller resolves the next two
  std::vector<std::string> netns;  // NAME, PATH, INUM or PID, as given
  std::string cgroup;              // path, as given
  EventSet events;                 // --events, or what the command prints
  Format format = Format::kText;
  std::string output;  // -o FILE; empty = stdout
  std::optional<std::uint64_t> run_for_ns;
  std::optional<std::uint64_t> count;
  Columns life_columns;   // empty = default
  Columns trace_columns;  // empty = default
  ColorMode color = ColorMode::kAuto;
  std::vector<std::pair<std::string, std::string>> labels;
  std::optional<std::uint64_t> ring_bytes;
  std::uint64_t max_connections = 1U << 20;
  bool fail_on_loss = false;
  std::vector<std::string> denied_features;
  bool no_snapshot = false;
  unsigned verbose = 0;
  bool local_time = false;
  bool timestamps = false;
  bool wide = false;
  std::vector<std::string> child;         // -- CMD ARGS
  std::optional<AddressPort> bind;        // ports --bind
  std::optional<AddressPort> connect;     // ports --connect
  std::optional<AddressPort> from;        // its --from; the port is 0
  bool v6only = false;                    // its --v6only
  std::string shell;                      // completion SHELL
  std::optional<std::uint64_t> watch_ns;  // ports --watch: time between two looks
  std::uint64_t interval_ns = 0;          // stats --interval; 0 = the whole run
  Diagram diagram = Diagram::kNone;       // stats --diagram
  std::string record_path;  // --record FILE, or the -o of record; empty = nothing is recorded
  std::optional<std::uint64_t> max_bytes;  // of one file of the recording
  unsigned rotate = 0;                     // older files kept beside it
  bool force = false;                      // record over an existing file
  std::string replay_file;                 // "-" = stdin
  Command replay_view = Command::kLife;    // life, trace, ports, explain or stats
  std::optional<AtTime> at;                // replay FILE ports: the moment to look at
  // The filters as given, for `startup.filters`: {"lport", "80,443"}.
  std::vector<std::pair<std::string, std::string>> given_filters;
};

// What the run prints: the command itself, or the view that is replayed.
inline Command view_of(const Options& options) {
  return options.command == Command::kReplay ? options.replay_view : options.command;
}

struct CommandLine {
  Options options;
  std::string text;  // not empty: print it to stdout and exit 0
};

Result<CommandLine> parse_command_line(int argc, const char* const* argv,
                                       std::span<const std::string_view> known_features);

// The filters that a recording was made with hold for its replay too, unless the
// same flag was given again: `recorded` is startup.filters of that run. What names
// a network namespace or a cgroup is only listed: the recording has no others.
Result<void> add_recorded_filters(Options& options,
                                  std::span<const std::pair<std::string, std::string>> recorded);

// --color and the environment (NO_COLOR, TERM; null when not set).
bool use_color(ColorMode mode, bool is_terminal, const char* no_color, const char* term);

}  // namespace tcptrail
