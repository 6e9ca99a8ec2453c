// SPDX-License-Identifier: BSD-2-Clause
// A hash table from 64-bit keys to values that never pauses: linear probing
// over {key, index}, values in chunks that do not move, and a rehash that is
// spread over the operations that follow it (a whole rehash at two million
// entries stops the reader for tens of milliseconds, and the ring fills).
// Entries are linked in order of insertion, so that the oldest can be evicted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tcptrail {

template <class T>
class CookieTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  CookieTable() : slots_(kMinSlots) {}

  [[nodiscard]] std::size_t size() const { return size_; }

  // Index of the entry, or kNone. An index stays valid until its entry is erased.
  [[nodiscard]] std::uint32_t find(std::uint64_t key) const {
    if (const Slot* slot = probe(slots_, key)) return slot->index;
    if (!old_.empty())
      if (const Slot* slot = probe(old_, key)) return slot->index;
    return kNone;
  }

  T& operator[](std::uint32_t index) { return node(index).value; }
  const T& operator[](std::uint32_t index) const { return node(index).value; }
  [[nodiscard]] std::uint64_t key(std::uint32_t index) const { return node(index).key; }

  // The key must not be present.
  std::uint32_t insert(std::uint64_t key) {
    if ((used_ + 1) * 2 > slots_.size()) grow();
    migrate_some();
    const std::uint32_t index = take_node();
    Node& entry = node(index);
    entry.key = key;
    entry.value = T{};
    entry.next = kNone;
    entry.previous = newest_;
    if (newest_ != kNone) node(newest_).next = index;
    newest_ = index;
    if (oldest_ == kNone) oldest_ = index;
    place(key, index);
    ++size_;
    return index;
  }

  void erase(std::uint32_t index) {
    migrate_some();
    Node& entry = node(index);
    Slot* slot = probe(slots_, entry.key);
    if (slot == nullptr) slot = probe(old_, entry.key);
    slot->state = State::kGone;
    if (entry.previous != kNone) node(entry.previous).next = entry.next; else oldest_ = entry.next;
    if (entry.next != kNone) node(entry.next).previous = entry.previous; else newest_ = entry.previous;
    free_.push_back(index);
    --size_;
  }

  // In order of insertion: first(), then next(index) until kNone.
  [[nodiscard]] std::uint32_t first() const { return oldest_; }
  [[nodiscard]] std::uint32_t next(std::uint32_t index) const { return node(index).next; }

 private:
  static constexpr std::size_t kMinSlots = 1024;
  static constexpr std::size_t kChunk = 4096;
  static constexpr std::size_t kMigratePerOperation = 16;

  enum class State : std::uint32_t { kEmpty, kUsed, kGone };
  struct Slot {
    std::uint64_t key = 0;
    std::uint32_t index = 0;
    State state = State::kEmpty;
  };
  struct Node {
    std::uint64_t key;
    std::uint32_t previous;
    std::uint32_t next;
    T value;
  };

  // Cookies are counters and addresses share their low bits: mix (Fibonacci hashing, high bits folded down).
  static std::size_t hash(std::uint64_t key) {
    key *= 0x9E3779B97F4A7C15ULL;
    return static_cast<std::size_t>(key ^ (key >> 32));
  }

  Node& node(std::uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }
  const Node& node(std::uint32_t index) const { return chunks_[index / kChunk][index % kChunk]; }

  template <class Slots>
  static auto probe(Slots& slots, std::uint64_t key) -> decltype(&slots[0]) {
    if (slots.empty()) return nullptr;
    const std::size_t mask = slots.size() - 1;
    for (std::size_t i = hash(key) & mask;; i = (i + 1) & mask) {
      auto& slot = slots[i];
      if (slot.state == State::kEmpty) return nullptr;
      if (slot.state == State::kUsed && slot.key == key) return &slot;
    }
  }

  void place(std::uint64_t key, std::uint32_t index) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = hash(key) & mask;
    while (slots_[i].state == State::kUsed) i = (i + 1) & mask;
    if (slots_[i].state == State::kEmpty) ++used_;
    slots_[i] = {key, index, State::kUsed};
  }

  // `used_` counts erased slots too: churn leads here as growth does, and then the size stays.
  void grow() {
    while (!old_.empty()) migrate_some();
    old_ = std::move(slots_);
    migrated_ = 0;
    std::size_t wanted = kMinSlots;
    while (wanted < size_ * 4) wanted *= 2;
    slots_ = std::vector<Slot>(wanted);
    used_ = 0;
  }

  void migrate_some() {
    if (old_.empty()) return;
    for (std::size_t n = 0; n < kMigratePerOperation && migrated_ < old_.size(); ++n, ++migrated_) {
      Slot& slot = old_[migrated_];
      if (slot.state != State::kUsed) continue;
      place(slot.key, slot.index);
      slot.state = State::kGone;  // an Empty here would cut the probe sequences behind it
    }
    if (migrated_ == old_.size()) old_ = {};
  }

  std::uint32_t take_node() {
    if (!free_.empty()) {
      const std::uint32_t index = free_.back();
      free_.pop_back();
      return index;
    }
    if (nodes_ == chunks_.size() * kChunk) chunks_.push_back(std::make_unique<Node[]>(kChunk));
    return static_cast<std::uint32_t>(nodes_++);
  }

  std::vector<Slot> slots_;
  std::vector<Slot> old_;  // being emptied into slots_
  std::size_t migrated_ = 0;
  std::size_t used_ = 0;
  std::size_t size_ = 0;
  std::vector<std::unique_ptr<Node[]>> chunks_;
  std::vector<std::uint32_t> free_;
  std::size_t nodes_ = 0;
  std::uint32_t oldest_ = kNone;
  std::uint32_t newest_ = kNone;
};

}  // namespace tcptrail
