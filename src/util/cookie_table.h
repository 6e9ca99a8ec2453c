// SPDX-License-Identifier: BSD-2-Clause
// A hash table from 64-bit keys to values that never pauses and whose values do
// not move. Entries are linked in order of insertion, so that the oldest can be
// evicted.
#pragma once

#include <cstddef>
#include <cstdint>

#include "util/index_set.h"
#include "util/slab.h"

namespace tcptrail {

template <class T>
class CookieTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  [[nodiscard]] std::size_t size() const { return set_.size(); }

  // Index of the entry, or kNone. An index stays valid until its entry is erased.
  [[nodiscard]] std::uint32_t find(std::uint64_t key) const {
    return set_.find(
        key, [&](std::uint32_t index) { return entries_[index].key == key; });
  }

  T& operator[](std::uint32_t index) { return entries_[index].value; }
  const T& operator[](std::uint32_t index) const { return entries_[index].value; }
  [[nodiscard]] std::uint64_t key(std::uint32_t index) const { return entries_[index].key; }

  // The key must not be present.
  std::uint32_t insert(std::uint64_t key) {
    const std::uint32_t index = entries_.insert();
    entries_[index].key = key;
    set_.insert(key, index, key_of());
    return index;
  }

  void erase(std::uint32_t index) {
    set_.erase(key(index), index, key_of());
    entries_.erase(index);
  }

  // In order of insertion: first(), then next(index) until kNone.
  [[nodiscard]] std::uint32_t first() const { return entries_.first(); }
  [[nodiscard]] std::uint32_t next(std::uint32_t index) const { return entries_.next(index); }

 private:
  struct Entry {
    std::uint64_t key = 0;
    T value{};
  };

  [[nodiscard]] auto key_of() const {
    return [this](std::uint32_t index) { return entries_[index].key; };
  }

  OrderedSlab<Entry> entries_;
  IndexSet set_;
};

}  // namespace tcptrail
