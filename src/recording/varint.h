// SPDX-License-Identifier: BSD-2-Clause
// Numbers of variable length: seven bits a byte, the lowest first, the top bit
// says that another byte follows (LEB128). Signed numbers are folded to
// unsigned ones first, so that small ones of either sign are short. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tcptrail {

inline constexpr std::size_t kMaxVarint = 10;

inline std::byte* put_varint(std::byte* p, std::uint64_t value) {
  while (value >= 0x80) {
    *p++ = static_cast<std::byte>(value | 0x80);
    value >>= 7;
  }
  *p++ = static_cast<std::byte>(value);
  return p;
}

// False when the bytes end within the number, or it does not fit 64 bits.
inline bool take_varint(const std::byte*& p, const std::byte* end, std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (p == end) return false;
    const auto byte = std::to_integer<std::uint64_t>(*p++);
    if (shift == 63 && byte > 1) return false;
    value |= (byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

constexpr std::uint64_t fold_sign(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unfold_sign(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

}  // namespace tcptrail
