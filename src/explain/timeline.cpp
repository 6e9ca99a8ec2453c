// SPDX-License-Identifier: BSD-2-Clause
#include "explain/timeline.h"

#include <fmt/format.h>

#include <utility>

#include "tcp/phrase.h"

namespace tcptrail::findings {
namespace {

using enum TcpState;

// The words for the last step: what took the socket to CLOSE.
std::string last_step(const Case& c, TcpState old) {
  switch (c.r.how) {
    case How::kFin:
      break;
    case How::kRstSent:
      return "this end sends a RST";
    case How::kRstReceived:
      return "a RST arrives";
    case How::kRefused:
      return "refused";
    case How::kTimeout:
      return "the kernel gives up: no answer";
    case How::kUnreachable:
      return "the kernel gives up: the network reports an error";
    case How::kNoPort:
      return c.r.tuple.lport != 0 ? "connect() fails: the local port is in use to this destination"
                                  : "connect() fails: no local port";
    case How::kAborted:
      return c.r.evidence == Evidence::kKilled             ? "killed"
             : c.r.evidence == Evidence::kGaveUpConnecting ? "this end closes the socket"
                                                           : "ended without a packet";
    case How::kHalfOpen:
      return "the kernel gives up: the handshake is not completed";
    case How::kUnknown:
      return "ended";
  }
  if (c.r.time_wait.phase == TimeWaitPhase::kFinWait2)
    return "no process any more; a FIN_WAIT2 socket waits for the other end's FIN";
  if (c.r.evidence == Evidence::kNoMinisocket)
    return "no process any more, and no FIN_WAIT2 socket either";
  switch (old) {
    case kFinWait2:
      return "the other end's FIN arrives";
    case kClosing:
    case kLastAck:
      return "this end's FIN is acknowledged";
    default:
      return "ended";
  }
}

std::string step_text(const Case& c, TcpState old, TcpState next) {
  // Whose call it was is known of the first close only.
  const bool local_first = c.r.closer == Closer::kLocal || c.r.closer == Closer::kBoth;
  const Process nobody;
  switch (next) {
    case kSynSent:
      if (c.r.role != Role::kActive)
        return fmt::format("{} restores the connection (TCP_REPAIR): no SYN is sent",
                           process_text(c.r.owner, "this end"));
      return fmt::format(
          "{} calls connect(): SYN",
          process_text(c.r.owner_source == OwnerSource::kInherited ? nobody : c.r.owner,
                       "this end"));
    case kSynRecv:
      return old == kSynSent ? "a SYN arrives while ours is unanswered"
                             : fmt::format("{} connects", c.remote);
    case kEstablished:
      if (old == kSynSent) return c.r.role == Role::kActive ? "the SYN is answered" : "restored";
      return c.r.role == Role::kPassive ? fmt::format("{} has connected", c.remote) : "open";
    case kFinWait1: {
      // shutdown() and close() look the same here; a socket that then waits in FIN_WAIT2 was not
      // closed.
      const bool goes_on = c.in(kFinWait2).value_or(0) >= kHalfCloseNs;
      return fmt::format("{} {}: FIN",
                         process_text(local_first ? c.r.closer_process : nobody, "this end"),
                         goes_on ? "finishes sending" : "closes");
    }
    case kFinWait2:
      return "this end's FIN is acknowledged";
    case kClosing:
      return "the other end's FIN arrives, this end's is not acknowledged yet";
    case kCloseWait:
      if (c.r.closer != Closer::kRemote || c.r.closer_process.pid == 0)
        return "the other end's FIN arrives";
      return fmt::format("the FIN of {} arrives", process_text(c.r.closer_process));
    case kLastAck:
      return fmt::format("{} closes too: FIN", process_text(c.r.owner, "this end"));
    default:
      return {};
  }
}

// The third packet of the handshake makes a passive connection SYN_RECV and at once ESTABLISHED.
bool passes_at_once(const ConnectionRecord& r, std::size_t i) {
  constexpr std::uint64_t kAtOnce = 1'000'000;
  return r.role == Role::kPassive && i == 0 && r.states[0].state == kSynRecv &&
         r.states[0].ns < kAtOnce && r.states.size() > 1 && r.states[1].state == kEstablished &&
         !r.path.empty() && r.path.front() == kListen;
}

}  // namespace

std::vector<TimelineStep> timeline(const Case& c) {
  std::vector<TimelineStep> steps;
  const ConnectionRecord& r = c.r;
  TcpState old = r.path.empty() ? kClose : r.path.front();
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < r.states.size(); ++i) {
    const TcpState state = r.states[i].state;
    if (passes_at_once(r, i)) {
      at += r.states[i].ns;
      old = state;
      continue;
    }
    TimelineStep step{at, state, {}};
    const bool first_seen = i == 0 && old == state;  // its beginning was not seen
    if (first_seen) {
      step.text = r.began == Began::kBeforeTrace ? "first seen; it is older than the trace"
                                                 : "first event that was not lost";
    } else {
      step.text = step_text(c, old, state);
      if (!is_legal_transition(old, state))
        step.text +=
            (step.text.empty() ? "" : " ") + std::string("(events before this are missing)");
    }
    steps.push_back(std::move(step));
    at += r.states[i].ns;
    old = state;
  }
  if (r.end) steps.push_back({at, r.path.empty() ? kClose : r.path.back(), last_step(c, old)});
  return steps;
}

}  // namespace tcptrail::findings
