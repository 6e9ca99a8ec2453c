// SPDX-License-Identifier: BSD-2-Clause
// The model at a million open connections and a million TIME_WAIT sockets, fed
// through decode(): memory, cost per event, the longest pause. Prints; decides
// nothing, because timings on a shared machine are no test.
//
//   model_scale [MILLIONS]     default 1
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "events.h"
#include "machine_stub.h"
#include "model/model.h"
#include "tcp/record.h"

namespace {

using namespace tcptrail;
using namespace tcptrail::test;

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * 4096 / 1e6;
}

// Nanoseconds per event of one phase. Counted by tens: a list of all of them would be a tenth of
// the memory measured.
class Times {
 public:
  void add(std::uint64_t ns) {
    ++counts_[std::min<std::uint64_t>(ns / 10, counts_.size() - 1)];
    ++events_;
    sum_ += ns;
    longest_ = std::max(longest_, ns);
  }
  void print(const char* what, double mb_before) const {
    std::uint64_t below = 0;
    std::size_t p99 = 0;
    while (p99 + 1 < counts_.size() && (below += counts_[p99]) * 100 < events_ * 99) ++p99;
    fmt::print(
        "{:<34} {:>9} events  mean {:>5} ns  p99 {:>6} ns  longest {:>8.3f} ms  {:>6.0f} MB "
        "resident (+{:.0f})\n",
        what, events_, sum_ / events_, p99 * 10, static_cast<double>(longest_) / 1e6, resident_mb(),
        resident_mb() - mb_before);
  }

 private:
  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(10'000);
  std::uint64_t events_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t longest_ = 0;
};

class Feeder {
 public:
  explicit Feeder(Model& model) : model_(model) {}
  void input(const Event& event, Times& times) {
    const std::size_t size = size_of_kind(event.kind());
    const auto before = std::chrono::steady_clock::now();
    Event decoded{};
    if (decode({reinterpret_cast<const std::byte*>(&event), size}, decoded)) model_.event(decoded);
    const auto ns = (std::chrono::steady_clock::now() - before).count();
    times.add(static_cast<std::uint64_t>(ns));
  }

 private:
  Model& model_;
};

// Distinct 4-tuples: 40,000 ports for each remote address.
Event tuple_event(std::uint64_t i, std::uint64_t at, TcpState old, TcpState next) {
  Event event = ev(i + 1, at, old, next, {static_cast<std::uint16_t>(20'000 + i % 40'000), 443});
  const auto remote = static_cast<std::uint32_t>(i / 40'000 + 1);
  std::memcpy(event.base.raddr + 1, &remote, 3);
  event.base.raddr[0] = 10;
  return event;
}

}  // namespace

int main(int argc, char** argv) {
  const auto n = static_cast<std::uint64_t>(1e6 * (argc > 1 ? std::atof(argv[1]) : 1));
  RecordSink sink;
  SetFacts facts;
  ModelOptions options;
  options.follow_time_wait = true;
  options.want_transitions = false;
  options.max_connections = 4 * n;
  Model model(options, facts, sink);
  model.begin_snapshot(1, false);
  model.end_snapshot(2, {});
  Feeder feeder(model);
  fmt::print("sizeof(Conn) {}  sizeof(TimeWait) {}\n", sizeof(Conn), sizeof(TimeWait));

  std::uint64_t at = 1'000'000'000;
  const auto open = [&](std::uint64_t i, Times& times) {
    Event syn = by(10, tuple_event(i, at += 1000, kClose, kSynSent));
    syn.base.lport = 0;
    feeder.input(syn, times);
    feeder.input(tuple_event(i, at += 1000, kSynSent, kEstablished), times);
  };
  const auto close_first = [&](std::uint64_t i, Times& times) {
    feeder.input(by(10, tuple_event(i, at += 1000, kEstablished, kFinWait1)), times);
    feeder.input(tuple_event(i, at += 1000, kFinWait1, kFinWait2), times);
    feeder.input(closing(tuple_event(i, at += 1000, kFinWait2, kClose),
                         TCPTRAIL_END_DONE | TCPTRAIL_END_DEAD | TCPTRAIL_END_ALL_ACKED, 0,
                         TCPTRAIL_TW_TIME_WAIT),
                 times);
  };

  Times small;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    open(10 * n + i % 1000, small);
    close_first(10 * n + i % 1000, small);
  }
  const double empty = resident_mb();
  small.print("small table (1,000 alive)", empty);
  Times growing;
  const double before_open = resident_mb();
  for (std::uint64_t i = 0; i < n; ++i) open(i, growing);
  growing.print("opening, until all are open", before_open);
  Times left;
  const double before_tw = resident_mb();
  for (std::uint64_t i = n; i < 2 * n; ++i) {
    open(i, left);
    close_first(i, left);
  }
  left.print("as many into TIME_WAIT", before_tw);
  Times full;
  const double before_churn = resident_mb();
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    open(10 * n + i % 1000, full);
    close_first(10 * n + i % 1000, full);
  }
  full.print("the same churn, tables full", before_churn);
  fmt::print("{} minisockets in the ledger\n", model.minisockets());
}
