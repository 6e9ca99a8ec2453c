// SPDX-License-Identifier: BSD-2-Clause
// Writing text into a buffer that is known to be large enough: literals, numbers
// and fixed fields, without format strings. fmt takes three times as long and
// this is the innermost loop of a busy tracer. Each function returns the end. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tcptrail::put {

template <std::size_t N>
inline char* literal(char* out, const char (&text)[N]) {
  std::memcpy(out, text, N - 1);
  return out + (N - 1);
}

inline char* text(char* out, std::string_view value) {
  if (value.empty()) return out;
  std::memcpy(out, value.data(), value.size());
  return out + value.size();
}

namespace detail {

constexpr std::array<char, 200> two_digit_table() {
  std::array<char, 200> table{};
  for (unsigned n = 0; n < 100; ++n) {
    table[2 * n] = static_cast<char>('0' + n / 10);
    table[2 * n + 1] = static_cast<char>('0' + n % 10);
  }
  return table;
}
inline constexpr auto kTwoDigits = two_digit_table();

inline constexpr std::array<std::uint64_t, 20> kPowers = [] {
  std::array<std::uint64_t, 20> powers{1};
  for (std::size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

inline unsigned digits(std::uint64_t value) {
  // 1233/4096 is just above log10(2).
  const auto bits = static_cast<unsigned>(64 - __builtin_clzll(value | 1));
  const unsigned guess = bits * 1233 >> 12;
  return guess + (value >= kPowers[guess] ? 1U : 0U) + (value == 0 ? 1U : 0U);
}

}  // namespace detail

inline char* two(char* out, unsigned below_100) {
  std::memcpy(out, &detail::kTwoDigits[std::size_t{2} * below_100], 2);
  return out + 2;
}

// At most 20 bytes.
inline char* number(char* out, std::uint64_t value) {
  char* const end = out + detail::digits(value);
  char* p = end;
  while (value >= 100) {
    p -= 2;
    two(p, static_cast<unsigned>(value % 100));
    value /= 100;
  }
  if (value >= 10)
    two(p - 2, static_cast<unsigned>(value));
  else
    p[-1] = static_cast<char>('0' + value);
  return end;
}

// Exactly `width` digits, the leading ones zero.
inline char* padded(char* out, std::uint64_t value, unsigned width) {
  for (unsigned i = width; i > 0; --i, value /= 10)
    out[i - 1] = static_cast<char>('0' + value % 10);
  return out + width;
}

inline char* nanos(char* out, unsigned value) {
  two(out, value / 10'000'000);
  two(out + 2, value / 100'000 % 100);
  two(out + 4, value / 1000 % 100);
  two(out + 6, value / 10 % 100);
  out[8] = static_cast<char>('0' + value % 10);
  return out + 9;
}

// Lower-case, no leading zeros; at most 16 bytes.
inline char* hex(char* out, std::uint64_t value) {
  const auto bits = static_cast<unsigned>(64 - __builtin_clzll(value | 1));
  const unsigned count = (bits + 3) / 4;
  for (unsigned i = count; i > 0; --i, value >>= 4) out[i - 1] = "0123456789abcdef"[value & 15];
  return out + count;
}

}  // namespace tcptrail::put
