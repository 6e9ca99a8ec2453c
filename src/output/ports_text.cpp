// SPDX-License-Identifier: BSD-2-Clause
#include "output/ports_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "output/ansi.h"
#include "output/row.h"
#include "output/wrap.h"
#include "tcp/blocker_groups.h"
#include "tcp/phrase.h"

namespace tcptrail {
namespace {

std::string endpoint_text(const PortRecord& r) {
  const std::string text = endpoint_text(r.laddr, r.family, r.lport);
  return r.ports == 1 ? text : text + '-' + std::to_string(r.last_port);
}

std::string owners_text(const std::vector<PortOwner>& owners) {
  if (owners.empty()) return "-";
  std::string text = process_cell(owners.front().process);
  if (owners.size() > 1) text += fmt::format(" +{}", owners.size() - 1);
  return text;
}

std::string states_text(const PortRecord& r) {
  std::string text = r.ports == 1 ? std::string() : fmt::format("{} ports", r.ports);
  for (const auto& [state, count] : r.states) {
    if (!text.empty()) text += ", ";
    text += fmt::format("{} {}", count, state_name(state));
  }
  return text.empty() ? "-" : text;
}

std::string free_text(const std::optional<std::uint64_t>& ms) {
  return ms ? (*ms == 0 ? "now" : duration_text(*ms)) : "-";
}

std::string_view works_with(const PortRecord& r) {
  if (r.bind_reuseaddr && r.bind_reuseport) return "either option";
  if (r.bind_reuseaddr) return "SO_REUSEADDR";
  return r.bind_reuseport ? "SO_REUSEPORT" : "-";
}

constexpr std::size_t kBlockerWidths[] = {12, 25, 25, 20};

std::string blocker_head() {
  Row row;
  row.cell("  STATE", kBlockerWidths[0]);
  row.cell("LOCAL", kBlockerWidths[1]);
  row.cell("REMOTE", kBlockerWidths[2]);
  row.cell("OWNER", kBlockerWidths[3]);
  row.cell("ENDS IN", 8);
  return row.take();
}

std::string blocker_row(const BlockerRecord& b) {
  Row row;
  row.cell("  " + state_name(b.state), kBlockerWidths[0]);
  row.cell(endpoint_text(b.tuple.laddr, b.tuple.family, b.tuple.lport), kBlockerWidths[1]);
  row.cell(b.tuple.rport == 0 ? "-" : endpoint_text(b.tuple.raddr, b.tuple.family, b.tuple.rport),
           kBlockerWidths[2]);
  row.cell(process_cell(b.owner), kBlockerWidths[3]);
  row.cell(b.expires_in_ms ? duration_text(*b.expires_in_ms) : "-", 8);
  std::string options;
  if (b.reuseaddr.value_or(false)) options = "SO_REUSEADDR";
  if (b.reuseport.value_or(false)) options += options.empty() ? "SO_REUSEPORT" : ", SO_REUSEPORT";
  return row.take() + (options.empty() ? "" : "\n               has " + options);
}

// "3 TIME_WAIT (4100/server, exited)", for each state and owner; the rest is a number.
std::string in_the_way(const BlockedRecord& r) {
  const std::vector<BlockerGroup> groups = blocker_groups(r, GroupBy::kStateAndOwner);
  constexpr std::size_t kShown = 3;
  std::string text;
  std::uint64_t named = 0;
  for (std::size_t i = 0; i < std::min(groups.size(), kShown); ++i) {
    const BlockerRecord& b = *groups[i].first;
    named += groups[i].count;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", groups[i].count, state_name(b.state));
    if (b.owner.pid != 0)
      text += fmt::format(" of {}{}", process_cell(b.owner),
                          b.owner_alive.value_or(true) ? "" : " (exited)");
  }
  if (named < r.blocker_count) text += fmt::format(", {} more", r.blocker_count - named);
  return text;
}

}  // namespace

std::vector<std::string> blocked_lines(const BlockedRecord& r, std::string_view time) {
  std::string what = fmt::format("{} {}", to_string(r.op),
                                 endpoint_text(r.tuple.laddr, r.tuple.family, r.tuple.lport));
  if (r.op == BlockedOp::kConnect)
    what += " to " + endpoint_text(r.tuple.raddr, r.tuple.family, r.tuple.rport);
  if (r.count > 1) what += fmt::format(", {} times", r.count);
  what += fmt::format(": {} for {}", errno_text(r.error), process_cell(r.caller));
  if (r.blocker_count != 0) what += fmt::format("; in the way: {}", in_the_way(r));
  if (r.free_in_ms) what += fmt::format("; free in {}", duration_text(*r.free_in_ms));
  std::vector<std::string> lines =
      wrap_text(what, fmt::format("{}{}BLOCKED ", time, time.empty() ? "" : " "), 8);
  if (!r.remedies.empty())
    for (std::string& part : wrap_text(r.remedies.front(), "        ", 8))
      lines.push_back(std::move(part));
  return lines;
}

std::size_t endpoint_count(std::span<const PortRecord> ports) {
  return std::accumulate(
      ports.begin(), ports.end(), std::size_t{0},
      [](std::size_t sum, const PortRecord& r) { return sum + r.ports; });
}

void PortsText::line(std::string_view text) { out_.write_line(text); }

std::string PortsText::painted(std::string_view text, bool good) const {
  if (!options_.color) return std::string(text);
  return fmt::format("{}{}{}", good ? ansi::kGreen : ansi::kRed, text, ansi::kReset);
}

void PortsText::wrapped(std::string_view text, std::size_t indent, std::string_view mark) {
  for (const std::string& part :
       wrap_text(text, std::string(indent, ' ').append(mark), indent + mark.size()))
    line(part);
}

void PortsText::endpoints(std::span<const PortRecord> ports) {
  if (ports.empty()) {
    line("No local endpoint is taken: bind() would succeed everywhere.");
    return;
  }
  Row head;
  head.cell("LOCAL ENDPOINT", 22);
  head.cell("BLOCKED BY", 30);
  head.cell("OWNER", 22);
  head.cell("BIND WORKS WITH", 15);
  head.cell("FREE IN", 7);
  line(head.take());
  const std::size_t shown =
      options_.most == 0 ? ports.size() : std::min(ports.size(), options_.most);
  for (std::size_t i = 0; i < shown; ++i) {
    const PortRecord& r = ports[i];
    Row row;
    row.cell(endpoint_text(r), 22);
    row.cell(states_text(r), 30);
    row.cell(owners_text(r.owners), 22);
    row.cell(works_with(r), 15);
    row.cell(free_text(r.free_in_ms), 7);
    line(row.take());
    if (!r.remedies.empty()) wrapped(r.remedies.front(), 4, "");
  }
  if (shown < ports.size())
    wrapped(
        fmt::format(
            "... and {} more blocked endpoints. -L PORTS chooses some of them, --json shows all.",
            endpoint_count(ports.subspan(shown))),
        0, "");
}

void PortsText::destinations(std::span<const DestinationRecord> destinations) {
  if (destinations.empty()) return;
  line("");
  Row head;
  head.cell("FROM", 18);
  head.cell("TO", 24);
  head.cell("CONNECT", 8);
  head.cell("USED", 7);
  head.cell("TIME_WAIT", 9);
  head.cell("PORTS LEFT", 14);
  head.cell("FREE IN", 7);
  line(head.take());
  const std::size_t shown =
      options_.most == 0 ? destinations.size() : std::min(destinations.size(), options_.most);
  for (std::size_t i = 0; i < shown; ++i) {
    const DestinationRecord& r = destinations[i];
    Row row;
    row.cell(address_text(r.tuple.laddr, r.tuple.family), 18);
    row.cell(endpoint_text(r.tuple.raddr, r.tuple.family, r.tuple.rport), 24);
    row.cell(r.connect ? "ok" : "blocked", 8);
    row.cell(std::to_string(r.used), 7);
    row.cell(std::to_string(r.time_wait), 9);
    row.cell(fmt::format("{} of {}", r.available, r.range_high - r.range_low + 1), 14);
    row.cell(free_text(r.free_in_ms), 7);
    line(row.take());
    if (r.rate_per_s.value_or(0) > 0)
      line(fmt::format("    {:.1f} new connections/s: {}", *r.rate_per_s,
                       r.exhausted_in_s ? fmt::format("no port left in {:.0f} s", *r.exhausted_in_s)
                                        : "never runs out at this rate"));
    if (!r.remedies.empty()) wrapped(r.remedies.front(), 4, "");
  }
  if (shown < destinations.size())
    wrapped(fmt::format(
                "... and {} more destinations. -D PORTS chooses some of them, --json shows all.",
                destinations.size() - shown),
            0, "");
}

void PortsText::heading(std::uint32_t netns) {
  if (!first_) line("");
  first_ = false;
  line(fmt::format("Network namespace {}:", netns));
}

void PortsText::report(std::span<const PortRecord> ports,
                       std::span<const DestinationRecord> towards) {
  endpoints(ports);
  destinations(towards);
}

void PortsText::answer(const PortRecord& r, bool v6only) {
  line(fmt::format("bind() and listen() on {}{} now:", endpoint_text(r.laddr, r.family, r.lport),
                   v6only ? " (IPv6 only)" : ""));
  const auto verdict = [&](std::string_view with, bool ok) {
    line(fmt::format("  {:<20} {}", with, painted(ok ? "ok" : "blocked", ok)));
  };
  verdict("without an option", r.bind_plain);
  verdict("with SO_REUSEADDR", r.bind_reuseaddr);
  verdict("with SO_REUSEPORT", r.bind_reuseport);
  if (r.bind_plain) return;
  if (r.blocker_count != 0) {
    if (r.free_in_ms) {
      line(fmt::format("Free in {} at the latest, if nothing new comes.",
                       duration_text(*r.free_in_ms)));
    } else {
      line(std::string(no_known_end(r.blockers, r.blocker_count)));
    }
    line(fmt::format("In the way: {}", states_text(r)));
    line(blocker_head());
    constexpr std::size_t kShown = 10;
    for (std::size_t i = 0; i < std::min(r.blockers.size(), kShown); ++i)
      line(blocker_row(r.blockers[i]));
    if (r.blocker_count > kShown) line(fmt::format("  ... and {} more", r.blocker_count - kShown));
  }
  line("What helps:");
  for (const std::string& remedy : r.remedies) wrapped(remedy, 2, "- ");
}

void PortsText::answer(const DestinationRecord& r) {
  line(fmt::format("connect() from {} to {} without bind() now: {}",
                   address_text(r.tuple.laddr, r.tuple.family),
                   endpoint_text(r.tuple.raddr, r.tuple.family, r.tuple.rport),
                   painted(r.connect ? "ok" : "blocked", r.connect)));
  line(fmt::format("  ports left to this destination  {} of {} ({}-{}{})", r.available,
                   r.range_high - r.range_low + 1, r.range_low, r.range_high,
                   r.reserved == 0 ? "" : fmt::format(", {} reserved", r.reserved)));
  line(fmt::format("  in use towards it               {}, {} of them in TIME_WAIT", r.used,
                   r.time_wait));
  for (std::size_t i = 0; i < std::min<std::size_t>(r.owners.size(), 5); ++i)
    line(fmt::format("  held by                         {}: {}", process_cell(r.owners[i].process),
                     r.owners[i].count));
  if (!r.connect)
    line(r.free_in_ms
             ? fmt::format("A port is free in {} at the latest.", duration_text(*r.free_in_ms))
             : "When a port comes free is not known.");
  if (r.remedies.empty()) return;
  line("What helps:");
  for (const std::string& remedy : r.remedies) wrapped(remedy, 2, "- ");
}

}  // namespace tcptrail
