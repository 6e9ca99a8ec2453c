// SPDX-License-Identifier: BSD-2-Clause
// The values of JSON records: what an unknown, a cookie, a name or a tuple looks
// like, written into a buffer that is known to be large enough. Each function
// returns the end. Pure; used by the JSON writers only.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "output/fast_format.h"
#include "output/wall_clock.h"
#include "tcp/phrase.h"
#include "tcp/record.h"
#include "util/escape.h"

namespace tcptrail::json_value {

// `"ESTABLISHED"` in 16 bytes, so that it is one copy of a fixed size.
struct StateText {
  std::array<char, 16> text{};
  std::uint8_t size = 0;
};

inline std::array<StateText, 256> state_table() {
  std::array<StateText, 256> table{};
  for (unsigned n = 0; n < table.size(); ++n) {
    const std::string quoted = '"' + state_name(static_cast<TcpState>(n)) + '"';
    std::memcpy(table[n].text.data(), quoted.data(), quoted.size());
    table[n].size = static_cast<std::uint8_t>(quoted.size());
  }
  return table;
}

inline const std::array<StateText, 256> kStates = state_table();

inline char* put_state(char* p, TcpState state) {
  const StateText& text = kStates[static_cast<std::uint8_t>(state)];
  std::memcpy(p, text.text.data(), text.text.size());
  return p + text.size;
}

inline char* put_null(char* p) { return put::literal(p, "null"); }

inline char* put_word(char* p, std::string_view word) {
  *p++ = '"';
  p = put::text(p, word);
  *p++ = '"';
  return p;
}

template <class T>
char* put_optional(char* p, const std::optional<T>& value) {
  return value ? put::number(p, *value) : put_null(p);
}

inline char* put_optional_us(char* p, const std::optional<std::uint64_t>& ns) {
  return ns ? put::number(p, *ns / 1000) : put_null(p);
}

inline char* put_non_zero(char* p, std::uint64_t value) {
  return value != 0 ? put::number(p, value) : put_null(p);
}

inline char* put_bool(char* p, bool value) {
  return value ? put::literal(p, "true") : put::literal(p, "false");
}

inline char* put_cookie(char* p, std::uint64_t cookie) {
  if (cookie == 0) return put_null(p);
  *p++ = '"';
  p = put::hex(p, cookie);
  *p++ = '"';
  return p;
}

inline char* put_name(char* p, std::string_view name) {
  if (name.empty()) return put_null(p);
  *p++ = '"';
  p = escape_name_json(p, name);
  *p++ = '"';
  return p;
}

inline char* put_text(char* p, std::string_view text) {
  if (text.empty()) return put_null(p);
  *p++ = '"';
  p = escape_text_json(p, text);
  *p++ = '"';
  return p;
}

inline char* put_time(char* p, WallClock& clock, std::uint64_t boot_ns) {
  *p++ = '"';
  p = clock.put_rfc3339(p, boot_ns);
  *p++ = '"';
  return p;
}

inline char* put_optional_time(char* p, WallClock& clock,
                               const std::optional<std::uint64_t>& boot_ns) {
  return boot_ns ? put_time(p, clock, *boot_ns) : put_null(p);
}

inline char* put_comm(char* p, const Process& process) {
  return process.pid == 0 ? put_null(p) : put_name(p, process.comm.view());
}

inline char* put_errno(char* p, int error) {
  if (error == 0) return put_null(p);
  *p++ = '"';
  p = put::text(p, errno_text(error));
  *p++ = '"';
  return p;
}

// family, laddr, lport, raddr, rport; port 0 = not chosen, or none.
inline char* put_tuple(char* p, const Tuple& tuple) {
  p = tuple.family == Family::kIpv4 ? put::literal(p, R"(,"family":"ipv4","laddr":")")
                                    : put::literal(p, R"(,"family":"ipv6","laddr":")");
  p = format_address(p, tuple.laddr, tuple.family);
  p = put_non_zero(put::literal(p, R"(","lport":)"), tuple.lport);
  p = format_address(put::literal(p, R"(,"raddr":")"), tuple.raddr, tuple.family);
  return put_non_zero(put::literal(p, R"(","rport":)"), tuple.rport);
}

inline char* put_netns(char* p, std::uint32_t netns) {
  return put_non_zero(put::literal(p, R"(,"netns":)"), netns);
}

}  // namespace tcptrail::json_value
