// SPDX-License-Identifier: BSD-2-Clause
// The findings about what was unusual before the end.
#include <fmt/format.h>

#include "explain/findings.h"
#include "tcp/phrase.h"

namespace tcptrail::findings {
namespace {

using enum TcpState;

void add_taken_over(Explanation& out, const Case& c) {
  const TakenOver* old = c.context.taken_over;
  if (old == nullptr) return;
  const char* phase = old->phase == TimeWaitPhase::kFinWait2 ? "FIN_WAIT2" : "TIME_WAIT";
  const std::string held =
      old->held_ns ? fmt::format(" for {}", span_text(*old->held_ns)) : std::string();
  const std::string owner = old->owner.pid == 0 ? std::string() : " of " + process_text(old->owner);
  std::string text =
      fmt::format("The same two endpoints had been in {}{}, left by an earlier connection{}. ",
                  phase, held, owner);
  if (old->reason == LeaveReason::kReusedByConnect) {
    text +=
        "connect() may take that over when timestamps tell old segments from new ones and it is "
        "older than net.ipv4.tcp_tw_reuse_delay (1 s); "
        "net.ipv4.tcp_tw_reuse must allow it, unless the program chose the port with bind().";
  } else {
    text +=
        "A SYN may take that over when its sequence number is above all that was received, or its "
        "timestamp is newer: no old segment can then be "
        "mistaken for a new one (RFC 1122 section 4.2.2.13, RFC 6191).";
  }
  std::vector<Fact> facts = {{"reason", std::string(to_string(old->reason))}};
  if (old->held_ns) facts.push_back({"held_us", *old->held_ns / 1000});
  add(out, FindingKind::kTimeWaitReused, Severity::kInfo, std::move(text), {}, std::move(facts));
}

void add_slow_connect(Explanation& out, const Case& c) {
  if (!c.r.connect_ns || *c.r.connect_ns < kSlowConnectNs) return;
  const std::uint64_t took = *c.r.connect_ns;
  const std::uint32_t resent = c.r.counters ? c.r.counters->retransmits : 0;
  std::vector<Fact> facts = {{"us", took / 1000}};
  if (took >= kSynResentNs && resent != 0) {
    add(out, FindingKind::kSlowConnect, Severity::kNotice,
        fmt::format("The handshake took {}: a SYN that is not answered is sent again after 1 s, so "
                    "one was lost or dropped. A full accept queue drops them too.",
                    span_text(took)),
        {"On the listening host: does `nstat -az TcpExtListenOverflows TcpExtListenDrops` grow? "
         "Then accept faster, or raise the backlog and net.core.somaxconn."},
        std::move(facts));
    return;
  }
  // As long as the way itself takes is no news.
  if (c.r.counters && c.r.counters->min_rtt_us &&
      std::uint64_t{*c.r.counters->min_rtt_us} * 2000 > took)
    return;
  add(out, FindingKind::kSlowConnect, Severity::kNotice,
      fmt::format("The handshake took {}{}.", span_text(took),
                  c.r.counters && c.r.counters->min_rtt_us
                      ? fmt::format(", the shortest round trip {}",
                                    span_text(std::uint64_t{*c.r.counters->min_rtt_us} * 1000))
                      : std::string()),
      {}, std::move(facts));
}

void add_half_close(Explanation& out, const Case& c) {
  const auto waited = c.in(kFinWait2);
  if (!waited || *waited < kHalfCloseNs) return;
  add(out, FindingKind::kHalfClose, Severity::kInfo,
      fmt::format("Half-close: {} finished sending{} and kept its socket open {}{} for {} to "
                  "finish, as shutdown(SHUT_WR) does.",
                  c.self,
                  c.first_close_ns ? " after " + span_text(*c.first_close_ns) : std::string(),
                  c.older_than_trace(kFinWait2) ? "at least " : "", span_text(*waited), c.peer),
      {}, {{"us", *waited / 1000}});
}

void add_close_wait(Explanation& out, const Case& c) {
  const auto kept = c.in(kCloseWait);
  if (!kept || *kept < kCloseWaitNs) return;
  if (c.r.owner_source == OwnerSource::kListen || c.r.evidence == Evidence::kNotAccepted) {
    add(out, FindingKind::kCloseWait, Severity::kProblem,
        fmt::format("{} had finished {} before the end, and nobody had accepted the connection.",
                    capital(c.peer), span_text(*kept)),
        {"Find out why the listening process does not call accept(): only that, or the end of the "
         "listener, takes such connections out of its queue."},
        {{"us", *kept / 1000}});
    return;
  }
  const OtherEnd* other = c.context.other_end;
  const bool meant = other != nullptr && other->ended && other->fin_wait2_ns >= kHalfCloseNs;
  const bool long_time = *kept >= kLongCloseWaitNs && !meant;
  std::string text = fmt::format(
      "{} kept the connection open {}{} after {} had finished (CLOSE_WAIT).", capital(c.self),
      c.older_than_trace(kCloseWait) ? "at least " : "", span_text(*kept), c.peer);
  if (meant) {
    text +=
        " The other end had only finished sending and still listened (half-close), so this may be "
        "meant.";
  } else if (long_time) {
    text +=
        " Once the other end's process has closed, its kernel keeps its side for "
        "net.ipv4.tcp_fin_timeout (60 s) only; what is sent from here after that is "
        "answered with a RST.";
  } else {
    text +=
        " A program that still sends does so on purpose; one that does not has not read, or not "
        "acted on, end-of-file.";
  }
  std::vector<Fact> facts = {{"us", *kept / 1000}};
  if (c.r.owner.pid != 0) facts.push_back({"pid", std::uint64_t{c.r.owner.pid}});
  add(out, FindingKind::kCloseWait,
      meant       ? Severity::kInfo
      : long_time ? Severity::kProblem
                  : Severity::kNotice,
      std::move(text),
      meant
          ? std::vector<std::string>{}
          : std::vector<std::string>{"Close the socket when a read returns 0 bytes (end-of-file)."},
      std::move(facts));
}

void add_fin_unanswered(Explanation& out, const Case& c) {
  std::uint64_t longest = 0;
  TcpState where{};
  for (const TcpState state : {kFinWait1, kClosing, kLastAck}) {
    const auto spent = c.in(state);
    if (!spent || *spent <= longest) continue;
    longest = *spent;
    where = state;
  }
  if (longest < kFinUnansweredNs || c.r.how == How::kTimeout) return;
  const bool acknowledged = c.r.how == How::kFin;
  add(out, FindingKind::kFinUnanswered, Severity::kNotice,
      fmt::format("This end's FIN was {} {} ({}): it waited behind data that {} did not take, or "
                  "packets were lost.",
                  acknowledged ? "acknowledged only after" : "not acknowledged for",
                  span_text(longest), state_name(where), c.peer),
      {}, {{"us", longest / 1000}});
}

void add_retransmits(Explanation& out, const Case& c) {
  if (!c.r.counters || !c.opened || c.r.how == How::kTimeout || c.r.counters->retransmits == 0 ||
      c.r.counters->tx_segs == 0)
    return;
  const std::uint64_t again = c.r.counters->retransmits;
  const std::uint64_t all = c.r.counters->tx_segs;
  const bool many = again * 100 >= all;
  add(out, FindingKind::kRetransmits, many ? Severity::kNotice : Severity::kInfo,
      fmt::format("{} of {} had to be sent again ({:.1f} %).", again,
                  count_text(all, "segment", "segments"),
                  100 * static_cast<double>(again) / static_cast<double>(all)),
      {}, {{"retransmits", again}, {"segments", all}});
}

}  // namespace

void add_beginning(Explanation& out, const Case& c) {
  const ConnectionRecord& r = c.r;
  if (!r.complete)
    add(out, FindingKind::kIncomplete, Severity::kNotice,
        "Events of this connection were lost. What is said here was seen; what is missing is not "
        "guessed.");
  add_taken_over(out, c);
  add_slow_connect(out, c);
  for (std::size_t i = 1; i < r.path.size(); ++i) {
    if (r.path[i - 1] == kSynSent && r.path[i] == kSynRecv) {
      if (c.self_connected())
        add(out, FindingKind::kSelfConnect, Severity::kProblem,
            fmt::format("The socket is connected to itself: nobody listened on {}, and connect() "
                        "was given that very port as its own.",
                        c.remote),
            {"Keep ports of services out of net.ipv4.ip_local_port_range, or list them in "
             "net.ipv4.ip_local_reserved_ports."});
      else
        add(out, FindingKind::kSimultaneousOpen, Severity::kInfo,
            "Both ends called connect() at the same time (RFC 9293 section 3.5, simultaneous "
            "open).");
      break;
    }
  }
  if (r.began == Began::kBeforeTrace)
    add(out, FindingKind::kBeforeTrace, Severity::kInfo,
        "It is older than the trace: times count from when it was first seen.");
  if (r.owner_source == OwnerSource::kInherited)
    add(out, FindingKind::kOwnerChanged, Severity::kInfo,
        fmt::format("{} closed it, and another process had opened it (fork, exec, or a descriptor "
                    "that was passed on).",
                    r.owner.pid == 0 ? "One process" : process_text(r.owner)));
}

void add_life(Explanation& out, const Case& c) {
  add_close_wait(out, c);
  add_half_close(out, c);
  add_fin_unanswered(out, c);
  add_retransmits(out, c);
  if (c.opened && c.r.counters && c.r.counters->tx_bytes == 0 && c.r.counters->rx_bytes == 0)
    add(out, FindingKind::kNoData, Severity::kInfo,
        "Not a byte went either way: a health check, a port scan, or a connection that was opened "
        "and not used.");
}

}  // namespace tcptrail::findings
