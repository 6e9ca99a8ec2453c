// SPDX-License-Identifier: BSD-2-Clause
// The report of stats for people: at most 100 columns, the worst and the most first,
// sections without content left out.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>

#include "output/ansi.h"
#include "output/bar_chart.h"
#include "output/columns.h"
#include "output/stats_sink.h"
#include "output/time_axis.h"
#include "output/wrap.h"
#include "tcp/phrase.h"
#include "util/display_width.h"
#include "util/escape.h"

namespace tcptrail {
namespace {

constexpr std::size_t kServicesShown = 20;
constexpr std::size_t kTimeWaitsShown = 15;
constexpr std::size_t kTalkersShown = 10;
constexpr std::size_t kWhoShown = 4;

// Padded to `width` columns, or cut with a + as COMM is on a narrow terminal.
std::string cell(const std::string& text, std::size_t width) {
  std::string out = text;
  if (display_width(text) > width) out = std::string(fitting(text, width - 1)) + '+';
  return out + std::string(width - display_width(out), ' ');
}

std::string right(const std::string& text, std::size_t width) {
  const std::size_t shown = display_width(text);
  return shown < width ? std::string(width - shown, ' ') + text : text;
}

std::string name_text(const Comm& comm, bool rest) {
  if (rest) return "(all others)";
  return comm.view().empty() ? "?" : escaped_name(comm.view());
}

// "nginx:443", "curl->:443": without a space, so that no line breaks within.
std::string service_text(const Comm& comm, std::uint16_t port, Role role, bool rest) {
  if (rest) return name_text(comm, true);
  return fmt::format("{}{}:{}", name_text(comm, false), role == Role::kActive ? "->" : "",
                     port == 0 ? "?" : std::to_string(port));
}

// The same in a column: the name gives way, the port stays.
std::string service_cell(const Comm& comm, std::uint16_t port, Role role, bool rest,
                         std::size_t width) {
  const std::string whole = service_text(comm, port, role, rest);
  const std::string name = name_text(comm, rest);
  if (display_width(whole) <= width || rest) return cell(whole, width);
  const std::string after = whole.substr(name.size());
  return cell(name, width - after.size()) + after;
}

std::string quantile_text(const std::optional<std::uint64_t>& ns) {
  return ns ? span_text(*ns) : "-";
}

// All groups of one service.
struct ServiceSums {
  const Group* first = nullptr;
  std::uint64_t connections = 0;
  std::array<std::uint64_t, 5> by_closer{};
  std::array<std::uint64_t, 10> by_how{};
};

std::vector<ServiceSums> sums_by_service(const std::vector<const Group*>& groups) {
  std::map<std::tuple<std::array<char, 16>, std::uint16_t, Role, bool>, std::size_t> known;
  std::vector<ServiceSums> sums;
  for (const Group* g : groups) {
    if (g->key.refused_call) continue;
    const auto [at, is_new] =
        known.try_emplace({g->key.comm.bytes, g->key.service_port,
                           g->key.rest ? Role::kUnknown : g->key.role, g->key.rest},
                          sums.size());
    if (is_new) sums.push_back({.first = g});
    ServiceSums& s = sums[at->second];
    s.connections += g->connections;
    s.by_closer[static_cast<std::size_t>(g->key.closer)] += g->connections;
    s.by_how[static_cast<std::size_t>(g->key.how)] += g->connections;
  }
  std::stable_sort(sums.begin(), sums.end(), [](const ServiceSums& a, const ServiceSums& b) {
    return a.connections > b.connections;
  });
  return sums;
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  if (part == 0) return "-";
  const double share = 100 * static_cast<double>(part) / static_cast<double>(whole);
  return share < 0.5                     ? "<1%"
         : share > 99.5 && part != whole ? ">99%"
                                         : fmt::format("{:.0f}%", share);
}

std::string role_text(Role role) { return std::string(to_string(role)); }

}  // namespace

std::string leaves_text(const LeaveCounts& leaves) {
  std::string text;
  for (std::size_t i = 0; i < leaves.size(); ++i)
    if (leaves[i] != 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", grouped(leaves[i]),
                          to_string(static_cast<LeaveReason>(i)));
  return text;
}

StatsText::StatsText(OutFile& out, WallClock& clock, const StatsTextOptions& options,
                     std::size_t max_groups)
    : StatsSink(options.interval_ns, max_groups),
      out_(out),
      clock_(clock),
      options_(options),
      labels_(labels_cell(options.labels)),
      loss_(options.warn) {}

void StatsText::on(const SummaryRecord& r) {
  StatsSink::on(r);
  loss_.finish();
}

void StatsText::line(std::string_view text) {
  while (text.ends_with(' ')) text.remove_suffix(1);
  out_.write_line(text);
}

void StatsText::title(std::string_view text) {
  line("");
  while (text.ends_with(' ')) text.remove_suffix(1);
  line(options_.color ? fmt::format("{}{}{}", ansi::kBold, text, ansi::kReset) : std::string(text));
}

void StatsText::wrapped(std::string_view text, std::string_view head, std::size_t indent) {
  for (const std::string& part : wrap_text(text, head, indent)) line(part);
}

std::string StatsText::clock_text(std::uint64_t boot_ns) const {
  if (options_.local_time) {
    char text[WallClock::kLocalSize];
    return {text, clock_.put_local(text, boot_ns)};
  }
  return clock_.rfc3339(boot_ns).substr(11, 8) + 'Z';
}

void StatsText::put(const StatsInterval& p) {
  if (!first_) line("\n");
  first_ = false;
  headline(p);
  services(p);
  failures(p);
  states(p);
  durations(p);
  time_waits(p);
  talkers(p);
}

void StatsText::headline(const StatsInterval& p) {
  const Group& total = p.total();
  const double seconds = static_cast<double>(p.end_ns - p.seen_from_ns) / 1e9;
  std::string text =
      fmt::format("{} {} to {}: {} {} ended", clock_.rfc3339(p.seen_from_ns).substr(0, 10),
                  clock_text(p.seen_from_ns), clock_text(p.end_ns), grouped(total.connections),
                  total.connections == 1 ? "connection" : "connections");
  if (total.connections != 0 && seconds > 0) {
    const double rate = static_cast<double>(total.connections) / seconds;
    text += fmt::format(", {} a second",
                        rate < 100 ? fmt::format("{:.1f}", rate)
                                   : grouped(static_cast<std::uint64_t>(std::llround(rate))));
  }
  if (total.failed != 0)
    text += fmt::format("; {} of them {} never established", grouped(total.failed),
                        total.failed == 1 ? "was" : "were");
  if (p.bad() != 0) text += fmt::format("; {} ended badly", grouped(p.bad()));
  if (total.blocked != 0)
    text += fmt::format("; {} refused for want of a port",
                        count_text(total.blocked, "call was", "calls were"));
  if (total.connections != 0)
    text += fmt::format("; sent {}, received {}", bytes_text(total.tx_bytes),
                        bytes_text(total.rx_bytes));
  if (total.retransmits != 0)
    text += fmt::format("; {} sent again", count_text(total.retransmits, "segment", "segments"));
  if (total.incomplete != 0)
    text += fmt::format("; {} {} incomplete (events were lost)", grouped(total.incomplete),
                        total.incomplete == 1 ? "is" : "are");
  text += '.';
  if (p.partial) text += " Part of an interval: the run began or ended within it.";
  if (!labels_.empty()) text += " " + labels_;
  wrapped(text, "", 2);
  if (p.rest() != 0)
    wrapped(fmt::format("There were more kinds of connections than are kept apart: {} records are "
                        "summed as (all others).",
                        grouped(p.rest())),
            "", 2);
}

void StatsText::services(const StatsInterval& p) {
  const auto sums = sums_by_service(p.groups());
  if (sums.empty()) return;
  title(fmt::format("{} {} {}   CLOSED FIRST:{} {} {} {}", cell("SERVICE", 30), cell("ROLE", 7),
                    right("ENDED", 11), right("LOCAL", 6), right("REMOTE", 6), right("BOTH", 5),
                    right("NEITHER", 8)));
  for (std::size_t i = 0; i < std::min(sums.size(), kServicesShown); ++i) {
    const ServiceSums& s = sums[i];
    const GroupKey& key = s.first->key;
    const auto by = [&](Closer closer) { return s.by_closer[static_cast<std::size_t>(closer)]; };
    const std::uint64_t unknown = by(Closer::kUnknown);
    line(fmt::format("{} {} {}                {} {} {} {}{}",
                     service_cell(key.comm, key.service_port, key.role, key.rest, 30),
                     cell(key.rest ? "" : role_text(key.role), 7),
                     right(grouped(s.connections), 11),
                     right(percent(by(Closer::kLocal), s.connections), 6),
                     right(percent(by(Closer::kRemote), s.connections), 6),
                     right(percent(by(Closer::kBoth), s.connections), 5),
                     right(percent(by(Closer::kNone), s.connections), 8),
                     unknown == 0 ? "" : "   ?" + right(percent(unknown, s.connections), 5)));
    std::string endings;
    for (std::size_t how = 0; how < s.by_how.size(); ++how) {
      if (s.by_how[how] == 0 || static_cast<How>(how) == How::kFin) continue;
      endings +=
          fmt::format("{}{} {} ({})", endings.empty() ? "" : ", ", grouped(s.by_how[how]),
                      to_string(static_cast<How>(how)), percent(s.by_how[how], s.connections));
    }
    if (!endings.empty()) wrapped(endings, "    ended: ", 11);
  }
  if (sums.size() > kServicesShown)
    line(fmt::format("... and {} more. --json has all of them.",
                     grouped(sums.size() - kServicesShown)));
}

void StatsText::failures(const StatsInterval& p) {
  struct Failure {
    std::string reason;
    std::uint64_t count = 0;
    std::vector<std::pair<std::uint64_t, std::string>> who;
  };
  std::vector<Failure> failures;
  const auto add = [&](const std::string& reason, std::uint64_t count, const Group& g) {
    auto found = std::find_if(failures.begin(), failures.end(),
                              [&](const Failure& f) { return f.reason == reason; });
    if (found == failures.end()) found = failures.insert(failures.end(), {reason, 0, {}});
    found->count += count;
    found->who.emplace_back(count,
                            service_text(g.key.comm, g.key.service_port, g.key.role, g.key.rest));
  };
  for (const Group* g : p.groups()) {
    const std::string error = g->key.error == 0 ? "" : errno_text(g->key.error);
    if (g->key.refused_call)
      add(fmt::format("{} {}", g->key.role == Role::kActive ? "connect()" : "bind()", error),
          g->blocked, *g);
    if (g->failed != 0)
      add(fmt::format("{}{}", to_string(g->key.how), error.empty() ? "" : " (" + error + ")"),
          g->failed, *g);
  }
  if (failures.empty()) return;
  std::stable_sort(failures.begin(), failures.end(),
                   [](const Failure& a, const Failure& b) { return a.count > b.count; });
  title(fmt::format("{} {}  WHO", cell("NEVER ESTABLISHED, OR REFUSED A PORT", 37),
                    right("TIMES", 8)));
  for (Failure& f : failures) {
    std::stable_sort(f.who.begin(), f.who.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    std::string who;
    for (std::size_t i = 0; i < std::min(f.who.size(), kWhoShown); ++i)
      who += fmt::format("{}{} ({})", who.empty() ? "" : ", ", f.who[i].second,
                         grouped(f.who[i].first));
    if (f.who.size() > kWhoShown) who += fmt::format(", {} more", f.who.size() - kWhoShown);
    wrapped(who, fmt::format("{} {}  ", cell(f.reason, 37), right(grouped(f.count), 8)), 48);
  }
}

void StatsText::states(const StatsInterval& p) {
  bool any = false;
  for (unsigned n = 1; n < kStateCount; ++n) any |= p.state(static_cast<TcpState>(n)).count() != 0;
  if (!any) return;
  title(fmt::format("{} {} {} {} {} {}  {}", cell("TIME IN STATE", 13), right("LEFT", 10),
                    right("P50", 10), right("P95", 10), right("P99", 10), right("MAX", 10),
                    "1us      1ms      1s       "));
  // In the order in which a connection passes them.
  using enum TcpState;
  static constexpr std::array kOrder = {kSynSent,  kSynRecv, kNewSynRecv, kEstablished, kFinWait1,
                                        kFinWait2, kClosing, kTimeWait,   kCloseWait,   kLastAck,
                                        kClose,    kListen,  kBound};
  for (const TcpState state : kOrder) {
    const DenseHistogram& h = p.state(state);
    if (h.count() == 0) continue;
    line(fmt::format(
        "{} {} {} {} {} {}  {}", cell(state_name(state), 13), right(grouped(h.count()), 10),
        right(quantile_text(h.quantile(0.5)), 10), right(quantile_text(h.quantile(0.95)), 10),
        right(quantile_text(h.quantile(0.99)), 10), right(quantile_text(h.quantile(1)), 10),
        spark_line(over_axis(h), options_.unicode)));
  }
}

void StatsText::durations(const StatsInterval& p) {
  const DenseHistogram& h = p.duration();
  if (h.count() == 0) return;
  title("HOW LONG CONNECTIONS LASTED");
  constexpr std::size_t kBins = 30;
  // The histogram's buckets do not end where these do: what is a part of one is rounded so that the
  // sum stays right.
  std::vector<double> bins;
  double sum = 0;
  double told = 0;
  for (std::size_t i = 0; i < kBins; ++i) {
    sum += h.between(i == 0 ? 0 : round_limit(i), i + 1 == kBins ? UINT64_MAX : round_limit(i + 1));
    bins.push_back(std::round(sum) - told);
    told = std::round(sum);
  }
  const double highest = *std::max_element(bins.begin(), bins.end());
  std::size_t first = 0;
  std::size_t last = kBins - 1;
  while (bins[first] == 0 && first < last) ++first;
  while (bins[last] == 0 && last > first) --last;
  for (std::size_t i = first; i <= last; ++i) {
    const std::string limits =
        fmt::format("{} to {}", right(round_text(i == 0 ? 0 : round_limit(i)), 8),
                    right(round_text(round_limit(i + 1)), 8));
    line(fmt::format("{} {} {}", limits,
                     right(grouped(static_cast<std::uint64_t>(std::llround(bins[i]))), 11),
                     bar_text(bins[i], highest, 60, options_.unicode)));
  }
  const auto all = [](const DenseHistogram& values) {
    return fmt::format("p50 {}, p95 {}, p99 {}, longest {}", quantile_text(values.quantile(0.5)),
                       quantile_text(values.quantile(0.95)), quantile_text(values.quantile(0.99)),
                       quantile_text(values.quantile(1)));
  };
  line(fmt::format("All: {}.", all(h)));
  if (p.connect().count() != 0) line(fmt::format("Handshakes of connect(): {}.", all(p.connect())));
}

void StatsText::time_waits(const StatsInterval& p) {
  const auto services = stats_.services(p.end_ns);
  const auto shown = std::min(services.size(), kTimeWaitsShown);
  if (shown != 0) {
    const std::uint64_t width = services.front()->time_wait.column_seconds();
    title(fmt::format("{} {} {} {}  {}", cell("TIME_WAIT HERE, OF THIS RUN", 30),
                      right("ENTERED", 9), right("NOW", 8), right("PEAK", 8),
                      fmt::format("HELD, {} s A COLUMN", width)));
    for (std::size_t i = 0; i < shown; ++i) {
      const Service& s = *services[i];
      std::array<double, TimeWaitSeries::kColumns> columns{};
      for (std::size_t c = 0; c < columns.size(); ++c) columns[c] = s.time_wait.columns()[c];
      line(fmt::format("{} {} {} {}  {}", service_cell(s.comm, s.port, s.role, s.rest, 30),
                       right(grouped(s.time_wait.entered()), 9),
                       right(grouped(s.time_wait.held()), 8), right(grouped(s.time_wait.peak()), 8),
                       spark_line(columns, options_.unicode)));
    }
    if (services.size() > shown)
      line(fmt::format("... and {} more. --json has all of them.", services.size() - shown));
  }
  if (const std::string left = leaves_text(p.leaves()); !left.empty())
    wrapped(left + ".", shown == 0 ? "TIME_WAIT that ended: " : "Ended: ", 7);
}

void StatsText::talkers(const StatsInterval& p) {
  const auto top = p.talkers().top(kTalkersShown);
  if (top.empty() || top.front().bytes() == 0) return;
  title(fmt::format("{} {} {} {}", cell("TOP TALKERS (remote address)", 40),
                    right("CONNECTIONS", 12), right("SENT", 12), right("RECEIVED", 12)));
  double highest = 0;
  for (const Talker& t : top) highest = std::max(highest, static_cast<double>(t.bytes()));
  for (const Talker& t : top)
    line(fmt::format("{} {} {} {} {}", cell(address_text(t.address, t.family), 40),
                     right(grouped(t.connections), 12), right(bytes_text(t.tx_bytes), 12),
                     right(bytes_text(t.rx_bytes), 12),
                     bar_text(static_cast<double>(t.bytes()), highest, 18, options_.unicode)));
  if (p.talkers().lossy())
    wrapped(
        "There were more addresses than are kept: of one that came and went, the sums are lower "
        "limits.",
        "", 2);
}

}  // namespace tcptrail
