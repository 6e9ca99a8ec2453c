// SPDX-License-Identifier: BSD-2-Clause
#include "core/time_waits.h"

#include <algorithm>
#include <cstring>

namespace tcptrail {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
// A SYN takes the minisocket away when it arrives, but its connection shows one round trip
// later. Whoever went missing is given that time to be heard of.
constexpr std::uint64_t kDecideAfterNs = 400 * kMs;
// expires_ms is cut to the millisecond, and read a tick (10 ms at HZ=100) early at most.
constexpr std::uint64_t kClockSlackNs = 20 * kMs;
// Without scans: re-armed timers are not heard of, so owners are remembered a little longer.
constexpr std::uint64_t kRememberNs = 5'000 * kMs;
// Marks a key that is no cookie.
constexpr std::uint64_t kStandIn = 1ULL << 63;

std::uint64_t mix(std::uint64_t h, std::uint64_t word) {
  h = (h ^ word) * 0x9E3779B97F4A7C15ULL;
  return h ^ (h >> 29);
}

std::uint64_t tuple_key(std::uint32_t netns, const Tuple& tuple) {
  std::uint64_t words[4];
  std::memcpy(words, tuple.laddr.bytes.data(), 16);
  std::memcpy(words + 2, tuple.raddr.bytes.data(), 16);
  std::uint64_t h = mix(netns, static_cast<std::uint64_t>(tuple.lport) << 32 | static_cast<std::uint64_t>(tuple.rport) << 8 |
                                   static_cast<std::uint64_t>(tuple.family));
  for (const std::uint64_t word : words) h = mix(h, word);
  return h;
}

LeaveReason reason_of(std::uint8_t cause) {
  switch (cause) {
    case TCPTRAIL_CAUSE_EXPIRED: return LeaveReason::kExpired;
    case TCPTRAIL_CAUSE_REUSED_BY_SYN: return LeaveReason::kReusedBySyn;
    case TCPTRAIL_CAUSE_REUSED_BY_CONNECT: return LeaveReason::kReusedByConnect;
    case TCPTRAIL_CAUSE_RESET: return LeaveReason::kReset;
    case TCPTRAIL_CAUSE_KILLED: return LeaveReason::kKilled;
    case TCPTRAIL_CAUSE_NETNS_EXIT: return LeaveReason::kNetnsExit;
    default: return LeaveReason::kUnknown;
  }
}

LeaveReason reuse_by(Role role) {
  switch (role) {
    case Role::kPassive: return LeaveReason::kReusedBySyn;
    case Role::kActive: return LeaveReason::kReusedByConnect;
    case Role::kUnknown: break;
  }
  return LeaveReason::kUnknown;
}

bool contains(const std::vector<std::uint32_t>& sorted, std::uint32_t netns) {
  return std::binary_search(sorted.begin(), sorted.end(), netns);
}

}  // namespace

std::uint32_t TimeWaits::find_tuple(std::uint32_t netns, const Tuple& tuple) const {
  const std::uint32_t at = by_tuple_.find(tuple_key(netns, tuple));
  if (at == by_tuple_.kNone) return table_.kNone;
  const std::uint32_t index = table_.find(by_tuple_[at]);
  if (index == table_.kNone || table_[index].netns != netns || table_[index].tuple != tuple) return table_.kNone;
  return index;
}

const TimeWait* TimeWaits::find(std::uint64_t cookie) const {
  const std::uint32_t index = cookie != 0 ? table_.find(cookie) : table_.kNone;
  return index != table_.kNone ? &table_[index] : nullptr;
}

std::vector<std::uint32_t> TimeWaits::namespaces() const {
  std::vector<std::uint32_t> all;
  for (const auto& [netns, count] : per_netns_) all.push_back(netns);
  return all;
}

std::uint32_t TimeWaits::insert(std::uint64_t key, const TimeWait& entry) {
  if (table_.size() >= options_.max_entries) {
    erase(table_.first());
    ++evicted_;
  }
  const std::uint32_t index = table_.insert(key);
  table_[index] = entry;
  ++per_netns_[entry.netns];
  const std::uint64_t by = tuple_key(entry.netns, entry.tuple);
  const std::uint32_t at = by_tuple_.find(by);
  by_tuple_[at != by_tuple_.kNone ? at : by_tuple_.insert(by)] = key;
  return index;
}

void TimeWaits::erase(std::uint32_t index) {
  const TimeWait& entry = table_[index];
  const std::uint32_t at = by_tuple_.find(tuple_key(entry.netns, entry.tuple));
  if (at != by_tuple_.kNone && by_tuple_[at] == table_.key(index)) by_tuple_.erase(at);
  if (const auto here = per_netns_.find(entry.netns); --here->second == 0) per_netns_.erase(here);
  table_.erase(index);
}

void TimeWaits::put(TimeWaitEvent event, std::uint64_t key, const TimeWait& entry, std::uint64_t boot_ns, LeaveReason reason,
                    std::uint64_t successor) {
  TimeWaitRecord record;
  record.boot_ns = boot_ns;
  record.event = event;
  record.phase = entry.phase;
  record.cookie = options_.cookie_is_address || (key & kStandIn) != 0 ? 0 : key;
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
    record.successor_cookie = options_.cookie_is_address ? 0 : successor;
    if (entry.since_ns != 0 && boot_ns > entry.since_ns) record.held_ns = boot_ns - entry.since_ns;
  }
  sink_.on(record);
}

void TimeWaits::leave(std::uint32_t index, LeaveReason reason, std::uint64_t boot_ns, std::uint64_t successor) {
  if (options_.follow) put(TimeWaitEvent::kLeave, table_.key(index), table_[index], boot_ns, reason, successor);
  erase(index);
}

void TimeWaits::enter(std::uint64_t cookie, Role role, const TimeWait& born) {
  const std::uint64_t key = options_.cookie_is_address ? tuple_key(born.netns, born.tuple) | kStandIn : cookie;
  std::uint32_t index = table_.find(key);
  // One that entered before had the same tuple, and only that names it here.
  if (options_.cookie_is_address && index != table_.kNone && table_[index].since_ns != 0) {
    leave(index, reuse_by(role), born.since_ns, cookie);
    index = table_.kNone;
  }
  // Otherwise the scan may have seen it before its CLOSE event was written.
  if (index == table_.kNone) {
    // Two cannot have one tuple: this end's connection has taken the other's place, unheard of.
    if (const std::uint32_t other = find_tuple(born.netns, born.tuple); other != table_.kNone)
      leave(other, reuse_by(role), born.since_ns, cookie);
    if (!options_.follow) drop_expired(born.since_ns);
    index = insert(key, born);
  } else {
    table_[index] = born;
  }
  table_[index].seen_in_scan = scan_;
  put(TimeWaitEvent::kEnter, key, born, born.since_ns, LeaveReason::kUnknown, 0);
}

// Nobody looks after them: those whose timer must have fired go, oldest first.
void TimeWaits::drop_expired(std::uint64_t boot_ns) {
  for (int i = 0; i < 2; ++i) {
    const std::uint32_t oldest = table_.first();
    if (oldest == table_.kNone) return;
    const TimeWait& entry = table_[oldest];
    if (entry.expires_ns + entry.step_ms * kMs + kRememberNs > boot_ns) return;
    erase(oldest);
  }
}

void TimeWaits::seen(const Event& event) {
  TimeWait now;
  std::uint64_t cookie = 0;
  std::uint8_t tw = 0;
  if (event.kind() == TCPTRAIL_SEEN_TIMEWAIT) {
    const tcptrail_timewait_record& r = event.timewait;
    cookie = r.cookie;
    now.netns = r.netns;
    std::memcpy(now.tuple.laddr.bytes.data(), r.laddr, sizeof r.laddr);
    std::memcpy(now.tuple.raddr.bytes.data(), r.raddr, sizeof r.raddr);
    now.tuple.lport = r.lport;
    now.tuple.rport = r.rport;
    now.tuple.family = (r.flags & TCPTRAIL_F_IPV4) != 0 ? Family::kIpv4 : Family::kIpv6;
    now.expires_ns = r.ts_boot_ns + r.expires_ms * kMs;
    now.step_ms = static_cast<std::uint16_t>(r.step_32ms * 32);
    tw = r.tw;
  } else {
    const tcptrail_owned_record& r = event.owned;
    cookie = r.base.cookie;
    now.netns = r.base.netns;
    now.tuple = tuple_of(r.base);
    now.expires_ns = r.base.ts_boot_ns + r.expires_ms * kMs;
    now.step_ms = r.step_ms;
    tw = r.tw;
  }
  const unsigned phase = tw & TCPTRAIL_TW_PHASE;
  if (phase != TCPTRAIL_TW_TIME_WAIT && phase != TCPTRAIL_TW_FIN_WAIT2) return;
  now.phase = phase == TCPTRAIL_TW_TIME_WAIT ? TimeWaitPhase::kTimeWait : TimeWaitPhase::kFinWait2;
  now.bits = tw & (TCPTRAIL_TW_REUSEADDR | TCPTRAIL_TW_REUSEPORT | TCPTRAIL_TW_WHOLE_PORT);
  now.bits_known = true;

  // The cookie that a minisocket shows is not what the stream knows it by, when that is an address.
  if (options_.cookie_is_address) cookie = 0;
  const std::uint64_t key = cookie != 0 ? cookie : tuple_key(now.netns, now.tuple) | kStandIn;
  std::uint32_t index = table_.find(key);
  if (index == table_.kNone && cookie != 0) {
    // Whoever asked for its cookie since (ss -e) has given it one.
    const std::uint32_t stand_in = table_.find(tuple_key(now.netns, now.tuple) | kStandIn);
    if (stand_in != table_.kNone) {
      TimeWait known = table_[stand_in];
      erase(stand_in);
      index = insert(key, known);
    }
  }
  if (index == table_.kNone) {
    if (!options_.follow) return;
    const Filters& f = options_.filters;
    if (!f.closed_by.empty() || !f.how.empty() || f.min_duration_ns || f.errors_only) return;
    Facts facts;
    facts.tuple = now.tuple;
    facts.netns = now.netns;
    facts.ended = true;
    if (match(f, facts) != Verdict::kYes) return;
    if (const std::uint32_t other = find_tuple(now.netns, now.tuple); other != table_.kNone)
      leave(other, LeaveReason::kUnknown, event.boot_ns());
    index = insert(key, now);
  }
  TimeWait& entry = table_[index];
  const bool entered_time_wait = entry.phase == TimeWaitPhase::kFinWait2 && now.phase == TimeWaitPhase::kTimeWait;
  entry.expires_ns = now.expires_ns;
  entry.step_ms = now.step_ms;
  entry.phase = now.phase;
  entry.bits = now.bits;
  entry.bits_known = true;
  entry.seen_in_scan = scan_;
  entry.missing = false;
  // The peer has closed at last: a second `enter`, with the phase that begins.
  if (entered_time_wait && options_.follow) put(TimeWaitEvent::kEnter, key, entry, event.boot_ns(), LeaveReason::kUnknown, 0);
}

void TimeWaits::taken_over(std::uint32_t netns, const Tuple& tuple, std::uint64_t by_cookie, Role role, std::uint64_t boot_ns) {
  if (table_.size() == 0) return;
  const std::uint32_t index = find_tuple(netns, tuple);
  if (index != table_.kNone && table_.key(index) != by_cookie) leave(index, reuse_by(role), boot_ns, by_cookie);
}

void TimeWaits::ended(const Event& event) {
  const std::uint32_t index = table_.find(event.cookie());
  if (index != table_.kNone) leave(index, reason_of(event.reset.state), event.boot_ns());
}

void TimeWaits::begin_scan(std::uint64_t boot_ns) {
  ++scan_;
  scan_began_ns_ = boot_ns;
}

void TimeWaits::end_scan(std::uint64_t boot_ns, const SnapshotScope& scope) {
  std::uint32_t next = CookieTable<TimeWait>::kNone;
  for (std::uint32_t index = table_.first(); index != table_.kNone; index = next) {
    next = table_.next(index);
    TimeWait& entry = table_[index];
    if (entry.seen_in_scan == scan_ || entry.missing || entry.since_ns >= scan_began_ns_) continue;
    if (contains(scope.netns_gone, entry.netns)) {
      leave(index, LeaveReason::kNetnsExit, boot_ns);
    } else if (contains(scope.netns_read, entry.netns)) {
      if (entry.expires_ns != 0 && entry.expires_ns <= boot_ns + kClockSlackNs) {
        leave(index, LeaveReason::kExpired, std::min(boot_ns, std::max(entry.expires_ns, entry.since_ns) + entry.step_ms * kMs));
      } else if (options_.follow) {
        entry.missing = true;
        missing_.push_back({table_.key(index), boot_ns + kDecideAfterNs});
      }
    }
  }
}

void TimeWaits::advance_to(std::uint64_t boot_ns) {
  while (!missing_.empty() && missing_.front().decide_ns <= boot_ns) {
    const std::uint32_t index = table_.find(missing_.front().key);
    missing_.pop_front();
    if (index != table_.kNone && table_[index].missing) leave(index, LeaveReason::kUnknown, boot_ns);
  }
}

std::optional<std::uint64_t> TimeWaits::next_decision_ns() const {
  if (missing_.empty()) return std::nullopt;
  return missing_.front().decide_ns;
}

}  // namespace tcptrail
