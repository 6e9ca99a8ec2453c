// SPDX-License-Identifier: BSD-2-Clause
// See sample_records.h.
#include "sample_records.h"

#include <arpa/inet.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tcptrail::test {
namespace {

Address ipv4(const char* text) {
  Address address;
  inet_pton(AF_INET, text, address.bytes.data());
  return address;
}

Address ipv6(const char* text) {
  Address address;
  inet_pton(AF_INET6, text, address.bytes.data());
  return address;
}

// The vectors move with their arrays, so the spans stay good.
OwnedConnection whole(OwnedConnection c) {
  c.record.states = c.states;
  c.record.path = c.path;
  return c;
}

}  // namespace

Comm comm(std::string_view bytes) {
  Comm out;
  std::memcpy(out.bytes.data(), bytes.data(), std::min<std::size_t>(bytes.size(), 15));
  return out;
}

Tuple tuple_v4(std::uint16_t lport, std::uint16_t rport) {
  return {ipv4("127.0.0.1"), ipv4("127.0.0.1"), lport, rport, Family::kIpv4};
}

Tuple tuple_v6(std::uint16_t lport, std::uint16_t rport) {
  return {ipv6("2001:db8::10"), ipv6("2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa"), lport, rport,
          Family::kIpv6};
}

StartupRecord startup() {
  StartupRecord r;
  r.boot_ns = kStart;
  r.version = "0.1.0";
  r.command = "life";
  r.hostname = "box";
  r.boot_id = "0f6e2f1c-0000-4000-8000-000000000001";
  r.kernel = "6.12.0";
  r.features = {{"tp_btf", true}, {"ehash_walk", false}};
  r.filters = {{"lport", "80,443"}, {"comm", "a\"b\\*"}};
  return r;
}

TransitionRecord connecting() {
  TransitionRecord r;
  r.boot_ns = kStart + kSecondNs / 2;
  r.cookie = 0x1a2b;
  r.netns = 4026531840;
  r.tuple = tuple_v4(0, 19999);
  r.old_state = TcpState::kClose;
  r.new_state = TcpState::kSynSent;
  r.owner = {14788, comm("ehclient")};
  r.owner_source = OwnerSource::kConnect;
  return r;
}

TransitionRecord established_v6() {
  TransitionRecord r;
  r.boot_ns = kStart + kSecondNs + 123'456'789;
  r.cookie = 0xffff'ffff'ffff'fffeULL;
  r.generation = 3;
  r.netns = 4026532201;
  r.tuple = tuple_v6(50000, 443);
  r.old_state = TcpState::kSynSent;
  r.new_state = TcpState::kEstablished;
  r.in_old_ns = 1'234'567;
  r.owner = {77, comm("curl")};
  r.owner_source = OwnerSource::kConnect;
  return r;
}

TransitionRecord odd_transition() {
  TransitionRecord r;
  r.boot_ns = kStart + 2 * kSecondNs;
  r.old_state = static_cast<TcpState>(17);
  r.new_state = static_cast<TcpState>(255);
  return r;
}

OwnedConnection server_closed_first() {
  using enum TcpState;
  OwnedConnection c;
  c.states = {
      {kSynRecv, 40'000}, {kEstablished, 8'213'300'000}, {kFinWait1, 60'000}, {kFinWait2, 40'000}};
  c.path = {kSynRecv, kEstablished, kFinWait1, kFinWait2, kClose, kTimeWait};
  ConnectionRecord& r = c.record;
  r.boot_ns = kStart + 9 * kSecondNs;
  r.cookie = 0x2001;
  r.netns = 4026531840;
  r.tuple = tuple_v4(19999, 63995);
  r.role = Role::kPassive;
  r.owner = {12241, comm("echoserver")};
  r.uid = 0;
  r.cgroup = "/system.slice/echo.service";
  r.owner_source = OwnerSource::kClose;
  r.start = kStart + 786'560'000;
  r.end = kStart + 9 * kSecondNs;
  r.duration_ns = 8'213'440'000;
  r.closer = Closer::kLocal;
  r.how = How::kFin;
  r.evidence = Evidence::kOurFinFirst;
  r.closer_process = r.owner;
  r.time_wait = {TimeWaitSide::kLocal, r.boot_ns, TimeWaitPhase::kTimeWait,
                 r.boot_ns + 60 * kSecondNs};
  r.counters = Counters{120, 120, 5, 6, 0, 45, 30, 65483};
  r.peer_cookie = 0x1a2b;
  r.service_port = 19999;
  return whole(std::move(c));
}

OwnedConnection client_of_it() {
  using enum TcpState;
  OwnedConnection c = server_closed_first();
  c.states = {
      {kSynSent, 40'000}, {kEstablished, 8'213'200'000}, {kCloseWait, 120'000}, {kLastAck, 40'000}};
  c.path = {kClose, kSynSent, kEstablished, kCloseWait, kLastAck, kClose};
  ConnectionRecord& r = c.record;
  r.cookie = 0x1a2b;
  r.tuple = tuple_v4(63995, 19999);
  r.role = Role::kActive;
  r.owner = {14788, comm("ehclient")};
  r.uid = 1000;
  r.connect_ns = 40'999;
  r.duration_ns = 8'213'400'000;
  r.closer = Closer::kRemote;
  r.closer_process = {12241, comm("echoserver")};
  r.evidence = Evidence::kPeerFinFirst;
  r.time_wait = {TimeWaitSide::kRemote, std::nullopt, TimeWaitPhase::kNone, std::nullopt};
  r.counters->retransmits = 2;
  r.peer_cookie = 0x2001;
  return whole(std::move(c));
}

OwnedConnection refused_v6() {
  using enum TcpState;
  OwnedConnection c;
  c.states = {{kSynSent, 300'000}};
  c.path = {kClose, kSynSent, kClose};
  ConnectionRecord& r = c.record;
  r.boot_ns = kStart + 10 * kSecondNs;
  r.cookie = 0x99;
  r.generation = 1;
  r.netns = 4026531840;
  r.tuple = tuple_v6(50001, 8443);
  r.role = Role::kActive;
  r.owner = {77, comm("curl")};
  r.uid = 1000;
  r.owner_source = OwnerSource::kConnect;
  r.start = r.boot_ns - 300'000;
  r.end = r.boot_ns;
  r.duration_ns = 300'000;
  r.closer = Closer::kNone;
  r.how = How::kRefused;
  r.evidence = Evidence::kRefusedByReset;
  r.error = ECONNREFUSED;
  r.time_wait.side = TimeWaitSide::kNone;
  r.counters = Counters{0, 0, 1, 1, 0, std::nullopt, std::nullopt, 1428};
  r.service_port = 8443;
  return whole(std::move(c));
}

OwnedConnection nothing_known() {
  OwnedConnection c;
  ConnectionRecord& r = c.record;
  r.boot_ns = kStart + 11 * kSecondNs;
  r.start = kStart;
  r.began = Began::kBeforeTrace;
  r.error = 9999;
  r.complete = false;
  return whole(std::move(c));
}

TimeWaitRecord time_wait_entered() {
  TimeWaitRecord r;
  r.boot_ns = kStart + 9 * kSecondNs;
  r.event = TimeWaitEvent::kEnter;
  r.cookie = 0x2001;
  r.netns = 4026531840;
  r.tuple = tuple_v4(19999, 63995);
  r.owner = {12241, comm("echoserver")};
  r.reuseaddr = true;
  r.expires_in_ms = 60'000;
  return r;
}

TimeWaitRecord time_wait_left() {
  TimeWaitRecord r = time_wait_entered();
  r.boot_ns += 2 * kSecondNs;
  r.event = TimeWaitEvent::kLeave;
  r.reason = LeaveReason::kReusedBySyn;
  r.expires_in_ms.reset();
  r.held_ns = 2 * kSecondNs;
  return r;
}

LossRecord some_loss() {
  LossRecord r;
  r.boot_ns = kStart + 12 * kSecondNs;
  r.loss = {7, 1, 0, 2};
  r.since = kStart;
  return r;
}

SummaryRecord summary() {
  SummaryRecord r;
  r.boot_ns = kStart + 13 * kSecondNs;
  r.events = 40;
  r.transitions = 20;
  r.connections = 4;
  r.open = 2;
  r.incomplete = 1;
  r.loss = {7, 1, 0, 2};
  r.duration_ns = 13 * kSecondNs + 999;
  return r;
}

void send_all(RecordSink& sink) {
  sink.on(startup());
  sink.on(connecting());
  sink.on(established_v6());
  sink.on(odd_transition());
  sink.on(server_closed_first().record);
  sink.on(time_wait_entered());
  sink.on(client_of_it().record);
  sink.on(refused_v6().record);
  sink.on(nothing_known().record);
  sink.on(time_wait_left());
  sink.on(some_loss());
  sink.on(summary());
}

}  // namespace tcptrail::test
