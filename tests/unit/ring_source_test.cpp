// SPDX-License-Identifier: BSD-2-Clause
// The reader of the rings, on files that are laid out as the kernel maps one.
#include "kernel/ring_source.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <deque>
#include <numeric>
#include <vector>

#include "kernel/handles.h"

namespace tcptrail {
namespace {

constexpr std::uint32_t kBusy = 1U << 31;
constexpr std::uint32_t kDiscarded = 1U << 30;

using Times = std::vector<std::uint64_t>;

class Writer {
 public:
  Writer()
      : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))),
        file_(::memfd_create("ring", MFD_CLOEXEC)) {
    EXPECT_EQ(::ftruncate(file_.get(), static_cast<off_t>(4 * page_)), 0);
    void* memory = ::mmap(nullptr, 4 * page_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    EXPECT_NE(memory, MAP_FAILED);
    memory_ = static_cast<std::byte*>(memory);
  }
  Writer(const Writer&) = delete;
  ~Writer() { ::munmap(memory_, 4 * page_); }
  [[nodiscard]] int fd() const { return file_.get(); }

  // A record that is nothing but its time. Its header, for what is to become of it.
  std::uint32_t* write(std::uint64_t time, std::uint32_t flags = 0) {
    auto* header = reinterpret_cast<std::uint32_t*>(memory_ + 2 * page_ + written_);
    std::memcpy(header + 2, &time, sizeof time);
    *header = 8 | flags;
    written_ += 16;
    std::memcpy(memory_ + page_, &written_, sizeof written_);
    return header;
  }

 private:
  std::size_t page_;
  Fd file_;
  std::byte* memory_ = nullptr;
  std::uint64_t written_ = 0;
};

class Rings : public testing::Test {
 protected:
  RingSource open(std::size_t rings) {
    std::vector<int> fds;
    for (std::size_t i = 0; i < rings; ++i) fds.push_back(writers_.emplace_back().fd());
    Result<RingSource> source =
        RingSource::open(fds, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)), &sleeping_);
    EXPECT_TRUE(source.ok());
    return std::move(*source);
  }
  std::uint32_t* write(std::size_t ring, std::uint64_t time, std::uint32_t flags = 0) {
    return writers_[ring].write(time, flags);
  }

  // What drain() hands out is added to `read_`.
  void drain(RingSource& source) {
    source.drain([this](std::span<const std::byte> bytes) {
      std::memcpy(&read_.emplace_back(), bytes.data(), sizeof(std::uint64_t));
      return true;
    });
  }

  std::deque<Writer> writers_;
  volatile std::uint32_t sleeping_ = 0;
  Times read_;
};

TEST_F(Rings, RecordsAreReadInOrderAndDiscardedOnesAreNot) {
  RingSource source = open(1);
  write(0, 1);
  write(0, 2, kDiscarded);
  write(0, 3);
  drain(source);
  EXPECT_EQ(read_, (Times{1, 3}));
}

TEST_F(Rings, SeveralAreMergedByTime) {
  RingSource source = open(4);  // the last stays empty
  write(0, 1);
  write(0, 6);
  write(0, 7);
  write(1, 2, kDiscarded);
  write(1, 3);
  write(1, 8);
  write(2, 2);
  write(2, 4);
  write(2, 5);
  drain(source);
  EXPECT_EQ(read_, (Times{1, 2, 3, 4, 5, 6, 7, 8}));
}

// So that what it needs can be fetched: once, and whether or not it is finished.
TEST_F(Rings, ARecordIsShownOnceBeforeItsTurn) {
  RingSource source = open(1);
  for (std::uint64_t time = 1; time <= 200; ++time) write(0, time);
  write(0, 201, kBusy);
  Times shown;
  const auto take = [&](std::span<const std::byte> bytes) {
    std::memcpy(&read_.emplace_back(), bytes.data(), sizeof(std::uint64_t));
    EXPECT_TRUE(read_.size() == 1 || shown.size() >= read_.size());
    return true;
  };
  const auto soon = [&](std::span<const std::byte> bytes) {
    std::memcpy(&shown.emplace_back(), bytes.data(), sizeof(std::uint64_t));
  };
  source.drain(take, soon);
  Times all(200);
  std::iota(all.begin(), all.end(), 2);
  EXPECT_EQ(shown, all);
  EXPECT_EQ(read_.size(), 200U);
}

// A program was interrupted between its reservation and its clock: what the interrupts wrote is
// older than its record.
TEST_F(Rings, ARecordDoesNotKeepBackOlderOnesBehindIt) {
  RingSource source = open(2);
  write(0, 20);
  write(0, 5);
  write(0, 6);
  write(0, 30);
  write(1, 4);
  write(1, 10);
  drain(source);
  EXPECT_EQ(read_, (Times{4, 20, 5, 6, 10, 30}));
}

// Another ring may still get an older one.
TEST_F(Rings, ARecordOfThisVeryMomentWaitsForTheNextDrain) {
  RingSource source = open(2);
  const std::uint64_t soon = boot_now_ns() + 50'000'000;
  write(0, 1);
  write(0, soon + 1);
  write(1, soon);
  drain(source);
  EXPECT_EQ(read_, (Times{1}));
  source.drain_all([&] { drain(source); });
  EXPECT_EQ(read_, (Times{1, soon, soon + 1}));
}

TEST_F(Rings, ARecordThatIsBeingWrittenHoldsUpThoseBehindItAndOtherRings) {
  for (const std::size_t rings : {1U, 2U}) {
    writers_.clear();
    read_.clear();
    RingSource source = open(rings);
    std::uint32_t* header = write(0, 1, kBusy);
    write(0, 2);
    write(rings - 1, 3);
    drain(source);
    EXPECT_TRUE(read_.empty());
    EXPECT_FALSE(source.prepare_to_sleep());
    *header = 8;
    drain(source);
    EXPECT_EQ(read_, (Times{1, 2, 3}));
    EXPECT_TRUE(source.prepare_to_sleep());
  }
}

// A snapshot of which a part is still in the ring would say that sockets are gone.
TEST_F(Rings, DrainAllWaitsForARecordThatIsBeingWritten) {
  for (const std::size_t rings : {1U, 2U}) {
    writers_.clear();
    read_.clear();
    RingSource source = open(rings);
    std::uint32_t* header = write(rings - 1, 1, kBusy);
    write(0, 2);
    int calls = 0;
    source.drain_all([&] {
      if (++calls == 3) *header = 8;  // its CPU is back
      drain(source);
    });
    EXPECT_EQ(read_, (Times{1, 2}));
  }
}

TEST_F(Rings, DrainAllDoesNotWaitForWhatCameLater) {
  RingSource source = open(1);
  write(0, 1);
  int calls = 0;
  source.drain_all([&] {
    if (++calls == 1) write(0, 2, kBusy);
    drain(source);
  });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(read_.size(), 1U);
}

TEST_F(Rings, DrainAllEndsWhenNobodyTakesMore) {
  RingSource source = open(2);
  write(0, 1);
  write(1, 2);
  source.drain_all([&] { source.drain([](std::span<const std::byte>) { return false; }); });
  SUCCEED();
}

}  // namespace
}  // namespace tcptrail
