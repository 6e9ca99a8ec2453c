// SPDX-License-Identifier: BSD-2-Clause
// The findings about what a connection leaves behind, and how that goes.
#include <fmt/format.h>

#include "explain/findings.h"
#include "tcp/phrase.h"

namespace tcptrail {
namespace findings {
namespace {

std::string restart_rule(const std::optional<bool>& reuseaddr,
                         const std::optional<bool>& reuseport) {
  if (!reuseaddr || !reuseport)
    return "A restarted server binds at once only if this socket and the new one both have "
           "SO_REUSEADDR, or both SO_REUSEPORT.";
  if (*reuseaddr || *reuseport) {
    const char* option = *reuseaddr && *reuseport ? "SO_REUSEADDR or SO_REUSEPORT"
                         : *reuseaddr             ? "SO_REUSEADDR"
                                                  : "SO_REUSEPORT";
    return fmt::format(
        "A restarted server that sets {} binds at once, because this socket had {}; without it "
        "bind() gets EADDRINUSE.",
        option, *reuseaddr && *reuseport ? "both" : "it too");
  }
  return "This socket had no SO_REUSEADDR, so a restarted server gets EADDRINUSE until then, even "
         "if it sets SO_REUSEADDR: both sockets need it.";
}

std::vector<std::string> restart_advice(Role role, const std::optional<bool>& reuseaddr,
                                        const std::optional<bool>& reuseport) {
  if (role != Role::kPassive || reuseaddr.value_or(true) || reuseport.value_or(true)) return {};
  return {"Set SO_REUSEADDR on the listener from its first start: its connections inherit it.",
          "Or let the client close first: TIME_WAIT is then on its side."};
}

// Without SO_REUSEADDR a restart will fail: that is worth knowing before.
Severity severity_of(Role role, const TimeWaitOutcome& left) {
  return restart_advice(role, left.reuseaddr, left.reuseport).empty() ? Severity::kInfo
                                                                      : Severity::kNotice;
}

std::vector<Fact> facts_of(const TimeWaitOutcome& left) {
  std::vector<Fact> facts;
  if (left.expected_end) facts.push_back({"expected_end_boot_ns", *left.expected_end});
  if (left.reuseaddr) facts.push_back({"reuseaddr", *left.reuseaddr});
  if (left.reuseport) facts.push_back({"reuseport", *left.reuseport});
  return facts;
}

void add_time_wait(Explanation& out, const Case& c) {
  const TimeWaitOutcome& left = c.r.time_wait;
  // The timer wheel fires in steps of up to 5 s (HZ=100), never early.
  const std::string until =
      left.expected_end ? fmt::format("until {} (by the kernel's timer, some seconds late at most)",
                                      c.clock(*left.expected_end))
                        : std::string("for 60 s");
  add(out, FindingKind::kTimeWait, severity_of(c.r.role, left),
      fmt::format("{} is in TIME_WAIT {}{}. {}", c.local, until,
                  left.side == TimeWaitSide::kBoth && !c.self_connected()
                      ? ", and so is the other end"
                      : "",
                  blocked_by_minisocket(c.r.role, c.local, c.remote, c.r.tuple.lport,
                                        left.reuseaddr, left.reuseport)),
      restart_advice(c.r.role, left.reuseaddr, left.reuseport), facts_of(left));
}

void add_fin_wait2(Explanation& out, const Case& c) {
  const TimeWaitOutcome& left = c.r.time_wait;
  const OtherEnd* other = c.context.other_end;
  const bool waits = other != nullptr && !other->ended && other->close_wait_since != 0;
  std::vector<std::string> advice;
  std::string text = fmt::format("{} has not closed yet", capital(c.peer));
  if (waits) {
    text += fmt::format(" (CLOSE_WAIT since {})", c.clock(other->close_wait_since));
    advice.push_back(
        fmt::format("If it stays so: {} has not read, or not acted on, end-of-file.", c.peer));
  } else {
    advice.push_back(
        "If it stays so: `ss -tanp state close-wait` at the other end shows the process that does "
        "not close.");
  }
  text += fmt::format(
      ". {} {} waits in FIN_WAIT2 without a process. If the FIN comes in time, 60 s of TIME_WAIT "
      "follow; what comes later is answered with a RST. {}",
      left.expected_end
          ? fmt::format("Until {} (net.ipv4.tcp_fin_timeout)", c.clock(*left.expected_end))
          : std::string("For net.ipv4.tcp_fin_timeout"),
      c.local,
      blocked_by_minisocket(c.r.role, c.local, c.remote, c.r.tuple.lport, left.reuseaddr,
                            left.reuseport));
  for (std::string& more : restart_advice(c.r.role, left.reuseaddr, left.reuseport))
    advice.push_back(std::move(more));
  add(out, FindingKind::kFinWait2Left, severity_of(c.r.role, left), std::move(text),
      std::move(advice), facts_of(left));
}

void add_remote(Explanation& out, const Case& c) {
  const OtherEnd* other = c.context.other_end;
  const TimeWaitPhase phase =
      other != nullptr && other->ended ? other->time_wait.phase : TimeWaitPhase::kNone;
  const std::string there =
      c.peer == "the other end" ? c.remote : fmt::format("{} of {}", c.remote, c.peer);
  std::string text;
  if (phase == TimeWaitPhase::kTimeWait)
    text = fmt::format("TIME_WAIT is at {}{}, as its own record says.", there,
                       other->time_wait.expected_end
                           ? " until " + c.clock(*other->time_wait.expected_end)
                           : std::string());
  else if (phase == TimeWaitPhase::kFinWait2)
    text = fmt::format(
        "{} was still in FIN_WAIT2 without a process; with the FIN of this end it is in TIME_WAIT "
        "for 60 s.",
        there);
  else if (other != nullptr && other->ended)
    text = fmt::format("{} has no TIME_WAIT either; its own record says: {}.", there,
                       to_string(other->evidence));
  else
    text =
        "TIME_WAIT is at the other end, which sent its FIN first (inferred from the orderly close, "
        "not seen).";
  add(out, FindingKind::kTimeWaitRemote, Severity::kInfo,
      fmt::format("{} Nothing is left here that blocks {}.", text, c.local));
}

}  // namespace

std::string blocked_by_minisocket(Role role, const std::string& local, const std::string& remote,
                                  std::uint16_t port, const std::optional<bool>& reuseaddr,
                                  const std::optional<bool>& reuseport) {
  if (role == Role::kActive)
    return fmt::format(
        "That blocks this pair of endpoints and bind() of port {}; connect() can use the port for "
        "any other destination than {}, unless the program "
        "chose it with bind().",
        port, remote);
  if (role == Role::kPassive)
    return fmt::format(
        "That does not disturb a listener that runs, nor {} when it connects again; it blocks "
        "bind() of port {}. {}",
        remote, port, restart_rule(reuseaddr, reuseport));
  return fmt::format("That blocks the pair {} and {}, and bind() of port {}. {}", local, remote,
                     port, restart_rule(reuseaddr, reuseport));
}

void add_left_behind(Explanation& out, const Case& c) {
  switch (c.r.time_wait.phase) {
    case TimeWaitPhase::kTimeWait:
      return add_time_wait(out, c);
    case TimeWaitPhase::kFinWait2:
      return add_fin_wait2(out, c);
    case TimeWaitPhase::kNone:
      break;
  }
  const bool no_time_wait = c.r.evidence == Evidence::kNoTimeWait;
  if (no_time_wait || c.r.evidence == Evidence::kNoMinisocket)
    return add(
        out, FindingKind::kNoTimeWait, Severity::kNotice,
        fmt::format("This end should be in {} now and is not: net.ipv4.tcp_max_tw_buckets was "
                    "reached. Nothing is blocked, but a late FIN is answered with a RST.",
                    no_time_wait ? "TIME_WAIT" : "FIN_WAIT2"),
        {"Raise net.ipv4.tcp_max_tw_buckets; a TIME_WAIT costs some 250 bytes."});
  if (c.r.time_wait.side == TimeWaitSide::kRemote) add_remote(out, c);
}

}  // namespace findings

std::optional<Explanation> explain(const TimeWaitRecord& r, const ExplainContext& context) {
  if (r.event != TimeWaitEvent::kLeave) return std::nullopt;
  Explanation out;
  out.boot_ns = r.boot_ns;
  out.subject = Subject::kTimeWait;
  out.cookie = r.cookie;
  out.netns = r.netns;
  out.tuple = r.tuple;
  out.owner = r.owner;
  const std::string local = endpoint_text(r.tuple.laddr, r.tuple.family, r.tuple.lport);
  const std::string remote = endpoint_text(r.tuple.raddr, r.tuple.family, r.tuple.rport);
  const char* phase = r.phase == TimeWaitPhase::kFinWait2 ? "FIN_WAIT2" : "TIME_WAIT";
  const std::string held = r.held_ns ? " after " + span_text(*r.held_ns) : std::string();
  std::vector<Fact> facts = {{"reason", std::string(to_string(r.reason))}};
  if (r.held_ns) facts.push_back({"held_us", *r.held_ns / 1000});

  if (r.phase == TimeWaitPhase::kFinWait2 && r.reason == LeaveReason::kExpired) {
    const OtherEnd* other = context.other_end;
    const bool waits = other != nullptr && !other->ended && other->close_wait_since != 0;
    const std::string peer =
        waits && other->owner.pid != 0 ? process_text(other->owner) : std::string("The other end");
    out.headline = fmt::format("{} never closed; this end stopped waiting for it{}.", peer, held);
    std::string text = fmt::format("{} is free again. What {} still sends is answered with a RST.",
                                   local, waits ? peer : remote);
    if (waits) {
      facts.push_back({"pid", std::uint64_t{other->owner.pid}});
      text += fmt::format(" It has been in CLOSE_WAIT since {}.",
                          context.clock ? context.clock(other->close_wait_since) : "?");
    }
    findings::add(
        out, FindingKind::kPeerNeverClosed, Severity::kNotice, std::move(text),
        {waits ? fmt::format("Make {} close its socket when a read returns 0 bytes (end-of-file).",
                             peer)
               : std::string("At the other end, `ss -tanp state close-wait` shows the process that "
                             "has not closed.")},
        std::move(facts));
    return out;
  }
  switch (r.reason) {
    case LeaveReason::kReset:
      out.headline = fmt::format("{} of {} was cut short by a RST{}.", phase, local, held);
      findings::add(
          out, FindingKind::kTimeWaitCut, Severity::kNotice,
          fmt::format("A RST from {} with the expected sequence number ends a {} at once unless "
                      "net.ipv4.tcp_rfc1337 is 1 (RFC 1337). The pair of endpoints is free.",
                      remote, phase),
          {}, std::move(facts));
      return out;
    case LeaveReason::kKilled:
      out.headline = fmt::format("{} of {} was killed (`ss -K`){}.", phase, local, held);
      findings::add(out, FindingKind::kTimeWaitCut, Severity::kNotice,
                    "The pair of endpoints is free; segments of the old connection that still "
                    "travel are not kept off a new one.",
                    {}, std::move(facts));
      return out;
    case LeaveReason::kReusedBySyn:
    case LeaveReason::kReusedByConnect: {
      out.headline =
          fmt::format("{} of {} was taken over by a new connection{}.", phase, local, held);
      findings::add(
          out, FindingKind::kTimeWaitReused, Severity::kInfo,
          fmt::format("{} did it{}. Its sequence number or timestamp is newer, so old segments "
                      "cannot be mistaken for new ones (RFC 1122 section 4.2.2.13, RFC 6191).",
                      r.reason == LeaveReason::kReusedBySyn
                          ? fmt::format("A SYN from {}", remote)
                          : fmt::format("connect() to {}", remote),
                      r.successor_cookie == 0 ? std::string()
                                              : fmt::format(" (sk:{:x})", r.successor_cookie)),
          {}, std::move(facts));
      return out;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace tcptrail
