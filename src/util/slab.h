// SPDX-License-Identifier: BSD-2-Clause
// Values that do not move, each known by a 32-bit index: in chunks, so that growing
// never copies, and the places of those that were given back are used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tcptrail {

template <class T>
class Slab {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  // The index of a value that is T{}.
  std::uint32_t take() {
    if (free_.empty()) {
      if (made_ == chunks_.size() * kChunk) chunks_.push_back(std::make_unique<T[]>(kChunk));
      return static_cast<std::uint32_t>(made_++);
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    (*this)[index] = T{};
    return index;
  }
  void give_back(std::uint32_t index) { free_.push_back(index); }

  T& operator[](std::uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }
  const T& operator[](std::uint32_t index) const { return chunks_[index / kChunk][index % kChunk]; }
  // It will be used soon.
  void prefetch(std::uint32_t index) const {
    const auto* value = reinterpret_cast<const char*>(&(*this)[index]);
    for (std::size_t offset = 0; offset < sizeof(T); offset += 64)
      __builtin_prefetch(value + offset);
  }

  [[nodiscard]] std::size_t size() const { return made_ - free_.size(); }

 private:
  static constexpr std::size_t kChunk = 4096;

  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<std::uint32_t> free_;
  std::size_t made_ = 0;
};

// A slab whose values are linked in order of insertion, so that the oldest can be evicted.
template <class T>
class OrderedSlab {
 public:
  static constexpr std::uint32_t kNone = Slab<T>::kNone;

  // The index of a value that is T{}.
  std::uint32_t insert() {
    const std::uint32_t index = nodes_.take();
    nodes_[index].previous = newest_;
    if (newest_ != kNone) nodes_[newest_].next = index;
    newest_ = index;
    if (oldest_ == kNone) oldest_ = index;
    return index;
  }
  void erase(std::uint32_t index) {
    const Node& node = nodes_[index];
    if (node.previous != kNone)
      nodes_[node.previous].next = node.next;
    else
      oldest_ = node.next;
    if (node.next != kNone)
      nodes_[node.next].previous = node.previous;
    else
      newest_ = node.previous;
    nodes_.give_back(index);
  }

  T& operator[](std::uint32_t index) { return nodes_[index].value; }
  const T& operator[](std::uint32_t index) const { return nodes_[index].value; }
  void prefetch(std::uint32_t index) const { nodes_.prefetch(index); }

  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  // In order of insertion: first(), then next(index) until kNone.
  [[nodiscard]] std::uint32_t first() const { return oldest_; }
  [[nodiscard]] std::uint32_t next(std::uint32_t index) const { return nodes_[index].next; }

 private:
  struct Node {
    std::uint32_t previous = kNone;
    std::uint32_t next = kNone;
    T value{};
  };

  Slab<Node> nodes_;
  std::uint32_t oldest_ = kNone;
  std::uint32_t newest_ = kNone;
};

}  // namespace tcptrail
