// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/plan.h"

namespace tcptrail {

namespace {

using enum ProgramKind;
using enum ProgramUse;

constexpr std::string_view kNoAccept = "a passive connection's owner is known when it closes";
constexpr std::string_view kNoRefused = "some refused calls are not seen";

constexpr Program kPrograms[] = {
    {"set_state", kEvent, 13, kConnections, {}},
    {"destroy", kEvent, 7, kIdentity, {}},
    {"accept4_return", kCall, 1, kConnections, Feature::kAccept, {}, false, kNoAccept},
    {"accept_return", kCall, 2, kConnections, Feature::kAccept, {}, false, kNoAccept},
    {"bind_return", kCall, 3, kRefusedCalls, Feature::kRefusedCalls, {}, false, kNoRefused},
    {"listen_return", kCall, 4, kRefusedCalls, Feature::kRefusedCalls, {}, false, kNoRefused},
    {"set_state_again", kEvent, 14, kConnections, Feature::kSecondCopy},
    {"send_reset", kEvent, 5, kConnections, Feature::kSendReset},
    {"receive_reset", kEvent, 6, kConnections, Feature::kReceiveReset},
    {"process_fork", kEvent, 8, kCommand, {}},
    {"seen_sockets", kIterator, 0, kSnapshot, Feature::kIterTcp},
    {"seen_holders", kIterator, 0, kHolders, Feature::kIterTaskFile},
    {"accept_hook", kFunction, 9, kConnections, Feature::kAccept, "security_sock_graft"},
    {"bind_hook", kFunction, 10, kRefusedCalls, Feature::kRefusedCalls, "inet_bind"},
    {"bind6_hook", kFunction, 11, kRefusedCalls, Feature::kRefusedCalls, "inet6_bind"},
    {"listen_hook", kFunction, 12, kRefusedCalls, Feature::kRefusedCalls, "inet_listen"},
    {"tw_timer", kMinisocket, 0, kTimeWaits, {}, "tw_timer_handler"},
    {"tw_packet", kMinisocket, 0, kTimeWaits, {}, "tcp_timewait_state_process"},
    {"tw_packet_done", kMinisocket, 0, kTimeWaits, {}, "tcp_timewait_state_process"},
    {"tw_reuse", kMinisocket, 0, kTimeWaits, {}, "tcp_twsk_unique"},
    {"tw_abort", kMinisocket, 0, kTimeWaits, {}, "tcp_abort"},
    {"tw_kill", kMinisocket, 0, kTimeWaits, {}, "inet_twsk_kill"},
    {"tw_rearm", kMinisocket, 0, kTimeWaits, {}, "__inet_twsk_schedule"},
    // Where it is missing, tw_rearm sees as much.
    {"tw_born", kMinisocket, 0, kBirths, {}, "inet_twsk_hashdance_schedule", true},
};

// Empty: somebody asks for it.
std::string_view why_not_wanted(ProgramUse use, const PlanRequest& request, const Plan& plan) {
  switch (use) {
    case kConnections:
      return {};
    case kIdentity:
      return plan.cookie ? "the cookie tells sockets apart" : "";
    case kRefusedCalls:
      return request.blocked ? "" : "refused attempts are not asked for";
    case kCommand:
      return request.command_tree ? "" : "no command is traced";
    case kSnapshot:
      return request.snapshot ? "" : "no snapshot was asked for";
    case kHolders:
      return plan.snapshot ? "" : "no snapshot is taken";
    case kTimeWaits:
      return request.time_wait || plan.births ? "" : "the ends of TIME_WAIT are not asked for";
    case kBirths:
      return plan.births ? "" : "the walk tells as much";
  }
  return {};
}

// Empty: it loads.
std::string why_not(const Program& program, const Features& features, const PlanRequest& request,
                    const Plan& plan) {
  if (program.kind != kIterator && !request.trace) return "nothing is traced";
  if (const std::string_view reason = why_not_wanted(program.use, request, plan); !reason.empty())
    return std::string(reason);
  if (program.kind == kMinisocket && !plan.cookie) return "needs cookie";
  if (program.feature && !features.on(*program.feature)) return features[*program.feature].why_off;
  if (program.kind == kMinisocket) return features[Feature::kTimeWaitHooks].why_off;
  if (program.kind == kFunction) return features[Feature::kSocketHooks].why_off;
  if (program.kind == kCall && plan.socket_hooks) return "socket_hooks tell as much";
  return {};
}

}  // namespace

std::span<const Program> all_programs() { return kPrograms; }

bool Plan::loads(std::string_view program) const {
  for (const PlannedProgram& p : programs)
    if (p.name == program) return p.load;
  return false;
}

Plan make_plan(const Features& features, const PlanRequest& request) {
  Plan plan;
  plan.typed = features.on(Feature::kTpBtf);
  plan.cookie = plan.typed && features.on(Feature::kCookie);
  plan.task_btf = plan.typed && features.on(Feature::kTaskBtf);
  plan.probe_reads = features.on(Feature::kTimeWaitWalk);
  plan.resets = request.trace && features.on(Feature::kSendReset);
  if (plan.resets) plan.reset_reasons = features.reset_reasons;
  plan.refused_calls = request.trace && request.blocked && features.on(Feature::kRefusedCalls);
  plan.snapshot = request.snapshot && features.on(Feature::kIterTcp);
  plan.holders = plan.snapshot && features.on(Feature::kIterTaskFile);
  plan.socket_hooks = request.trace && plan.typed && features.on(Feature::kSocketHooks);
  const bool hooks = request.trace && plan.cookie && features.on(Feature::kTimeWaitHooks);
  plan.births = hooks && !plan.probe_reads;
  plan.timewait_hooks = hooks && (request.time_wait || plan.births);

  for (const Program& program : all_programs()) {
    if (!plan.typed && program.kind != kEvent && program.kind != kCall) continue;
    std::string reason = why_not(program, features, request, plan);
    const bool load = reason.empty();
    plan.programs.push_back({program.name, load, std::move(reason)});
  }

  if (!request.trace) {
    if (plan.snapshot && !plan.holders)
      plan.limits.push_back(
          "owners are unknown, and sockets that are only bound to a port are not seen");
    return plan;
  }
  if (!plan.typed) plan.limits.push_back("events come from the classic tracepoint: no snapshot");
  if (!plan.cookie)
    plan.limits.push_back(
        "cookie and peer_cookie are not printed: a socket is known by its address while it lives");
  if (!plan.probe_reads && !plan.births)
    plan.limits.push_back("TIME_WAIT is inferred from the states, its expiry is unknown");
  if (!plan.resets)
    plan.limits.push_back(
        "how is unknown where a RST received and data after close() cannot be told apart");
  if (!features.on(Feature::kSecondCopy))
    plan.limits.push_back(
        plan.typed
            ? "a transition that interrupts the program on its CPU is lost (and counted as nested)"
            : "a transition while any tracing program runs on its CPU is lost (and counted as "
              "nested)");
  if (!features.on(Feature::kAccept))
    plan.limits.push_back(
        "a passive connection's owner is known when it closes, not when it is accepted");
  if (request.blocked && !plan.refused_calls)
    plan.limits.push_back("a bind() that is refused is not seen");
  if (request.snapshot && !plan.snapshot)
    plan.limits.push_back("connections older than the trace are known from their first event on");
  else if (plan.snapshot && !plan.holders)
    plan.limits.push_back("owners of connections older than the trace are known when they close");
  return plan;
}

}  // namespace tcptrail
