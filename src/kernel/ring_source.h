// SPDX-License-Identifier: BSD-2-Clause
// The consumer side of the ring buffer. libbpf's own consumer decides on
// wakeups for us and hides the positions; this one sleeps only on an empty ring
// and tells the programs that it does (see bpf/emit.bpf.h).
//
// A ring per CPU would be several of these, handing out their records in order
// of time up to the moment before the positions were read.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernel/handles.h"
#include "util/result.h"

namespace tcptrail {

class RingSource {
 public:
  // `map_fd` stays the caller's. `sleeping` is the programs' consumer_sleeping word.
  static Result<RingSource> open(int map_fd, std::size_t size, volatile std::uint32_t* sleeping);
  RingSource(RingSource&& other) noexcept;
  RingSource& operator=(RingSource&&) = delete;
  RingSource(const RingSource&) = delete;
  ~RingSource();

  // Hands each finished record to `take(std::span<const std::byte>)`, until the
  // ring is empty, a record is still being written, or `take` returns false.
  // Returns how many there were.
  template <class Take>
  std::size_t drain(Take&& take) {
    std::size_t count = 0;
    std::uint64_t position = consumer_->load(std::memory_order_relaxed);
    const std::uint64_t end = producer_->load(std::memory_order_acquire);
    bool more = true;
    while (more && position < end) {
      const std::byte* header = data_ + (position & mask_);
      const std::uint32_t length =
          __atomic_load_n(reinterpret_cast<const std::uint32_t*>(header), __ATOMIC_ACQUIRE);
      if ((length & kBusy) != 0) break;
      const std::size_t size = length & ~(kBusy | kDiscarded);
      if ((length & kDiscarded) == 0) {
        more = take(std::span<const std::byte>(header + kHeaderSize, size));
        ++count;
      }
      position += (size + kHeaderSize + 7) & ~std::uint64_t{7};
      // Room is given back in steps: each store takes the line away from the producers.
      if ((count & 63) == 63) consumer_->store(position, std::memory_order_release);
    }
    consumer_->store(position, std::memory_order_release);
    return count;
  }

  // Announces that the reader is about to sleep. False when records have come
  // meanwhile: then it must not.
  bool prepare_to_sleep();
  void awake() { *sleeping_ = 0; }

  // Readable once a program has rung the bell.
  [[nodiscard]] int fd() const { return map_fd_; }
  [[nodiscard]] std::size_t size() const { return mask_ + 1; }

 private:
  static constexpr std::uint32_t kBusy = 1U << 31;       // BPF_RINGBUF_BUSY_BIT
  static constexpr std::uint32_t kDiscarded = 1U << 30;  // BPF_RINGBUF_DISCARD_BIT
  static constexpr std::size_t kHeaderSize = 8;          // BPF_RINGBUF_HDR_SZ

  RingSource(int map_fd, std::size_t size, volatile std::uint32_t* sleeping, void* consumer, void* producer);
  void unmap() noexcept;

  int map_fd_;
  std::size_t mask_;
  std::size_t page_;
  volatile std::uint32_t* sleeping_;
  std::atomic<std::uint64_t>* consumer_;
  const std::atomic<std::uint64_t>* producer_;
  const std::byte* data_;
};

}  // namespace tcptrail
