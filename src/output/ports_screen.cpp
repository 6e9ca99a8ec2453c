// SPDX-License-Identifier: BSD-2-Clause
#include "output/ports_screen.h"
#include "output/ansi.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "output/row.h"
#include "output/wrap.h"
#include "tcp/phrase.h"
#include "util/escape.h"

namespace tcptrail {
namespace {

constexpr std::size_t kRefusedShown = 5;
constexpr std::uint64_t kNsPerMs = 1'000'000;

std::string wall_time(WallClock& clock, std::uint64_t boot_ns) {
  char text[64];
  return {text, static_cast<std::size_t>(clock.put_local(text, boot_ns) - text)};
}

std::string age_text(const std::optional<std::uint64_t>& ns) {
  return ns ? duration_text(*ns / kNsPerMs) : std::string("before the trace");
}

std::string growth_text(const std::optional<double>& per_s) {
  if (!per_s) return "-";
  if (std::abs(*per_s) < 0.005) return "none";
  return fmt::format("{:+.2f}/s", *per_s);
}

}  // namespace

PortsScreen::PortsScreen(OutFile& out, WallClock& clock, PortsScreenOptions options)
    : out_(out), clock_(clock), options_(std::move(options)), loss_(options_.warn) {}

void PortsScreen::line(std::string_view text) { out_.write_line(text); }

void PortsScreen::on(const BlockedRecord& record) {
  if (!options_.blocked) return;
  std::vector<std::string> lines = blocked_lines(record, wall_time(clock_, record.boot_ns));
  if (options_.rows == 0) {
    for (const std::string& text : lines) line(text);
    return;
  }
  refused_.push_back(std::move(lines));
  if (refused_.size() > kRefusedShown) refused_.pop_front();
}

void PortsScreen::refused() {
  if (refused_.empty()) return;
  line("");
  line("REFUSED LAST");
  for (auto last = refused_.rbegin(); last != refused_.rend(); ++last)
    for (const std::string& text : *last) line(text);
}

void PortsScreen::leaks(const PortRound& round) {
  if (round.leaks.empty()) return;
  line("");
  const auto row = [this](std::string_view state, std::string_view count, std::string_view owner,
                          std::string_view oldest, std::string_view growth) {
    Row cells;
    cells.cell(state, 12);
    cells.cell(count, 7);
    cells.cell(owner, 24);
    cells.cell(oldest, 17);
    cells.cell(growth, 8);
    line(cells.take());
  };
  row("LEFT OPEN", "COUNT", "OWNER", "OLDEST", "GROWTH");
  constexpr std::size_t kShown = 10;
  for (std::size_t i = 0; i < std::min(round.leaks.size(), kShown); ++i) {
    const LeakRecord& leak = round.leaks[i];
    row(state_name(leak.state), std::to_string(leak.count),
        leak.owner.pid == 0
            ? std::string("-")
            : fmt::format("{}/{}", leak.owner.pid, escaped_name(leak.owner.comm.view())),
        age_text(leak.oldest_ns), growth_text(leak.growth_per_s));
    for (const std::string& text : wrap_text(leak.remedy, "    ", 4)) line(text);
  }
}

void PortsScreen::on(const PortRound& round) {
  // Several namespaces are one screen: they come with one time.
  const bool first = round.boot_ns != last_round_ns_;
  last_round_ns_ = round.boot_ns;
  if (first && options_.rows != 0) line(ansi::kHomeAndClear);
  const std::size_t endpoints = endpoint_count(round.ports);
  const std::size_t destinations = round.destinations.size();
  if (first)
    line(fmt::format("{}  {} blocked endpoint{}, {} destination{}",
                     wall_time(clock_, round.boot_ns), endpoints, endpoints == 1 ? "" : "s",
                     destinations, destinations == 1 ? "" : "s"));
  PortsTextOptions text;
  text.color = options_.color;
  if (options_.all) text.most = 0;
  // Each takes two to three lines.
  if (options_.rows != 0) text.most = std::max<std::size_t>(3, options_.rows / 8);
  PortsText ports(out_, text);
  if (options_.several_netns) ports.heading(round.netns);
  ports.report(round.ports, round.destinations);
  leaks(round);
  if (options_.rows != 0) refused();
  if (options_.rows == 0) line("");
}

}  // namespace tcptrail
