// SPDX-License-Identifier: BSD-2-Clause
// The hash functions of all tables: multiplication with the golden ratio (Fibonacci
// hashing), high bits folded down where low bits choose the slot. Fast; the keys are
// not chosen by an attacker who knows the table, and every table is bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace tcptrail {

// Of one word. The high bits are the good ones.
constexpr std::uint64_t spread(std::uint64_t key) { return key * 0x9E3779B97F4A7C15ULL; }

// `hash` with one more word.
constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  hash = spread(hash ^ word);
  return hash ^ (hash >> 29);
}

// Of the bytes of a value that has no padding.
struct BytesHash {
  template <class T>
  std::size_t operator()(const T& value) const {
    static_assert(std::has_unique_object_representations_v<T>);
    const char* const bytes = reinterpret_cast<const char*>(&value);
    std::uint64_t hash = 0;
    for (std::size_t at = 0; at < sizeof value; at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      const std::size_t left = sizeof value - at;
      std::memcpy(&word, bytes + at, left < sizeof word ? left : sizeof word);
      hash = mix(hash, word);
    }
    return static_cast<std::size_t>(hash);
  }
};

}  // namespace tcptrail
