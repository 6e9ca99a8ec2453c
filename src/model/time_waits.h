// SPDX-License-Identifier: BSD-2-Clause
// The ledger: every TIME_WAIT and FIN_WAIT2 minisocket with who left it behind,
// since when and until when. Born from the CLOSE event, joined by cookie with
// what snapshots show, ended with a reason where one is known. Pure; driven by
// the model, writes `time_wait` records.
//
// The kernel reports neither the end of a minisocket nor its cause to a
// tracepoint. What is known: the tuple is taken over by a new connection; it is
// gone and its timer had run out; its namespace is gone; a hook saw it
// (TCPTRAIL_TIMEWAIT_END). Everything else is "unknown".
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "connections/conn.h"
#include "tcp/event.h"
#include "tcp/filter.h"
#include "tcp/model_input.h"
#include "tcp/record.h"
#include "util/index_set.h"
#include "util/slab.h"

namespace tcptrail {

// A machine has as many as connections, or more: in order of alignment, without holes.
struct TimeWait {
  Tuple tuple;
  std::uint8_t step_32ms = 0;  // how much later the timer wheel may fire, in units of 32 ms
  std::uint8_t bits = 0;       // TCPTRAIL_TW_REUSEADDR, _REUSEPORT, _WHOLE_PORT
  std::uint32_t netns = 0;
  Process owner;                 // at the time of closing; pid 0 = unknown
  std::uint64_t cookie = 0;      // 0 = the kernel never made one, or it is not known
  std::uint64_t since_ns = 0;    // boot; 0 = it was there before the trace
  std::uint64_t expires_ns = 0;  // boot, of the kernel's timer; 0 = unknown
  std::uint32_t seen_in_scan = 0;
  TimeWaitPhase phase = TimeWaitPhase::kTimeWait;
  bool bits_known = false;
  bool announced = true;  // false: only a scan has seen it, and it is not older than the trace
  bool missing = false;   // a scan did not show it: the reason is being waited for

  [[nodiscard]] std::uint64_t step_ns() const { return step_32ms * 32'000'000ULL; }
};
static_assert(sizeof(TimeWait) == 96, "docs/performance.md says what a TIME_WAIT takes");

struct TimeWaitsOptions {
  Filters filters{};
  bool follow = false;  // ends are written; otherwise the ledger only remembers owners
  // Scans look for ends, and those found by a scan alone are taken in. Otherwise what is here is
  // dropped when its timer has run out.
  bool scanned = false;
  bool only_traced = false;  // the programs filter by what a minisocket does not show
  bool cookie_is_address =
      false;  // of connections: neither to be printed nor that of the minisocket
  std::size_t max_entries = 1U << 20;
};

class TimeWaits {
 public:
  TimeWaits(TimeWaitsOptions options, RecordSink& sink)
      : options_(std::move(options)), sink_(sink) {}

  // A connection went to CLOSE and left one behind. `role` of the connection.
  void enter(std::uint64_t cookie, Role role, const TimeWait& born);
  // SEEN_TIMEWAIT, and SEEN_SOCKET of a minisocket. `connection` whose CLOSE has not been heard of,
  // or null. Returns the entry where its owner is settled: no CLOSE event of it is still to come.
  // Valid until the next call.
  const TimeWait* seen(const Event& event, const Conn* connection = nullptr);
  // A new connection has this tuple: a minisocket that had it is no more.
  void taken_over(std::uint32_t netns, const Tuple& tuple, std::uint64_t by_cookie, Role role,
                  std::uint64_t boot_ns);
  // The peer's FIN has been acknowledged: what waited for it in FIN_WAIT2 is in TIME_WAIT now.
  void got_fin(std::uint32_t netns, const Tuple& tuple, std::uint64_t boot_ns);
  // TIMEWAIT_END.
  void ended(const Event& event);

  void begin_scan(std::uint64_t boot_ns);
  void end_scan(std::uint64_t boot_ns, const SnapshotScope& scope);
  // Gives the reason of those that went missing and were not heard of since.
  void advance_to(std::uint64_t boot_ns);
  // At the end of the run: nothing is waited for any longer.
  void finish() { advance_to(UINT64_MAX); }
  // When advance_to() has something to do next; UINT64_MAX = nothing.
  [[nodiscard]] std::uint64_t next_decision_ns() const {
    return missing_.empty() ? UINT64_MAX : missing_.front().decide_ns;
  }

  // nullptr = not here, or another one than that with this cookie (0 = unknown).
  [[nodiscard]] const TimeWait* find(std::uint32_t netns, const Tuple& tuple,
                                     std::uint64_t cookie) const;
  // This tuple will be looked for soon.
  void prefetch(std::uint32_t netns, const Tuple& tuple);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  // Where they are: sorted inode numbers.
  [[nodiscard]] std::vector<std::uint32_t> namespaces() const;
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }

 private:
  struct Missing {
    std::uint64_t key;   // of netns and tuple
    std::uint32_t scan;  // the first that did not show it
    std::uint64_t since_ns;
    std::uint64_t decide_ns;
  };

  std::uint32_t insert(const TimeWait& entry);
  void erase(std::uint32_t index);
  void leave(std::uint32_t index, LeaveReason reason, std::uint64_t boot_ns,
             std::uint64_t successor = 0);
  void put(TimeWaitEvent event, const TimeWait& entry, std::uint64_t boot_ns,
           LeaveReason reason = LeaveReason::kUnknown, std::uint64_t successor = 0);
  void drop_expired(std::uint64_t boot_ns);
  [[nodiscard]] bool wanted(const TimeWait& entry, const Conn* connection) const;
  [[nodiscard]] std::uint32_t find(std::uint32_t netns, const Tuple& tuple) const;

  static constexpr std::uint32_t kNone = UINT32_MAX;

  TimeWaitsOptions options_;
  RecordSink& sink_;
  OrderedSlab<TimeWait> entries_;
  // By netns and tuple: of minisockets, only one at a time has a tuple, but not all of them
  // have a cookie, and a socket that connected twice leaves two with one cookie.
  IndexSet by_tuple_;
  std::uint64_t expected_ = 0;  // the key whose slot was fetched last
  std::map<std::uint32_t, std::size_t> per_netns_;
  std::deque<Missing> missing_;
  bool older_possible_ = true;                // until the first scan has ended ...
  std::vector<std::uint32_t> netns_refused_;  // ... and longer where it could not look
  std::uint32_t scan_ = 0;
  std::uint64_t scan_began_ns_ = 0;
  std::uint64_t evicted_ = 0;
};

}  // namespace tcptrail
