// SPDX-License-Identifier: BSD-2-Clause
// Random connections closed in random ways, by several workers at once. What happened is for the
// packets to tell: the expectation of a line holds where the case leaves no choice, and is empty
// where the two ends race.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <random>
#include <vector>

#include <fmt/format.h>

#include "cases.h"
#include "tcpload.h"

namespace tcpload {

namespace {

std::vector<Case> random_cases() {
  std::vector<Case> cases;
  for (const auto group : {orderly_cases(), reset_cases(), crossing_cases(), opening_cases()}) {
    std::copy_if(
        group.begin(), group.end(), std::back_inserter(cases),
        [](const Case& one) { return (one.traits & kRandom) != 0; });
  }
  return cases;
}

// Plays cases until there are `count` connections.
bool work(unsigned count, std::uint64_t seed) {
  std::vector<Family> families{Family::v4};
  for (const Family one : {Family::v6, Family::mapped})
    if (available(one)) families.push_back(one);
  const std::vector<Case> cases = random_cases();
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  for (unsigned played = 0; played < count;) {
    const Case& one = cases[below(cases.size())];
    if (one.traits & kTwice && count - played < 2) continue;
    Stage stage(one.name, families[below(families.size())], nullptr, below(2000));
    try {
      one.play(stage);
    } catch (const std::exception& error) {
      fmt::print(stderr, "tcpload: error: {}: {}\n", one.name, error.what());
      return false;
    }
    played += stage.reported();
  }
  return true;
}

}  // namespace

int random_connections(const RandomOptions& options) {
  std::vector<pid_t> workers;
  for (unsigned i = 0; i < options.workers; ++i) {
    const unsigned share =
        options.count / options.workers + (i < options.count % options.workers ? 1 : 0);
    const pid_t pid = static_cast<pid_t>(check(fork(), "fork"));
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      _exit(work(share, options.seed * 1000 + i) ? 0 : 1);
    }
    workers.push_back(pid);
  }
  bool good = true;
  for (const pid_t worker : workers) {
    int status = 0;
    check(waitpid(worker, &status, 0), "waitpid");
    good = good && status == 0;
  }
  return good ? 0 : 1;
}

}  // namespace tcpload
