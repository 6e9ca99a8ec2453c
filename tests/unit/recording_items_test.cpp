// SPDX-License-Identifier: BSD-2-Clause
// Items of a recording: what is written is what is read, and nothing that is
// read is believed.
#include "recording/items.h"

#include <gtest/gtest.h>

#include <random>

#include "recording/crc32c.h"
#include "recording/format.h"
#include "recording/layouts.h"
#include "recording/varint.h"
#include "recordings.h"

namespace tcptrail {
namespace {

using namespace test;
using Status = ItemDecoder::Status;

Status decode_all(std::span<const std::byte> bytes, CallLog& log, RecordedFacts& answers) {
  ItemDecoder decoder;
  decoder.start(bytes, TCPTRAIL_LAYOUT_VERSION);
  for (;;) {
    const Status status = decoder.next(log, answers);
    if (status != Status::kItem) return status;
  }
}

Status decode_all(std::span<const std::byte> bytes) {
  CallLog log;
  RecordedFacts answers;
  return decode_all(bytes, log, answers);
}

TEST(Crc32c, GivesTheCheckValueOfTheCatalogue) {
  const std::string_view text = "123456789";
  EXPECT_EQ(crc32c(std::as_bytes(std::span(text))), 0xE3069283U);
}

TEST(Crc32c, GoesOnWhereItStopped) {
  const std::string text(1000, 'x');
  const auto bytes = std::as_bytes(std::span(text));
  for (const std::size_t cut : {0UL, 1UL, 7UL, 8UL, 999UL})
    EXPECT_EQ(crc32c(bytes.subspan(cut), crc32c(bytes.first(cut))), crc32c(bytes));
}

TEST(Varint, KeepsEveryLength) {
  std::array<std::byte, kMaxVarint> room{};
  for (unsigned shift = 0; shift < 64; ++shift) {
    for (const std::uint64_t value :
         {std::uint64_t{1} << shift, (std::uint64_t{1} << shift) - 1, UINT64_MAX >> shift}) {
      const std::byte* end = put_varint(room.data(), value);
      const std::byte* p = room.data();
      std::uint64_t read = 0;
      ASSERT_TRUE(take_varint(p, end, read));
      EXPECT_EQ(read, value);
      EXPECT_EQ(p, end);
      p = room.data();
      EXPECT_FALSE(take_varint(p, end - 1, read));
    }
  }
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, INT64_MAX, INT64_MIN})
    EXPECT_EQ(unfold_sign(fold_sign(value)), value);
}

TEST(Varint, RefusesMoreThan64Bits) {
  const std::array<unsigned char, 10> raw = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                             0xFF, 0xFF, 0xFF, 0xFF, 0x02};
  const auto bytes = std::as_bytes(std::span(raw));
  const std::byte* p = bytes.data();
  std::uint64_t value = 0;
  EXPECT_FALSE(take_varint(p, bytes.data() + bytes.size(), value));
}

TEST(RecordingItems, EveryCallComesBackAsItWas) {
  ItemEncoder items;
  CallLog told;
  tell(items, 0, 700);
  tell(told, 0, 700);
  items.finish(9'000'000'000);
  told.finish(9'000'000'000);
  CallLog read;
  RecordedFacts answers;
  EXPECT_EQ(decode_all(items.bytes(), read, answers), Status::kEnd);
  EXPECT_EQ(read.calls, told.calls);
  EXPECT_EQ(items.items(), told.calls.size());
  EXPECT_EQ(items.events(), 700U * 6 + 7 * 2);
}

TEST(RecordingItems, EveryKindOfEventComesBackWhateverItsBytes) {
  std::mt19937_64 random(1);
  ItemEncoder items;
  CallLog told;
  for (int i = 0; i < 3000; ++i) {
    Event event;
    for (std::size_t at = 0; at < sizeof event; at += 8) {
      const std::uint64_t word = i % 3 == 0 ? random() : random() % 2;
      std::memcpy(reinterpret_cast<char*>(&event) + at, &word, 8);
    }
    event.base.kind = static_cast<std::uint8_t>(1 + random() % TCPTRAIL_REFUSED);
    event.base.ts_boot_ns %= kMaxBootNs;
    told.event(event);
    items.event(event);
  }
  CallLog read;
  RecordedFacts answers;
  EXPECT_EQ(decode_all(items.bytes(), read, answers), Status::kEnd);
  EXPECT_EQ(read.calls, told.calls);
}

TEST(RecordingItems, AnEventOfAnUnknownKindIsNotWritten) {
  ItemEncoder items;
  Event event{};
  for (const int kind : {0, TCPTRAIL_REFUSED + 1, 64, 255}) {
    event.base.kind = static_cast<std::uint8_t>(kind);
    items.event(event);
  }
  EXPECT_EQ(items.items(), 0U);
}

TEST(RecordingItems, AnswersComeBack) {
  FakeMachine machine;
  ItemEncoder items;
  const Process one{1, comm_of("nginx\0\0\0\0\0\0\0\0\0\0")};
  const Process two{2, one.comm};
  items.cgroup(7, "/a");
  items.cgroup(7, "/b");
  items.cgroup(UINT64_MAX, std::string(10'000, 'x'));
  items.alive(one, true);
  items.alive(two, std::nullopt);
  items.alive({3, one.comm}, false);
  items.sysctls(2, machine.port_sysctls(2));
  items.sysctls(3, std::nullopt);
  CallLog log;
  RecordedFacts answers;
  ASSERT_EQ(decode_all(items.bytes(), log, answers), Status::kEnd);
  ReplayedQueries facts(answers);
  EXPECT_EQ(facts.cgroup_path(7), "/b");
  EXPECT_EQ(facts.cgroup_path(8), "");
  EXPECT_EQ(facts.cgroup_path(UINT64_MAX), std::string(kMaxCgroupPath, 'x'));
  EXPECT_EQ(facts.is_alive(one), true);
  EXPECT_EQ(facts.is_alive(two), std::nullopt);
  EXPECT_EQ(facts.is_alive({3, one.comm}), false);
  EXPECT_EQ(facts.is_alive({3, {}}), std::nullopt);  // the pid has another name now
  EXPECT_EQ(facts.port_sysctls(2), machine.port_sysctls(2));
  EXPECT_EQ(facts.port_sysctls(3), std::nullopt);
}

TEST(RecordingItems, EveryReservedPortComesBack) {
  PortSysctls all;
  all.reserved.set();
  PortSysctls odd;
  for (std::size_t port = 1; port < 65536; port += 2) odd.reserved.set(port);
  ItemEncoder items;
  items.sysctls(1, all);
  items.sysctls(2, odd);
  CallLog log;
  RecordedFacts answers;
  ASSERT_EQ(decode_all(items.bytes(), log, answers), Status::kEnd);
  EXPECT_EQ(answers.port_sysctls(1), all);
  EXPECT_EQ(answers.port_sysctls(2), odd);
}

TEST(RecordedFacts, AreBounded) {
  RecordedFacts answers;
  for (std::uint64_t id = 0; id <= RecordedFacts::kMaxCgroups; ++id)
    EXPECT_TRUE(answers.learn_cgroup(id, "/"));
  EXPECT_EQ(answers.cgroups().size(), 1U);
  EXPECT_EQ(answers.cgroup_path(RecordedFacts::kMaxCgroups), "/");
}

TEST(RecordingItems, ABlockIsReadWithoutTheOneBeforeIt) {
  ItemEncoder items;
  items.event(ev(1, 1'000, kSynSent, kEstablished));
  const Bytes first(items.bytes().begin(), items.bytes().end());
  items.event(ev(2, 2'000, kSynSent, kEstablished));
  EXPECT_EQ(items.first_boot_ns(), 1'000U);
  EXPECT_EQ(items.last_boot_ns(), 2'000U);
  items.clear();
  items.event(ev(1, 1'000, kSynSent, kEstablished));
  EXPECT_EQ(Bytes(items.bytes().begin(), items.bytes().end()), first);
}

TEST(RecordingItems, ARepeatedEventTakesFewBytes) {
  ItemEncoder items;
  items.event(ev(1, 1'000'000'000, kSynSent, kEstablished));
  const std::size_t first = items.bytes().size();
  items.event(ev(1, 1'000'000'050, kSynSent, kEstablished));
  EXPECT_EQ(items.bytes().size() - first, 4U);  // type, mask, time
}

TEST(RecordingItems, CutAnywhereAreMalformedOrEndBetweenItems) {
  ItemEncoder items;
  FakeMachine machine;
  tell(items, 0, 2);
  items.cgroup(7, "/system.slice");
  items.alive({1, {}}, true);
  items.sysctls(2, machine.port_sysctls(2));
  CallLog all;
  RecordedFacts answers;
  ASSERT_EQ(decode_all(items.bytes(), all, answers), Status::kEnd);
  for (std::size_t size = 0; size < items.bytes().size(); ++size) {
    const Bytes cut(
        items.bytes().begin(),
        items.bytes().begin() +
            static_cast<std::ptrdiff_t>(size));  // its own heap block: ASan sees a byte too far
    CallLog log;
    decode_all(cut, log, answers);
    ASSERT_LE(log.calls.size(), all.calls.size());
    ASSERT_TRUE(std::equal(log.calls.begin(), log.calls.end(), all.calls.begin())) << size;
  }
}

TEST(RecordingItems, NonsenseIsMalformed) {
  const auto bytes = [](std::initializer_list<int> list) {
    Bytes out;
    for (const int byte : list) out.push_back(static_cast<std::byte>(byte));
    return out;
  };
  EXPECT_EQ(decode_all(bytes({0})), Status::kMalformed);            // no kind
  EXPECT_EQ(decode_all(bytes({63, 0, 0, 0})), Status::kMalformed);  // an unknown kind
  EXPECT_EQ(decode_all(bytes({71, 0})), Status::kMalformed);        // an unknown item
  EXPECT_EQ(decode_all(bytes({255})), Status::kMalformed);
  EXPECT_EQ(decode_all(bytes({1, 1, 0, 0})),
            Status::kMalformed);  // the time is never a difference of words
  EXPECT_EQ(decode_all(bytes({1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})),
            Status::kMalformed);  // word 8 of a 64-byte event
  EXPECT_EQ(decode_all(bytes({1, 128, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0})),
            Status::kMalformed);                                 // its word says kind 2
  EXPECT_EQ(decode_all(bytes({64, 0, 2})), Status::kMalformed);  // a bool of 2
  EXPECT_EQ(decode_all(bytes({66, 1})), Status::kMalformed);     // before the boot, or in 500 years
  EXPECT_EQ(decode_all(bytes({65, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F})),
            Status::kMalformed);  // 34 thousand million namespaces
  EXPECT_EQ(decode_all(bytes({80, 1, 0xFF, 0x7F})),
            Status::kMalformed);  // a path longer than its block
  EXPECT_EQ(decode_all(bytes({82, 1, 1, 10, 20, 0, 0, 0, 0, 0, 0, 0, 2, 5, 3, 7, 1})),
            Status::kMalformed);  // ranges that overlap
  EXPECT_EQ(decode_all(bytes({82, 1, 1, 20, 10, 0, 0, 0, 0, 0, 0, 0, 0})),
            Status::kMalformed);  // from 20 to 10
}

TEST(RecordingItems, RandomBytesNeverReadPastTheirEnd) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(random() % 300);
    for (std::byte& byte : bytes)
      byte = static_cast<std::byte>(random() % (round % 2 == 0 ? 256 : 90));
    decode_all(bytes);
  }
}

TEST(RecordingItems, TheTimeOfTheNextItemIsKnownBeforeItIsTaken) {
  ItemEncoder items;
  items.advance_to(1'000);
  items.clock_offset(-5);  // has none
  items.event(ev(1, 900, kSynSent, kEstablished));
  items.finish(2'000);
  ItemDecoder decoder;
  CallLog log;
  RecordedFacts answers;
  decoder.start(items.bytes(), TCPTRAIL_LAYOUT_VERSION);
  for (const std::uint64_t expected : {1'000U, 1'000U, 900U, 2'000U, 2'000U}) {
    EXPECT_EQ(decoder.next_boot_ns(), expected);
    decoder.next(log, answers);
  }
}

TEST(RecordingLayouts, EveryStepFromTheRecordedLayoutIsApplied) {
  const std::array<LayoutStep, 2> steps = {[](Event& e) { e.base.pid += 1; },
                                           [](Event& e) { e.base.pid *= 10; }};
  Event event{};
  event.base.pid = 4;
  upgrade(event, 3, steps);
  EXPECT_EQ(event.base.pid, 4U);
  upgrade(event, 2, steps);
  EXPECT_EQ(event.base.pid, 40U);
  upgrade(event, 1, steps);
  EXPECT_EQ(event.base.pid, 410U);
}

}  // namespace
}  // namespace tcptrail
