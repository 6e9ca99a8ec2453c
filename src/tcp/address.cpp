// SPDX-License-Identifier: BSD-2-Clause
// Text of addresses and prefixes. Formatting is on the path of every record, so
// it is written out here; the result equals inet_ntop(3). Pure.
#include "tcp/address.h"

#include <arpa/inet.h>

#include <charconv>

namespace tcptrail {
namespace {

// "0", "1", ... "255" with their lengths, so that an octet is one copy.
struct Octet {
  char text[3];
  std::uint8_t size;
};

constexpr std::array<Octet, 256> octet_table() {
  std::array<Octet, 256> table{};
  for (unsigned n = 0; n < 256; ++n) {
    Octet& octet = table[n];
    if (n >= 100) octet.text[octet.size++] = static_cast<char>('0' + n / 100);
    if (n >= 10) octet.text[octet.size++] = static_cast<char>('0' + n / 10 % 10);
    octet.text[octet.size++] = static_cast<char>('0' + n % 10);
  }
  return table;
}

constexpr auto kOctets = octet_table();

// Copies three bytes whatever the length is: the fourth octet starts at most 12
// bytes in, so the slack stays within kMaxAddressText.
char* put_octet(char* out, std::uint8_t value) {
  const Octet& octet = kOctets[value];
  std::memcpy(out, octet.text, sizeof octet.text);
  return out + octet.size;
}

char* put_ipv4(char* out, const std::uint8_t* bytes) {
  out = put_octet(out, bytes[0]);
  *out++ = '.';
  out = put_octet(out, bytes[1]);
  *out++ = '.';
  out = put_octet(out, bytes[2]);
  *out++ = '.';
  return put_octet(out, bytes[3]);
}

char* put_group(char* out, unsigned value) {
  static constexpr char kHex[] = "0123456789abcdef";
  if (value >= 0x1000) *out++ = kHex[value >> 12];
  if (value >= 0x100) *out++ = kHex[(value >> 8) & 15];
  if (value >= 0x10) *out++ = kHex[(value >> 4) & 15];
  *out++ = kHex[value & 15];
  return out;
}

// The longest run of zero groups, the first of equals, of at least two groups.
struct Run {
  unsigned first = 8;
  unsigned size = 1;
};

Run longest_zero_run(const std::array<unsigned, 8>& groups) {
  Run best;
  unsigned first = 0;
  for (unsigned i = 0; i <= 8; ++i) {
    if (i < 8 && groups[i] == 0) continue;
    if (i - first > best.size) best = {first, i - first};
    first = i + 1;
  }
  return best;
}

char* put_ipv6(char* out, const std::uint8_t* bytes) {
  std::array<unsigned, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i)
    groups[i] = static_cast<unsigned>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
  const Run run = longest_zero_run(groups);
  const bool dotted = run.first == 0 && (run.size == 6 || (run.size == 5 && groups[5] == 0xffff));
  for (unsigned i = 0; i < 8; ++i) {
    if (i == run.first) {
      *out++ = ':';
      *out++ = ':';
      i += run.size - 1;
      continue;
    }
    if (i != 0 && i != run.first + run.size) *out++ = ':';
    if (i == 6 && dotted) return put_ipv4(out, bytes + 12);
    out = put_group(out, groups[i]);
  }
  return out;
}

}  // namespace

bool is_mapped(const std::array<std::uint8_t, 16>& bytes) {
  return std::memcmp(bytes.data(), kMappedPrefix.data(), kMappedPrefix.size()) == 0;
}

char* format_address(char* out, const Address& address, Family family) {
  return family == Family::kIpv4 ? put_ipv4(out, address.bytes.data())
                                 : put_ipv6(out, address.bytes.data());
}

std::string address_text(const Address& address, Family family) {
  char text[kMaxAddressText];
  return {text, format_address(text, address, family)};
}

bool is_loopback(const Address& address, Family family) {
  if (family == Family::kIpv4) return address.bytes[0] == 127;
  Address loopback;
  loopback.bytes[15] = 1;
  return address == loopback;
}

bool Prefix::contains(const Address& other, Family other_family) const {
  if (family != other_family) return false;
  const std::size_t whole = length / 8;
  if (whole > other.bytes.size()) return false;
  if (std::memcmp(address.bytes.data(), other.bytes.data(), whole) != 0) return false;
  const unsigned rest = length % 8;
  if (rest == 0) return true;
  const unsigned mask = 0xff00U >> rest & 0xffU;
  return ((static_cast<unsigned>(address.bytes[whole]) ^ other.bytes[whole]) & mask) == 0;
}

std::size_t TupleHash::operator()(const Tuple& tuple) const {
  std::uint64_t words[5];
  std::memcpy(words, tuple.laddr.bytes.data(), 16);
  std::memcpy(words + 2, tuple.raddr.bytes.data(), 16);
  words[4] = static_cast<std::uint64_t>(tuple.lport) << 32 |
             static_cast<std::uint64_t>(tuple.rport) << 8 |
             static_cast<std::uint64_t>(tuple.family);
  // A sum of products with odd numbers (digits of pi), which do not wait for each other.
  const std::uint64_t h = words[0] * 0x243F6A8885A308D3ULL + words[1] * 0x13198A2E03707345ULL +
                          words[2] * 0xA4093822299F31D1ULL + words[3] * 0x082EFA98EC4E6C89ULL +
                          words[4] * 0x452821E638D01377ULL;
  return static_cast<std::size_t>(h ^ h >> 32);
}

std::optional<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  if (host.size() > kMaxAddressText || host.find('\0') != std::string::npos) return std::nullopt;

  Prefix prefix;
  if (inet_pton(AF_INET, host.c_str(), prefix.address.bytes.data()) == 1) {
    prefix.family = Family::kIpv4;
    prefix.length = 32;
  } else if (inet_pton(AF_INET6, host.c_str(), prefix.address.bytes.data()) == 1) {
    prefix.family = Family::kIpv6;
    prefix.length = 128;
  } else {
    return std::nullopt;
  }
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    unsigned length = 0;
    const auto [end, failed] =
        std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (failed != std::errc{} || end != digits.data() + digits.size() || length > prefix.length)
      return std::nullopt;
    prefix.length = length;
  }
  // The packets of a mapped connection are IPv4 and are printed so.
  if (prefix.family == Family::kIpv6 && prefix.length >= 96 && is_mapped(prefix.address.bytes)) {
    Address inner;
    std::memcpy(inner.bytes.data(), prefix.address.bytes.data() + 12, 4);
    prefix = {inner, Family::kIpv4, prefix.length - 96};
  }
  return prefix;
}

}  // namespace tcptrail
