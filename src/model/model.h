// SPDX-License-Identifier: BSD-2-Clause
// The model as a whole: gives each event to those that care (connections, the
// ledger of minisockets, refused attempts, the view of the ports) and says what
// it wants a snapshot of. It has no clock, no I/O and no libbpf: the same calls
// give the same records, live and in a replay. Called by src/run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "connections/connection_tracker.h"
#include "model/time_waits.h"
#include "ports/blocked.h"
#include "ports/ports_watch.h"
#include "tcp/machine_queries.h"
#include "tcp/model_input.h"

namespace tcptrail {

struct ModelOptions {
  Filters filters{};
  bool want_transitions = true;   // transition records are printed
  bool follow_time_wait = false;  // so are the ends of minisockets
  bool only_traced =
      false;  // the programs apply a filter that no snapshot of a minisocket can answer (cgroup)
  bool want_blocked = true;
  bool snapshots = true;                     // they are taken: an attempt's blockers will be known
  bool resets_traced = false;                // tcp_send_reset is attached ...
  std::vector<std::string> reset_reasons{};  // ... and says why, in these words by number
  bool listen_traced = true;                 // refused listen() comes as an event of its own
  bool cookie_is_address = false;            // no cookie helper: identities are not to be printed
  bool watch_ports = false;                  // rounds are asked for ...
  std::vector<std::uint32_t> watched_netns{};  // ... of these namespaces
  PortList port_list = PortList::kEach;
  bool list_time_waits = false;  // and list each minisocket
  std::size_t max_connections = 1U << 20;
  // CLOCK_REALTIME minus CLOCK_BOOTTIME has changed to this: for whoever prints times.
  std::function<void(std::int64_t)> on_clock_offset{};
};

class Model final : public ModelInput, private ConnectionObserver {
 public:
  // Both must outlive the model.
  Model(const ModelOptions& options, MachineQueries& facts, RecordSink& sink);

  void event(const Event& event) override;
  // This record comes soon: fetches what event() will look up. It may not be finished yet, so
  // nothing of it is believed.
  void prefetch(const tcptrail_record& record);
  void begin_snapshot(std::uint64_t boot_ns, bool minisockets_only) override;
  void end_snapshot(std::uint64_t boot_ns, const SnapshotScope& scope) override;
  void advance_to(std::uint64_t boot_ns) override;
  void round(std::uint64_t boot_ns) override;
  void loss(const LossRecord& record) override { sink_.on(record); }
  void clock_offset(std::int64_t ns) override {
    if (options_.on_clock_offset) options_.on_clock_offset(ns);
  }
  void finish(std::uint64_t boot_ns) override;

  // Whether advance_to(boot_ns) would do something.
  [[nodiscard]] bool due(std::uint64_t boot_ns) const;
  // When to call it although nothing else happens: 0 = soon.
  [[nodiscard]] std::optional<std::uint64_t> wakes_at() const;
  // A gap was found that only a snapshot of every socket can close.
  [[nodiscard]] bool wants_snapshot() const {
    return tracker_.wants_snapshot() && tracker_.follows_any();
  }
  [[nodiscard]] bool follows_any() const { return tracker_.follows_any(); }
  // Namespaces with minisockets whose end is to be reported: sorted inode numbers.
  [[nodiscard]] std::vector<std::uint32_t> wants_scan() const {
    return options_.follow_time_wait && options_.snapshots ? time_waits_.namespaces()
                                                           : std::vector<std::uint32_t>{};
  }
  // Namespaces in which a call was refused and its blockers are not known yet: sorted inode
  // numbers.
  [[nodiscard]] std::vector<std::uint32_t> wants_blockers() const {
    return options_.snapshots ? blocked_.netns_wanted() : std::vector<std::uint32_t>{};
  }
  [[nodiscard]] std::size_t minisockets() const { return time_waits_.size(); }

  [[nodiscard]] const ConnectionTracker& connections() const { return tracker_; }
  // Transitions that a full table has lost.
  [[nodiscard]] std::uint64_t evicted() const { return tracker_.evicted(); }
  // Minisockets that a full ledger has pushed out: their ends will not be reported.
  [[nodiscard]] std::uint64_t evicted_minisockets() const { return time_waits_.evicted(); }

 private:
  void got_tuple(std::uint64_t cookie, const Conn& conn, std::uint64_t boot_ns) override;
  void left_minisocket(std::uint64_t cookie, const ConnectionRecord& connection,
                       const tcptrail_end_record& end) override;
  void fin_acknowledged(const Conn& conn, std::uint64_t boot_ns) override;
  void found_no_port(const Conn& conn, const tcptrail_end_record& end) override;
  void listen_refused(const Listener& listener, const tcptrail_end_record& end) override;

  [[nodiscard]] TrackerOptions lifecycle_options();
  [[nodiscard]] PortOwner past_owner(std::uint32_t netns, const PortSocket& socket);
  // When the connection entered its present state; nullopt = before the trace.
  [[nodiscard]] std::optional<std::uint64_t> in_state_since(std::uint64_t cookie) const;

  ModelOptions options_;
  MachineQueries& facts_;
  RecordSink& sink_;
  TimeWaits time_waits_;
  BlockedAttempts blocked_;
  PortsWatch watch_;
  ConnectionTracker tracker_;
  // Of the snapshot under way, and until the next one begins.
  std::vector<PortSnapshot> port_snapshots_;
  bool minisockets_only_ = false;
  std::unordered_map<std::uint32_t, std::optional<bool>> alive_;  // by pid, during one snapshot
};

}  // namespace tcptrail
