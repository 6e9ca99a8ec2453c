// SPDX-License-Identifier: BSD-2-Clause
// The findings about how a connection ended.
#include <fmt/format.h>

#include "explain/findings.h"
#include "tcp/phrase.h"

namespace tcptrail::findings {
namespace {

using enum TcpState;

const std::string kReadToTheEnd =
    "Read until end-of-file before close(); to finish early, shutdown(SHUT_WR) and read the rest.";

void add_reset_sent(Explanation& out, const Case& c) {
  const Evidence evidence = c.r.evidence;
  const std::string self = capital(c.self);
  if (evidence == Evidence::kUnread) {
    add(out, FindingKind::kUnreadData, Severity::kProblem,
        fmt::format("{} closed with data that it had not read: the kernel then sends a RST instead "
                    "of a FIN, and what {} had still to read may be lost.",
                    self, c.peer),
        {kReadToTheEnd});
  } else if (evidence == Evidence::kDataAfterClose) {
    add(out, FindingKind::kDataAfterClose, Severity::kProblem,
        fmt::format("{} was still sending when {} had closed: nobody was left to read it, so the "
                    "kernel answered with a RST.",
                    capital(c.peer), c.self),
        {kReadToTheEnd});
  } else if (evidence == Evidence::kLinger0) {
    add(out, FindingKind::kLingerReset, Severity::kNotice,
        fmt::format("{} closed with SO_LINGER 0: unsent data is thrown away, {} is sent a RST, and "
                    "neither end has TIME_WAIT.",
                    self, c.peer),
        {"If that is meant to avoid TIME_WAIT: let the other end close first. A RST can destroy "
         "data that it has not read yet."});
  } else if (evidence == Evidence::kNotAccepted) {
    const std::string listens = process_text(c.r.owner);
    add(out, FindingKind::kNotAccepted, Severity::kProblem,
        fmt::format("The connection was complete and waited for accept() when its listener{} was "
                    "closed: the kernel reset it.",
                    listens.empty() ? "" : ", of " + listens + ","),
        {"Accept what is in the queue before closing a listener, or hand the listener over (socket "
         "activation, SO_REUSEPORT with migration)."});
  } else if (evidence == Evidence::kDisconnected) {
    add(out, FindingKind::kDisconnected, Severity::kNotice,
        fmt::format("{} disconnected the socket by connect(AF_UNSPEC), which sends a RST.", self));
  } else if (evidence == Evidence::kOrphanReset) {
    add(out, FindingKind::kResetSent, Severity::kNotice,
        fmt::format("The kernel reset what {} had closed: data arrived after close(), TCP_LINGER2 "
                    "ran out, or there were too many orphans.",
                    c.self));
  } else {
    add(out, FindingKind::kResetSent, Severity::kNotice,
        fmt::format("{} ended with a RST: {}.", self,
                    evidence == Evidence::kNone ? "why was not seen" : to_string(evidence)));
  }
}

void add_reset_received(Explanation& out, const Case& c) {
  const ConnectionRecord& r = c.r;
  const OtherEnd* other = c.context.other_end;
  const std::string peer = capital(c.peer);
  std::string text;
  std::vector<std::string> advice;
  if (r.evidence == Evidence::kNewSyn) {
    text = fmt::format(
        "{} connected again from the same address and port, and this older connection was still "
        "here: its kernel answered the SYN with an ACK, and the RST is the answer to that.",
        peer);
    if (r.closer == Closer::kRemote && c.in(kCloseWait))
      advice = {"Close the socket when a read returns 0 bytes (end-of-file)."};
  } else if (other != nullptr && other->ended &&
             (other->how == How::kRstSent || other->how == How::kAborted)) {
    text = fmt::format("{} sent a RST; its own record says: {}.", peer, to_string(other->evidence));
  } else if (!c.opened) {
    text = fmt::format(
        "A RST arrived before the handshake was complete: {} had given up, or does not want the "
        "connection.",
        c.peer);
  } else if (r.closer == Closer::kRemote && c.in(kLastAck)) {
    text = fmt::format(
        "{} had closed, and nothing of the connection was left there when the FIN of {} came{}.",
        peer, c.self,
        other != nullptr && other->ended
            ? fmt::format("; its own record says: {}", to_string(other->evidence))
            : std::string());
  } else if (r.closer == Closer::kRemote && c.in(kCloseWait) && r.counters &&
             r.counters->tx_bytes == 0) {
    text = fmt::format(
        "{} had closed, {} had sent nothing, and a RST arrived. Possible causes: it connected "
        "again "
        "from the same port and found this connection, or its host restarted.",
        peer, c.self);
    advice = {"Close the socket when a read returns 0 bytes (end-of-file)."};
  } else if (r.closer == Closer::kRemote && c.in(kCloseWait)) {
    text = fmt::format("{} had closed; what {} sent after that was answered with a RST.", peer,
                       c.self);
    advice = {"Stop sending when a read returns 0 bytes (end-of-file)."};
  } else if (r.peer_cookie != 0 && (other == nullptr || !other->ended)) {
    text = fmt::format(
        "{} sent a RST. It is on this host: its own explanation follows, and says why.", peer);
  } else if (r.closer == Closer::kLocal && c.first_close_ns) {
    text = fmt::format(
        "{} answered this end's FIN, or data before it, with a RST: it closed with data unread, or "
        "does not know the connection any more.",
        peer);
  } else {
    text = fmt::format(
        "{} sent a RST: it closed with unread data or SO_LINGER 0, lost the connection in a "
        "restart, or something between (firewall, NAT, load balancer) did it.",
        peer);
  }
  add(out, FindingKind::kResetReceived, Severity::kProblem, std::move(text), std::move(advice));
}

void add_refused(Explanation& out, const Case& c) {
  const bool by_reset = c.r.evidence == Evidence::kRefusedByReset;
  add(out, FindingKind::kRefused, Severity::kProblem,
      by_reset
          ? fmt::format("{} answered the SYN with a RST {}: nobody listens there, or a firewall "
                        "rejects it.",
                        c.remote, after(c.lasted_ns))
          : fmt::format(
                "The SYN to {} was answered by an ICMP error {}: a firewall or router refuses it.",
                c.remote, after(c.lasted_ns)),
      {by_reset ? fmt::format("Check on that host that the service runs and listens on this "
                              "address: `ss -ltn sport = :{}`.",
                              c.r.tuple.rport)
                : "Look for a REJECT rule on that host and on the way."});
}

void add_timeout(Explanation& out, const Case& c) {
  if (!c.opened) {
    add(out, FindingKind::kConnectTimeout, Severity::kProblem,
        fmt::format("{} did not answer {} in {}. A firewall that drops, a host that is down and a "
                    "full accept queue look the same from here.",
                    c.remote, syns(c), span_text(c.lasted_ns)),
        {"On the other host: does the SYN arrive (tcpdump), and does `nstat -az "
         "TcpExtListenOverflows` grow?",
         "To fail sooner, set a connect timeout in the program; net.ipv4.tcp_syn_retries is for "
         "the whole host."},
        {{"us", c.lasted_ns / 1000}});
    return;
  }
  const std::string peer = capital(c.peer);
  const Evidence evidence = c.r.evidence;
  if (evidence == Evidence::kWindowFull || evidence == Evidence::kOrphanWindowFull) {
    const bool orphan = evidence == Evidence::kOrphanWindowFull;
    add(out, FindingKind::kTimeout, Severity::kProblem,
        fmt::format("{} is reachable and acknowledges, but its receive buffer stayed full: its "
                    "process did not read. {} ({}).",
                    peer,
                    orphan ? "The kernel gave up the closed socket (net.ipv4.tcp_orphan_retries)"
                           : "The kernel gave up at the timeout of this socket (TCP_USER_TIMEOUT) "
                             "or of the host (net.ipv4.tcp_retries2)",
                    errno_text(c.r.error)),
        {fmt::format("On the other host `ss -tn sport = :{}` shows the unread data as Recv-Q. Find "
                     "out why its process does not read.",
                     c.r.tuple.rport)});
    return;
  }
  if (evidence == Evidence::kNotAcknowledged) {
    add(out, FindingKind::kTimeout, Severity::kProblem,
        fmt::format("{} still answered, but data from this end was never acknowledged ({}). "
                    "Possible causes: large packets are lost on the way (path MTU), or its accept "
                    "queue is full.",
                    peer, errno_text(c.r.error)),
        {"On the other host: does the data arrive (tcpdump), and does `nstat -az "
         "TcpExtListenOverflows` grow?"});
    return;
  }
  const bool keepalive = evidence == Evidence::kKeepalive;
  add(out, FindingKind::kTimeout, Severity::kProblem,
      fmt::format(
          "{} did not answer {} ({}). Possible causes: its host is down, the way is broken, a "
          "firewall or NAT forgot the connection{}.{}",
          peer, keepalive ? "keepalive probes" : "this end's retransmissions",
          errno_text(c.r.error),
          keepalive ? ""
                    : ", or its accept queue is full and its kernel dropped the data of a "
                      "connection that waits for it",
          evidence == Evidence::kOrphanSilent
              ? " The socket was closed: the kernel gives up after net.ipv4.tcp_orphan_retries."
              : ""),
      {"If it was idle before: keepalive below the idle limit of the firewalls on the way "
       "(TCP_KEEPIDLE) keeps it known there."});
}

void add_aborted(Explanation& out, const Case& c) {
  if (c.r.evidence == Evidence::kKilled) {
    const std::string killer = process_text(c.r.closer_process);
    add(out, FindingKind::kKilled, Severity::kNotice,
        fmt::format("{} ended the socket through sock_diag (`ss -K`) or BPF; the program gets "
                    "ECONNABORTED, the other end a RST.",
                    killer.empty() ? "A process that was not seen" : killer));
  } else if (c.r.evidence == Evidence::kGaveUpConnecting && c.lasted_ns < kSynResentNs) {
    add(out, FindingKind::kGaveUpConnecting, Severity::kNotice,
        "connect() was still under way, and nothing had gone wrong so far.", {},
        {{"us", c.lasted_ns / 1000}});
  } else if (c.r.evidence == Evidence::kGaveUpConnecting) {
    add(out, FindingKind::kGaveUpConnecting, Severity::kProblem,
        fmt::format("{} closed the socket while {} {} unanswered. A firewall that drops, a host "
                    "that is down and a full accept queue look the same from here.",
                    capital(c.self), syns(c),
                    c.r.counters && c.r.counters->tx_segs > 1 ? "were" : "was"),
        {"On the other host: does the SYN arrive (tcpdump), and does `nstat -az "
         "TcpExtListenOverflows` grow?"},
        {{"us", c.lasted_ns / 1000}});
  } else {
    add(out, FindingKind::kAborted, Severity::kNotice,
        fmt::format(
            "{}: {}.", capital(c.self),
            c.r.evidence == Evidence::kNone ? "ended without a packet" : to_string(c.r.evidence)));
  }
}

void add_no_port(Explanation& out, const Case& c) {
  const bool bound = c.r.tuple.lport != 0;
  add(out, FindingKind::kNoPort, Severity::kProblem,
      bound ? fmt::format("connect() from {} to {} failed with EADDRNOTAVAIL before any SYN was "
                          "sent: a socket with the same two endpoints still exists.",
                          c.local, c.remote)
            : fmt::format("connect() to {} failed with EADDRNOTAVAIL before any SYN was sent: no "
                          "local port was free for this destination.",
                          c.remote),
      {bound
           ? fmt::format("Bind another local port, or none. `ss -tanpo 'sport = :{} and dport = "
                         ":{}'` shows the socket that has this pair.",
                         c.r.tuple.lport, c.r.tuple.rport)
           : fmt::format("`tcptrail ports --connect {}` shows who holds the ports and until when; "
                         "other destinations are not affected.",
                         c.remote)});
}

// Each end reports what it saw; where the two differ, the packets crossed.
void add_views_differ(Explanation& out, const Case& c) {
  const OtherEnd* other = c.context.other_end;
  if (other == nullptr || !other->ended) return;
  const auto first = [](Closer closer) {
    return closer == Closer::kLocal || closer == Closer::kRemote || closer == Closer::kBoth;
  };
  const Closer mine = c.r.closer;
  if (!first(mine) || !first(other->closer)) return;
  const Closer mirrored = mine == Closer::kLocal    ? Closer::kRemote
                          : mine == Closer::kRemote ? Closer::kLocal
                                                    : mine;
  if (other->closer == mirrored) return;
  const auto says = [](Closer closer) -> std::string_view {
    return closer == Closer::kLocal ? "itself" : closer == Closer::kRemote ? "the other" : "both";
  };
  add(out, FindingKind::kViewsDiffer, Severity::kInfo,
      fmt::format("The two ends differ in who was first (this one says {}, the other {}): their "
                  "last packets crossed or were lost, and each is right about what it had seen.",
                  says(mine), says(other->closer)));
}

}  // namespace

void add_ending(Explanation& out, const Case& c) {
  switch (c.r.how) {
    case How::kFin:
      if (c.r.closer == Closer::kBoth && !c.self_connected())
        add(out, FindingKind::kSimultaneousClose, Severity::kInfo,
            "Each end sent its FIN before the other's arrived (RFC 9293 section 3.6, simultaneous "
            "close).");
      break;
    case How::kRstSent:
      add_reset_sent(out, c);
      break;
    case How::kRstReceived:
      add_reset_received(out, c);
      break;
    case How::kRefused:
      add_refused(out, c);
      break;
    case How::kTimeout:
      add_timeout(out, c);
      break;
    case How::kUnreachable:
      add(out, FindingKind::kUnreachable, Severity::kProblem,
          fmt::format("The network reported {} for {}: a route is missing, the host does not "
                      "answer ARP or ND, or a router or firewall refuses.",
                      errno_text(c.r.error), c.remote),
          {fmt::format("`ip route get {}` shows the way that is taken.",
                       address_text(c.r.tuple.raddr, c.r.tuple.family))});
      break;
    case How::kNoPort:
      add_no_port(out, c);
      break;
    case How::kAborted:
      add_aborted(out, c);
      break;
    case How::kHalfOpen:
      add(out, FindingKind::kHalfOpen, Severity::kNotice,
          fmt::format("{} began a handshake and did not complete it.", c.remote));
      break;
    case How::kUnknown:
      add(out, FindingKind::kEndUnknown, Severity::kNotice,
          fmt::format(
              "What was seen does not tell how it ended{}.",
              c.r.evidence == Evidence::kNone ? "" : fmt::format(": {}", to_string(c.r.evidence))));
      break;
  }
  add_views_differ(out, c);
}

}  // namespace tcptrail::findings
