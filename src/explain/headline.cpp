// SPDX-License-Identifier: BSD-2-Clause
#include "explain/headline.h"

#include <fmt/format.h>

#include "tcp/phrase.h"

namespace tcptrail::findings {
namespace {

using enum TcpState;

// How its RST came about, in a few words; empty where only the packet is known.
std::string reset_reason(Evidence evidence) {
  if (evidence == Evidence::kUnread) return "closed with unread data";
  if (evidence == Evidence::kLinger0) return "closed with SO_LINGER 0";
  if (evidence == Evidence::kNotAccepted) return "its listener was closed before accept()";
  if (evidence == Evidence::kDisconnected) return "connect(AF_UNSPEC)";
  if (evidence == Evidence::kDataAfterClose) return "data came after close()";
  if (evidence == Evidence::kOrphanReset) return "closed, and then given up by the kernel";
  return {};
}

// "; TIME_WAIT is on this end until 12:01:09Z"
std::string time_wait_clause(const Case& c) {
  const TimeWaitOutcome& left = c.r.time_wait;
  if (left.phase == TimeWaitPhase::kFinWait2) return fmt::format("; {} has not closed yet", c.peer);
  if (left.phase == TimeWaitPhase::kNone)
    return c.r.closer == Closer::kRemote ? "; this end has no TIME_WAIT"
                                         : "; no TIME_WAIT was left";
  const bool both = c.r.closer == Closer::kBoth && !c.self_connected();
  const std::string where = both ? "both hold TIME_WAIT" : "TIME_WAIT is on this end";
  if (!left.expected_end) return "; " + where;
  return fmt::format("; {}{} until {}", where, both ? ", this one" : "",
                     c.clock(*left.expected_end));
}

std::string fin_headline(const Case& c) {
  const std::string when = after(c.first_close_ns.value_or(c.lasted_ns));
  if (c.self_connected())
    return fmt::format("The socket was connected to itself, and closed {}{}.", when,
                       time_wait_clause(c));
  switch (c.r.closer) {
    case Closer::kLocal:
      return fmt::format("{} closed first, {}{}.", capital(c.self), when, time_wait_clause(c));
    case Closer::kRemote:
      return fmt::format("{} closed first, {}{}.", capital(c.peer), when, time_wait_clause(c));
    case Closer::kBoth:
      return fmt::format("Both ends closed at the same moment, {}{}.", when, time_wait_clause(c));
    default:
      return "Closed in order; who was first was not seen.";
  }
}

std::string reset_sent_headline(const Case& c) {
  const std::string reason = reset_reason(c.r.evidence);
  const std::string why = reason.empty() ? "" : ": " + reason;
  if (c.r.closer == Closer::kRemote && c.first_close_ns)
    return fmt::format("{} closed first, {}; {} then reset the connection{}.", capital(c.peer),
                       after(*c.first_close_ns), c.self, why);
  if (c.r.closer == Closer::kLocal && c.first_close_ns) {
    const std::string first =
        fmt::format("{} closed first, {}", capital(c.self), after(*c.first_close_ns));
    if (c.r.evidence == Evidence::kDataAfterClose)
      return first + "; data came after that and was answered with a RST.";
    if (c.r.evidence == Evidence::kOrphanReset)
      return first + "; the kernel then reset the connection.";
    return fmt::format("{}, and then reset the connection{}.", first, why);
  }
  return fmt::format("{} reset the connection {}{}.", capital(c.self), after(c.lasted_ns), why);
}

std::string reset_received_headline(const Case& c) {
  if (c.r.closer == Closer::kLocal && c.first_close_ns)
    return fmt::format("{} closed first, {}; {} answered with a RST.", capital(c.self),
                       after(*c.first_close_ns), c.peer);
  if (c.r.closer == Closer::kRemote && c.first_close_ns)
    return fmt::format("{} closed first, {}, and then reset the connection.", capital(c.peer),
                       after(*c.first_close_ns));
  return fmt::format("{} reset the connection {}.", capital(c.peer), after(c.lasted_ns));
}

// The peer did not take the data, and its kernel answered all the same.
bool answers(const Case& c) {
  return c.r.evidence == Evidence::kWindowFull || c.r.evidence == Evidence::kOrphanWindowFull ||
         c.r.evidence == Evidence::kNotAcknowledged;
}

std::string timeout_headline(const Case& c) {
  if (!c.opened)
    return fmt::format("{} did not answer: connect() timed out {}.", c.remote, after(c.lasted_ns));
  if (c.first_close_ns && c.r.closer == Closer::kLocal && answers(c))
    return fmt::format("{} closed first, {}; {} did not take the rest of the data.",
                       capital(c.self), after(*c.first_close_ns), c.peer);
  if (c.first_close_ns && c.r.closer == Closer::kLocal)
    return fmt::format("{} closed first, {}; {} did not answer any more.", capital(c.self),
                       after(*c.first_close_ns), c.peer);
  if (c.first_close_ns && c.r.closer == Closer::kRemote && answers(c))
    return fmt::format("{} closed first, {}, and did not take the rest of the data.",
                       capital(c.peer), after(*c.first_close_ns));
  if (c.first_close_ns && c.r.closer == Closer::kRemote)
    return fmt::format("{} closed first, {}, and did not answer any more.", capital(c.peer),
                       after(*c.first_close_ns));
  if (c.r.evidence == Evidence::kWindowFull)
    return fmt::format("{} did not read; the kernel gave up {}.", capital(c.peer),
                       after(c.lasted_ns));
  if (c.r.evidence == Evidence::kNotAcknowledged)
    return fmt::format("{} did not acknowledge the data; the kernel gave up {}.", capital(c.peer),
                       after(c.lasted_ns));
  return fmt::format("{} stopped answering; the kernel gave up {}.", capital(c.peer),
                     after(c.lasted_ns));
}

std::string aborted_headline(const Case& c) {
  if (c.r.evidence == Evidence::kKilled) {
    const std::string killer = process_text(c.r.closer_process);
    return fmt::format("Killed from outside{} {}.", killer.empty() ? "" : " by " + killer,
                       after(c.lasted_ns));
  }
  if (c.r.evidence == Evidence::kGaveUpConnecting && c.lasted_ns < kSynResentNs)
    return fmt::format("{} closed the socket {}, before {} had answered.", capital(c.self),
                       after(c.lasted_ns), c.remote);
  if (c.r.evidence == Evidence::kGaveUpConnecting)
    return fmt::format("{} gave up connecting to {} {}.", capital(c.self), c.remote,
                       after(c.lasted_ns));
  return fmt::format("Ended on this host {}, without a packet.", after(c.lasted_ns));
}

}  // namespace

std::string headline(const Case& c) {
  switch (c.r.how) {
    case How::kFin:
      return fin_headline(c);
    case How::kRstSent:
      return reset_sent_headline(c);
    case How::kRstReceived:
      return reset_received_headline(c);
    case How::kRefused:
      return fmt::format("{} refused the connection.", c.remote);
    case How::kTimeout:
      return timeout_headline(c);
    case How::kUnreachable:
      return fmt::format("{} could not be reached: {}.", c.remote, errno_text(c.r.error));
    case How::kNoPort:
      return c.r.tuple.lport != 0
                 ? fmt::format("Local port {} was already in use to {}.", c.r.tuple.lport, c.remote)
                 : fmt::format("No local port was free to connect to {}.", c.remote);
    case How::kAborted:
      return aborted_headline(c);
    case How::kHalfOpen:
      return fmt::format("The handshake with {} was never completed.", c.remote);
    case How::kUnknown:
      break;
  }
  if (!c.r.end) return "How it ended is not known: its end was not seen.";
  return "How it ended is not known.";
}

}  // namespace tcptrail::findings
