// SPDX-License-Identifier: BSD-2-Clause
// The subcommands of tcpload. Each returns the exit status; errors are thrown as std::exception.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tcpload {

struct StormOptions {
  unsigned pairs = 2;
  unsigned connections = 60'000;
  unsigned payload = 1;
  bool v6 = false;
  bool server_first = false;
};
int storm(const StormOptions& options);

struct OpenOptions {
  unsigned count = 1'000;
  unsigned addresses = 0;  // 0: as many as keep each below kPerDestination
  std::optional<double> hold_seconds;
};
int open_many(const OpenOptions& options);

struct ClosesOptions {
  bool quick = false;
  bool list = false;
  std::string only;
};
int closes(const ClosesOptions& options);

struct RandomOptions {
  unsigned count = 100;
  std::uint64_t seed = 1;
  unsigned workers = 2;
};
int random_connections(const RandomOptions& options);

// Above some 14,000 connections (TIME_WAIT included) to one destination, connect() starts to search
// for a port and the load measures that search. So the destination changes well before.
inline constexpr unsigned kPerDestination = 4'000;

}  // namespace tcpload
