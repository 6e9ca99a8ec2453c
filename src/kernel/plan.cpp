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
  plan.refused_calls = request.trace && features.on(Feature::kRefusedCalls);
  plan.snapshot = request.snapshot && features.on(Feature::kIterTcp);
  plan.holders = plan.snapshot && features.on(Feature::kIterTaskFile);
  plan.timewait_hooks = request.trace && plan.cookie && features.on(Feature::kTimeWaitHooks);

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
  add_tracing("accept4_return", features.on(Feature::kAccept), why(Feature::kAccept));
  add_tracing("accept_return", features.on(Feature::kAccept), why(Feature::kAccept));
  add_tracing("bind_return", plan.refused_calls, why(Feature::kRefusedCalls));
  add_tracing("listen_return", plan.refused_calls, why(Feature::kRefusedCalls));
  add_tracing("set_state_again", features.on(Feature::kSecondCopy), why(Feature::kSecondCopy));
  add_tracing("send_reset", plan.resets, why(Feature::kSendReset));
  add_tracing("receive_reset", features.on(Feature::kReceiveReset), why(Feature::kReceiveReset));
  if (plan.typed) {
    add_tracing("process_fork", request.command_tree, "no command is traced");
    add("seen_sockets", plan.snapshot, request.snapshot ? why(Feature::kIterTcp) : "no snapshot was asked for");
    add("seen_holders", plan.holders, plan.snapshot ? why(Feature::kIterTaskFile) : "no snapshot is taken");
    for (const char* name : {"tw_timer", "tw_packet", "tw_packet_done", "tw_reuse", "tw_abort", "tw_kill", "tw_rearm"})
      add_tracing(name, plan.timewait_hooks, plan.cookie ? why(Feature::kTimeWaitHooks) : "needs cookie");
  }

  if (!request.trace) {
    if (plan.snapshot && !plan.holders) plan.limits.push_back("owners are unknown, and sockets that are only bound to a port are not seen");
    return plan;
  }
  if (!plan.typed) plan.limits.push_back("events come from the classic tracepoint: no snapshot");
  if (!plan.cookie) plan.limits.push_back("cookie and peer_cookie are not printed: a socket is known by its address while it lives");
  if (!plan.probe_reads) plan.limits.push_back("TIME_WAIT is inferred from the states, its expiry is unknown");
  if (!plan.resets) plan.limits.push_back("how is unknown where a RST received and data after close() cannot be told apart");
  if (!features.on(Feature::kSecondCopy))
    plan.limits.push_back(plan.typed ? "a transition that interrupts the program on its CPU is lost (and counted as nested)"
                                     : "a transition while any tracing program runs on its CPU is lost (and counted as nested)");
  if (!features.on(Feature::kAccept)) plan.limits.push_back("a passive connection's owner is known when it closes, not when it is accepted");
  if (!plan.refused_calls) plan.limits.push_back("a bind() that is refused is not seen");
  if (request.snapshot && !plan.snapshot) plan.limits.push_back("connections older than the trace are known from their first event on");
  else if (plan.snapshot && !plan.holders) plan.limits.push_back("owners of connections older than the trace are known when they close");
  return plan;
}

}  // namespace tcptrail
