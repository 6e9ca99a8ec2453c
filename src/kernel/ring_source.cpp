// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/ring_source.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tcptrail {

namespace {
Error cannot_map(int error) {
  return {"cannot map the ring buffer", std::strerror(error), "use a smaller --ring-size, or raise the limit of the address space (ulimit -v)"};
}
}  // namespace

Result<RingSource> RingSource::open(int map_fd, std::size_t size, volatile std::uint32_t* sleeping) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* consumer = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (consumer == MAP_FAILED) return cannot_map(errno);
  // The kernel maps the data twice in a row, so that a record never wraps.
  void* producer = ::mmap(nullptr, page + 2 * size, PROT_READ, MAP_SHARED, map_fd, static_cast<off_t>(page));
  if (producer == MAP_FAILED) {
    const int error = errno;
    ::munmap(consumer, page);
    return cannot_map(error);
  }
  return RingSource(map_fd, size, sleeping, consumer, producer);
}

RingSource::RingSource(int map_fd, std::size_t size, volatile std::uint32_t* sleeping, void* consumer, void* producer)
    : map_fd_(map_fd),
      mask_(size - 1),
      page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))),
      sleeping_(sleeping),
      consumer_(static_cast<std::atomic<std::uint64_t>*>(consumer)),
      producer_(static_cast<const std::atomic<std::uint64_t>*>(producer)),
      data_(static_cast<const std::byte*>(producer) + page_) {}

RingSource::RingSource(RingSource&& other) noexcept
    : map_fd_(other.map_fd_),
      mask_(other.mask_),
      page_(other.page_),
      sleeping_(other.sleeping_),
      consumer_(std::exchange(other.consumer_, nullptr)),
      producer_(other.producer_),
      data_(other.data_) {}

RingSource::~RingSource() { unmap(); }

void RingSource::unmap() noexcept {
  if (consumer_ == nullptr) return;
  ::munmap(consumer_, page_);
  ::munmap(const_cast<std::byte*>(data_) - page_, page_ + 2 * (mask_ + 1));
}

bool RingSource::prepare_to_sleep() {
  *sleeping_ = 1;
  // The programs look at the word after a full fence; so do we look at the position.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (producer_->load(std::memory_order_acquire) == consumer_->load(std::memory_order_relaxed)) return true;
  *sleeping_ = 0;
  return false;
}

}  // namespace tcptrail
