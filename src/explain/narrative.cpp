// SPDX-License-Identifier: BSD-2-Clause
// The frame of a connection's narrative: names, timeline, order of the findings.
#include "explain/narrative.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "connections/closer.h"
#include "explain/narrative_parts.h"
#include "tcp/phrase.h"

namespace tcptrail {
namespace {

using enum TcpState;

constexpr std::array<std::string_view, 3> kSeverities = {"info", "notice", "problem"};
constexpr std::array<std::string_view, 4> kSubjects = {"connection", "blocked", "time_wait",
                                                       "open"};
constexpr std::array<std::string_view, kFindingKinds> kKinds = {
    "time_wait",
    "time_wait_remote",
    "fin_wait2_left",
    "no_time_wait",
    "time_wait_reused",
    "slow_connect",
    "simultaneous_open",
    "self_connect",
    "before_trace",
    "owner_changed",
    "no_data",
    "retransmits",
    "half_close",
    "close_wait",
    "fin_unanswered",
    "simultaneous_close",
    "views_differ",
    "unread_data",
    "data_after_close",
    "linger_reset",
    "not_accepted",
    "disconnected",
    "reset_sent",
    "reset_received",
    "refused",
    "connect_timeout",
    "timeout",
    "unreachable",
    "no_port",
    "killed",
    "gave_up_connecting",
    "aborted",
    "half_open",
    "incomplete",
    "end_unknown",
    "port_blocked",
    "time_wait_cut",
    "peer_never_closed",
    "leak",
};
static_assert(!kKinds.back().empty());

template <std::size_t N, class Enum>
std::string_view word(const std::array<std::string_view, N>& words, Enum value) {
  const auto index = static_cast<std::size_t>(value);
  return index < N ? words[index] : words[0];
}

// The words for the last step: what took the socket to CLOSE.
std::string last_step(const narrative::Case& c, TcpState old) {
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
      return "connect() fails: no local port";
    case How::kAborted:
      return c.r.evidence == evidence::kKilled             ? "killed"
             : c.r.evidence == evidence::kGaveUpConnecting ? "this end closes the socket"
                                                           : "ended without a packet";
    case How::kHalfOpen:
      return "the kernel gives up: the handshake is not completed";
    case How::kUnknown:
      return "ended";
  }
  if (c.r.time_wait.phase == TimeWaitPhase::kFinWait2)
    return "no process any more; a FIN_WAIT2 socket waits for the other end's FIN";
  if (c.r.evidence == evidence::kNoMinisocket)
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

std::string who(const Process& process, const char* otherwise) {
  return process.pid == 0 ? otherwise : process_text(process);
}

std::string step_text(const narrative::Case& c, TcpState old, TcpState next) {
  // Whose call it was is known of the first close only.
  const bool local_first = c.r.closer == Closer::kLocal || c.r.closer == Closer::kBoth;
  const Process nobody;
  switch (next) {
    case kSynSent:
      return fmt::format(
          "{} calls connect(): SYN",
          who(c.r.owner_source == OwnerSource::kInherited ? nobody : c.r.owner, "this end"));
    case kSynRecv:
      return old == kSynSent ? "a SYN arrives while ours is unanswered"
                             : fmt::format("{} connects", c.remote);
    case kEstablished:
      if (old == kSynSent) return "the SYN is answered";
      return c.r.role == Role::kPassive ? fmt::format("{} has connected", c.remote) : "open";
    case kFinWait1: {
      // shutdown() and close() look the same here; a socket that then waits in FIN_WAIT2 was not
      // closed.
      const bool goes_on = c.in(kFinWait2).value_or(0) >= kHalfCloseNs;
      return fmt::format("{} {}: FIN", who(local_first ? c.r.closer_process : nobody, "this end"),
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
      return fmt::format("{} closes too: FIN", who(c.r.owner, "this end"));
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

std::vector<NarrativeStep> timeline(const narrative::Case& c) {
  std::vector<NarrativeStep> steps;
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
    NarrativeStep step{at, state, {}};
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

std::string about(const narrative::Case& c) {
  const ConnectionRecord& r = c.r;
  if (!r.duration_ns) return {};  // its end was not seen
  std::string text = fmt::format("lasted {}{}", r.began == Began::kBeforeTrace ? "at least " : "",
                                 span_text(*r.duration_ns));
  if (!r.counters) return text;
  if (c.opened)
    text += fmt::format("; sent {}, received {}", bytes_text(r.counters->tx_bytes),
                        bytes_text(r.counters->rx_bytes));
  if (c.opened && r.counters->rtt_us)
    text += fmt::format("; round trip {}", span_text(std::uint64_t{*r.counters->rtt_us} * 1000));
  return text;
}

}  // namespace

std::string_view to_string(Severity severity) { return word(kSeverities, severity); }
std::string_view to_string(FindingKind kind) { return word(kKinds, kind); }
std::string_view to_string(Subject subject) { return word(kSubjects, subject); }

namespace narrative {

Case::Case(const ConnectionRecord& record, const NarrativeContext& with)
    : r(record), context(with) {
  local = endpoint_text(r.tuple.laddr, r.tuple.family, r.tuple.lport);
  remote = endpoint_text(r.tuple.raddr, r.tuple.family, r.tuple.rport);
  Process other = context.other_end != nullptr ? context.other_end->owner : Process{};
  if (other.pid == 0 && r.peer_cookie != 0 && r.closer == Closer::kRemote) other = r.closer_process;
  // One process that talks to itself would make both names the same.
  const bool distinct = other.pid == 0 || other.pid != r.owner.pid;
  // Before accept() the socket is nobody's, whoever owns the listener.
  if (distinct && r.owner_source != OwnerSource::kListen) self = process_text(r.owner);
  if (distinct) peer = process_text(other);
  if (self.empty()) self = "this end";
  if (peer.empty()) peer = "the other end";

  std::uint64_t at = 0;
  for (const StateSpan& span : r.states) {
    const bool first = span.state == kFinWait1 || span.state == kCloseWait;
    if (first && !first_close_ns) first_close_ns = at;
    at += span.ns;
  }
  lasted_ns = r.duration_ns.value_or(at);
  for (const TcpState state : r.path)
    opened |= state != kSynSent && state != kSynRecv && state != kClose && state != kListen;
}

std::optional<std::uint64_t> Case::in(TcpState state) const {
  std::optional<std::uint64_t> total;
  for (const StateSpan& span : r.states)
    if (span.state == state) total = total.value_or(0) + span.ns;
  return total;
}

bool Case::older_than_trace(TcpState state) const {
  return r.began == Began::kBeforeTrace && !r.path.empty() && r.path.front() == state;
}

std::string Case::clock(std::uint64_t boot_ns) const {
  return context.clock ? context.clock(boot_ns) : "?";
}

std::string capital(std::string text) {
  if (text.starts_with("this end") || text.starts_with("the other end")) text.front() = 'T';
  return text;
}

void add(Explanation& out, FindingKind kind, Severity severity, std::string text,
         std::vector<std::string> advice, std::vector<Fact> facts) {
  out.findings.push_back({kind, severity, std::move(text), std::move(advice), std::move(facts)});
}

void sort_findings(Explanation& out) {
  std::stable_sort(
      out.findings.begin(), out.findings.end(),
      [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
}

}  // namespace narrative

Explanation explain(const ConnectionRecord& r, const NarrativeContext& context) {
  const narrative::Case c(r, context);
  Explanation out;
  out.boot_ns = r.boot_ns;
  out.subject = Subject::kConnection;
  out.cookie = r.cookie;
  out.generation = r.generation;
  out.netns = r.netns;
  out.tuple = r.tuple;
  out.role = r.role;
  out.owner = r.owner;
  out.cgroup = r.cgroup;
  out.peer_cookie = r.peer_cookie;
  out.service_port = r.service_port;
  out.start = r.start;
  out.closer = r.closer;
  out.how = r.how;
  out.evidence = r.evidence;
  out.closer_process = r.closer_process;
  out.error = r.error;
  out.headline = narrative::headline(c);
  out.about = about(c);
  out.timeline = timeline(c);
  narrative::add_ending(out, c);
  narrative::add_life(out, c);
  narrative::add_beginning(out, c);
  narrative::add_left_behind(out, c);
  narrative::sort_findings(out);
  return out;
}

}  // namespace tcptrail
