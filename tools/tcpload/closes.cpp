// SPDX-License-Identifier: BSD-2-Clause
// Every way of closing, one after the other, each with what a tracer has to say about both ends.
#include <unistd.h>

#include <exception>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "cases.h"
#include "tcpload.h"

namespace tcpload {

namespace {

constexpr std::size_t kPayload = 100;

std::vector<Case> wanted(const ClosesOptions& options) {
  std::vector<Case> cases;
  for (const auto group :
       {orderly_cases(), reset_cases(), crossing_cases(), opening_cases(), timeout_cases()}) {
    for (const Case& one : group) {
      const bool asked = options.only.empty() || options.only == one.name;
      if (asked && !(one.traits & kRace) && !(options.quick && one.traits & kSlow))
        cases.push_back(one);
    }
  }
  return cases;
}

// Why a case cannot be played here; empty when it can.
std::string_view missing(const Case& one, bool own_namespace) {
  if (one.traits & (kOwnNamespace | kPath) && !own_namespace)
    return "needs a network namespace of its own";
  if (one.traits & kPath && access("/dev/net/tun", R_OK | W_OK) != 0) return "needs /dev/net/tun";
  if (!available(one.family)) return "needs IPv6";
  return {};
}

}  // namespace

int closes(const ClosesOptions& options) {
  const bool own_namespace = in_own_network_namespace();
  std::optional<Path> path;
  int failed = 0;
  for (const Case& one : wanted(options)) {
    if (options.list) {
      print_line(one.name);
      continue;
    }
    if (const auto why = missing(one, own_namespace); !why.empty()) {
      fmt::print(stderr, "tcpload: {} left out: {}\n", one.name, why);
      continue;
    }
    try {
      if (one.traits & kPath && !path) path.emplace();
      Stage stage(one.name, one.family, one.traits & kPath ? &*path : nullptr, kPayload);
      one.play(stage);
    } catch (const NotHere& why) {
      fmt::print(stderr, "tcpload: {} left out: {}\n", one.name, why.what());
    } catch (const std::exception& error) {
      fmt::print(stderr, "tcpload: error: {}: {}\n", one.name, error.what());
      ++failed;
    }
    if (path) path->pass();
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace tcpload
