// SPDX-License-Identifier: BSD-2-Clause
// What the rows of the flag table are written with: sets of commands, and converters for the
// common cases. Included by flags_*.cpp only.
#pragma once

#include <utility>

#include "cli/flags.h"
#include "cli/parse.h"
#include "cli/usage.h"

namespace tcptrail {

std::span<const Flag> filter_flags();
std::span<const Flag> ports_flags();
std::span<const Flag> stats_flags();
std::span<const Flag> recording_flags();
std::span<const Flag> output_flags();
std::span<const Flag> run_flags();
std::span<const Flag> help_flags();

inline constexpr CommandSet kRows = on(Command::kLife, Command::kTrace);
inline constexpr CommandSet kSums = on(Command::kExplain, Command::kStats);
inline constexpr CommandSet kViews = kRows | kSums | on(Command::kPorts);
inline constexpr CommandSet kSockets = kViews | on(Command::kRecord, Command::kReplay);
inline constexpr CommandSet kConnections = kSockets & ~on(Command::kPorts);
inline constexpr CommandSet kTracing = kRows | kSums | on(Command::kRecord) | kPortsWatch;
inline constexpr CommandSet kLoading = kTracing | on(Command::kPorts);
inline constexpr CommandSet kEvery = ~CommandSet{0};

template <class Target, class Value>
Result<void> put(Target& target, Result<Value> result) {
  if (!result) return result.error();
  target = static_cast<Target>(std::move(*result));
  return {};
}

// The text as it is.
template <std::string Options::*Member>
Result<void> as_given(Options& o, const FlagValue& v) {
  o.*Member = v.text;
  return {};
}

template <bool Options::*Member>
Result<void> turn_on(Options& o, const FlagValue&) {
  o.*Member = true;
  return {};
}

template <auto Member, auto Parse>
Result<void> parsed(Options& o, const FlagValue& v) {
  return put(o.*Member, Parse(v.flag, v.text));
}

template <auto Member, auto Parse>
Result<void> filter(Options& o, const FlagValue& v) {
  return put(o.filters.*Member, Parse(v.flag, v.text));
}

}  // namespace tcptrail
