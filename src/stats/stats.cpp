// SPDX-License-Identifier: BSD-2-Clause
#include "stats/stats.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tcptrail {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kTimeWaitSeconds = 60;  // TCP_TIMEWAIT_LEN

Comm name_of(const Process& process) {
  Comm comm;
  if (process.pid != 0)
    std::memcpy(comm.bytes.data(), process.comm.bytes.data(), process.comm.view().size());
  return comm;
}

}  // namespace

Stats::Stats(const StatsOptions& options, std::function<void(const StatsInterval&)> flush)
    : options_(options),
      flush_(std::move(flush)),
      current_(std::make_unique<StatsInterval>(options.max_groups)) {
  if (options_.interval_ns != 0) next_ = std::make_unique<StatsInterval>(options.max_groups);
}

void Stats::on(const StartupRecord& r) {
  if (!begun_) begin(r.boot_ns);
}

// The first interval is the one that the run begins in, so it is not whole.
void Stats::begin(std::uint64_t boot_ns) {
  begun_ = true;
  start_ns_ = reached_ns_ = boot_ns;
  const std::uint64_t interval = options_.interval_ns;
  current_->start_ns = interval == 0 ? boot_ns : boot_ns / interval * interval;
  current_->end_ns = interval == 0 ? UINT64_MAX : current_->start_ns + interval;
  current_->partial = current_->start_ns != boot_ns;
  current_->seen_from_ns = boot_ns;
}

void Stats::close(bool partial, std::uint64_t end_ns) {
  const std::uint64_t planned_end = current_->end_ns;
  current_->end_ns = end_ns;
  current_->partial |= partial;
  if (!next_ || !current_->empty()) flush_(*current_);
  current_->clear();
  if (!next_) return;
  std::swap(current_, next_);
  current_->start_ns = current_->seen_from_ns = planned_end;
  current_->end_ns = planned_end + options_.interval_ns;
  current_->partial = false;
}

void Stats::advance(std::uint64_t boot_ns) {
  reached_ns_ = std::max(reached_ns_, boot_ns);
  if (!next_) return;
  while (reached_ns_ >= kGraceNs && reached_ns_ - kGraceNs >= current_->end_ns) {
    close(false, current_->end_ns);
    if (!current_->empty()) continue;
    // Nothing was counted since: the intervals up to now are passed over at once.
    const std::uint64_t start =
        (reached_ns_ - kGraceNs) / options_.interval_ns * options_.interval_ns;
    if (start <= current_->start_ns) continue;
    current_->start_ns = current_->seen_from_ns = start;
    current_->end_ns = start + options_.interval_ns;
  }
}

// What happened in the open interval or before belongs to it, the rest to the one after it.
StatsInterval& Stats::period_of(std::uint64_t boot_ns) {
  if (!begun_) begin(boot_ns);
  advance(boot_ns);
  return boot_ns < current_->end_ns || !next_ ? *current_ : *next_;
}

void Stats::on(const ConnectionRecord& r) {
  period_of(r.boot_ns).add(r);
  if (r.time_wait.phase != TimeWaitPhase::kTimeWait) return;
  const std::uint64_t lasts = r.time_wait.expected_end && *r.time_wait.expected_end > r.boot_ns
                                  ? (*r.time_wait.expected_end - r.boot_ns + kSecond / 2) / kSecond
                                  : kTimeWaitSeconds;
  service_of(r.owner, r.service_port.value_or(0), r.role).time_wait.enter(second(r.boot_ns), lasts);
}

// A leave says which end it was only by its ports: a service that is known decides.
void Stats::on(const TimeWaitRecord& r) {
  period_of(r.boot_ns).add(r);
  if (r.event != TimeWaitEvent::kLeave || r.phase != TimeWaitPhase::kTimeWait ||
      r.reason == LeaveReason::kExpired || !r.held_ns)
    return;
  Service* service = known_service(r.owner, r.tuple.lport, Role::kPassive);
  if (service == nullptr) service = known_service(r.owner, r.tuple.rport, Role::kActive);
  if (service != nullptr)
    service->time_wait.leave_early(second(r.boot_ns), *r.held_ns / kSecond, kTimeWaitSeconds);
}

void Stats::on(const BlockedRecord& r) { period_of(r.boot_ns).add(r); }

void Stats::tick(std::uint64_t boot_ns) {
  if (begun_) advance(boot_ns);
}

std::uint64_t Stats::next_tick() const {
  return next_ && begun_ ? current_->end_ns + kGraceNs : UINT64_MAX;
}

void Stats::finish(std::uint64_t boot_ns) {
  if (!begun_) begin(boot_ns);
  advance(boot_ns);
  // Within the grace time after an interval's end there are two open ones.
  if (next_ && boot_ns >= current_->end_ns) close(false, current_->end_ns);
  close(next_ != nullptr, std::max(boot_ns, current_->seen_from_ns));
}

Service* Stats::known_service(const Process& owner, std::uint16_t port, Role role) {
  const auto known = service_index_.find({name_of(owner), port, role});
  return known != service_index_.end() ? &services_[known->second] : nullptr;
}

Service& Stats::service_of(const Process& owner, std::uint16_t port, Role role) {
  if (Service* known = known_service(owner, port, role)) return *known;
  if (services_.size() >= kMaxServices) {
    if (!services_.back().rest)
      services_.push_back({{}, 0, Role::kUnknown, true, TimeWaitSeries{}});
    return services_.back();
  }
  service_index_.emplace(ServiceKey{name_of(owner), port, role}, services_.size());
  services_.push_back({name_of(owner), port, role, false, TimeWaitSeries{}});
  return services_.back();
}

std::vector<const Service*> Stats::services(std::uint64_t boot_ns) {
  std::vector<const Service*> sorted;
  for (Service& service : services_) {
    service.time_wait.advance(second(boot_ns));
    sorted.push_back(&service);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const Service* a, const Service* b) {
    if (a->time_wait.peak() != b->time_wait.peak())
      return a->time_wait.peak() > b->time_wait.peak();
    return a->time_wait.entered() > b->time_wait.entered();
  });
  return sorted;
}

}  // namespace tcptrail
