// SPDX-License-Identifier: BSD-2-Clause
// The escaping of names, see escape.h. Nearly every name is plain ASCII, so all
// functions look for that first, eight bytes at a time. Pure.
#include "util/escape.h"

#include <cstdint>
#include <cstring>

namespace tcptrail {
namespace {

constexpr char kHex[] = "0123456789abcdef";

constexpr std::uint64_t every(std::uint8_t byte) { return 0x0101010101010101ULL * byte; }

// Non-zero when a byte of `word` equals `byte`; exact as a whole-word test.
constexpr std::uint64_t has_byte(std::uint64_t word, std::uint8_t byte) {
  const std::uint64_t x = word ^ every(byte);
  return (x - every(0x01)) & ~x & every(0x80);
}

// Printable ASCII other than backslash (and quote) needs no escape in any sink.
constexpr bool plain_word(std::uint64_t word, bool json) {
  const std::uint64_t below_space = (word - every(0x20)) & ~word & every(0x80);
  const std::uint64_t special =
      has_byte(word, '\\') | has_byte(word, 0x7f) | (json ? has_byte(word, '"') : 0);
  return ((word & every(0x80)) | below_space | special) == 0;
}

bool is_plain(std::string_view text, bool json) {
  const char* p = text.data();
  std::size_t left = text.size();
  std::uint64_t word = 0;
  for (; left >= 8; left -= 8, p += 8) {
    std::memcpy(&word, p, 8);
    if (!plain_word(word, json)) return false;
  }
  if (left == 0) return true;
  word = every('x');
  std::memcpy(&word, p, left);
  return plain_word(word, json);
}

char* copy(char* out, std::string_view text) {
  if (text.empty()) return out;
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

bool is_continuation(unsigned char byte) { return (byte & 0xc0U) == 0x80; }

// The size of the valid UTF-8 sequence at the front of `text` (RFC 3629: no
// overlong forms, no surrogates, up to U+10FFFF), and its code point; 0 = invalid.
std::size_t sequence(std::string_view text, std::uint32_t& code) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) {
    code = lead;
    return 1;
  }
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return 0;
  code = lead & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if (!is_continuation(byte(i))) return 0;
    code = code << 6 | (byte(i) & 0x3fU);
  }
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return overlong || surrogate || code > 0x10ffff ? 0 : size;
}

bool must_hide(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029 ||
         (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

// json: the escaped text goes into a JSON string, where each backslash is doubled.
char* escape(char* out, std::string_view name, bool json) {
  while (!name.empty()) {
    std::uint32_t code = 0;
    const std::size_t size = sequence(name, code);
    const std::size_t bytes = size == 0 ? 1 : size;
    if (size == 0 || must_hide(code)) {
      for (std::size_t i = 0; i < bytes; ++i) {
        const auto byte = static_cast<unsigned char>(name[i]);
        if (json) *out++ = '\\';
        *out++ = '\\';
        *out++ = 'x';
        *out++ = kHex[byte >> 4];
        *out++ = kHex[byte & 15];
      }
    } else if (code == '\\') {
      out = copy(out, json ? R"(\\\\)" : R"(\\)");
    } else if (json && code == '"') {
      out = copy(out, R"(\")");
    } else {
      out = copy(out, name.substr(0, bytes));
    }
    name.remove_prefix(bytes);
  }
  return out;
}

}  // namespace

char* escape_name(char* out, std::string_view name) {
  return is_plain(name, false) ? copy(out, name) : escape(out, name, false);
}

std::string escaped_name(std::string_view name) {
  std::string out(name.size() * kEscapeGrowth, '\0');
  out.resize(static_cast<std::size_t>(escape_name(out.data(), name) - out.data()));
  return out;
}

char* escape_name_json(char* out, std::string_view name) {
  return is_plain(name, true) ? copy(out, name) : escape(out, name, true);
}

char* escape_text_json(char* out, std::string_view text) {
  if (is_plain(text, true)) return copy(out, text);
  if (!is_valid_utf8(text)) return escape(out, text, true);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out = copy(out, R"(\u00)");
      *out++ = kHex[byte >> 4];
      *out++ = kHex[byte & 15];
    } else {
      if (c == '"' || c == '\\') *out++ = '\\';
      *out++ = c;
    }
  }
  return out;
}

bool is_valid_utf8(std::string_view text) {
  std::uint32_t code = 0;
  while (!text.empty()) {
    const std::size_t size = sequence(text, code);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace tcptrail
