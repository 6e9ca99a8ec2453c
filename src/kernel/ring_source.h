// SPDX-License-Identifier: BSD-2-Clause
// The consumer side of the ring buffers. libbpf's own consumer decides on
// wakeups for us and hides the positions; this one sleeps only on empty rings
// and tells the programs that it does (see bpf/emit.bpf.h).
//
// Each CPU writes into one of several rings; their records are handed out in
// order of time. That order is known up to a moment in the past: a program
// reads the clock after it has reserved the room, so when the positions are
// read later than that moment (and a little, for another CPU's clock and store
// buffer), every record that is older is there.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "util/clock.h"
#include "util/result.h"

namespace tcptrail {

// One ring, mapped, and the record that it hands out next.
class Ring {
 public:
  static constexpr std::uint64_t kNone = UINT64_MAX;  // times that no record has
  static constexpr std::uint64_t kBusy = 0;

  // `map_fd` stays the caller's.
  static Result<Ring> open(int map_fd, std::size_t size);
  Ring(Ring&& other) noexcept;
  Ring& operator=(Ring&&) = delete;
  Ring(const Ring&) = delete;
  ~Ring();

  [[nodiscard]] bool empty() const {
    return producer_->load(std::memory_order_acquire) == position_;
  }

  // What is there now has been handed out.
  void mark() { mark_ = producer_->load(std::memory_order_acquire); }
  [[nodiscard]] bool past_mark() const { return position_ >= mark_; }

  // What is there now is handed out from here on.
  void look() {
    end_ = producer_->load(std::memory_order_acquire);
    find();
  }
  // Before which the next record must be handed out; kNone = no record, kBusy = it is still being
  // written.
  [[nodiscard]] std::uint64_t time() const { return time_; }
  [[nodiscard]] std::span<const std::byte> record() const { return record_; }
  void next() {
    position_ += room(record_.size());
    find();
  }
  // Shows what lies behind the next record to `soon`, each once, and whether or not it is finished.
  template <class Soon>
  void look_ahead(Soon& soon) {
    if (ahead_ < position_) ahead_ = position_;
    const std::uint64_t until = std::min(end_, position_ + kAhead);
    while (ahead_ < until) {
      const std::uint32_t size = length(ahead_) & ~(kBusyBit | kDiscardBit);
      soon(std::span(data_ + (ahead_ & mask_) + kHeaderSize, size));
      ahead_ += room(size);
      // The ring itself was written by another CPU.
      __builtin_prefetch(data_ + ((ahead_ + kAhead) & mask_));
      __builtin_prefetch(data_ + ((ahead_ + kAhead) & mask_) + 64);
    }
  }
  // Gives back the room of what was handed out.
  void release() { consumer_->store(position_, std::memory_order_release); }

 private:
  static constexpr std::uint32_t kBusyBit = 1U << 31;     // BPF_RINGBUF_BUSY_BIT
  static constexpr std::uint32_t kDiscardBit = 1U << 30;  // BPF_RINGBUF_DISCARD_BIT
  static constexpr std::size_t kHeaderSize = 8;           // BPF_RINGBUF_HDR_SZ
  static constexpr std::uint64_t kAhead =
      512;  // some five records: as long as a fetch from memory takes

  Ring(std::size_t size, void* consumer, void* producer);

  static std::uint64_t room(std::size_t size) {
    return (size + kHeaderSize + 7) & ~std::uint64_t{7};
  }
  [[nodiscard]] std::uint32_t length(std::uint64_t position) const {
    return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(data_ + (position & mask_)),
                           __ATOMIC_ACQUIRE);
  }
  // Every record begins with its time.
  [[nodiscard]] std::uint64_t time_of(std::uint64_t position) const {
    return *reinterpret_cast<const std::uint64_t*>(data_ + (position & mask_) + kHeaderSize);
  }
  void find() {
    for (;; position_ += room(record_.size())) {
      time_ = kNone;
      if (position_ >= end_) return;
      const std::uint32_t found = length(position_);
      time_ = kBusy;
      if ((found & kBusyBit) != 0) return;
      record_ = {data_ + (position_ & mask_) + kHeaderSize, found & ~kDiscardBit};
      if ((found & kDiscardBit) == 0) break;
    }
    // What interrupts a program in the middle lies behind its record and is older.
    time_ = time_of(position_);
    std::uint64_t behind = position_ + room(record_.size());
    while (behind < end_) {
      const std::uint32_t found = length(behind);
      if ((found & (kBusyBit | kDiscardBit)) != 0 || time_of(behind) >= time_) return;
      time_ = time_of(behind);
      behind += room(found);
    }
  }

  std::size_t mask_;
  std::size_t page_;
  std::atomic<std::uint64_t>* consumer_;
  const std::atomic<std::uint64_t>* producer_;
  const std::byte* data_;
  std::uint64_t position_ = 0;
  std::uint64_t ahead_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t mark_ = 0;
  std::uint64_t time_ = kNone;
  std::span<const std::byte> record_;
};

class RingSource {
 public:
  // `sleeping` is the programs' consumer_sleeping word.
  static Result<RingSource> open(std::span<const int> map_fds, std::size_t size,
                                 volatile std::uint32_t* sleeping);

  // Hands each finished record but those of the last 10 us to `take(std::span<const
  // std::byte>)`, until there are no more, one is still being written, or `take` returns
  // false. Returns how many there were: 0 only when there is none, or one being written.
  // `soon(std::span<const std::byte>)` sees each record a little earlier, perhaps unfinished.
  template <class Take, class Soon>
  std::size_t drain(Take&& take, Soon&& soon) {
    std::size_t count = hand_out(take, soon);
    for (const std::uint64_t now = boot_now_ns();
         count == 0 && too_young_ && complete_until() <= now;)
      count = hand_out(take, soon);
    return count;
  }

  template <class Take>
  std::size_t drain(Take&& take) {
    return drain(
        take, [](std::span<const std::byte>) {});
  }

  // Calls `drain`, which calls drain(), until all that is in the rings now has been read. A record
  // that is still being written holds up everything behind it: for long, where a hypervisor has
  // taken the writer's CPU away.
  template <class Drain>
  void drain_all(Drain&& drain) {
    for (Ring& ring : rings_) ring.mark();
    drain();
    while ((held_up_ || too_young_) &&
           !std::all_of(rings_.begin(), rings_.end(),
                        [](const Ring& ring) { return ring.past_mark(); })) {
      ::sched_yield();
      drain();
    }
  }

  // Announces that the reader is about to sleep. False when records have come
  // meanwhile: then it must not.
  bool prepare_to_sleep();
  void awake() { *sleeping_ = 0; }

 private:
  RingSource(std::vector<Ring> rings, volatile std::uint32_t* sleeping)
      : rings_(std::move(rings)), sleeping_(sleeping) {}
  [[nodiscard]] std::uint64_t complete_until() const;

  template <class Take, class Soon>
  std::size_t hand_out(Take& take, Soon& soon) {
    const std::uint64_t complete_until = this->complete_until();
    for (Ring& ring : rings_) ring.look();
    std::size_t count = 0;
    for (bool more = true; more;) {
      Ring* first = &rings_.front();
      std::uint64_t until = complete_until;
      for (Ring& ring : std::span(rings_).subspan(1)) {
        until = std::min(until, std::max(ring.time(), first->time()));
        if (ring.time() < first->time()) first = &ring;
      }
      held_up_ = first->time() == Ring::kBusy;
      too_young_ = first->time() >= complete_until && first->time() != Ring::kNone;
      if (held_up_ || first->time() >= complete_until) break;
      do {
        more = take(first->record());
        first->next();
        first->look_ahead(soon);
        // Room is given back in steps: each store takes the line away from the producers.
        if ((++count & 63) == 0) first->release();
      } while (more && first->time() != Ring::kBusy && first->time() < until);
    }
    for (Ring& ring : rings_) ring.release();
    return count;
  }

  std::vector<Ring> rings_;
  volatile std::uint32_t* sleeping_;
  bool held_up_ = false;    // the last drain() ended at a record that is being written
  bool too_young_ = false;  // ... at one of the last 10 us
};

}  // namespace tcptrail
