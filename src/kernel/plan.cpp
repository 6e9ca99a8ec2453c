// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/plan.h"

namespace tcptrail {

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
  plan.refused_calls = request.trace && request.blocked && features.on(Feature::kRefusedCalls);
  plan.snapshot = request.snapshot && features.on(Feature::kIterTcp);
  plan.holders = plan.snapshot && features.on(Feature::kIterTaskFile);
  plan.socket_hooks = request.trace && plan.typed && features.on(Feature::kSocketHooks);
  const bool hooks = request.trace && plan.cookie && features.on(Feature::kTimeWaitHooks);
  plan.births = hooks && !plan.probe_reads;
  plan.timewait_hooks = hooks && (request.time_wait || plan.births);

  const auto add = [&](std::string_view name, bool load, std::string why_not) {
    plan.programs.push_back({name, load, load ? "" : std::move(why_not)});
  };
  const auto add_tracing = [&](std::string_view name, bool load, std::string why_not) {
    if (request.trace)
      add(name, load, std::move(why_not));
    else
      add(name, false, "nothing is traced");
  };
  const auto why = [&](Feature feature) { return features[feature].why_off; };

  add_tracing("set_state", true, "");
  add_tracing("destroy", !plan.cookie, "the cookie tells sockets apart");
  const bool accept = features.on(Feature::kAccept);
  const std::string why_no_accept = why(Feature::kAccept);
  const std::string why_no_refused =
      request.blocked ? why(Feature::kRefusedCalls) : "refused attempts are not asked for";
  const std::string hooked = "socket_hooks tell as much";
  for (const char* name : {"accept4_return", "accept_return"})
    add_tracing(name, accept && !plan.socket_hooks, accept ? hooked : why_no_accept);
  for (const char* name : {"bind_return", "listen_return"})
    add_tracing(name, plan.refused_calls && !plan.socket_hooks,
                plan.refused_calls ? hooked : why_no_refused);
  add_tracing("set_state_again", features.on(Feature::kSecondCopy), why(Feature::kSecondCopy));
  add_tracing("send_reset", plan.resets, why(Feature::kSendReset));
  add_tracing("receive_reset", features.on(Feature::kReceiveReset), why(Feature::kReceiveReset));
  add_tracing("process_fork", request.command_tree, "no command is traced");
  if (plan.typed) {
    add("seen_sockets", plan.snapshot,
        request.snapshot ? why(Feature::kIterTcp) : "no snapshot was asked for");
    add("seen_holders", plan.holders,
        plan.snapshot ? why(Feature::kIterTaskFile) : "no snapshot is taken");
    add_tracing("accept_hook", accept && plan.socket_hooks,
                accept ? why(Feature::kSocketHooks) : why_no_accept);
    for (const char* name : {"bind_hook", "bind6_hook", "listen_hook"})
      add_tracing(name, plan.refused_calls && plan.socket_hooks,
                  plan.refused_calls ? why(Feature::kSocketHooks) : why_no_refused);
    for (const char* name :
         {"tw_timer", "tw_packet", "tw_packet_done", "tw_reuse", "tw_abort", "tw_kill", "tw_rearm"})
      add_tracing(name, plan.timewait_hooks,
                  !request.time_wait ? "the ends of TIME_WAIT are not asked for"
                  : plan.cookie      ? why(Feature::kTimeWaitHooks)
                                     : "needs cookie");
    add_tracing("tw_born", plan.births, "the walk tells as much");
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
