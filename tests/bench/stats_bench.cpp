// SPDX-License-Identifier: BSD-2-Clause
// Cost of one connection in the sums of stats, and of an interval's end. The
// connections are those of a busy machine: 500 that differ in times and bytes, of
// `groups` groups. Aim: 300 ns a connection.
#include <benchmark/benchmark.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "stats/stats.h"

namespace {

using namespace tcptrail;

constexpr std::size_t kConnections = 500;

struct Life {
  std::array<StateSpan, 4> states;
  std::array<TcpState, 6> path;
  ConnectionRecord record;
};

std::vector<Life> lives(std::size_t groups) {
  using enum TcpState;
  std::vector<Life> out(kConnections);
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> length(16, 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    Life& life = out[i];
    const auto lasted = static_cast<std::uint64_t>(length(random));
    life.states = {{{kSynRecv, 4'000},
                    {kEstablished, lasted},
                    {kFinWait1, 20'000 + random() % 100'000},
                    {kFinWait2, 4'000 + random() % 1000}}};
    life.path = {kListen, kSynRecv, kEstablished, kFinWait1, kFinWait2, kTimeWait};
    ConnectionRecord& r = life.record;
    r.boot_ns = 1'000'000'000'000 + i * 20'000;
    r.cookie = 0x1000 + i;
    r.tuple.lport = static_cast<std::uint16_t>(8000 + i % groups);
    r.tuple.rport = static_cast<std::uint16_t>(32768 + i);
    r.tuple.raddr.bytes = {10, 0, static_cast<std::uint8_t>(i % 7), static_cast<std::uint8_t>(i)};
    r.role = i % 3 == 0 ? Role::kActive : Role::kPassive;
    r.owner.pid = 12345;
    const std::string name = "worker-" + std::to_string(i % groups);
    std::memcpy(r.owner.comm.bytes.data(), name.data(), name.size());
    r.duration_ns = lasted + 40'000;
    if (r.role == Role::kActive) r.connect_ns = 30'000 + random() % 5'000'000;
    r.closer = i % 4 == 0 ? Closer::kRemote : Closer::kLocal;
    r.how = i % 50 == 0 ? How::kRstSent : How::kFin;
    r.counters =
        Counters{1234, 98765, 12, 14, static_cast<std::uint32_t>(i % 10 == 0), 145, 30, 1448};
    r.time_wait = {TimeWaitSide::kLocal,       r.boot_ns, TimeWaitPhase::kTimeWait,
                   r.boot_ns + 60'000'000'000, true,      false};
    r.service_port = r.tuple.lport;
    r.states = life.states;
    r.path = life.path;
  }
  return out;
}

void stats_connection(benchmark::State& state) {
  Stats stats({}, [](const StatsInterval&) {});
  std::vector<Life> all = lives(static_cast<std::size_t>(state.range(0)));
  std::size_t i = 0;
  std::uint64_t now = all[0].record.boot_ns;
  for (auto _ : state) {
    ConnectionRecord& r = all[i].record;
    r.boot_ns = now += 20'000;
    r.time_wait.expected_end = now + 60'000'000'000;
    stats.on(r);
    if (++i == all.size()) i = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(stats_connection)->ArgName("groups")->Arg(1)->Arg(20)->Arg(500);

// The same with intervals of one second of 50,000 connections, their ends included.
void stats_interval(benchmark::State& state) {
  std::uint64_t flushed = 0;
  Stats stats({.interval_ns = 1'000'000'000},
              [&](const StatsInterval& p) { flushed += p.groups().size(); });
  std::vector<Life> all = lives(static_cast<std::size_t>(state.range(0)));
  std::size_t i = 0;
  std::uint64_t now = all[0].record.boot_ns;
  for (auto _ : state) {
    ConnectionRecord& r = all[i].record;
    r.boot_ns = now += 20'000;
    r.time_wait.expected_end = now + 60'000'000'000;
    stats.on(r);
    if (++i == all.size()) i = 0;
  }
  benchmark::DoNotOptimize(flushed);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(stats_interval)->ArgName("groups")->Arg(20)->Arg(500);

}  // namespace
