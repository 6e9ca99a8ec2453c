// SPDX-License-Identifier: BSD-2-Clause
// The explanation of what is not a connection: a call that the kernel refused for
// want of a port, and sockets that nobody closes.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "explain/findings.h"
#include "tcp/blocker_groups.h"
#include "tcp/phrase.h"

namespace tcptrail {
namespace {

// "3 TIME_WAIT left by server (pid 640, exited)", for each state and owner; the rest is a number.
std::string in_the_way(const BlockedRecord& r) {
  std::vector<BlockerGroup> groups = blocker_groups(r, GroupBy::kStateOwnerAndReuseaddr);
  std::stable_sort(groups.begin(), groups.end(),
                   [](const BlockerGroup& a, const BlockerGroup& b) { return a.count > b.count; });
  constexpr std::size_t kShown = 4;
  std::string text;
  std::uint64_t named = 0;
  for (std::size_t i = 0; i < std::min(groups.size(), kShown); ++i) {
    const BlockerRecord& b = *groups[i].first;
    named += groups[i].count;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", groups[i].count, state_name(b.state));
    const bool full = !b.expires_in_ms;
    const bool exited = b.owner.pid != 0 && !b.owner_alive.value_or(true);
    if (b.owner.pid != 0)
      text += fmt::format(" {} {}{}", full ? "of" : "left by", process_text(b.owner),
                          exited ? ", which has exited" : "");
    if (r.op == BlockedOp::kConnect || !b.reuseaddr) continue;
    if (exited) text += ',';
    text += *b.reuseaddr ? " with SO_REUSEADDR" : " without SO_REUSEADDR";
  }
  if (named < r.blocker_count) text += fmt::format(" and {} more", r.blocker_count - named);
  return text;
}

std::string rule(const BlockedRecord& r) {
  if (r.op == BlockedOp::kConnect)
    return "connect() needs a local port whose pair with this destination is free; other "
           "destinations are not affected.";
  if (r.op == BlockedOp::kListen)
    return "listen() needs the port for itself, unless every socket on it has SO_REUSEPORT.";
  return "bind() needs the consent of every socket on the port: SO_REUSEADDR on both and none of "
         "them listening, or SO_REUSEPORT on both.";
}

}  // namespace

Explanation explain(const BlockedRecord& r, const ExplainContext& context) {
  Explanation out;
  out.boot_ns = r.boot_ns;
  out.subject = Subject::kBlocked;
  out.netns = r.netns;
  out.tuple = r.tuple;
  out.owner = r.caller;
  out.role = r.op == BlockedOp::kConnect ? Role::kActive : Role::kPassive;
  const std::uint16_t service = r.op == BlockedOp::kConnect ? r.tuple.rport : r.tuple.lport;
  if (service != 0) out.service_port = service;
  out.error = r.error;
  const std::string local = endpoint_text(r.tuple.laddr, r.tuple.family, r.tuple.lport);
  const std::string remote = endpoint_text(r.tuple.raddr, r.tuple.family, r.tuple.rport);
  const std::string caller = process_text(r.caller);
  out.headline = fmt::format(
      "{}() {} {} failed{} with {}{}.", to_string(r.op), r.op == BlockedOp::kConnect ? "to" : "on",
      r.op == BlockedOp::kConnect ? remote : local, caller.empty() ? "" : " for " + caller,
      errno_text(r.error), r.count > 1 ? fmt::format(", {} times", r.count) : std::string());

  std::string text;
  std::vector<Fact> facts = {{"op", std::string(to_string(r.op))}, {"blockers", r.blocker_count}};
  if (r.blocker_count != 0) {
    text = fmt::format("In the way: {}. ", in_the_way(r));
    if (r.free_in_ms) {
      text +=
          fmt::format("Free at {} at the latest, if nothing new comes. ",
                      context.clock ? context.clock(r.boot_ns + *r.free_in_ms * 1'000'000) : "?");
      facts.push_back({"free_in_ms", *r.free_in_ms});
    } else {
      text += no_known_end(r.blockers, r.blocker_count);
      text += ' ';
    }
    text += rule(r);
  } else if (r.op == BlockedOp::kBind && r.error != EADDRINUSE) {
    text = fmt::format("{} is no address of this network namespace{}.",
                       address_text(r.tuple.laddr, r.tuple.family),
                       r.tuple.family == Family::kIpv6 ? ", or is tentative or dadfailed" : "");
  } else {
    text = rule(r);
  }
  findings::add(out, FindingKind::kPortBlocked, Severity::kProblem, std::move(text), r.remedies,
                std::move(facts));
  return out;
}

Explanation explain(const KeptOpen& kept, std::uint64_t boot_ns) {
  Explanation out;
  out.boot_ns = boot_ns;
  out.subject = Subject::kOpen;
  out.cookie = kept.oldest_cookie;
  out.netns = kept.netns;
  out.tuple = kept.oldest;
  out.owner = kept.owner;
  const bool close_wait = kept.state == TcpState::kCloseWait;
  const bool one = kept.count == 1;
  const std::string who = process_text(kept.owner);
  out.headline = fmt::format("{} still holds {} in {}, the oldest for {}.",
                             who.empty() ? "A process that is not known" : who,
                             count_text(kept.count, "connection", "connections"),
                             state_name(kept.state), span_text(kept.oldest_ns));
  std::string text = close_wait
                         ? fmt::format("The other {} finished, and nobody closes here. ",
                                       one ? "end has" : "ends have")
                         : fmt::format(
                               "This end was shut down and not closed, and the other {} not "
                               "finished: no timer ends FIN_WAIT2 while a descriptor is open. ",
                               one ? "end has" : "ends have");
  text += fmt::format(
      "{} until {}; {} came within the {} of this run.", one ? "It stays" : "They stay",
      close_wait ? (one ? "the process closes it or ends" : "the process closes them or ends")
                 : (one ? "the other end finishes, or the process closes it or ends"
                        : "the other ends finish, or the process closes them or ends"),
      one ? "it" : "all", span_text(kept.run_ns));
  findings::add(
      out, FindingKind::kLeak,
      kept.oldest_ns >= kLongCloseWaitNs || kept.count > 1 ? Severity::kProblem : Severity::kNotice,
      std::move(text),
      {close_wait ? "Close a socket when a read returns 0 bytes (end-of-file); `ss -tanp state "
                    "close-wait` lists them."
                  : "Close what was only shut down, or read with a time limit; `ss -tanp state "
                    "fin-wait-2` lists them."},
      {{"count", kept.count},
       {"oldest_us", kept.oldest_ns / 1000},
       {"run_us", kept.run_ns / 1000}});
  return out;
}

}  // namespace tcptrail
