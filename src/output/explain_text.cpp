// SPDX-License-Identifier: BSD-2-Clause
// Explanations for people: at most 100 columns, made to be pasted into a ticket.
#include <fmt/format.h>

#include <algorithm>

#include "output/ansi.h"
#include "output/columns.h"
#include "output/explain.h"
#include "output/wrap.h"
#include "tcp/phrase.h"
#include "util/escape.h"

namespace tcptrail {
namespace {

std::string_view mark_of(Severity severity) {
  switch (severity) {
    case Severity::kProblem:
      return "  ! ";
    case Severity::kNotice:
      return "  * ";
    case Severity::kInfo:
      break;
  }
  return "  - ";
}

std::string_view color_of(Severity severity) {
  switch (severity) {
    case Severity::kProblem:
      return ansi::kRed;
    case Severity::kNotice:
      return ansi::kYellow;
    case Severity::kInfo:
      break;
  }
  return {};
}

std::string ends_text(const Explanation& e) {
  const std::string local = endpoint_text(e.tuple.laddr, e.tuple.family, e.tuple.lport);
  const std::string remote = endpoint_text(e.tuple.raddr, e.tuple.family, e.tuple.rport);
  if (e.subject == Subject::kBlocked) return e.role == Role::kActive ? "-> " + remote : local;
  const char* arrow = e.role == Role::kActive ? "->" : e.role == Role::kPassive ? "<-" : "<->";
  return fmt::format("{} {} {}", local, arrow, remote);
}

std::string closer_text(const Explanation& e) {
  const std::string process =
      e.closer_process.pid == 0 ? std::string() : ", " + process_text(e.closer_process);
  switch (*e.closer) {
    case Closer::kLocal:
      return "this end" + process;
    case Closer::kRemote:
      return "the other end" + process;
    case Closer::kBoth:
      return "both ends at once";
    case Closer::kNone:
      return "neither end";
    case Closer::kUnknown:
      break;
  }
  return "not known";
}

void add_to(std::string& text, std::string_view part) {
  if (part.empty()) return;
  if (!text.empty()) text += "; ";
  text += part;
}

// "+8.213340 s", in a column of its own.
std::string at_text(std::uint64_t ns) {
  const std::uint64_t us = (ns + 500) / 1000;
  return fmt::format("+{}.{:06} s", us / 1'000'000, us % 1'000'000);
}

}  // namespace

ExplainText::ExplainText(OutFile& out, WallClock& clock, const ExplainTextOptions& options)
    : ExplainSink(clock, options.local_time),
      out_(out),
      color_(options.color),
      labels_(labels_cell(options.labels)),
      loss_(options.warn),
      limit_(options.explanations_per_second) {}

void ExplainText::on(const SummaryRecord& r) {
  ExplainSink::on(r);
  if (limit_.pending()) put_left_out();
  loss_.finish();
}

std::string ExplainText::start_text(const Explanation& e) const {
  const std::uint64_t at = e.start.value_or(e.boot_ns);
  if (local_time_) {
    char text[WallClock::kLocalSize];
    return {text, clock_.put_local(text, at)};
  }
  const std::string utc = clock_.rfc3339(at);
  return utc.substr(0, 10) + ' ' + utc.substr(11, 12) + 'Z';  // milliseconds
}

void ExplainText::line(std::string_view text, std::string_view color) {
  if (color_ && !color.empty())
    out_.write_line(fmt::format("{}{}{}", color, text, ansi::kReset));
  else
    out_.write_line(text);
}

void ExplainText::wrapped(std::string_view text, std::string_view head, std::size_t indent,
                          std::string_view color) {
  for (const std::string& part : wrap_text(text, head, indent)) line(part, color);
}

void ExplainText::put_left_out() {
  const std::string text = limit_.take();
  line(std::string_view(text).substr(0, text.size() - 1));
}

void ExplainText::put(const Explanation& e) {
  if (limit_.due(e.boot_ns)) put_left_out();
  if (!limit_.admits(e.boot_ns)) return;
  if (!first_) line("");
  first_ = false;
  const std::string who = process_text(e.owner);
  wrapped(fmt::format("{}  {}  {}", start_text(e), who.empty() ? "(owner not known)" : who,
                      ends_text(e)),
          "", 4);
  wrapped(e.headline, "  ", 2, ansi::kBold);

  std::string about = e.about;
  if (e.cookie != 0) add_to(about, fmt::format("sk:{:x}", e.cookie));
  if (e.peer_cookie != 0) about += fmt::format(", other end sk:{:x} on this host", e.peer_cookie);
  if (e.netns != 0) add_to(about, fmt::format("netns {}", e.netns));
  if (e.cgroup.size() > 1) add_to(about, "cgroup " + escaped_name(e.cgroup));
  add_to(about, labels_);
  if (!about.empty()) wrapped(about, "  ", 2, ansi::kDim);

  std::size_t widest = 0;
  for (const TimelineStep& step : e.timeline) widest = std::max(widest, at_text(step.at_ns).size());
  for (const TimelineStep& step : e.timeline) {
    const std::string head =
        fmt::format("    {:>{}}  {:<11}  ", at_text(step.at_ns), widest, state_name(step.state));
    wrapped(step.text, head, head.size());
  }

  if (e.closer)
    wrapped(fmt::format("Closed first: {}.{}", closer_text(e),
                        e.evidence == Evidence::kNone
                            ? ""
                            : fmt::format(" Evidence: {}.", to_string(e.evidence))),
            "  ", 4);
  for (const Finding& f : e.findings) {
    wrapped(f.text, mark_of(f.severity), 4, color_of(f.severity));
    for (const std::string& advice : f.advice) wrapped(advice, "      > ", 8);
  }
}

}  // namespace tcptrail
