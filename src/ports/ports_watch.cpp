// SPDX-License-Identifier: BSD-2-Clause
#include "ports/ports_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "tcp/phrase.h"

namespace tcptrail {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
// A rate is that of the last ten seconds, growth that of the last minute.
constexpr std::uint64_t kRateNs = 10 * kSecondNs;
constexpr std::uint64_t kGrowthNs = 60 * kSecondNs;
// Every connection is in CLOSE_WAIT for a moment.
constexpr std::uint64_t kLeakAfterNs = 3 * kSecondNs;
constexpr std::size_t kMaxDestinations = 1U << 16;

double seconds(std::uint64_t ns) {
  return static_cast<double>(ns) / static_cast<double>(kSecondNs);
}

std::string leak_remedy(const LeakRecord& leak) {
  if (leak.queue)
    return fmt::format(
        "{} must call accept(): the peers have closed connections that wait in its accept queue, "
        "and no timer ends them.",
        process_text(leak.owner, "The listening process"));
  const std::string who = process_text(leak.owner, "Their process, which was not found,");
  if (leak.state == TcpState::kCloseWait)
    return fmt::format(
        "{} must close() what its peers have finished (a read of 0 bytes); until then no timer "
        "ends it.",
        who);
  return fmt::format(
      "{} must close() what it has only shut down: no timer ends FIN_WAIT2 while the descriptor is "
      "open.",
      who);
}

// Of a socket that waits for accept() the listener's, if there is only one on its port: an accept
// queue ends with its listener.
Process holder_of(const PortSnapshot& snapshot, const PortSocket& socket) {
  std::uint64_t cookie = socket.cookie;
  if (socket.queued) {
    const auto listens = [&](const PortSocket& other) {
      return other.state == TcpState::kListen && other.tuple.lport == socket.tuple.lport;
    };
    const auto all = snapshot.table().all();
    const auto first = std::find_if(all.begin(), all.end(), listens);
    if (first == all.end() || std::find_if(first + 1, all.end(), listens) != all.end()) return {};
    cookie = first->cookie;
  }
  const auto holders = snapshot.holders(cookie);
  return holders.empty() ? Process{} : holders.front();
}

}  // namespace

std::size_t PortsWatch::DestinationHash::operator()(const Destination& d) const {
  return TupleHash()(d.tuple) ^ d.netns;
}

void PortsWatch::connected(const Conn& conn) {
  Destination destination{conn.netns, conn.tuple};
  destination.tuple.lport = 0;
  if (opens_.size() >= kMaxDestinations && !opens_.contains(destination)) return;
  ++opens_[destination].now;
}

void PortsWatch::end_interval(std::uint64_t boot_ns) {
  for (auto it = opens_.begin(); it != opens_.end();) {
    Opens& opens = it->second;
    if (opens.past.empty()) opens.since_ns = last_look_ns_;
    opens.past.emplace_back(boot_ns, std::exchange(opens.now, 0));
    while (boot_ns - opens.past.front().first >= kRateNs) {  // the last one is of now
      opens.since_ns = opens.past.front().first;
      opens.past.pop_front();
    }
    const bool quiet = std::all_of(opens.past.begin(), opens.past.end(),
                                   [](const auto& p) { return p.second == 0; });
    it = quiet ? opens_.erase(it) : std::next(it);
  }
}

std::optional<double> PortsWatch::rate(const Destination& destination,
                                       std::uint64_t boot_ns) const {
  if (boot_ns == began_ns_) return std::nullopt;
  const auto found = opens_.find(destination);
  if (found == opens_.end()) return 0.0;
  std::uint64_t opens = 0;
  for (const auto& [end, count] : found->second.past) opens += count;
  return static_cast<double>(opens) / seconds(boot_ns - found->second.since_ns);
}

std::vector<LeakRecord> PortsWatch::leaks(std::uint64_t boot_ns, const PortSnapshot& snapshot) {
  std::map<LeakKey, LeakRecord> by_owner;
  for (const PortSocket& s : snapshot.table().all()) {
    if (s.minisocket || s.orphan ||
        (s.state != TcpState::kCloseWait && s.state != TcpState::kFinWait2))
      continue;
    const auto since = snapshot.in_state_since(s.cookie);
    if (boot_ns - since.value_or(began_ns_) < kLeakAfterNs) continue;
    const Process owner = holder_of(snapshot, s);
    FilterInput facts;
    facts.tuple = s.tuple;
    facts.netns = snapshot.netns();
    facts.owner = owner;
    facts.owner_source = OwnerSource::kClose;  // nothing more will be learned
    facts.uid = s.uid;
    facts.ended = true;
    if (match(filters_, facts) != Match::kYes) continue;
    const auto [it, is_new] =
        by_owner.try_emplace({snapshot.netns(), s.state, s.queued, owner.pid});
    LeakRecord& leak = it->second;
    ++leak.count;
    if (is_new) {
      leak.boot_ns = boot_ns;
      leak.netns = snapshot.netns();
      leak.state = s.state;
      leak.queue = s.queued;
      leak.owner = owner;
      if (owner.pid != 0) leak.alive = true;
      if (since) leak.oldest_ns = boot_ns - *since;
    } else if (leak.oldest_ns) {
      // One that is older than the trace is older than all others.
      leak.oldest_ns =
          since ? std::optional(std::max(*leak.oldest_ns, boot_ns - *since)) : std::nullopt;
    }
  }
  std::vector<LeakRecord> out;
  for (auto& [key, leak] : by_owner) {
    Leaks& history = leaks_[key];
    if (!history.past.empty())
      leak.growth_per_s =
          (static_cast<double>(leak.count) - static_cast<double>(history.past.front().second)) /
          seconds(boot_ns - history.past.front().first);
    history.past.emplace_back(boot_ns, leak.count);
    while (history.past.size() > 2 && history.past.front().first + kGrowthNs < boot_ns)
      history.past.pop_front();
    leak.remedy = leak_remedy(leak);
    out.push_back(std::move(leak));
  }
  std::erase_if(
      leaks_,
      [&](const auto& known) {
        return known.first.netns == snapshot.netns() && !by_owner.contains(known.first);
      });
  std::stable_sort(out.begin(), out.end(),
                   [](const LeakRecord& a, const LeakRecord& b) { return a.count > b.count; });
  return out;
}

void PortsWatch::show(std::uint64_t boot_ns, std::span<const PortSnapshot> snapshots) {
  if (began_ns_ == 0) {
    began_ns_ = boot_ns;
    opens_.clear();  // of no interval
  } else {
    end_interval(boot_ns);
  }
  last_look_ns_ = boot_ns;
  for (const PortSnapshot& snapshot : snapshots) {
    const auto sysctls = facts_.port_sysctls(snapshot.netns());
    if (!sysctls) continue;
    const PortReport report =
        report_ports(snapshot, *sysctls, filters_, boot_ns, list_, [&](const Tuple& tuple) {
          return rate({snapshot.netns(), tuple}, boot_ns);
        });
    const std::vector<LeakRecord> left_open = leaks(boot_ns, snapshot);
    std::vector<TimeWaitRecord> time_waits;
    if (list_time_waits_)
      report_time_wait(snapshot, filters_, boot_ns,
                       [&](const TimeWaitRecord& record) { time_waits.push_back(record); });
    PortRound round;
    round.boot_ns = boot_ns;
    round.netns = snapshot.netns();
    round.ports = report.ports;
    round.destinations = report.destinations;
    round.leaks = left_open;
    round.time_waits = time_waits;
    sink_.on(round);
  }
}

}  // namespace tcptrail
