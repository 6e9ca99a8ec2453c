// SPDX-License-Identifier: BSD-2-Clause
// What the value of a cell looks like. Text rounds to two decimals; CSV (`full`) loses
// nothing and leaves unknown empty. Included by column_table.cpp only. Pure.
#pragma once

#include <optional>

#include "output/columns.h"
#include "output/fast_format.h"
#include "tcp/phrase.h"
#include "util/escape.h"

namespace tcptrail::cell {

using Context = CellContext;

inline char* unknown(char* out, const Context& c) {
  if (!c.full) *out++ = '-';
  return out;
}

template <class T>
char* optional_number(char* out, const std::optional<T>& value, const Context& c) {
  return value ? put::number(out, *value) : unknown(out, c);
}

inline char* non_zero(char* out, std::uint64_t value, const Context& c) {
  return value != 0 ? put::number(out, value) : unknown(out, c);
}

inline char* cookie(char* out, std::uint64_t value, const Context& c) {
  return value != 0 ? put::hex(out, value) : unknown(out, c);
}

inline char* name(char* out, std::string_view value, const Context& c) {
  return value.empty() ? unknown(out, c) : escape_name(out, value);
}

inline char* comm(char* out, const Process& process, const Context& c) {
  return process.pid == 0 ? unknown(out, c) : name(out, process.comm.view(), c);
}

inline char* hundredths(char* out, std::uint64_t value) {
  out = put::number(out, value / 100);
  *out++ = '.';
  return put::two(out, static_cast<unsigned>(value % 100));
}

inline char* ms(char* out, std::uint64_t ns, const Context& c) {
  if (!c.full) return hundredths(out, ns / 10'000 + (ns % 10'000 >= 5000 ? 1 : 0));
  out = put::number(out, ns / 1'000'000);
  *out++ = '.';
  return put::padded(out, ns % 1'000'000, 6);
}

inline char* optional_ms(char* out, const std::optional<std::uint64_t>& ns, const Context& c) {
  return ns ? ms(out, *ns, c) : unknown(out, c);
}

inline char* kib(char* out, std::uint64_t bytes, const Context& c) {
  const std::uint64_t whole = bytes / 1024;
  const std::uint64_t rest = bytes % 1024;
  if (!c.full) {
    const std::uint64_t rounded = (rest * 100 + 512) / 1024;  // 100 carries over
    return hundredths(out, whole * 100 + rounded);
  }
  out = put::number(out, whole);
  if (rest == 0) return out;
  *out++ = '.';
  out = put::padded(out, rest * 9'765'625, 10);  // 10^10 / 1024, exact
  while (out[-1] == '0') --out;
  return out;
}

inline char* state(char* out, TcpState value) {
  const std::string_view known = known_state_name(value);
  if (!known.empty()) return put::text(out, known);
  return put::number(put::literal(out, "state-"), static_cast<std::uint8_t>(value));
}

inline char* address(char* out, const Address& value, Family family) {
  return format_address(out, value, family);
}

inline char* utc(char* out, const std::optional<std::uint64_t>& boot_ns, const Context& c) {
  return boot_ns && c.clock != nullptr ? c.clock->put_rfc3339(out, *boot_ns) : unknown(out, c);
}

inline char* local_time(char* out, std::uint64_t boot_ns, const Context& c) {
  if (c.clock == nullptr) return unknown(out, c);
  return c.full ? c.clock->put_rfc3339(out, boot_ns) : c.clock->put_local(out, boot_ns);
}

// An event just before the start record (a snapshot in progress) counts as 0.
inline char* seconds(char* out, std::uint64_t boot_ns, const Context& c) {
  const std::uint64_t ns = boot_ns > c.start_boot_ns ? boot_ns - c.start_boot_ns : 0;
  out = put::number(out, ns / 1'000'000'000);
  *out++ = '.';
  const auto nanos = static_cast<unsigned>(ns % 1'000'000'000);
  return c.full ? put::nanos(out, nanos) : put::padded(out, nanos / 1000, 6);
}

inline char* error_name(char* out, int error, const Context& c) {
  return error != 0 ? put::text(out, errno_text(error)) : unknown(out, c);
}

// "local 60s", "local fin2", "remote", "none".
inline char* time_wait(char* out, const TimeWaitOutcome& outcome, const Context& c) {
  if (outcome.side == TimeWaitSide::kUnknown) return unknown(out, c);
  out = put::text(out, to_string(outcome.side));
  if (outcome.side != TimeWaitSide::kLocal && outcome.side != TimeWaitSide::kBoth) return out;
  if (outcome.phase == TimeWaitPhase::kFinWait2) return put::literal(out, " fin2");
  if (!outcome.entered || !outcome.expected_end || *outcome.expected_end < *outcome.entered)
    return out;
  *out++ = ' ';
  out = put::number(out, (*outcome.expected_end - *outcome.entered + 500'000'000) / 1'000'000'000);
  *out++ = 's';
  return out;
}

inline char* path(char* out, const ConnectionRecord& r, const Context& c) {
  if (r.path.empty()) return unknown(out, c);
  for (const TcpState step : r.path) {
    out = state(out, step);
    *out++ = '>';
  }
  return out - 1;
}

inline char* states(char* out, const ConnectionRecord& r, const Context& c) {
  if (r.states.empty()) return unknown(out, c);
  for (const StateSpan& span : r.states) {
    out = state(out, span.state);
    *out++ = '=';
    out = ms(out, span.ns, c);
    *out++ = ';';
  }
  return out - 1;
}

inline char* labels(char* out, const Context& c) {
  return c.labels.empty() ? unknown(out, c) : put::text(out, c.labels);
}

}  // namespace tcptrail::cell
