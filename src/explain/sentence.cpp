// SPDX-License-Identifier: BSD-2-Clause
#include "explain/sentence.h"

#include "tcp/phrase.h"

namespace tcptrail::findings {

using enum TcpState;

Case::Case(const ConnectionRecord& record, const ExplainContext& with) : r(record), context(with) {
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

std::string after(std::uint64_t ns) { return "after " + span_text(ns); }

std::string syns(const Case& c) {
  return c.r.counters && c.r.counters->tx_segs != 0
             ? count_text(c.r.counters->tx_segs, "SYN", "SYNs")
             : std::string("the SYN");
}

}  // namespace tcptrail::findings
