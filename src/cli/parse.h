// SPDX-License-Identifier: BSD-2-Clause
// The values of flags: text in, checked values out. An error names the flag, the
// value as given and an example of a good one; its exit code is 2. Pure; called
// by options.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tcp/filter.h"
#include "util/result.h"

namespace tcptrail {

// "500ms", "10s", "2m", "1h", "1.5s"; a bare number is seconds. More than 0.
Result<std::uint64_t> parse_duration_ns(std::string_view flag, std::string_view text);
// "80,443,8000-8099"; 1..65535. The result is sorted and merged.
Result<PortSet> parse_ports(std::string_view flag, std::string_view text);
// "12,34"; sorted.
Result<std::vector<std::uint32_t>> parse_pids(std::string_view flag, std::string_view text);
Result<std::uint64_t> parse_number(std::string_view flag, std::string_view text,
                                   std::uint64_t lowest, std::uint64_t highest);
// "1.5" milliseconds as nanoseconds; 0 is allowed.
Result<std::uint64_t> parse_ms_as_ns(std::string_view flag, std::string_view text);
// "256K", "4M", "1G", bytes without a suffix. A power of two, 64K..1G.
Result<std::uint64_t> parse_ring_size(std::string_view flag, std::string_view text);
// "100M", "2.5G"; at least 1M.
Result<std::uint64_t> parse_file_size(std::string_view flag, std::string_view text);
// A moment of a recording: so long after its beginning, or a time of the wall clock.
struct AtTime {
  std::optional<std::uint64_t> after_ns;
  std::int64_t unix_ns = 0;  // without after_ns
  friend bool operator==(const AtTime&, const AtTime&) = default;
};
// "10s", "2026-08-01T12:34:56.5Z", "2026-08-01T14:34:56+02:00" (RFC 3339).
Result<AtTime> parse_at(std::string_view flag, std::string_view text);
Result<std::vector<Prefix>> parse_prefixes(std::string_view flag, std::string_view text);
Result<std::vector<Closer>> parse_closers(std::string_view flag, std::string_view text);
Result<std::vector<How>> parse_hows(std::string_view flag, std::string_view text);
// "transition,time_wait", "all".
Result<EventSet> parse_events(std::string_view flag, std::string_view text);
// One end of a connection, as `ports` is asked about it.
struct AddressPort {
  Address address;
  Family family = Family::kIpv4;  // of the address; ::ffff:a.b.c.d stays IPv6
  bool inet6 = false;             // of an AF_INET6 socket
  bool default_family = false;    // only a port was given: [::], or 0.0.0.0 where IPv6 is off
  std::uint16_t port = 0;
  friend bool operator==(const AddressPort&, const AddressPort&) = default;
};
// "127.0.0.1:80", "[::1]:80", "*:80", ":80", "80".
Result<AddressPort> parse_address_port(std::string_view flag, std::string_view text,
                                       bool port_may_be_0);
// "127.0.0.1", "::1", "[::1]", "*".
Result<AddressPort> parse_address(std::string_view flag, std::string_view text);
// "KEY=VALUE"; valid UTF-8, KEY not empty.
Result<std::pair<std::string, std::string>> parse_label(std::string_view flag,
                                                        std::string_view text);
// Comma list of known words; the error suggests the nearest and lists all.
Result<std::vector<std::string>> parse_words(std::string_view flag, std::string_view text,
                                             std::span<const std::string_view> known);
// Exactly one of the known words.
Result<std::string> parse_word(std::string_view flag, std::string_view text,
                               std::span<const std::string_view> known);
// "a,b,c" without empty parts.
std::vector<std::string_view> split_list(std::string_view text);

}  // namespace tcptrail
