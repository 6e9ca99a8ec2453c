// SPDX-License-Identifier: BSD-2-Clause
// A busy minute for the stats sinks: one server that closes first, one whose clients
// do, refused connects, resets, refused calls, TIME_WAITs that are taken over, and
// one connection of which the end was lost.
#pragma once

#include "explanation_records.h"

namespace tcptrail::test {

template <class Sink>
void send_minute(Sink& sink) {
  using enum TcpState;
  sink.on(startup());  // at 100 s
  std::uint64_t now = kStart;
  const auto put = [&](OwnedConnection& c, std::uint64_t step_ms) {
    now += step_ms * kMsNs;
    c.record.boot_ns = now;
    c.record.end = now;
    sink.on(c.record);
  };
  for (std::uint64_t i = 0; i < 200; ++i) {
    OwnedConnection server =
        ended(true,
              {{kSynRecv, 0.003},
               {kEstablished, static_cast<double>(i % 50) * static_cast<double>(i % 50) / 4 + 0.5},
               {kFinWait1, 0.02},
               {kFinWait2, 0.004}},
              kTimeWait);
    server.record.closer = Closer::kLocal;
    server.record.how = How::kFin;
    server.record.counters->tx_bytes = 20'000 + i * 100;
    server.record.time_wait = {TimeWaitSide::kLocal,
                               now,
                               TimeWaitPhase::kTimeWait,
                               now + 60 * kSecondNs + 300 * kMsNs,
                               true,
                               false};
    server.record.tuple.raddr.bytes[3] = static_cast<std::uint8_t>(1 + i % 3);
    put(server, 250);
    if (i % 10 == 0) {
      OwnedConnection client = its_client();
      client.record.connect_ns = (50 + i) * 1000;
      put(client, 1);
    }
    if (i % 40 == 1) {
      OwnedConnection nobody =
          not_connected(How::kRefused, ECONNREFUSED, Evidence::kRefusedByReset, 0.04);
      nobody.record.service_port = nobody.record.tuple.rport = 9;
      put(nobody, 1);
    }
    if (i % 50 == 2) {
      OwnedConnection reset_one = reset(true, Evidence::kUnread);
      put(reset_one, 1);
    }
  }
  OwnedConnection crossed = ended(
      false, {{kSynSent, 0.1}, {kEstablished, 3}, {kFinWait1, 0.5}, {kClosing, 0.1}}, kTimeWait);
  crossed.record.closer = Closer::kBoth;
  crossed.record.how = How::kFin;
  crossed.record.time_wait.phase = TimeWaitPhase::kTimeWait;
  put(crossed, 10);
  OwnedConnection left =
      ended(true, {{kSynRecv, 0.1}, {kEstablished, 3}, {kFinWait1, 0.5}, {kFinWait2, 0.1}});
  left.record.closer = Closer::kLocal;
  left.record.how = How::kFin;
  left.record.time_wait.phase = TimeWaitPhase::kFinWait2;
  put(left, 10);
  OwnedConnection lost = nothing_known();
  lost.record.owner = {5, comm("\x1b[31m\n")};
  lost.record.role = Role::kPassive;
  put(lost, 1);
  BlockedRecord blocked = blocked_restart();
  blocked.boot_ns = now;
  sink.on(blocked);
  TimeWaitRecord leave = time_wait_left();
  leave.boot_ns = now;
  leave.owner = nginx();
  leave.tuple = tuple_v4(8080, 40000);
  sink.on(leave);
  leave.reason = LeaveReason::kExpired;
  sink.on(leave);
  SummaryRecord end = summary();
  end.boot_ns = now + kSecondNs;
  sink.on(end);
}

}  // namespace tcptrail::test
