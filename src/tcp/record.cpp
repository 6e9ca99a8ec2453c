// SPDX-License-Identifier: BSD-2-Clause
// The words of the event stream for each enumeration of record.h. One table per
// enumeration serves both directions and the lists in help. Pure; called by the sinks and the
// command line.
#include "tcp/record.h"

#include <algorithm>

namespace tcptrail {
namespace {

constexpr std::array<std::string_view, 3> kRoles = {"unknown", "active", "passive"};
constexpr std::array<std::string_view, 5> kClosers = {"unknown", "local", "remote", "both", "none"};
constexpr std::array<std::string_view, 10> kHows = {
    "unknown", "fin",         "rst-sent", "rst-received", "refused",
    "timeout", "unreachable", "no-port",  "aborted",      "half-open",
};
constexpr std::array<std::string_view, 7> kOwnerSources = {
    "unknown", "close", "accept", "connect", "listen", "snapshot", "inherited"};
constexpr std::array<std::string_view, 2> kBegan = {"observed", "before_trace"};
constexpr std::array<std::string_view, 5> kSides = {"unknown", "none", "local", "remote", "both"};
constexpr std::array<std::string_view, 3> kPhases = {"", "fin_wait2", "time_wait"};
constexpr std::array<std::string_view, 3> kTimeWaitEvents = {"present", "enter", "leave"};
constexpr std::array<std::string_view, 7> kLeaveReasons = {
    "unknown", "expired", "reused_by_syn", "reused_by_connect", "reset", "killed", "netns_exit"};
constexpr std::array<std::string_view, 3> kBlockedOps = {"bind", "listen", "connect"};
constexpr std::array<std::string_view, 2> kFamilies = {"ipv4", "ipv6"};

// A value outside the enumeration (a damaged recording) reads as the first word.
template <std::size_t N, class Enum>
std::string_view word(const std::array<std::string_view, N>& words, Enum value) {
  const auto index = static_cast<std::size_t>(value);
  return index < N ? words[index] : words[0];
}

template <class Enum, std::size_t N>
std::optional<Enum> value(const std::array<std::string_view, N>& words, std::string_view text) {
  const auto* found = std::find(words.begin(), words.end(), text);
  if (found == words.end()) return std::nullopt;
  return static_cast<Enum>(found - words.begin());
}

template <std::size_t N>
constexpr std::array<std::string_view, N> unknown_last(std::array<std::string_view, N> words) {
  std::rotate(words.begin(), words.begin() + 1, words.end());
  return words;
}

constexpr auto kCloserWords = unknown_last(kClosers);
constexpr auto kHowWords = unknown_last(kHows);

static_assert(static_cast<std::size_t>(How::kHalfOpen) + 1 == kHows.size());
static_assert(static_cast<std::size_t>(Closer::kNone) + 1 == kClosers.size());
static_assert(static_cast<std::size_t>(OwnerSource::kInherited) + 1 == kOwnerSources.size());
static_assert(static_cast<std::size_t>(LeaveReason::kNetnsExit) + 1 == kLeaveReasons.size());

}  // namespace

std::string_view to_string(Role role) { return word(kRoles, role); }
std::string_view to_string(Closer closer) { return word(kClosers, closer); }
std::string_view to_string(How how) { return word(kHows, how); }
std::string_view to_string(OwnerSource source) { return word(kOwnerSources, source); }
std::string_view to_string(Began began) { return word(kBegan, began); }
std::string_view to_string(TimeWaitSide side) { return word(kSides, side); }
std::string_view to_string(TimeWaitPhase phase) { return word(kPhases, phase); }
std::string_view to_string(TimeWaitEvent event) { return word(kTimeWaitEvents, event); }
std::string_view to_string(LeaveReason reason) { return word(kLeaveReasons, reason); }
std::string_view to_string(BlockedOp op) { return word(kBlockedOps, op); }
std::string_view to_string(Family family) { return word(kFamilies, family); }

std::optional<Closer> closer_from_string(std::string_view text) {
  return value<Closer>(kClosers, text);
}
std::optional<How> how_from_string(std::string_view text) { return value<How>(kHows, text); }
std::span<const std::string_view> closer_words() { return kCloserWords; }
std::span<const std::string_view> how_words() { return kHowWords; }

}  // namespace tcptrail
