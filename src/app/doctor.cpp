// SPDX-License-Identifier: BSD-2-Clause
#include "app/doctor.h"

#include <fmt/core.h>

#include <cstdio>

#include "kernel/diagnose.h"
#include "kernel/features.h"
#include "kernel/machine.h"
#include "kernel/netns.h"
#include "kernel/plan.h"
#include "kernel/session.h"

namespace tcptrail {
namespace {

void print_obstacle(const Error& error) {
  fmt::print("tracing   no: {}\n", error.what);
  if (!error.why.empty()) fmt::print("          why: {}\n", error.why);
  if (!error.fix.empty()) fmt::print("          fix: {}\n", error.fix);
}

void print_features(const Features& features) {
  fmt::print("\nfeature          state  what it tells\n");
  for (std::size_t i = 0; i < kFeatureCount; ++i) {
    const auto feature = static_cast<Feature>(i);
    const FeatureState& state = features[feature];
    fmt::print("{:<16} {:<6} {}\n", name_of(feature), state.on ? "on" : "off", purpose_of(feature));
    if (!state.on) fmt::print("{:<24}why: {}\n", "", state.why_off);
    if (!state.on && !state.fix.empty()) fmt::print("{:<24}fix: {}\n", "", state.fix);
  }
}

void print_plan(const Plan& plan) {
  fmt::print("\nprogram          loads\n");
  for (const PlannedProgram& program : plan.programs)
    fmt::print("{:<16} {}\n", program.name,
               program.load ? std::string("yes") : "no: " + program.why_not);
  for (const std::string& limit : plan.limits) fmt::print("less true now: {}\n", limit);
}

}  // namespace

int run_doctor(const Options& options) {
  fmt::print("kernel    {}\n", kernel_release());
  const std::string lockdown = lockdown_mode();
  fmt::print("lockdown  {}\n",
             lockdown.empty() ? "not known (no /sys/kernel/security/lockdown)" : lockdown);
  fmt::print("timer     {} ticks/s\n", kernel_hz());
  fmt::print("netns     {} found\n", list_net_namespaces().size());

  const auto obstacle = find_obstacle();
  Features features = probe_features(options.denied_features);
  const PlanRequest request{.snapshot = !options.no_snapshot, .command_tree = true};
  Plan plan = make_plan(features, request);
  int status = 0;
  if (obstacle) {
    print_obstacle(*obstacle);
    status = 1;
  } else {
    // Compiling proves nothing about loading: load it.
    const auto session = Session::start(
        features, plan, request, options.denied_features,
        {.filters = {}, .ring_bytes = 1U << 20, .command_pid = 1, .verbose = options.verbose > 0});
    if (session) {
      fmt::print("tracing   yes\n");
      for (const std::string& warning : (*session)->warnings())
        fmt::print("          but: {}\n", warning);
    } else {
      print_obstacle(session.error());
      status = 1;
    }
  }
  print_features(features);
  print_plan(plan);
  return status;
}

}  // namespace tcptrail
