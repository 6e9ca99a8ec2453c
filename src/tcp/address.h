// SPDX-License-Identifier: BSD-2-Clause
// Addresses, ports and 4-tuples as values. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace tcptrail {

enum class Family : std::uint8_t { kIpv4, kIpv6 };

// Network byte order; IPv4 takes the first four bytes, the rest is zero.
struct Address {
  std::array<std::uint8_t, 16> bytes{};
  friend bool operator==(const Address&, const Address&) = default;
};

// Ports in host order; 0 = not known or not chosen yet.
struct Tuple {
  Address laddr;
  Address raddr;
  std::uint16_t lport = 0;
  std::uint16_t rport = 0;
  Family family = Family::kIpv4;
  friend bool operator==(const Tuple&, const Tuple&) = default;
  [[nodiscard]] Tuple reversed() const { return {raddr, laddr, rport, lport, family}; }
};

struct TupleHash {
  std::size_t operator()(const Tuple& tuple) const;
};

// The longest text form, "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", without a NUL.
inline constexpr std::size_t kMaxAddressText = 45;

// Writes the usual text form (inet_ntop) and returns the end. `out` has kMaxAddressText bytes.
char* format_address(char* out, const Address& address, Family family);
std::string address_text(const Address& address, Family family);

// What precedes an IPv4 address in its IPv6 form ::ffff:a.b.c.d.
inline constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0,    0,
                                                               0, 0, 0, 0, 0xff, 0xff};
// Whether the 16 bytes are such an address.
bool is_mapped(const std::array<std::uint8_t, 16>& bytes);

// 127.0.0.0/8 or ::1.
bool is_loopback(const Address& address, Family family);

struct Prefix {
  Address address;
  Family family = Family::kIpv4;
  unsigned length = 0;  // 0..32 or 0..128
  [[nodiscard]] bool contains(const Address& other, Family other_family) const;
};

// "10.0.0.0/8", "::1"; a bare address is a full-length prefix. A v4-mapped prefix becomes IPv4.
std::optional<Prefix> parse_prefix(std::string_view text);

}  // namespace tcptrail
