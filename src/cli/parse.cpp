// SPDX-License-Identifier: BSD-2-Clause
// Checked values from the text of flags, see parse.h.
#include "cli/parse.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>

#include "cli/usage.h"
#include "util/escape.h"
#include "util/suggest.h"

namespace tcptrail {
namespace {

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failed != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

// "12", "1.5", ".5" times `unit`, without floating point; nullopt on overflow.
std::optional<std::uint64_t> decimal_times(std::string_view text, std::uint64_t unit) {
  const std::size_t dot = text.find('.');
  const std::string_view before = text.substr(0, dot);
  const std::string_view after =
      dot == std::string_view::npos ? std::string_view{} : text.substr(dot + 1);
  if (before.empty() && after.empty()) return std::nullopt;
  const auto whole = before.empty() ? std::optional<std::uint64_t>(0) : whole_number(before);
  std::uint64_t value = 0;
  if (!whole || __builtin_mul_overflow(*whole, unit, &value)) return std::nullopt;
  std::uint64_t weight = unit;
  for (const char c : after) {
    if (c < '0' || c > '9') return std::nullopt;
    weight /= 10;
    if (__builtin_add_overflow(value, weight * static_cast<std::uint64_t>(c - '0'), &value))
      return std::nullopt;
  }
  return value;
}

struct Unit {
  std::string_view name;
  std::uint64_t ns;
};
constexpr std::array<Unit, 7> kUnits = {{{"ns", 1},
                                         {"us", 1'000},
                                         {"ms", 1'000'000},
                                         {"s", 1'000'000'000},
                                         {"m", 60'000'000'000},
                                         {"h", 3'600'000'000'000},
                                         {"d", 86'400'000'000'000}}};

std::optional<std::uint16_t> port(std::string_view text) {
  const auto value = whole_number(text);
  if (!value || *value == 0 || *value > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(*value);
}

std::vector<PortRange> merged(std::vector<PortRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const PortRange& a, const PortRange& b) { return a.first < b.first; });
  std::vector<PortRange> out;
  for (const PortRange& range : ranges)
    if (!out.empty() && range.first <= static_cast<unsigned>(out.back().last) + 1)
      out.back().last = std::max(out.back().last, range.last);
    else
      out.push_back(range);
  return out;
}

std::string joined(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

// `part` of `text` is no known word. "rst" may mean each of the words that begin with it.
Error not_one_of(std::string_view flag, std::string_view text, std::string_view part,
                 std::span<const std::string_view> known) {
  std::string meant;
  for (const std::string_view word : known)
    if (part.size() > 2 && word.starts_with(part)) (meant += meant.empty() ? "" : " or ") += word;
  if (const auto close = nearest(part, known); meant.empty() && close) meant = *close;
  return bad_value(flag, text, std::string(part) + " is not one of: " + joined(known),
                   meant.empty() ? "use one of these words" : "did you mean " + meant + "?");
}

// "K" → 10; kNoSize for what is no unit.
constexpr unsigned kNoSize = 64;
unsigned size_shift(std::string_view suffix) {
  if (suffix.empty()) return 0;
  if (suffix == "K" || suffix == "k" || suffix == "KiB") return 10;
  if (suffix == "M" || suffix == "m" || suffix == "MiB") return 20;
  if (suffix == "G" || suffix == "g" || suffix == "GiB") return 30;
  return kNoSize;
}

}  // namespace

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    if (comma != 0) parts.push_back(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return parts;
}

Result<std::uint64_t> parse_duration_ns(std::string_view flag, std::string_view text) {
  const std::string_view number = text.substr(0, text.find_first_not_of("0123456789."));
  const std::string_view suffix = text.substr(number.size());
  std::uint64_t unit = suffix.empty() ? 1'000'000'000 : 0;
  for (const Unit& known : kUnits)
    if (suffix == known.name) unit = known.ns;
  const auto ns = unit == 0 ? std::nullopt : decimal_times(number, unit);
  // Timers take a signed count of nanoseconds.
  constexpr std::string_view kFix = "500ms, 10s, 2m or 1h; a bare number is seconds";
  if (!ns || *ns > INT64_MAX) return bad_value(flag, text, "it is not a duration", kFix);
  if (*ns == 0) return bad_value(flag, text, "it is no time at all", kFix);
  return *ns;
}

Result<PortSet> parse_ports(std::string_view flag, std::string_view text) {
  constexpr std::string_view kFix = "ports and ranges of 1 to 65535, for example 80,443,8000-8099";
  std::vector<PortRange> ranges;
  for (const std::string_view part : split_list(text)) {
    const std::size_t dash = part.find('-');
    const auto first = port(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : port(part.substr(dash + 1));
    if (!first || !last)
      return bad_value(flag, text, std::string(part) + " is not a port or a range of ports", kFix);
    if (*first > *last)
      return bad_value(flag, text, "the range " + std::string(part) + " is backwards", kFix);
    ranges.push_back({*first, *last});
  }
  if (ranges.empty()) return bad_value(flag, text, "it names no port", kFix);
  return PortSet{merged(std::move(ranges))};
}

Result<std::vector<std::uint32_t>> parse_pids(std::string_view flag, std::string_view text) {
  constexpr std::string_view kFix = "process ids, for example 12 or 12,34; for a name use --comm";
  std::vector<std::uint32_t> pids;
  for (const std::string_view part : split_list(text)) {
    const auto value = whole_number(part);
    // PID_MAX_LIMIT, include/linux/threads.h
    if (!value || *value == 0 || *value > 4'194'304)
      return bad_value(flag, text, std::string(part) + " is not a process id", kFix);
    pids.push_back(static_cast<std::uint32_t>(*value));
  }
  if (pids.empty()) return bad_value(flag, text, "it names no process", kFix);
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

Result<std::uint64_t> parse_number(std::string_view flag, std::string_view text,
                                   std::uint64_t lowest, std::uint64_t highest) {
  const auto value = whole_number(text);
  if (value && *value >= lowest && *value <= highest) return *value;
  return bad_value(flag, text, value ? "it is out of range" : "it is not a number",
                   "a number from " + std::to_string(lowest) + " to " + std::to_string(highest));
}

Result<std::uint64_t> parse_ms_as_ns(std::string_view flag, std::string_view text) {
  if (const auto ns = decimal_times(text, 1'000'000)) return *ns;
  return bad_value(flag, text, "it is not a number of milliseconds", "for example 250 or 0.5");
}

Result<std::uint64_t> parse_ring_size(std::string_view flag, std::string_view text) {
  constexpr std::string_view kFix = "a power of two from 64K to 1G, for example 4M";
  constexpr std::uint64_t kLowest = 64 * 1024;
  constexpr std::uint64_t kHighest = 1024 * 1024 * 1024;
  const std::string_view number = text.substr(0, text.find_first_not_of("0123456789"));
  const unsigned shift = size_shift(text.substr(number.size()));
  const auto value = whole_number(number);
  if (!value || shift == kNoSize) return bad_value(flag, text, "it is not a size", kFix);
  if (*value > kHighest || (*value << shift) > kHighest)
    return bad_value(flag, text, "it is too large", kFix);
  const std::uint64_t bytes = *value << shift;
  if (bytes < kLowest)
    return bad_value(flag, text, "it is smaller than what one burst of events fills", kFix);
  if ((bytes & (bytes - 1)) != 0)
    return bad_value(flag, text, "the kernel takes only powers of two", kFix);
  return bytes;
}

Result<std::uint64_t> parse_file_size(std::string_view flag, std::string_view text) {
  constexpr std::string_view kFix = "a size from 1M on, for example 500M or 1.5G";
  const std::string_view number = text.substr(0, text.find_first_not_of("0123456789."));
  const unsigned shift = size_shift(text.substr(number.size()));
  const auto bytes =
      shift == kNoSize ? std::nullopt : decimal_times(number, std::uint64_t{1} << shift);
  if (!bytes || *bytes > INT64_MAX) return bad_value(flag, text, "it is not a size", kFix);
  if (*bytes < (1U << 20))
    return bad_value(flag, text, "a single block can take half a megabyte", kFix);
  return *bytes;
}

Result<AtTime> parse_at(std::string_view flag, std::string_view text) {
  if (const auto after = parse_duration_ns(flag, text)) return AtTime{*after, 0};
  constexpr std::string_view kFix =
      "10s = that long after the beginning; or a time with its zone: 2026-08-01T12:34:56Z, "
      "2026-08-01T14:34:56+02:00";
  const Error error = bad_value(flag, text, "it is neither a duration nor a time (RFC 3339)", kFix);
  std::string_view rest = text;
  // A number of so many digits, and what stands behind it.
  const auto take = [&rest](std::size_t digits, std::string_view before,
                            std::int64_t highest) -> std::optional<std::int64_t> {
    if (!rest.starts_with(before)) return std::nullopt;
    const auto value = whole_number(rest.substr(before.size(), digits));
    if (!value || rest.size() < before.size() + digits ||
        static_cast<std::int64_t>(*value) > highest)
      return std::nullopt;
    rest.remove_prefix(before.size() + digits);
    return static_cast<std::int64_t>(*value);
  };
  const auto year = take(4, "", 2200);
  const auto month = take(2, "-", 12);
  const auto day = take(2, "-", 31);
  const auto hour = take(2, rest.starts_with(' ') ? " " : "T", 23);
  const auto minute = take(2, ":", 59);
  const auto second = take(2, ":", 60);
  if (!year || !month || !day || !hour || !minute || !second) return error;
  using namespace std::chrono;
  const year_month_day date{std::chrono::year(static_cast<int>(*year)),
                            std::chrono::month(static_cast<unsigned>(*month)),
                            std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return error;
  std::uint64_t fraction_ns = 0;
  if (rest.starts_with('.')) {
    const std::string_view digits = rest.substr(0, rest.find_first_not_of(".0123456789"));
    const auto fraction = digits.size() < 2 ? std::nullopt : decimal_times(digits, 1'000'000'000);
    if (!fraction) return error;
    fraction_ns = *fraction;
    rest.remove_prefix(digits.size());
  }
  std::int64_t zone_minutes = 0;
  if (rest != "Z" && rest != "z") {
    const std::int64_t sign = rest.starts_with('-') ? -1 : 1;
    const auto zone_hour = take(2, sign < 0 ? "-" : "+", 23);
    const auto zone_minute = take(2, ":", 59);
    if (!zone_hour || !zone_minute || !rest.empty()) return error;
    zone_minutes = sign * (*zone_hour * 60 + *zone_minute);
  }
  const std::int64_t seconds = sys_days(date).time_since_epoch().count() * 86'400LL + *hour * 3600 +
                               (*minute - zone_minutes) * 60 + *second;
  return AtTime{std::nullopt, seconds * 1'000'000'000 + static_cast<std::int64_t>(fraction_ns)};
}

Result<std::vector<Prefix>> parse_prefixes(std::string_view flag, std::string_view text) {
  constexpr std::string_view kFix = "an address or a prefix, for example 10.0.0.0/8 or ::1";
  std::vector<Prefix> prefixes;
  for (const std::string_view part : split_list(text)) {
    const auto prefix = parse_prefix(part);
    if (!prefix)
      return bad_value(flag, text, std::string(part) + " is not an address or a prefix", kFix);
    prefixes.push_back(*prefix);
  }
  if (prefixes.empty()) return bad_value(flag, text, "it names no address", kFix);
  return prefixes;
}

Result<AddressPort> parse_address(std::string_view flag, std::string_view text) {
  std::string_view host = text;
  const bool brackets = host.starts_with('[') && host.ends_with(']');
  if (brackets) host = host.substr(1, host.size() - 2);
  AddressPort at;
  if (host == "*" && !brackets) return at;
  const std::string name(host);
  if (!brackets && inet_pton(AF_INET, name.c_str(), at.address.bytes.data()) == 1) return at;
  at.inet6 = true;
  at.family = Family::kIpv6;
  if (inet_pton(AF_INET6, name.c_str(), at.address.bytes.data()) == 1) return at;
  return bad_value(flag, text, "'" + name + "' is not an address",
                   "for example 127.0.0.1, ::1 or *");
}

Result<AddressPort> parse_address_port(std::string_view flag, std::string_view text,
                                       bool port_may_be_0) {
  constexpr std::string_view kFix = "ADDR:PORT, for example 127.0.0.1:80, [::1]:80, *:80 or :80";
  const std::size_t colon = text.rfind(':');
  const std::string_view host =
      colon == std::string_view::npos ? std::string_view{} : text.substr(0, colon);
  const std::string_view digits = colon == std::string_view::npos ? text : text.substr(colon + 1);
  const auto port = whole_number(digits);
  if (!port || *port > 65535 || (*port == 0 && !port_may_be_0))
    return bad_value(flag, text, "'" + std::string(digits) + "' is not a port", kFix);
  AddressPort at;
  if (host.empty()) {
    at.inet6 = at.default_family = true;
    at.family = Family::kIpv6;
  } else if (host.find(':') != std::string_view::npos && !host.starts_with('[')) {
    return bad_value(
        flag, text, "where an IPv6 address ends and the port begins cannot be told",
        "put the address into brackets: [" + std::string(host) + "]:" + std::string(digits));
  } else {
    const auto address = parse_address(flag, host);
    if (!address)
      return bad_value(flag, text, "'" + std::string(host) + "' is not an address", kFix);
    at = *address;
  }
  at.port = static_cast<std::uint16_t>(*port);
  return at;
}

Result<std::string> parse_word(std::string_view flag, std::string_view text,
                               std::span<const std::string_view> known) {
  if (std::find(known.begin(), known.end(), text) != known.end()) return std::string(text);
  return not_one_of(flag, text, text, known);
}

Result<std::vector<std::string>> parse_words(std::string_view flag, std::string_view text,
                                             std::span<const std::string_view> known) {
  std::vector<std::string> words;
  for (const std::string_view part : split_list(text)) {
    if (std::find(known.begin(), known.end(), part) == known.end())
      return not_one_of(flag, text, part, known);
    words.emplace_back(part);
  }
  if (words.empty())
    return bad_value(flag, text, "it is empty", "one or more of: " + joined(known));
  return words;
}

Result<std::vector<Closer>> parse_closers(std::string_view flag, std::string_view text) {
  auto words = parse_words(flag, text, closer_words());
  if (!words) return words.error();
  std::vector<Closer> out;
  for (const std::string& word : *words)
    out.push_back(closer_from_string(word).value_or(Closer::kUnknown));
  return out;
}

Result<std::vector<How>> parse_hows(std::string_view flag, std::string_view text) {
  auto words = parse_words(flag, text, how_words());
  if (!words) return words.error();
  std::vector<How> out;
  for (const std::string& word : *words)
    out.push_back(how_from_string(word).value_or(How::kUnknown));
  return out;
}

Result<EventSet> parse_events(std::string_view flag, std::string_view text) {
  auto words = parse_words(flag, text, event_words());
  if (!words) return words.error();
  EventSet events;
  for (const std::string& word : *words) add_events(events, word);
  return events;
}

Result<std::pair<std::string, std::string>> parse_label(std::string_view flag,
                                                        std::string_view text) {
  constexpr std::string_view kFix = "KEY=VALUE, for example --label site=fra1";
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return bad_value(flag, text, "a label has a key and a value", kFix);
  if (!is_valid_utf8(text)) return bad_value(flag, text, "it is not valid UTF-8", kFix);
  return std::pair(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
}

}  // namespace tcptrail
