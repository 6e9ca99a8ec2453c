// SPDX-License-Identifier: BSD-2-Clause
// A hash set of indices into something else, which has the keys: linear probing
// over 4 bytes a slot, and a rehash that is spread over the operations that follow
// it (a whole rehash at two million entries stops the reader for tens of
// milliseconds, and the ring fills).
//
// What is asked about an entry comes with each call: `same(index)`, whether it is
// the wanted one, and `key_of(index)`, the 64 bits that it was inserted under. An
// entry must be able to answer until it is erased here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include "util/hash.h"

namespace tcptrail {

class IndexSet {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  IndexSet() : slots_(kMinSlots) {}

  [[nodiscard]] std::size_t size() const { return size_; }

  // The entry under this key that `same` accepts, or kNone.
  template <class Same>
  [[nodiscard]] std::uint32_t find(std::uint64_t key, Same same) const {
    const std::uint64_t hash = hash_of(key);
    const std::uint32_t index = probe(slots_, hash, same);
    return index != kNone || old_.empty() ? index : probe(old_, hash, same);
  }

  // find(key) will follow soon: its cache misses then overlap other work. First the slot; when that
  // has had time to come, the index that is probably found, or kNone.
  void prefetch(std::uint64_t key) const {
    __builtin_prefetch(&slots_[hash_of(key) & slots_.mask()]);
  }
  [[nodiscard]] std::uint32_t guess(std::uint64_t key) const {
    const std::uint64_t hash = hash_of(key);
    const Slot slot = slots_[hash & slots_.mask()];
    return is_entry(slot) && ((slot ^ slot_of(hash, 0)) & ~kEntry) == 0 ? index_of(slot) : kNone;
  }

  // The index must not be present.
  template <class KeyOf>
  void insert(std::uint64_t key, std::uint32_t index, KeyOf key_of) {
    if (index > kEntry - kFirst) throw std::length_error("IndexSet: an index of more than 26 bits");
    if ((used_ + 1) * 4 > slots_.size() * 3) grow(key_of);
    if (!old_.empty()) migrate_some(key_of);
    place(hash_of(key), index);
    ++size_;
  }

  // Whether it was here.
  template <class KeyOf>
  bool erase(std::uint64_t key, std::uint32_t index, KeyOf key_of) {
    if (!old_.empty()) migrate_some(key_of);
    const std::uint64_t hash = hash_of(key);
    if (!erase_from(slots_, hash, index) && !erase_from(old_, hash, index)) return false;
    --size_;
    return true;
  }

 private:
  static constexpr std::size_t kMinSlots = 1024;
  static constexpr std::size_t kMigratePerOperation = 16;

  // A slot: in its low 26 bits that nothing was ever here, that what was here is erased, or the
  // index plus kFirst; above it 6 bits of the hash, so that of 64 others one is looked at.
  using Slot = std::uint32_t;
  static constexpr Slot kEntry = (1U << 26) - 1;
  static constexpr Slot kEmpty = 0;
  static constexpr Slot kGone = 1;
  static constexpr Slot kFirst = 2;

  static Slot slot_of(std::uint64_t hash, std::uint32_t index) {
    return (static_cast<Slot>(hash >> 32) & ~kEntry) | (index + kFirst);
  }
  static bool is_entry(Slot slot) { return slot > kGone; }
  static std::uint32_t index_of(Slot slot) { return (slot & kEntry) - kFirst; }

  // From calloc(): the pages of a large table come one by one, when they are first used.
  class Slots {
   public:
    Slots() = default;
    explicit Slots(std::size_t size)
        : slots_(static_cast<Slot*>(std::calloc(size, sizeof(Slot)))), size_(size) {
      if (!slots_) throw std::bad_alloc();
    }
    Slots(Slots&& other) noexcept
        : slots_(std::move(other.slots_)), size_(std::exchange(other.size_, 0)) {}
    Slots& operator=(Slots&& other) noexcept {
      slots_ = std::move(other.slots_);
      size_ = std::exchange(other.size_, 0);
      return *this;
    }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] std::size_t mask() const { return size_ - 1; }
    Slot& operator[](std::size_t i) { return slots_.get()[i]; }
    const Slot& operator[](std::size_t i) const { return slots_.get()[i]; }

   private:
    struct Free {
      void operator()(Slot* slots) const noexcept { std::free(slots); }
    };
    std::unique_ptr<Slot, Free> slots_;
    std::size_t size_ = 0;
  };

  // Keys may be counters or addresses that share their low bits.
  static std::uint64_t hash_of(std::uint64_t key) {
    key = spread(key);
    return key ^ (key >> 32);
  }

  template <class Same>
  static std::uint32_t probe(const Slots& slots, std::uint64_t hash, Same same) {
    const Slot tag = slot_of(hash, 0) & ~kEntry;
    const std::size_t mask = slots.mask();
    for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
      const Slot slot = slots[i];
      if (slot == kEmpty) return kNone;
      if ((slot & ~kEntry) == tag && is_entry(slot) && same(index_of(slot))) return index_of(slot);
    }
  }

  bool erase_from(Slots& slots, std::uint64_t hash, std::uint32_t index) {
    if (slots.empty()) return false;
    const Slot wanted = slot_of(hash, index);
    for (std::size_t i = hash & slots.mask(); slots[i] != kEmpty; i = (i + 1) & slots.mask()) {
      if (slots[i] != wanted) continue;
      // With nothing behind it, no probe sequence needs it: a table that is not crowded is not
      // rehashed for its churn.
      const bool last = slots[(i + 1) & slots.mask()] == kEmpty;
      slots[i] = last ? kEmpty : kGone;
      if (last && &slots == &slots_) --used_;
      return true;
    }
    return false;
  }

  void place(std::uint64_t hash, std::uint32_t index) {
    std::size_t i = hash & slots_.mask();
    while (is_entry(slots_[i])) i = (i + 1) & slots_.mask();
    if (slots_[i] == kEmpty) ++used_;
    slots_[i] = slot_of(hash, index);
  }

  // `used_` counts erased slots too: churn leads here as growth does, and then the size stays.
  template <class KeyOf>
  [[gnu::noinline]] void grow(KeyOf key_of) {
    while (!old_.empty()) migrate_some(key_of);
    old_ = std::move(slots_);
    migrated_ = 0;
    std::size_t wanted = kMinSlots;
    while (wanted < size_ * 2) wanted *= 2;
    slots_ = Slots(wanted);
    used_ = 0;
  }

  template <class KeyOf>
  [[gnu::noinline]] void migrate_some(KeyOf key_of) {
    // All keys first, then all places: neither is in the cache, and so they are waited for
    // together.
    struct Move {
      std::uint64_t hash;
      std::uint32_t index;
    };
    std::array<Move, kMigratePerOperation> moves;
    std::size_t moving = 0;
    for (std::size_t n = 0; n < kMigratePerOperation && migrated_ < old_.size(); ++n, ++migrated_) {
      Slot& slot = old_[migrated_];
      if (!is_entry(slot)) continue;
      const std::uint32_t index = index_of(slot);
      slot = kGone;  // an empty one here would cut the probe sequences behind it
      const std::uint64_t hash = hash_of(key_of(index));
      __builtin_prefetch(&slots_[hash & slots_.mask()], 1);
      moves[moving++] = {hash, index};
    }
    for (std::size_t n = 0; n < moving; ++n) place(moves[n].hash, moves[n].index);
    if (migrated_ == old_.size()) old_ = {};
  }

  Slots slots_;
  Slots old_;  // being emptied into slots_
  std::size_t migrated_ = 0;
  std::size_t used_ = 0;
  std::size_t size_ = 0;
};

}  // namespace tcptrail
