// SPDX-License-Identifier: BSD-2-Clause
// The ledger: every TIME_WAIT and FIN_WAIT2 minisocket with who left it behind,
// since when and until when. Born from the CLOSE event, joined by cookie with
// what snapshots show, ended with a reason where one is known. Pure; driven by
// the model, writes `time_wait` records.
//
// The kernel reports neither the end of a minisocket nor its cause to a
// tracepoint. What is known for certain: the tuple is taken over by a new
// connection; it is gone once its timer had run out; its namespace is gone; a
// hook saw it (TCPTRAIL_TIMEWAIT_END). Everything else is "unknown".
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "core/cookie_table.h"
#include "core/event.h"
#include "core/feed.h"
#include "core/filter.h"
#include "core/record.h"

namespace tcptrail {

struct TimeWait {
  Tuple tuple;
  std::uint32_t netns = 0;
  std::uint64_t since_ns = 0;    // boot; 0 = it was there before the trace
  std::uint64_t expires_ns = 0;  // boot, of the kernel's timer; 0 = unknown
  Process owner;                 // at the time of closing; pid 0 = unknown
  std::uint64_t cgroup_id = 0;
  std::uint32_t seen_in_scan = 0;
  std::uint16_t step_ms = 0;     // how much later the timer wheel may fire
  TimeWaitPhase phase = TimeWaitPhase::kTimeWait;
  std::uint8_t bits = 0;         // TCPTRAIL_TW_REUSEADDR, _REUSEPORT, _WHOLE_PORT
  bool bits_known = false;
  bool missing = false;          // a scan did not show it: the reason is being waited for
};

struct TimeWaitsOptions {
  Filters filters{};
  // Ends are looked for (by scans), and those found by a scan alone are taken in. Otherwise the
  // ledger only remembers owners, until the timers have run out.
  bool follow = false;
  bool cookie_is_address = false;  // not to be printed, and not what the scans show: the tuple is the identity
  std::size_t max_entries = 1U << 20;
};

class TimeWaits {
 public:
  TimeWaits(TimeWaitsOptions options, RecordSink& sink) : options_(std::move(options)), sink_(sink) {}

  // A connection went to CLOSE and left one behind. `role` of the connection.
  void enter(std::uint64_t cookie, Role role, const TimeWait& born);
  // SEEN_TIMEWAIT, and SEEN_SOCKET of a minisocket.
  void seen(const Event& event);
  // A new connection has this tuple: a minisocket that had it is no more.
  void taken_over(std::uint32_t netns, const Tuple& tuple, std::uint64_t by_cookie, Role role, std::uint64_t boot_ns);
  // TIMEWAIT_END.
  void ended(const Event& event);

  void begin_scan(std::uint64_t boot_ns);
  void end_scan(std::uint64_t boot_ns, const SnapshotScope& scope);
  // Gives the reason of those that went missing and were not heard of since.
  void advance_to(std::uint64_t boot_ns);
  // When advance_to() has something to do next.
  [[nodiscard]] std::optional<std::uint64_t> next_decision_ns() const;

  // nullptr = not here.
  [[nodiscard]] const TimeWait* find(std::uint64_t cookie) const;
  [[nodiscard]] std::size_t size() const { return table_.size(); }
  // Where they are: sorted inode numbers.
  [[nodiscard]] std::vector<std::uint32_t> namespaces() const;
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }

 private:
  struct Missing {
    std::uint64_t key;
    std::uint64_t decide_ns;
  };

  std::uint32_t insert(std::uint64_t key, const TimeWait& entry);
  void erase(std::uint32_t index);
  void leave(std::uint32_t index, LeaveReason reason, std::uint64_t boot_ns, std::uint64_t successor = 0);
  void put(TimeWaitEvent event, std::uint64_t key, const TimeWait& entry, std::uint64_t boot_ns, LeaveReason reason,
           std::uint64_t successor);
  void drop_expired(std::uint64_t boot_ns);
  [[nodiscard]] std::uint32_t find_tuple(std::uint32_t netns, const Tuple& tuple) const;

  TimeWaitsOptions options_;
  RecordSink& sink_;
  CookieTable<TimeWait> table_;              // by cookie, or by a stand-in where there is none to know
  CookieTable<std::uint64_t> by_tuple_;      // hash of netns and tuple → key in table_
  std::map<std::uint32_t, std::size_t> per_netns_;
  std::deque<Missing> missing_;
  std::uint32_t scan_ = 0;
  std::uint64_t scan_began_ns_ = 0;
  std::uint64_t evicted_ = 0;
};

}  // namespace tcptrail
