// SPDX-License-Identifier: BSD-2-Clause
// Cost of one record in each sink, written to /dev/null through the real buffer.
// 500 connections are open at once, as on a busy machine: the tuple cache is used
// as in life. Aim: a transition as JSON in 65 ns, at most 100.
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "output/csv.h"
#include "output/json.h"
#include "output/text.h"

namespace {

using namespace tcptrail;

constexpr EventSet kAll{true, true, true, true};
constexpr std::size_t kOpen = 500;

std::vector<TransitionRecord> transitions(Family family) {
  using enum TcpState;
  static constexpr std::array kPath = {kSynRecv, kEstablished, kFinWait1, kFinWait2, kClose};
  std::vector<TransitionRecord> out;
  for (std::size_t step = 0; step + 1 < kPath.size(); ++step) {
    for (std::size_t i = 0; i < kOpen; ++i) {
      TransitionRecord r;
      r.boot_ns = 1'000'000'000'000 + out.size() * 1000;
      r.cookie = 0x100'0000 + i;
      r.netns = 4026531840;
      r.tuple.family = family;
      if (family == Family::kIpv4) {
        r.tuple.laddr.bytes = {127, 0, 0, 1};
        r.tuple.raddr.bytes = {127, 0, 0, 2};
      } else {
        r.tuple.laddr.bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
        r.tuple.raddr.bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6};
      }
      r.tuple.lport = 8080;
      r.tuple.rport = static_cast<std::uint16_t>(32768 + i);
      r.old_state = kPath[step];
      r.new_state = kPath[step + 1];
      r.in_old_ns = 123'456 + i;
      r.owner.pid = 12345;
      r.owner.comm.bytes = {'n', 'g', 'i', 'n', 'x'};
      r.owner_source = OwnerSource::kAccept;
      out.push_back(r);
    }
  }
  return out;
}

struct Lives {
  std::vector<StateSpan> states;
  std::vector<TcpState> path;
  std::vector<ConnectionRecord> records;
};

Lives lives() {
  using enum TcpState;
  Lives out;
  out.states = {
      {kSynRecv, 40'000}, {kEstablished, 8'213'300}, {kFinWait1, 60'000}, {kFinWait2, 40'000}};
  out.path = {kSynRecv, kEstablished, kFinWait1, kFinWait2, kClose, kTimeWait};
  for (const TransitionRecord& t : transitions(Family::kIpv4)) {
    ConnectionRecord r;
    r.boot_ns = t.boot_ns;
    r.cookie = t.cookie;
    r.netns = t.netns;
    r.tuple = t.tuple;
    r.role = Role::kPassive;
    r.owner = t.owner;
    r.uid = 33;
    r.cgroup = "/system.slice/nginx.service";
    r.owner_source = OwnerSource::kAccept;
    r.start = t.boot_ns - 8'453'300;
    r.end = t.boot_ns;
    r.duration_ns = 8'453'300;
    r.closer = Closer::kLocal;
    r.how = How::kFin;
    r.evidence = Evidence::kOurFinFirst;
    r.closer_process = t.owner;
    r.time_wait = {TimeWaitSide::kLocal, t.boot_ns, TimeWaitPhase::kTimeWait,
                   t.boot_ns + 60'000'000'000};
    r.counters = Counters{1234, 98765, 12, 14, 0, 145, 30, 65483};
    r.peer_cookie = t.cookie + 1;
    r.service_port = 8080;
    out.records.push_back(r);
  }
  for (ConnectionRecord& r : out.records) {
    r.states = out.states;
    r.path = out.path;
  }
  return out;
}

template <class Sink, class Records>
void run(benchmark::State& state, Sink& sink, OutFile& out, const Records& records) {
  std::size_t i = 0;
  for (auto _ : state) {
    sink.on(records[i]);
    if (++i == records.size()) i = 0;
  }
  out.flush();
  state.SetItemsProcessed(state.iterations());
  state.counters["bytes"] = static_cast<double>(out.bytes_written()) /
                            static_cast<double>(std::max<std::int64_t>(state.iterations(), 1));
}

void transition_json(benchmark::State& state) {
  WallClock clock;
  OutFile out = *OutFile::open("/dev/null");
  JsonSink sink(out, clock, {kAll, {}});
  run(state, sink, out, transitions(state.range(0) == 4 ? Family::kIpv4 : Family::kIpv6));
}
BENCHMARK(transition_json)->ArgName("ip")->Arg(4)->Arg(6);

void transition_text(benchmark::State& state) {
  WallClock clock;
  OutFile out = *OutFile::open("/dev/null");
  TextSink sink(out, clock, {.events = kAll});
  run(state, sink, out, transitions(state.range(0) == 4 ? Family::kIpv4 : Family::kIpv6));
}
BENCHMARK(transition_text)->ArgName("ip")->Arg(4)->Arg(6);

void connection_json(benchmark::State& state) {
  WallClock clock;
  OutFile out = *OutFile::open("/dev/null");
  JsonSink sink(out, clock, {kAll, {}});
  const Lives all = lives();
  run(state, sink, out, all.records);
}
BENCHMARK(connection_json);

void connection_text(benchmark::State& state) {
  WallClock clock;
  OutFile out = *OutFile::open("/dev/null");
  TextSink sink(out, clock, {.events = kAll});
  const Lives all = lives();
  run(state, sink, out, all.records);
}
BENCHMARK(connection_text);

void connection_csv(benchmark::State& state) {
  WallClock clock;
  OutFile out = *OutFile::open("/dev/null");
  CsvSink sink(out, clock, {.events = {.connection = true}});
  const Lives all = lives();
  run(state, sink, out, all.records);
}
BENCHMARK(connection_csv);

}  // namespace
