// SPDX-License-Identifier: BSD-2-Clause
// The model: events in, records out. It follows each socket through its states,
// knows its owner, joins the two ends that live on this host, and writes one
// record per transition and per finished connection.
//
// It has no clock, no I/O and no libbpf: the same events always give the same
// records, live and in a replay. Called by src/run, which also tells it what a
// stream of events cannot say: that a snapshot is complete, how far the time of
// the stream has come, and what was lost.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "connections/closer.h"
#include "connections/closing_state.h"
#include "connections/conn.h"
#include "connections/held_transitions.h"
#include "connections/listeners.h"
#include "connections/peers.h"
#include "connections/recent_transitions.h"
#include "tcp/event.h"
#include "tcp/filter.h"
#include "tcp/record.h"
#include "util/cookie_table.h"

namespace tcptrail {

// What else wants to know of a connection than the sink of its records.
class ConnectionObserver {
 public:
  virtual ~ConnectionObserver() = default;
  // Its tuple is its own now: an active one has got its port, and nobody else had the two ends.
  virtual void got_tuple(std::uint64_t cookie, const Conn& conn, std::uint64_t boot_ns) = 0;
  // It passes the filter and has left a minisocket behind. `connection` is the record of its end.
  virtual void left_minisocket(std::uint64_t cookie, const ConnectionRecord& connection,
                               const tcptrail_end_record& end) = 0;
  // It closed second, and the other end has acknowledged its FIN.
  virtual void fin_acknowledged(const Conn& conn, std::uint64_t boot_ns) = 0;
  // It passes the filter, and connect() found no port for it.
  virtual void found_no_port(const Conn& conn, const tcptrail_end_record& end) = 0;
  // listen() was refused, as the states tell it; only told where the call itself is not traced.
  virtual void listen_refused(const Listener& listener, const tcptrail_end_record& end) = 0;
};

struct TrackerOptions {
  Filters filters{};
  bool want_transitions = true;              // transition records are printed
  bool resets_traced = false;                // tcp_send_reset is attached ...
  std::vector<std::string> reset_reasons{};  // ... and says why, in these words by number
  bool cookie_is_address = false;            // no cookie helper: identities are not to be printed
  std::size_t max_connections = 1U << 20;
  // Path of a cgroup below the cgroup2 root; may return "".
  std::function<std::string(std::uint64_t)> cgroup_path{};
  ConnectionObserver* observer = nullptr;
  bool infer_refused_listen = false;
};

class ConnectionTracker {
 public:
  ConnectionTracker(TrackerOptions options, RecordSink& sink);
  ConnectionTracker(const ConnectionTracker&) = delete;  // its parts know each other
  ConnectionTracker& operator=(const ConnectionTracker&) = delete;

  void apply(const Event& event);

  // What is seen between these two belongs to one snapshot. What the kernel no
  // longer has and no event ended is written as incomplete after the next one,
  // in those namespaces that were read to their end (inode numbers, sorted). Until the first
  // one has ended, a socket that was never seen to begin is older than the trace.
  void begin_snapshot(std::uint64_t boot_ns);
  // In those that could not be entered (sorted too) it stays so.
  void end_snapshot(std::uint64_t boot_ns, std::span<const std::uint32_t> netns_read,
                    std::span<const std::uint32_t> netns_refused = {});

  // No event before `boot_ns` will come any more: verdicts that waited for one are given.
  void advance_to(std::uint64_t boot_ns);
  // Whether advance_to() has something to do.
  [[nodiscard]] bool waiting() const { return !waiting_.empty(); }
  // At the end of the run: nothing waits any longer.
  void finish(std::uint64_t boot_ns);

  [[nodiscard]] std::uint64_t transitions() const { return transitions_; }
  // What the record at the end of a stream says of connections.
  void sum_up(SummaryRecord& summary) const;
  [[nodiscard]] std::uint64_t incomplete() const { return incomplete_; }
  // Transitions that no record tells any more, because the table was full. They are in evicted() or
  // in transitions(), never in both.
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }
  // Events of the second program that the first had seen as well.
  [[nodiscard]] std::uint64_t duplicates() const { return duplicates_; }
  // Whether any connection is being followed.
  [[nodiscard]] bool follows_any() const { return table_.size() != 0; }
  // Connections that pass the filter and have not ended.
  [[nodiscard]] std::uint64_t open() const;
  // A gap was found that only a snapshot can close.
  [[nodiscard]] bool wants_snapshot() const { return wants_snapshot_; }
  // nullptr = not followed.
  [[nodiscard]] const Conn* find(std::uint64_t cookie) const;
  // When it began; nullopt = not followed, or its beginning was not seen.
  [[nodiscard]] std::optional<std::uint64_t> began_ns(std::uint64_t cookie) const;
  // Since when it is in its state; nullopt = not followed, or in it before it was.
  [[nodiscard]] std::optional<std::uint64_t> in_state_since(std::uint64_t cookie) const;

 private:
  // An ended connection whose verdict needs a RST that may still come.
  struct Waiting {
    Conn conn;
    std::uint64_t cookie;
    tcptrail_end_record end;
    std::vector<TransitionRecord> held;  // a socket that connects again has others
    bool for_peer = false;  // received the RST of an end that waits: told after that one
  };

  void on_transition(const Event& event);
  void on_listener_transition(const Event& event);
  bool is_duplicate(const Event& event, const Conn* conn) const;
  void on_holder(const Event& event);
  void on_reset(const Event& event);
  void on_seen(const Event& event);

  void pass_by(const Event& event);
  void evict_oldest();
  // These give the index of the new entry.
  std::uint32_t create(const Event& event);
  std::uint32_t begin_active(const Event& event);
  std::uint32_t begin_passive(const Event& event);
  std::uint32_t begin_seen(const Event& event);
  std::uint32_t begin_in_the_middle(const Event& event);
  void repair_gap(Conn& conn, const Event& event);
  void learn(Conn& conn, const Event& event);
  void learn_owner(Conn& conn, const Event& event);
  void learn_closing_process(Conn& conn, const Event& event);
  // The first FIN or RST of this end: the other end is told.
  void closed_by(Conn& conn, const Process& process);
  void link_peer(std::uint32_t index);

  void put_transition(std::uint64_t cookie, Conn& conn, const Event& event,
                      std::optional<std::uint64_t> in_old_ns);
  // The filter on what is known now; conn.match keeps the answer once it is final.
  Match apply_filter(std::uint64_t cookie, Conn& conn, bool ended);
  void show_or_drop_held(std::uint64_t cookie, const Conn& conn);

  void end(std::uint32_t index, const tcptrail_end_record& end);
  void write(std::uint64_t cookie, Conn& conn, const tcptrail_end_record& end,
             ResetAfter reset_after);
  void give_up(std::uint32_t index, std::uint64_t boot_ns);
  void give_up_missing(std::uint64_t boot_ns);
  void write_waiting(Waiting& waiting, ResetAfter reset_after);
  // Writes this one, if it waits.
  void end_waiting(std::uint64_t cookie, ResetAfter reset_after, std::uint8_t reason = 0);
  void free_peer_of(const Conn& conn);
  void note_reset_received(std::uint32_t index);
  // The kernel's word, "" = unknown.
  [[nodiscard]] std::string_view reset_reason(const Conn& conn) const;
  void write_vanished(std::uint64_t cookie, Conn& conn, std::uint64_t boot_ns);
  void put_connection(std::uint64_t cookie, Conn& conn, ConnectionRecord& record);
  void name_unaccepted(Conn& conn, const Event& event);
  void infer_roles();
  void forget(std::uint32_t index);
  std::uint32_t take_generation(std::uint64_t cookie);
  void remember_generation(std::uint64_t cookie, std::uint32_t generation);

  TrackerOptions options_;
  RecordSink& sink_;
  bool filter_asks_for_end_;
  bool no_filter_;

  CookieTable<Conn> table_;
  ClosingStates closing_;
  Listeners listeners_;
  Peers peers_{table_};
  std::deque<Waiting> waiting_;
  HeldTransitions held_;
  // A socket that ended and is still open in its process may connect again.
  CookieTable<std::uint32_t> ended_generations_;

  bool older_sockets_possible_ = true;
  std::vector<std::uint32_t> netns_refused_;
  bool wants_snapshot_ = false;
  std::uint32_t snapshot_number_ = 0;
  std::uint64_t snapshot_began_ns_ = 0;
  std::uint64_t early_child_ns_ = 0;
  std::uint64_t transitions_ = 0;
  std::uint64_t connections_ = 0;
  std::uint64_t incomplete_ = 0;
  std::uint64_t evicted_ = 0;
  std::uint64_t duplicates_ = 0;
  RecentTransitions recent_;
  std::unordered_map<std::uint64_t, std::string> cgroup_names_;
};

}  // namespace tcptrail
