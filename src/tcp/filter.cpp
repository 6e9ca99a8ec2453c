// SPDX-License-Identifier: BSD-2-Clause
// The filter, criterion by criterion: each answers no, yes or undecided, and the
// whole is no as soon as one of them is. Pure.
#include "tcp/filter.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>

namespace tcptrail {
namespace {

constexpr std::array<std::string_view, 5> kEventWords = {"transition", "connection", "time_wait",
                                                         "blocked", "all"};
// In the order of the words.
constexpr std::array<bool EventSet::*, 4> kEventMembers = {
    &EventSet::transition, &EventSet::connection, &EventSet::time_wait, &EventSet::blocked};

constexpr Match match_if(bool yes) { return yes ? Match::kYes : Match::kNo; }

constexpr Match both(Match a, Match b) {
  if (a == Match::kNo || b == Match::kNo) return Match::kNo;
  return a == Match::kYes && b == Match::kYes ? Match::kYes : Match::kUndecided;
}

template <class T>
bool has(const std::vector<T>& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool is_any(const Address& address) { return address == Address{}; }

bool in_any(const std::vector<Prefix>& prefixes, const Address& address, Family family) {
  return std::any_of(
      prefixes.begin(), prefixes.end(),
      [&](const Prefix& prefix) { return prefix.contains(address, family); });
}

bool comm_matches(const std::string& glob, const Comm& comm) {
  const std::string name(comm.view());
  return fnmatch(glob.c_str(), name.c_str(), 0) == 0;
}

Match match_port(const PortSet& ports, std::uint16_t port, bool never_known) {
  if (ports.empty()) return Match::kYes;
  if (port == 0) return never_known ? Match::kNo : Match::kUndecided;
  return match_if(ports.contains(port));
}

Match match_addresses(const Filters& filters, const FilterInput& facts) {
  Match result = Match::kYes;
  const Tuple& tuple = facts.tuple;
  if (!filters.laddrs.empty()) {
    // A listener on the wildcard has the address 0.0.0.0 or :: and matches as such.
    const bool unknown = is_any(tuple.laddr) && !facts.listener;
    result = both(result, unknown ? Match::kUndecided
                                  : match_if(in_any(filters.laddrs, tuple.laddr, tuple.family)));
  }
  if (!filters.raddrs.empty()) {
    if (facts.listener) return Match::kNo;
    result = both(result, is_any(tuple.raddr)
                              ? Match::kUndecided
                              : match_if(in_any(filters.raddrs, tuple.raddr, tuple.family)));
  }
  return result;
}

Match match_owner(const Filters& filters, const FilterInput& facts) {
  if (filters.pids.empty() && filters.comm_glob.empty()) return Match::kYes;
  if (facts.owner.pid == 0) return Match::kUndecided;
  const bool yes = (filters.pids.empty() || has(filters.pids, facts.owner.pid)) &&
                   (filters.comm_glob.empty() || comm_matches(filters.comm_glob, facts.owner.comm));
  if (yes) return Match::kYes;
  return facts.owner_source == OwnerSource::kClose ? Match::kNo : Match::kUndecided;
}

Match match_origin(const Filters& filters, const FilterInput& facts) {
  Match result = Match::kYes;
  if (!filters.netns.empty()) {
    result = both(result,
                  facts.netns == 0 ? Match::kUndecided : match_if(has(filters.netns, facts.netns)));
  }
  if (!filters.cgroup_ids.empty()) {
    result =
        both(result, facts.cgroup_id == 0 ? Match::kUndecided
                                          : match_if(has(filters.cgroup_ids, facts.cgroup_id)));
  }
  if (filters.uid)
    result = both(result, facts.uid ? match_if(*facts.uid == *filters.uid) : Match::kUndecided);
  if (filters.in_tree)
    result = both(result, facts.in_tree ? match_if(*facts.in_tree) : Match::kUndecided);
  return result;
}

}  // namespace

std::span<const std::string_view> event_words() { return kEventWords; }

bool add_events(EventSet& events, std::string_view word) {
  const auto* found = std::find(kEventWords.begin(), kEventWords.end(), word);
  if (found == kEventWords.end()) return false;
  const auto chosen = static_cast<std::size_t>(found - kEventWords.begin());
  for (std::size_t i = 0; i < kEventMembers.size(); ++i)
    if (i == chosen || chosen == kEventMembers.size()) events.*kEventMembers[i] = true;
  return true;
}

bool PortSet::contains(std::uint16_t port) const {
  const auto after = std::upper_bound(
      ranges.begin(), ranges.end(), port,
      [](std::uint16_t value, const PortRange& range) { return value < range.first; });
  return after != ranges.begin() && port <= std::prev(after)->last;
}

Match match(const Filters& filters, const FilterInput& facts) {
  if (filters.family != FamilyFilter::kBoth &&
      (filters.family == FamilyFilter::kIpv4) != (facts.tuple.family == Family::kIpv4))
    return Match::kNo;
  Match result = match_port(filters.lports, facts.tuple.lport, false);
  result = both(result, match_port(filters.rports, facts.tuple.rport, facts.listener));
  result = both(result, match_addresses(filters, facts));
  result = both(result, match_owner(filters, facts));
  result = both(result, match_origin(filters, facts));
  return result == Match::kUndecided && facts.ended ? Match::kNo : result;
}

bool match_final(const Filters& filters, const ConnectionRecord& record) {
  FilterInput facts;
  facts.tuple = record.tuple;
  facts.netns = record.netns;
  facts.owner = record.owner;
  facts.owner_source = record.owner_source;
  facts.uid = record.uid;
  facts.cgroup_id = record.cgroup_id;
  facts.in_tree = true;  // not in the record: match() has decided it
  facts.ended = true;
  if (match(filters, facts) != Match::kYes) return false;

  if (!filters.closed_by.empty() && !has(filters.closed_by, record.closer)) return false;
  if (!filters.how.empty() && !has(filters.how, record.how)) return false;
  if (filters.min_duration_ns &&
      (!record.duration_ns || *record.duration_ns < *filters.min_duration_ns))
    return false;
  return !filters.errors_only || ended_badly(record);
}

bool ended_badly(const ConnectionRecord& record) {
  return record.error != 0 || (record.how != How::kFin && record.how != How::kUnknown);
}

}  // namespace tcptrail
