// SPDX-License-Identifier: BSD-2-Clause
// The explanation of a finished connection put together, and the words for programs.
#include "explain/explanation.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "explain/findings.h"
#include "explain/headline.h"
#include "explain/sentence.h"
#include "explain/timeline.h"
#include "tcp/phrase.h"

namespace tcptrail {
namespace {

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

std::string about(const findings::Case& c) {
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

Explanation explain(const ConnectionRecord& r, const ExplainContext& context) {
  const findings::Case c(r, context);
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
  out.headline = findings::headline(c);
  out.about = about(c);
  out.timeline = findings::timeline(c);
  findings::add_ending(out, c);
  findings::add_life(out, c);
  findings::add_beginning(out, c);
  findings::add_left_behind(out, c);
  findings::sort_findings(out);
  return out;
}

}  // namespace tcptrail
