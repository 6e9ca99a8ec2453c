// SPDX-License-Identifier: BSD-2-Clause
// The sinks must not allocate per record: this file counts every operator new of
// the test program.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "core/stats.h"
#include "output/csv.h"
#include "output/json.h"
#include "output/text.h"
#include "sample_records.h"

namespace {
std::atomic<std::size_t> allocations{0};
}  // namespace

// Both pairs, so that sanitizers see matching functions; not inlined, or g++
// sees free() meet operator new and warns.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
// What std::stable_sort takes its buffer from; ASan has one of its own otherwise.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
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
  const std::size_t before = allocations.load();
  for (int i = 0; i < 10000; ++i) sink.on(record);
  return allocations.load() - before;
}

TEST(Allocation, CounterCounts) {
  const std::size_t before = allocations.load();
  void* p = ::operator new(1);  // a call, not a new expression, which may be optimised away
  EXPECT_EQ(allocations.load() - before, 1U);
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
  Stats stats({.interval_ns = 1'000'000'000}, [](const Period&) {});
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
  const std::size_t before = allocations.load();
  for (int i = 0; i < 10; ++i) thousand();
  EXPECT_EQ(allocations.load() - before, 0U);
}

}  // namespace
}  // namespace tcptrail
