// SPDX-License-Identifier: BSD-2-Clause
#include "model/time_waits.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "util/hash.h"

namespace tcptrail {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
// A SYN takes the minisocket away when it arrives, but its connection shows one round trip
// later. Whoever went missing is given that time to be heard of.
constexpr std::uint64_t kDecideAfterNs = 300 * kMs;
// expires_ms is cut to the millisecond, and read a tick (10 ms at HZ=100) early at most.
constexpr std::uint64_t kClockSlackNs = 20 * kMs;
// Without scans: re-armed timers are not heard of, so owners are remembered a little longer.
constexpr std::uint64_t kRememberNs = 5'000 * kMs;
// TCP_TIMEWAIT_LEN: what an end that waited for the peer's FIN has left from then on.
constexpr std::uint64_t kTimeWaitNs = 60'000 * kMs;

std::uint64_t tuple_key(std::uint32_t netns, const Tuple& tuple) {
  return TupleHash()(tuple) ^ spread(netns);
}
std::uint64_t key_of(const TimeWait& entry) { return tuple_key(entry.netns, entry.tuple); }

LeaveReason reason_of(std::uint8_t cause) {
  switch (cause) {
    case TCPTRAIL_CAUSE_EXPIRED:
      return LeaveReason::kExpired;
    case TCPTRAIL_CAUSE_REUSED_BY_SYN:
      return LeaveReason::kReusedBySyn;
    case TCPTRAIL_CAUSE_REUSED_BY_CONNECT:
      return LeaveReason::kReusedByConnect;
    case TCPTRAIL_CAUSE_RESET:
      return LeaveReason::kReset;
    case TCPTRAIL_CAUSE_KILLED:
      return LeaveReason::kKilled;
    case TCPTRAIL_CAUSE_NETNS_EXIT:
      return LeaveReason::kNetnsExit;
    default:
      return LeaveReason::kUnknown;
  }
}

LeaveReason reuse_by(Role role) {
  switch (role) {
    case Role::kPassive:
      return LeaveReason::kReusedBySyn;
    case Role::kActive:
      return LeaveReason::kReusedByConnect;
    case Role::kUnknown:
      break;
  }
  return LeaveReason::kUnknown;
}

bool contains(const std::vector<std::uint32_t>& sorted, std::uint32_t netns) {
  return std::binary_search(sorted.begin(), sorted.end(), netns);
}

// A new connection has its tuple since `boot_ns`.
LeaveReason taken_by(const TimeWait& entry, Role role, std::uint64_t boot_ns) {
  if (entry.expires_ns != 0 && boot_ns > entry.expires_ns) {
    // Nobody has looked since. In between the timer wheel may or may not have come round.
    const bool fired = boot_ns > entry.expires_ns + entry.step_ns() + kClockSlackNs;
    return fired ? LeaveReason::kExpired : LeaveReason::kUnknown;
  }
  // A SYN never replaces one in FIN_WAIT2: either the peer's FIN came first, or something else
  // ended it.
  if (entry.phase == TimeWaitPhase::kFinWait2 && role == Role::kPassive)
    return LeaveReason::kUnknown;
  return reuse_by(role);
}

}  // namespace

std::uint32_t TimeWaits::find(std::uint32_t netns, const Tuple& tuple) const {
  return by_tuple_.find(
      tuple_key(netns, tuple),
      [&](std::uint32_t index) {
        const TimeWait& entry = entries_[index];
        return entry.netns == netns && entry.tuple == tuple;
      });
}

const TimeWait* TimeWaits::find(std::uint32_t netns, const Tuple& tuple,
                                std::uint64_t cookie) const {
  const std::uint32_t index = find(netns, tuple);
  if (index == kNone) return nullptr;
  const TimeWait& entry = entries_[index];
  return entry.cookie == 0 || cookie == 0 || entry.cookie == cookie ? &entry : nullptr;
}

void TimeWaits::prefetch(std::uint32_t netns, const Tuple& tuple) {
  if (const std::uint32_t index = by_tuple_.guess(expected_); index != IndexSet::kNone)
    entries_.prefetch(index);
  expected_ = tuple_key(netns, tuple);
  by_tuple_.prefetch(expected_);
}

std::vector<std::uint32_t> TimeWaits::namespaces() const {
  std::vector<std::uint32_t> all;
  for (const auto& [netns, count] : per_netns_) all.push_back(netns);
  return all;
}

// The tuple must not be here.
std::uint32_t TimeWaits::insert(const TimeWait& entry) {
  if (entries_.size() >= options_.max_entries) {
    erase(entries_.first());
    ++evicted_;
  }
  const std::uint32_t index = entries_.insert();
  entries_[index] = entry;
  by_tuple_.insert(key_of(entry), index, [this](std::uint32_t i) { return key_of(entries_[i]); });
  ++per_netns_[entry.netns];
  return index;
}

void TimeWaits::erase(std::uint32_t index) {
  if (const auto here = per_netns_.find(entries_[index].netns); --here->second == 0)
    per_netns_.erase(here);
  by_tuple_.erase(key_of(entries_[index]), index,
                  [this](std::uint32_t i) { return key_of(entries_[i]); });
  entries_.erase(index);
}

void TimeWaits::put(TimeWaitEvent event, const TimeWait& entry, std::uint64_t boot_ns,
                    LeaveReason reason, std::uint64_t successor) {
  TimeWaitRecord record;
  record.boot_ns = boot_ns;
  record.event = event;
  record.phase = entry.phase;
  record.cookie = entry.cookie;
  record.netns = entry.netns;
  record.tuple = entry.tuple;
  record.owner = entry.owner;
  if (entry.bits_known) {
    record.reuseaddr = (entry.bits & TCPTRAIL_TW_REUSEADDR) != 0;
    record.reuseport = (entry.bits & TCPTRAIL_TW_REUSEPORT) != 0;
  }
  if (event == TimeWaitEvent::kEnter && entry.expires_ns != 0)
    record.expires_in_ms = entry.expires_ns > boot_ns ? (entry.expires_ns - boot_ns) / kMs : 0;
  if (event == TimeWaitEvent::kLeave) {
    record.reason = reason;
    record.successor_cookie = successor;
    if (entry.since_ns != 0 && boot_ns > entry.since_ns) record.held_ns = boot_ns - entry.since_ns;
  }
  sink_.on(record);
}

void TimeWaits::leave(std::uint32_t index, LeaveReason reason, std::uint64_t boot_ns,
                      std::uint64_t successor) {
  if (options_.follow && entries_[index].announced)
    put(TimeWaitEvent::kLeave, entries_[index], boot_ns, reason, successor);
  erase(index);
}

void TimeWaits::enter(std::uint64_t cookie, Role role, const TimeWait& born) {
  if (!options_.scanned) drop_expired(born.since_ns);
  TimeWait entry = born;
  entry.cookie = options_.cookie_is_address ? 0 : cookie;
  entry.seen_in_scan = scan_;
  if (const std::uint32_t known = find(born.netns, born.tuple); known != kNone) {
    // The scan may have seen it before its CLOSE event was written.
    const bool same =
        !entries_[known].announced || (entry.cookie != 0 && entries_[known].cookie == entry.cookie);
    if (same)
      erase(known);
    else  // this end's connection has taken its place, unheard of
      leave(known, taken_by(entries_[known], role, born.since_ns), born.since_ns, cookie);
  }
  insert(entry);
  put(TimeWaitEvent::kEnter, entry, born.since_ns);
}

// Nobody looks after them: those whose timer must have fired go, oldest first.
void TimeWaits::drop_expired(std::uint64_t boot_ns) {
  for (int i = 0; i < 2; ++i) {
    const std::uint32_t oldest = entries_.first();
    if (oldest == kNone) return;
    const TimeWait& entry = entries_[oldest];
    const std::uint64_t expires_ns =
        entry.expires_ns != 0 ? entry.expires_ns : entry.since_ns + kTimeWaitNs;
    if (expires_ns + entry.step_ns() + kRememberNs > boot_ns) return;
    erase(oldest);
  }
}

// Of one that only a scan has shown.
bool TimeWaits::wanted(const TimeWait& entry, const Conn* connection) const {
  const Filters& f = options_.filters;
  if (!f.closed_by.empty() || !f.how.empty() || f.min_duration_ns || f.errors_only) return false;
  if (connection == nullptr && options_.only_traced) return false;
  FilterInput facts;
  facts.tuple = entry.tuple;
  facts.netns = entry.netns;
  facts.owner = entry.owner;
  facts.owner_source = OwnerSource::kClose;
  if (connection != nullptr) {
    if (connection->match == Match::kNo) return false;
    if (connection->has_uid) facts.uid = connection->uid;
    facts.in_tree = connection->in_tree;
  }
  facts.ended = true;
  return match(f, facts) == Match::kYes;
}

const TimeWait* TimeWaits::seen(const Event& event, const Conn* connection) {
  TimeWait now;
  std::uint64_t cookie = 0;
  std::uint8_t tw = 0;
  if (event.kind() == TCPTRAIL_SEEN_TIMEWAIT) {
    const tcptrail_timewait_record& r = event.timewait;
    cookie = r.cookie;
    now.netns = r.netns;
    now.tuple = tuple_of(r);
    now.expires_ns = r.ts_boot_ns + r.expires_ms * kMs;
    now.step_32ms = r.step_32ms;
    tw = r.tw;
  } else {
    const tcptrail_owned_record& r = event.owned;
    cookie = r.base.cookie;
    now.netns = r.base.netns;
    now.tuple = tuple_of(r.base);
    now.expires_ns = r.base.ts_boot_ns + r.expires_ms * kMs;
    now.step_32ms = static_cast<std::uint8_t>(std::min((r.step_ms + 31) / 32, 255));
    tw = r.tw;
  }
  const unsigned phase = tw & TCPTRAIL_TW_PHASE;
  if (phase != TCPTRAIL_TW_TIME_WAIT && phase != TCPTRAIL_TW_FIN_WAIT2) return nullptr;
  now.phase = phase == TCPTRAIL_TW_TIME_WAIT ? TimeWaitPhase::kTimeWait : TimeWaitPhase::kFinWait2;
  now.bits = tw & (TCPTRAIL_TW_REUSEADDR | TCPTRAIL_TW_REUSEPORT | TCPTRAIL_TW_WHOLE_PORT);
  now.bits_known = true;
  if (options_.cookie_is_address) cookie = 0;

  std::uint32_t index = find(now.netns, now.tuple);
  if (index != kNone && cookie != 0 && entries_[index].cookie != 0 &&
      entries_[index].cookie != cookie) {
    leave(index, LeaveReason::kUnknown, event.boot_ns());
    index = kNone;
  }
  if (index == kNone) {
    if (!options_.scanned) return nullptr;
    if (connection != nullptr) now.owner = connection->owner;
    if (!wanted(now, connection)) return nullptr;
    now.cookie = cookie;
    now.announced = older_possible_ || contains(netns_refused_, now.netns);
    index = insert(now);
    entries_[index].seen_in_scan = scan_;
    return now.announced ? &entries_[index] : nullptr;
  }
  TimeWait& entry = entries_[index];
  // Whoever has asked for its cookie since (ss -e) has given it one.
  if (entry.cookie == 0) entry.cookie = cookie;
  const bool entered_time_wait =
      entry.phase == TimeWaitPhase::kFinWait2 && now.phase == TimeWaitPhase::kTimeWait;
  const bool first_heard_of = !entry.announced && entry.seen_in_scan != scan_;
  entry.expires_ns = now.expires_ns;
  entry.step_32ms = now.step_32ms;
  entry.phase = now.phase;
  entry.bits = now.bits;
  entry.bits_known = true;
  entry.seen_in_scan = scan_;
  entry.missing = false;
  entry.announced = entry.announced || first_heard_of;
  // The peer has closed at last: a second `enter`, with the phase that begins. And the first one of
  // those whose CLOSE event was lost: it would have come before the second scan.
  if ((entered_time_wait && entry.announced) || first_heard_of)
    if (options_.follow) put(TimeWaitEvent::kEnter, entry, event.boot_ns());
  return entry.announced ? &entry : nullptr;
}

void TimeWaits::taken_over(std::uint32_t netns, const Tuple& tuple, std::uint64_t by_cookie,
                           Role role, std::uint64_t boot_ns) {
  if (entries_.size() == 0) return;
  const std::uint32_t index = find(netns, tuple);
  if (index != kNone) leave(index, taken_by(entries_[index], role, boot_ns), boot_ns, by_cookie);
}

void TimeWaits::got_fin(std::uint32_t netns, const Tuple& tuple, std::uint64_t boot_ns) {
  if (entries_.size() == 0) return;
  const std::uint32_t index = find(netns, tuple);
  if (index == kNone || entries_[index].phase != TimeWaitPhase::kFinWait2) return;
  TimeWait& entry = entries_[index];
  entry.phase = TimeWaitPhase::kTimeWait;
  entry.expires_ns = boot_ns + kTimeWaitNs;
  if (options_.follow && entry.announced) put(TimeWaitEvent::kEnter, entry, boot_ns);
}

void TimeWaits::ended(const Event& event) {
  const std::uint32_t index = find(event.base.netns, tuple_of(event.base));
  if (index == kNone) return;
  if (entries_[index].cookie != 0 && event.cookie() != 0 &&
      entries_[index].cookie != event.cookie())
    return;
  leave(index, reason_of(event.base.new_state), event.boot_ns());
}

void TimeWaits::begin_scan(std::uint64_t boot_ns) {
  ++scan_;
  scan_began_ns_ = boot_ns;
}

void TimeWaits::end_scan(std::uint64_t boot_ns, const SnapshotScope& scope) {
  if (std::exchange(older_possible_, false)) netns_refused_ = scope.netns_refused;
  std::uint32_t next = kNone;
  for (std::uint32_t index = entries_.first(); index != kNone; index = next) {
    next = entries_.next(index);
    TimeWait& entry = entries_[index];
    if (entry.seen_in_scan == scan_ || entry.missing || entry.since_ns >= scan_began_ns_) continue;
    if (contains(scope.netns_gone, entry.netns)) {
      leave(index, LeaveReason::kNetnsExit, boot_ns);
    } else if (contains(scope.netns_read, entry.netns)) {
      if (entry.expires_ns != 0 && entry.expires_ns <= boot_ns + kClockSlackNs) {
        leave(index, LeaveReason::kExpired,
              std::min(boot_ns, std::max(entry.expires_ns, entry.since_ns) + entry.step_ns()));
      } else if (options_.scanned) {
        entry.missing = true;
        missing_.push_back({key_of(entry), scan_, scan_began_ns_, scan_began_ns_ + kDecideAfterNs});
      }
    }
  }
}

void TimeWaits::advance_to(std::uint64_t boot_ns) {
  while (!missing_.empty() && missing_.front().decide_ns <= boot_ns) {
    const Missing missing = missing_.front();
    missing_.pop_front();
    // It may have been seen since, or another one has its tuple.
    const std::uint32_t index = by_tuple_.find(missing.key, [&](std::uint32_t i) {
      const TimeWait& entry = entries_[i];
      return key_of(entry) == missing.key && entry.missing && entry.seen_in_scan < missing.scan;
    });
    if (index != kNone) leave(index, LeaveReason::kUnknown, missing.since_ns);
  }
}

}  // namespace tcptrail
