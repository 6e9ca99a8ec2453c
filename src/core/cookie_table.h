// SPDX-License-Identifier: BSD-2-Clause
// A hash table from 64-bit keys to values that never pauses: linear probing
// over 8 bytes a slot, values in chunks that do not move, and a rehash that is
// spread over the operations that follow it (a whole rehash at two million
// entries stops the reader for tens of milliseconds, and the ring fills).
// Entries are linked in order of insertion, so that the oldest can be evicted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>
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
    if (const Slot* slot = probe(slots_, key)) return slot->entry - kFirst;
    if (const Slot* slot = probe(old_, key)) return slot->entry - kFirst;
    return kNone;
  }

  // find(key) will follow soon: its cache misses then overlap other work. First the slot, and when that has had
  // time to come, the entry.
  void prefetch_slot(std::uint64_t key) const { __builtin_prefetch(&slots_[hash(key) & (slots_.size() - 1)]); }
  void prefetch_entry(std::uint64_t key) const {
    const std::uint64_t h = hash(key);
    const Slot& slot = slots_[h & (slots_.size() - 1)];
    if (slot.entry < kFirst || slot.tag != tag(h)) return;
    const auto* entry = reinterpret_cast<const char*>(&node(slot.entry - kFirst));
    for (std::size_t offset = 0; offset < sizeof(Node); offset += 64) __builtin_prefetch(entry + offset);
  }

  T& operator[](std::uint32_t index) { return node(index).value; }
  const T& operator[](std::uint32_t index) const { return node(index).value; }
  [[nodiscard]] std::uint64_t key(std::uint32_t index) const { return node(index).key; }

  // The key must not be present.
  std::uint32_t insert(std::uint64_t key) {
    if ((used_ + 1) * 4 > slots_.size() * 3) grow();
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
    slot->entry = kGone;
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

  // What a slot says of its entry: nothing was ever here, it was erased, or its index plus kFirst.
  static constexpr std::uint32_t kEmpty = 0;
  static constexpr std::uint32_t kGone = 1;
  static constexpr std::uint32_t kFirst = 2;
  struct Slot {
    std::uint32_t entry;
    std::uint32_t tag;  // of the hash: an entry is looked at only where it fits
  };
  // From calloc(): the pages of a large table come one by one, when they are first used.
  class Slots {
   public:
    Slots() = default;
    explicit Slots(std::size_t size) : slots_(static_cast<Slot*>(std::calloc(size, sizeof(Slot)))), size_(size) {
      if (!slots_) throw std::bad_alloc();
    }
    Slots(Slots&& other) noexcept : slots_(std::move(other.slots_)), size_(std::exchange(other.size_, 0)) {}
    Slots& operator=(Slots&& other) noexcept {
      slots_ = std::move(other.slots_);
      size_ = std::exchange(other.size_, 0);
      return *this;
    }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    Slot& operator[](std::size_t i) { return slots_.get()[i]; }
    const Slot& operator[](std::size_t i) const { return slots_.get()[i]; }

   private:
    struct Free {
      void operator()(Slot* slots) const noexcept { std::free(slots); }
    };
    std::unique_ptr<Slot, Free> slots_;
    std::size_t size_ = 0;
  };
  struct Node {
    std::uint64_t key;
    std::uint32_t previous;
    std::uint32_t next;
    T value;
  };

  // Cookies are counters and addresses share their low bits: mix (Fibonacci hashing, high bits folded down).
  static std::uint64_t hash(std::uint64_t key) {
    key *= 0x9E3779B97F4A7C15ULL;
    return key ^ (key >> 32);
  }
  static std::uint32_t tag(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

  Node& node(std::uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }
  const Node& node(std::uint32_t index) const { return chunks_[index / kChunk][index % kChunk]; }

  const Slot* probe(const Slots& slots, std::uint64_t key) const {
    if (slots.empty()) return nullptr;
    const std::uint64_t h = hash(key);
    const std::size_t mask = slots.size() - 1;
    for (std::size_t i = h & mask;; i = (i + 1) & mask) {
      const Slot& slot = slots[i];
      if (slot.entry == kEmpty) return nullptr;
      if (slot.tag == tag(h) && slot.entry != kGone && node(slot.entry - kFirst).key == key) return &slot;
    }
  }
  Slot* probe(Slots& slots, std::uint64_t key) { return const_cast<Slot*>(std::as_const(*this).probe(std::as_const(slots), key)); }

  void place(std::uint64_t key, std::uint32_t index) {
    const std::uint64_t h = hash(key);
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = h & mask;
    while (slots_[i].entry >= kFirst) i = (i + 1) & mask;
    if (slots_[i].entry == kEmpty) ++used_;
    slots_[i] = {index + kFirst, tag(h)};
  }

  // `used_` counts erased slots too: churn leads here as growth does, and then the size stays.
  void grow() {
    while (!old_.empty()) migrate_some();
    old_ = std::move(slots_);
    migrated_ = 0;
    std::size_t wanted = kMinSlots;
    while (wanted < size_ * 2) wanted *= 2;
    slots_ = Slots(wanted);
    used_ = 0;
  }

  void migrate_some() {
    if (old_.empty()) return;
    for (std::size_t n = 0; n < kMigratePerOperation && migrated_ < old_.size(); ++n, ++migrated_) {
      Slot& slot = old_[migrated_];
      if (slot.entry < kFirst) continue;
      const std::uint32_t index = slot.entry - kFirst;
      place(node(index).key, index);
      slot.entry = kGone;  // an empty one here would cut the probe sequences behind it
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

  Slots slots_;
  Slots old_;  // being emptied into slots_
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
