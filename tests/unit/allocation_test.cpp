// SPDX-License-Identifier: BSD-2-Clause
// The sinks and the model must not allocate per record: this file counts every
// operator new of the test program.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "allocations.h"
#include "events.h"
#include "machine_stub.h"
#include "model/model.h"
#include "output/csv.h"
#include "output/json.h"
#include "output/text.h"
#include "sample_records.h"
#include "stats/stats.h"

namespace {
std::atomic<std::size_t> allocated{0};
}  // namespace

std::size_t tcptrail::test::allocations() { return allocated.load(); }

// Both pairs, so that sanitizers see matching functions; not inlined, or g++
// sees free() meet operator new and warns.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocated.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
// What std::stable_sort takes its buffer from; ASan has one of its own otherwise.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  allocated.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace tcptrail {
namespace {

constexpr EventSet kAll{true, true, true, true};

// Allocations of 10,000 rounds after one round that fills caches.
template <class Sink, class Record>
std::size_t allocations_of(Sink& sink, const Record& record) {
  sink.on(record);
  const std::size_t before = allocated.load();
  for (int i = 0; i < 10000; ++i) sink.on(record);
  return allocated.load() - before;
}

TEST(Allocation, CounterCounts) {
  const std::size_t before = allocated.load();
  void* p = ::operator new(1);  // a call, not a new expression, which may be optimised away
  EXPECT_EQ(allocated.load() - before, 1U);
  ::operator delete(p);
}

TEST(Allocation, JsonSinkDoesNotAllocatePerRecord) {
  WallClock clock;
  OutFile out = *OutFile::open("/dev/null");
  JsonSink sink(out, clock, {kAll, {{"site", "fra1"}}});
  const test::OwnedConnection connection = test::server_closed_first();
  EXPECT_EQ(allocations_of(sink, test::established_v6()), 0U);
  EXPECT_EQ(allocations_of(sink, test::odd_transition()), 0U);
  EXPECT_EQ(allocations_of(sink, connection.record), 0U);
  EXPECT_EQ(allocations_of(sink, test::time_wait_left()), 0U);
}

TEST(Allocation, TextSinkDoesNotAllocatePerLine) {
  WallClock clock;
  OutFile out = *OutFile::open("/dev/null");
  TextSink sink(out, clock, {.events = kAll});
  const test::OwnedConnection connection = test::server_closed_first();
  EXPECT_EQ(allocations_of(sink, test::established_v6()), 0U);
  EXPECT_EQ(allocations_of(sink, connection.record), 0U);
  EXPECT_EQ(allocations_of(sink, test::time_wait_left()), 0U);
}

TEST(Allocation, CsvSinkDoesNotAllocatePerLine) {
  WallClock clock;
  OutFile out = *OutFile::open("/dev/null");
  CsvSink sink(out, clock, {.events = {.connection = true}});
  const test::OwnedConnection connection = test::server_closed_first();
  EXPECT_EQ(allocations_of(sink, connection.record), 0U);
}

// Also not at the end of an interval, but for what its reader makes of it.
TEST(Allocation, StatsDoesNotAllocatePerRecord) {
  Stats stats({.interval_ns = 1'000'000'000}, [](const StatsInterval&) {});
  test::OwnedConnection connection = test::server_closed_first();
  const auto thousand = [&] {
    for (unsigned i = 0; i < 1000; ++i) {
      connection.record.boot_ns += 10'000'000;  // a hundred to an interval
      connection.record.service_port = static_cast<std::uint16_t>(1 + i % 50);
      connection.record.duration_ns = 1000ULL << (i % 20);
      connection.record.tuple.raddr.bytes[3] = static_cast<std::uint8_t>(i % 100);
      stats.on(connection.record);
    }
  };
  thousand();
  thousand();
  const std::size_t before = allocated.load();
  for (int i = 0; i < 10; ++i) thousand();
  EXPECT_EQ(allocated.load() - before, 0U);
}

// Whole lives with both ends here, each with who closed it, and their minisockets: once as many as
// at the peak were alive.
TEST(Allocation, TheModelDoesNotAllocatePerConnection) {
  using namespace test;
  RecordSink sink;
  SetFacts facts;
  ModelOptions options;
  options.follow_time_wait = true;
  options.want_transitions = false;
  Model model(options, facts, sink);
  model.begin_snapshot(1, false);
  model.end_snapshot(2, {});
  std::uint64_t at = 1'000'000'000;
  const auto each = [](std::uint64_t first_cookie, auto&& act) {
    for (std::uint16_t i = 0; i < 5'000; ++i) {
      const std::uint16_t port = 20'000 + i;
      act(first_cookie + 2U * i, Ends{port, 443}, Ends{443, port});
    }
  };
  const auto lives = [&](std::uint64_t first_cookie) {
    each(first_cookie, [&](std::uint64_t here, const Ends& ends, const Ends& reverse) {
      model.event(by(10, ev(here, at += 1000, kClose, kSynSent, ends)));
      model.event(ev(here + 1, at += 1000, kListen, kSynRecv, reverse));
      model.event(ev(here, at += 1000, kSynSent, kEstablished, ends));
      model.event(ev(here + 1, at += 1000, kSynRecv, kEstablished, reverse));
    });
    each(first_cookie, [&](std::uint64_t here, const Ends& ends, const Ends& reverse) {
      model.event(by(10, ev(here, at += 1000, kEstablished, kFinWait1, ends)));
      model.event(ev(here + 1, at += 1000, kEstablished, kCloseWait, reverse));
      model.event(ev(here, at += 1000, kFinWait1, kFinWait2, ends));
      model.event(by(11, ev(here + 1, at += 1000, kCloseWait, kLastAck, reverse)));
      constexpr auto done = TCPTRAIL_END_DONE | TCPTRAIL_END_DEAD | TCPTRAIL_END_ALL_ACKED;
      model.event(
          closing(ev(here, at += 1000, kFinWait2, kClose, ends), done, 0, TCPTRAIL_TW_TIME_WAIT));
      model.event(closing(ev(here + 1, at += 1000, kLastAck, kClose, reverse), done));
    });
  };
  lives(1);
  lives(20'001);
  const std::size_t before = allocated.load();
  for (std::uint64_t i = 2; i < 12; ++i) lives(i * 20'000 + 1);
  EXPECT_LE(allocated.load() - before, 10U)
      << "of 100,000 connections: map nodes of the namespace that come and go";
}

}  // namespace
}  // namespace tcptrail
