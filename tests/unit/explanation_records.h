// SPDX-License-Identifier: BSD-2-Clause
// Connections for the tests of explain and stats, as the model writes them: 127.0.0.1:8080 is
// the server nginx (pid 100, cookie 0x51), 127.0.0.1:40000 its client curl (pid 200, 0xc1).
#pragma once

#include <cerrno>
#include <utility>
#include <vector>

#include "explain/explanation.h"
#include "sample_records.h"

namespace tcptrail::test {

inline constexpr std::uint64_t kMsNs = 1'000'000;

inline Process nginx() { return {100, comm("nginx")}; }
inline Process curl() { return {200, comm("curl")}; }

// {state, milliseconds in it}
using Span = std::pair<TcpState, double>;

inline OwnedConnection ended(bool server, std::vector<Span> spans,
                             TcpState last = TcpState::kClose) {
  OwnedConnection c;
  ConnectionRecord& r = c.record;
  r.start = kStart;
  c.path.push_back(server ? TcpState::kListen : TcpState::kClose);
  std::uint64_t at = kStart;
  for (const auto& [state, ms] : spans) {
    const auto ns = static_cast<std::uint64_t>(ms * 1e6);
    c.states.push_back({state, ns});
    c.path.push_back(state);
    at += ns;
  }
  c.path.push_back(last);
  r.states = c.states;
  r.path = c.path;
  r.boot_ns = at;
  r.end = at;
  r.duration_ns = at - kStart;
  r.cookie = server ? 0x51 : 0xc1;
  r.netns = 4026531840;
  r.tuple = server ? tuple_v4(8080, 40000) : tuple_v4(40000, 8080);
  r.role = server ? Role::kPassive : Role::kActive;
  r.service_port = 8080;
  r.owner = server ? nginx() : curl();
  r.owner_source = OwnerSource::kClose;
  r.counters = Counters{.tx_bytes = 120,
                        .rx_bytes = 120,
                        .tx_segs = 5,
                        .rx_segs = 5,
                        .retransmits = 0,
                        .rtt_us = 45,
                        .min_rtt_us = 30,
                        .mss = 1448};
  r.time_wait.side = TimeWaitSide::kNone;
  return c;
}

inline OwnedConnection server_closes_first() {
  using enum TcpState;
  OwnedConnection c =
      ended(true, {{kSynRecv, 0.04}, {kEstablished, 8213}, {kFinWait1, 0.06}, {kFinWait2, 0.04}},
            kTimeWait);
  ConnectionRecord& r = c.record;
  r.closer = Closer::kLocal;
  r.how = How::kFin;
  r.evidence = Evidence::kOurFinFirst;
  r.closer_process = nginx();
  r.time_wait = {TimeWaitSide::kLocal,       r.boot_ns, TimeWaitPhase::kTimeWait,
                 r.boot_ns + 60 * kSecondNs, true,      false};
  return c;
}

inline OwnedConnection its_client() {
  using enum TcpState;
  OwnedConnection c =
      ended(false, {{kSynSent, 0.05}, {kEstablished, 8213}, {kCloseWait, 0.1}, {kLastAck, 0.04}});
  ConnectionRecord& r = c.record;
  r.connect_ns = 50'000;
  r.closer = Closer::kRemote;
  r.how = How::kFin;
  r.evidence = Evidence::kPeerFinFirst;
  r.time_wait.side = TimeWaitSide::kRemote;
  return c;
}

// Ended with a RST that this end sent, or received.
inline OwnedConnection reset(bool sent, Evidence evidence) {
  using enum TcpState;
  OwnedConnection c = ended(sent, {{sent ? kSynRecv : kSynSent, 0.05}, {kEstablished, 300}});
  c.record.closer = sent ? Closer::kLocal : Closer::kRemote;
  c.record.how = sent ? How::kRstSent : How::kRstReceived;
  c.record.evidence = evidence;
  if (!sent) c.record.error = ECONNRESET;
  return c;
}

inline OwnedConnection not_connected(How how, std::uint16_t error, Evidence evidence,
                                     double ms = 1) {
  OwnedConnection c = ended(false, {{TcpState::kSynSent, ms}});
  c.record.closer = Closer::kNone;
  c.record.how = how;
  c.record.error = error;
  c.record.evidence = evidence;
  c.record.counters = Counters{.tx_bytes = 0,
                               .rx_bytes = 0,
                               .tx_segs = 1,
                               .rx_segs = 1,
                               .retransmits = 0,
                               .rtt_us = {},
                               .min_rtt_us = {},
                               .mss = 536};
  return c;
}

inline BlockedRecord blocked_restart() {
  BlockedRecord r;
  r.boot_ns = kStart + 10 * kSecondNs;
  r.error = EADDRINUSE;
  r.count = 2;
  r.caller = {101, comm("nginx")};
  r.netns = 4026531840;
  r.tuple = {.laddr = {}, .raddr = {}, .lport = 8080, .rport = 0, .family = Family::kIpv4};
  BlockerRecord tw;
  tw.state = TcpState::kTimeWait;
  tw.cookie = 0x51;
  tw.tuple = tuple_v4(8080, 40000);
  tw.owner = nginx();
  tw.owner_alive = false;
  tw.reuseaddr = tw.reuseport = false;
  tw.expires_in_ms = 58'213;
  r.blockers = {tw};
  r.blocker_count = 1;
  r.free_in_ms = 60'000;
  r.remedies = {
      "Wait 60 s, or bind another local address or port: nothing shortens TIME_WAIT "
      "(tcp_fin_timeout does not).",
      "`ss -K sport = :8080` ends what is in the way at once (TIME_WAIT since Linux 6.1)."};
  return r;
}

// A server without SO_REUSEADDR closes first, cannot be restarted, and its TIME_WAIT is taken
// over; then endings of every severity, a leak, and the end of the run.
template <class Sink>
void send_story(Sink& sink) {
  sink.on(startup());
  OwnedConnection server = server_closes_first();
  server.record.peer_cookie = 0xc1;
  server.record.cgroup = "/system.slice/nginx.service";
  server.record.time_wait.reuseaddr = false;
  sink.on(server.record);
  OwnedConnection client = its_client();
  client.record.peer_cookie = 0x51;
  client.record.closer_process = nginx();
  sink.on(client.record);
  sink.on(blocked_restart());

  TimeWaitRecord leave = time_wait_left();
  leave.boot_ns = kStart + 12 * kSecondNs;
  leave.cookie = 0x51;
  leave.tuple = tuple_v4(8080, 40000);
  leave.owner = nginx();
  leave.successor_cookie = 0x61;
  sink.on(leave);
  OwnedConnection again = reset(true, Evidence::kUnread);
  again.record.boot_ns += 13 * kSecondNs;
  again.record.start += 13 * kSecondNs;
  again.record.cookie = 0x61;
  sink.on(again.record);
  OwnedConnection nobody = refused_v6();
  nobody.record.evidence = Evidence::kRefusedByReset;
  sink.on(nobody.record);
  sink.on(nothing_known().record);

  TransitionRecord waits = established_v6();
  waits.old_state = TcpState::kEstablished;
  waits.new_state = TcpState::kCloseWait;
  sink.on(waits);
  sink.on(some_loss());
  sink.on(summary());
}

inline std::string boot_seconds(std::uint64_t boot_ns) {
  return "t" + std::to_string(boot_ns / kSecondNs);
}

}  // namespace tcptrail::test
