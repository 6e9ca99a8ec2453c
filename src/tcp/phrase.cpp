// SPDX-License-Identifier: BSD-2-Clause
#include "tcp/phrase.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "util/escape.h"

namespace tcptrail {

std::string span_text(std::uint64_t ns) {
  const auto value = static_cast<double>(ns);
  if (ns < 1000) return ns == 0 ? "0 us" : "< 1 us";
  if (value < 999.5e3) return fmt::format("{:.0f} us", value / 1e3);
  if (value < 9.995e6) return fmt::format("{:.2f} ms", value / 1e6);
  if (value < 99.95e6) return fmt::format("{:.1f} ms", value / 1e6);
  if (value < 999.5e6) return fmt::format("{:.0f} ms", value / 1e6);
  if (value < 9.995e9) return fmt::format("{:.2f} s", value / 1e9);
  if (value < 119.95e9) return fmt::format("{:.1f} s", value / 1e9);
  const std::uint64_t seconds = ns / 1'000'000'000 + (ns % 1'000'000'000 >= 500'000'000 ? 1 : 0);
  if (seconds < 7200) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  const std::uint64_t minutes = seconds / 60;
  if (minutes < 48 * 60) return fmt::format("{} h {} min", minutes / 60, minutes % 60);
  return fmt::format("{} d {} h", minutes / 1440, minutes % 1440 / 60);
}

std::string duration_text(std::uint64_t ms) {
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 10'000) return fmt::format("{}.{} s", (ms + 99) / 1000, (ms + 99) % 1000 / 100);
  return fmt::format("{} s", (ms + 999) / 1000);
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  static constexpr std::array<const char*, 6> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:.{}f} {}", value, value < 99.95 ? 1 : 0, kUnits[unit]);
}

std::string count_text(std::uint64_t n, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

std::string grouped(std::uint64_t n) {
  std::string text = std::to_string(n);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, 1, ',');
  return text;
}

std::string endpoint_text(const Address& address, Family family, std::uint16_t port) {
  const std::string number = port == 0 ? "*" : std::to_string(port);
  if (family == Family::kIpv6) return '[' + address_text(address, family) + "]:" + number;
  return address_text(address, family) + ':' + number;
}

std::string process_text(const Process& process, std::string_view otherwise) {
  if (process.pid == 0) return std::string(otherwise);
  const std::string_view name = process.comm.view();
  return fmt::format("{} (pid {})", name.empty() ? "a process" : escaped_name(name), process.pid);
}

std::string process_cell(const Process& process) {
  if (process.pid == 0) return "-";
  return fmt::format("{}/{}", process.pid, escaped_name(process.comm.view()));
}

std::string errno_text(int error) {
  if (error == 0) return "no error";
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : fmt::format("errno-{}", error);
}

}  // namespace tcptrail
