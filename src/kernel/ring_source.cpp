// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/ring_source.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tcptrail {

namespace {
// More than a store takes to become visible to another CPU, and than clocks of two CPUs differ.
constexpr std::uint64_t kStragglersNs = 10'000;

Error cannot_map(int error) {
  return {"cannot map the ring buffer", std::strerror(error),
          "use a smaller --ring-size, or raise the limit of the address space (ulimit -v)"};
}
}  // namespace

Result<Ring> Ring::open(int map_fd, std::size_t size) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* consumer = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (consumer == MAP_FAILED) return cannot_map(errno);
  // The kernel maps the data twice in a row, so that a record never wraps.
  void* producer =
      ::mmap(nullptr, page + 2 * size, PROT_READ, MAP_SHARED, map_fd, static_cast<off_t>(page));
  if (producer == MAP_FAILED) {
    const int error = errno;
    ::munmap(consumer, page);
    return cannot_map(error);
  }
  return Ring(size, consumer, producer);
}

Ring::Ring(std::size_t size, void* consumer, void* producer)
    : mask_(size - 1),
      page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))),
      consumer_(static_cast<std::atomic<std::uint64_t>*>(consumer)),
      producer_(static_cast<const std::atomic<std::uint64_t>*>(producer)),
      data_(static_cast<const std::byte*>(producer) + page_) {}

Ring::Ring(Ring&& other) noexcept
    : mask_(other.mask_),
      page_(other.page_),
      consumer_(std::exchange(other.consumer_, nullptr)),
      producer_(other.producer_),
      data_(other.data_) {}

Ring::~Ring() {
  if (consumer_ == nullptr) return;
  ::munmap(consumer_, page_);
  ::munmap(const_cast<std::byte*>(data_) - page_, page_ + 2 * (mask_ + 1));
}

Result<RingSource> RingSource::open(std::span<const int> map_fds, std::size_t size,
                                    volatile std::uint32_t* sleeping) {
  std::vector<Ring> rings;
  rings.reserve(map_fds.size());
  for (const int map_fd : map_fds) {
    Result<Ring> ring = Ring::open(map_fd, size);
    if (!ring) return ring.error();
    rings.push_back(std::move(*ring));
  }
  return RingSource(std::move(rings), sleeping);
}

std::uint64_t RingSource::complete_until() const {
  return rings_.size() == 1 ? Ring::kNone : boot_now_ns() - kStragglersNs;
}

bool RingSource::prepare_to_sleep() {
  *sleeping_ = 1;
  // The programs look at the word after a full fence; so do we look at the positions.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (std::all_of(rings_.begin(), rings_.end(), [](const Ring& ring) { return ring.empty(); }))
    return true;
  *sleeping_ = 0;
  return false;
}

}  // namespace tcptrail
