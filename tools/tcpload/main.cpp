// SPDX-License-Identifier: BSD-2-Clause
// tcpload: TCP traffic with a known truth, for tests, benchmarks and demonstrations. Loopback only.
#include <csignal>
#include <exception>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "sys.h"
#include "tcpload.h"

namespace {

int run(int argc, char** argv) {
  using namespace tcpload;
  CLI::App app{"TCP traffic with a known truth, for tests, benchmarks and demonstrations"};
  app.require_subcommand(1);

  StormOptions storm_options;
  auto* storm_command = app.add_subcommand("storm", "short connections as fast as they go");
  storm_command
      ->add_option("--pairs", storm_options.pairs, "client and server pairs, a pair to a CPU")
      ->check(CLI::Range(1, 1024));
  storm_command->add_option("--conns", storm_options.connections,
                            "connections of all pairs together");
  storm_command->add_option("--payload", storm_options.payload, "bytes from the client");
  storm_command->add_flag("--v6", storm_options.v6, "over ::1");
  storm_command->add_flag("--server-first", storm_options.server_first, "the server closes first");

  OpenOptions open_options;
  auto* open_command =
      app.add_subcommand("open", "many connections open at once, until a line or EOF on stdin");
  open_command->add_option("--count", open_options.count, "connections");
  open_command->add_option("--addresses", open_options.addresses,
                           "loopback addresses to spread them over");
  open_command->add_option("--hold", open_options.hold_seconds,
                           "seconds to hold them instead of reading stdin");

  ClosesOptions closes_options;
  auto* closes_command =
      app.add_subcommand("closes", "every way of closing, once each, with what is to be reported");
  closes_command->add_flag("--quick", closes_options.quick,
                           "without those that wait for a timeout");
  closes_command->add_flag("--list", closes_options.list, "only the names");
  closes_command->add_option("--only", closes_options.only, "this one");

  RandomOptions random_options;
  auto* random_command = app.add_subcommand("random", "random connections, closed in random ways");
  random_command->add_option("--count", random_options.count, "connections");
  random_command->add_option("--seed", random_options.seed,
                             "the same seed plays the same connections");
  random_command->add_option("--workers", random_options.workers, "processes that play them")
      ->check(CLI::Range(1, 64));

  CLI11_PARSE(app, argc, argv);
  // A peer that is gone is part of the job: EPIPE, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  if (*storm_command) return storm(storm_options);
  if (*open_command) return open_many(open_options);
  if (*closes_command) return closes(closes_options);
  return random_connections(random_options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "tcpload: error: {}\n", error.what());
    return 1;
  }
}
