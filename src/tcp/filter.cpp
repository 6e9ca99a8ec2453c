// SPDX-License-Identifier: BSD-2-Clause
// The filter, criterion by criterion: each answers no, yes or undecided, and the
// whole is no as soon as one of them is. Pure.
#include "tcp/filter.h"

#include <fnmatch.h>

#include <algorithm>

namespace tcptrail {
namespace {

constexpr Verdict verdict(bool yes) { return yes ? Verdict::kYes : Verdict::kNo; }

constexpr Verdict both(Verdict a, Verdict b) {
  if (a == Verdict::kNo || b == Verdict::kNo) return Verdict::kNo;
  return a == Verdict::kYes && b == Verdict::kYes ? Verdict::kYes : Verdict::kUndecided;
}

template <class T>
bool has(const std::vector<T>& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool is_any(const Address& address) { return address == Address{}; }

bool in_any(const std::vector<Prefix>& prefixes, const Address& address, Family family) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const Prefix& prefix) { return prefix.contains(address, family); });
}

bool comm_matches(const std::string& glob, const Comm& comm) {
  const std::string name(comm.view());
  return fnmatch(glob.c_str(), name.c_str(), 0) == 0;
}

Verdict match_port(const PortSet& ports, std::uint16_t port, bool never_known) {
  if (ports.empty()) return Verdict::kYes;
  if (port == 0) return never_known ? Verdict::kNo : Verdict::kUndecided;
  return verdict(ports.contains(port));
}

Verdict match_addresses(const Filters& filters, const Facts& facts) {
  Verdict result = Verdict::kYes;
  const Tuple& tuple = facts.tuple;
  if (!filters.laddrs.empty()) {
    // A listener on the wildcard has the address 0.0.0.0 or :: and matches as such.
    const bool unknown = is_any(tuple.laddr) && !facts.listener;
    result = both(result, unknown ? Verdict::kUndecided : verdict(in_any(filters.laddrs, tuple.laddr, tuple.family)));
  }
  if (!filters.raddrs.empty()) {
    if (facts.listener) return Verdict::kNo;
    result = both(result, is_any(tuple.raddr) ? Verdict::kUndecided
                                              : verdict(in_any(filters.raddrs, tuple.raddr, tuple.family)));
  }
  return result;
}

Verdict match_owner(const Filters& filters, const Facts& facts) {
  if (filters.pids.empty() && filters.comm_glob.empty()) return Verdict::kYes;
  if (facts.owner.pid == 0) return Verdict::kUndecided;
  const bool yes = (filters.pids.empty() || has(filters.pids, facts.owner.pid)) &&
                   (filters.comm_glob.empty() || comm_matches(filters.comm_glob, facts.owner.comm));
  if (yes) return Verdict::kYes;
  return facts.owner_source == OwnerSource::kClose ? Verdict::kNo : Verdict::kUndecided;
}

Verdict match_origin(const Filters& filters, const Facts& facts) {
  Verdict result = Verdict::kYes;
  if (!filters.netns.empty()) {
    result = both(result, facts.netns == 0 ? Verdict::kUndecided : verdict(has(filters.netns, facts.netns)));
  }
  if (!filters.cgroup_ids.empty()) {
    result = both(result,
                  facts.cgroup_id == 0 ? Verdict::kUndecided : verdict(has(filters.cgroup_ids, facts.cgroup_id)));
  }
  if (filters.uid) {
    result = both(result, facts.uid ? verdict(*facts.uid == *filters.uid) : Verdict::kUndecided);
  }
  if (filters.in_tree) {
    result = both(result, facts.in_tree ? verdict(*facts.in_tree) : Verdict::kUndecided);
  }
  return result;
}

}  // namespace

bool PortSet::contains(std::uint16_t port) const {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), port,
                                      [](std::uint16_t value, const PortRange& range) { return value < range.first; });
  return after != ranges.begin() && port <= std::prev(after)->last;
}

Verdict match(const Filters& filters, const Facts& facts) {
  if (filters.family != FamilyFilter::kBoth &&
      (filters.family == FamilyFilter::kIpv4) != (facts.tuple.family == Family::kIpv4)) {
    return Verdict::kNo;
  }
  Verdict result = match_port(filters.lports, facts.tuple.lport, false);
  result = both(result, match_port(filters.rports, facts.tuple.rport, facts.listener));
  result = both(result, match_addresses(filters, facts));
  result = both(result, match_owner(filters, facts));
  result = both(result, match_origin(filters, facts));
  return result == Verdict::kUndecided && facts.ended ? Verdict::kNo : result;
}

bool match_final(const Filters& filters, const ConnectionRecord& record) {
  Facts facts;
  facts.tuple = record.tuple;
  facts.netns = record.netns;
  facts.owner = record.owner;
  facts.owner_source = record.owner_source;
  facts.uid = record.uid;
  facts.cgroup_id = record.cgroup_id;
  facts.in_tree = true;  // not in the record: match() has decided it
  facts.ended = true;
  if (match(filters, facts) != Verdict::kYes) return false;

  if (!filters.closed_by.empty() && !has(filters.closed_by, record.closer)) return false;
  if (!filters.how.empty() && !has(filters.how, record.how)) return false;
  if (filters.min_duration_ns && (!record.duration_ns || *record.duration_ns < *filters.min_duration_ns)) return false;
  return !filters.errors_only || ended_badly(record);
}

bool ended_badly(const ConnectionRecord& record) {
  return record.error != 0 || (record.how != How::kFin && record.how != How::kUnknown);
}

}  // namespace tcptrail
