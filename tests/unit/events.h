// SPDX-License-Identifier: BSD-2-Clause
// Events as one line each, and a sink that keeps what the model says: the
// vocabulary of the model's tests.
#pragma once

#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "connections/connection_tracker.h"
#include "tcp/event.h"

namespace tcptrail::test {

using enum TcpState;

inline constexpr std::uint64_t kUs = 1000;
inline constexpr std::uint64_t kMs = 1'000'000;
inline constexpr std::uint32_t kNetns = 4026531840U;

struct Ends {
  std::uint16_t lport = 40000;
  std::uint16_t rport = 80;
};

// A transition record of 64 bytes: `ev(1, 1'000, kSynSent, kEstablished)`.
inline Event ev(std::uint64_t cookie, std::uint64_t at, TcpState old, TcpState next,
                Ends ends = {}) {
  Event event{};
  tcptrail_record& r = event.base;
  r.ts_boot_ns = at;
  r.cookie = cookie;
  r.netns = kNetns;
  r.laddr[0] = r.raddr[0] = 127;
  r.laddr[3] = r.raddr[3] = 1;
  r.lport = ends.lport;
  r.rport = ends.rport;
  r.old_state = static_cast<std::uint8_t>(old);
  r.new_state = static_cast<std::uint8_t>(next);
  r.kind = next == kClose ? TCPTRAIL_TRANSITION_END : TCPTRAIL_TRANSITION;
  r.flags = TCPTRAIL_F_IPV4 | TCPTRAIL_F_FIN_SENT;
  if (next == kClose) {
    event.end.facts = TCPTRAIL_END_ALL_ACKED;
    event.end.min_rtt_us = UINT32_MAX;
  }
  return event;
}

// The same inside a call of `pid`.
inline Event by(std::uint32_t pid, Event event, const char* comm = "app") {
  event.base.pid = pid;
  event.base.flags |= TCPTRAIL_F_OWN;
  if (event.kind() == TCPTRAIL_TRANSITION) {
    event.base.kind = TCPTRAIL_TRANSITION_OWNED;
    event.owned.has_socket = 1;
  }
  std::strncpy(event.kind() == TCPTRAIL_TRANSITION_END ? event.end.comm : event.owned.comm, comm,
               TCPTRAIL_COMM_LEN - 1);
  return event;
}

inline Event closing(Event event, std::uint16_t facts, std::uint16_t error = 0,
                     std::uint8_t tw = TCPTRAIL_TW_NONE) {
  event.end.facts = facts;
  event.end.error = error;
  event.end.tw = tw;
  event.end.tw_expires_ms = tw == TCPTRAIL_TW_NONE ? 0 : 60'000;
  return event;
}

inline Event accept_of(std::uint64_t cookie, std::uint64_t at, std::uint32_t pid,
                       std::uint8_t kind = TCPTRAIL_ACCEPT) {
  Event event{};
  event.holder.ts_boot_ns = at;
  event.holder.cookie = cookie;
  event.holder.pid = pid;
  event.holder.kind = kind;
  event.holder.flags = TCPTRAIL_F_OWN;
  std::strncpy(event.holder.comm, "acceptor", TCPTRAIL_COMM_LEN - 1);
  return event;
}

inline Event reset(std::uint64_t cookie, std::uint64_t at, std::uint8_t kind,
                   std::uint8_t flags = 0) {
  Event event{};
  event.reset.ts_boot_ns = at;
  event.reset.cookie = cookie;
  event.reset.kind = kind;
  event.reset.flags = flags;
  return event;
}

inline Event seen(std::uint64_t cookie, std::uint64_t at, TcpState state, Ends ends = {}) {
  Event event = ev(cookie, at, state, state, ends);
  event.base.kind = TCPTRAIL_SEEN_SOCKET;
  event.owned.has_socket = 1;
  return event;
}

// Copies of what the spans of a ConnectionRecord pointed to.
struct KeptConnection : ConnectionRecord {
  std::vector<TcpState> path_kept;
  std::vector<StateSpan> states_kept;
};

class KeepingSink final : public RecordSink {
 public:
  void on(const TransitionRecord& r) override { transitions.push_back(r); }
  void on(const ConnectionRecord& r) override {
    KeptConnection kept;
    static_cast<ConnectionRecord&>(kept) = r;
    kept.path_kept.assign(r.path.begin(), r.path.end());
    kept.states_kept.assign(r.states.begin(), r.states.end());
    connections.push_back(std::move(kept));
  }
  void on(const TimeWaitRecord& r) override { time_waits.push_back(r); }
  void on(const BlockedRecord& r) override { blocked.push_back(r); }

  std::vector<TransitionRecord> transitions;
  std::vector<KeptConnection> connections;
  std::vector<TimeWaitRecord> time_waits;
  std::vector<BlockedRecord> blocked;
};

// A model that has its first snapshot behind it.
struct Connections {
  explicit Connections(TrackerOptions options = {}) : lifecycle(std::move(options), sink) {
    lifecycle.begin_snapshot(0);
    lifecycle.end_snapshot(0, {});
  }
  void input(std::initializer_list<Event> events) {
    for (const Event& event : events) lifecycle.apply(event);
  }
  KeptConnection& only() { return sink.connections.at(0); }
  KeepingSink sink;
  ConnectionTracker lifecycle;
};

}  // namespace tcptrail::test
