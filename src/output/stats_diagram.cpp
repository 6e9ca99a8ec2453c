// SPDX-License-Identifier: BSD-2-Clause
// The state diagram of RFC 9293 (figure 5) with the counts of this run on its edges,
// as text and as Graphviz DOT. TIME_WAIT is what a connection's path ends with; its
// own end is known from time_wait records.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "output/stats_sink.h"
#include "tcp/phrase.h"

namespace tcptrail {
namespace {

using enum TcpState;

struct Edge {
  char key;
  TcpState from;
  TcpState to;
};

// Every way that an ordinary life takes. What else occurs is listed below the picture.
constexpr std::array kEdges = {
    Edge{'a', kClose, kSynSent},         Edge{'b', kListen, kSynRecv},
    Edge{'c', kSynSent, kSynRecv},       Edge{'d', kSynRecv, kEstablished},
    Edge{'e', kSynSent, kEstablished},   Edge{'f', kSynSent, kClose},
    Edge{'g', kSynRecv, kFinWait1},      Edge{'h', kEstablished, kFinWait1},
    Edge{'i', kEstablished, kCloseWait}, Edge{'j', kFinWait1, kFinWait2},
    Edge{'k', kFinWait1, kClosing},      Edge{'l', kFinWait2, kTimeWait},
    Edge{'m', kClosing, kTimeWait},      Edge{'n', kCloseWait, kLastAck},
    Edge{'o', kLastAck, kClose},         Edge{'p', kEstablished, kClose},
    Edge{'q', kSynRecv, kClose},         Edge{'r', kFinWait2, kClose},
    Edge{'s', kFinWait1, kClose},        Edge{'t', kCloseWait, kClose},
    Edge{'u', kSynRecv, kCloseWait},
};

// `$x_____` is a field for the count of edge x, as wide as it is written.
constexpr std::string_view kPicture = R"(
                                        .-------------.
        .--------------.                |   CLOSED    |
        |    LISTEN    |                '-------------'
        '--------------'                       | $a______  connect()
               | $b______  a client            |
               v                               v
        .--------------.   $c______     .-------------.  $f______
        |   SYN_RECV   |<---------------|  SYN_SENT   |-------------> CLOSED  no connection
        '--------------'                '-------------'
          |          | $d______                | $e______
          |          |                         |
          |          '--------.      .---------'
          |                   v      v
          |               .---------------.  $p______
 $g______ |               |  ESTABLISHED  |------------------------> CLOSED  RST, timeout, killed
          |               '---------------'
          |    this end     |           |     the other end
          |    closes       |           |     closes
          |                 | $h______  | $i______
          v                 |           |
        .-------------.     |           |               .--------------.
        |  FIN_WAIT1  |<----'           '-------------->|  CLOSE_WAIT  |
        '-------------'                                 '--------------'
          |         |                                          |
          | $j______| $k______                                 | $n______
          v         v                                          v
   .-----------.   .-----------.                        .--------------.
   | FIN_WAIT2 |   |  CLOSING  |                        |   LAST_ACK   |
   '-----------'   '-----------'                        '--------------'
     |       |           |                                     |
     |       | $l______  | $m______                            | $o______
     |       v           v                                     v
     |     .---------------.                                CLOSED
     |     |   TIME_WAIT   |
     |     '---------------'
     v $r______
   CLOSED  a FIN_WAIT2 socket without a process waits on, or RST, or tcp_max_tw_buckets
)";

std::string count_field(std::uint64_t n, std::size_t width) {
  std::string text = grouped(n);
  if (text.size() > width) text = fmt::format("{:.4g}", static_cast<double>(n));
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

const Edge* edge_of(char key) {
  const auto* found =
      std::find_if(kEdges.begin(), kEdges.end(), [key](const Edge& e) { return e.key == key; });
  return found == kEdges.end() ? nullptr : found;
}

bool in_picture(TcpState from, TcpState to) {
  return std::any_of(
      kEdges.begin(), kEdges.end(),
      [&](const Edge& e) {
        return e.from == from && e.to == to &&
               kPicture.find(std::string("$") + e.key) != std::string_view::npos;
      });
}

// Calls `put` for each edge that was taken.
template <class Put>
void for_each_edge(const StatsInterval& p, Put&& put) {
  for (unsigned from = 0; from < kStateCount; ++from) {
    for (unsigned to = 0; to < kStateCount; ++to) {
      const auto n = p.edge(static_cast<TcpState>(from), static_cast<TcpState>(to));
      if (n != 0) put(static_cast<TcpState>(from), static_cast<TcpState>(to), n);
    }
  }
}

}  // namespace

std::string diagram_text(const StatsInterval& p) {
  std::string out =
      fmt::format("{} connections that ended. A count stands beside its arrow; 0 is left out.\n",
                  grouped(p.total().connections));
  std::string_view rest = kPicture;
  while (!rest.empty()) {
    const std::size_t at = rest.find('$');
    if (at == std::string_view::npos) {
      out += rest;
      break;
    }
    out += rest.substr(0, at);
    const std::size_t end = std::min(rest.find_first_not_of('_', at + 2), rest.size());
    const Edge* edge = edge_of(rest[at + 1]);
    const std::uint64_t n = edge == nullptr ? 0 : p.edge(edge->from, edge->to);
    out += n == 0 ? std::string(end - at, ' ') : count_field(n, end - at);
    rest.remove_prefix(end);
  }
  // Fields at the end of a line leave spaces.
  for (std::size_t at = out.find(" \n"); at != std::string::npos;
       at = out.find(" \n", at == 0 ? 0 : at - 1))
    out.erase(at, 1);

  const Group& total = p.total();
  if (total.fin_wait2 != 0)
    out += fmt::format(
        "\nOf those that left FIN_WAIT2 for CLOSED, {} left a FIN_WAIT2 socket without a "
        "process.\n",
        grouped(total.fin_wait2));
  if (const std::string left = leaves_text(p.leaves()); !left.empty())
    out += fmt::format("\nTIME_WAIT ended: {}.\n", left);
  std::string others;
  for_each_edge(p, [&](TcpState from, TcpState to, std::uint64_t n) {
    if (in_picture(from, to)) return;
    others +=
        fmt::format("  {:<11} -> {:<11} {:>12}{}\n", state_name(from), state_name(to), grouped(n),
                    is_legal_transition(from, to) || (to == kTimeWait && from == kFinWait1)
                        ? ""
                        : "  events between them were lost");
  });
  if (!others.empty()) out += "\nOther ways:\n" + others;
  return out;
}

std::string diagram_dot(const StatsInterval& p) {
  std::string out = "// SPDX-License-Identifier: BSD-2-Clause\n";
  out += fmt::format("// {} connections; draw it with: dot -Tsvg\n", p.total().connections);
  out +=
      "digraph tcp {\n  node [shape=box, style=rounded, fontname=monospace];\n  edge "
      "[fontname=monospace];\n";
  std::uint64_t highest = 1;
  for_each_edge(p, [&](TcpState, TcpState, std::uint64_t n) { highest = std::max(highest, n); });
  for_each_edge(p, [&](TcpState from, TcpState to, std::uint64_t n) {
    const double width =
        1 + 4 * std::log1p(static_cast<double>(n)) / std::log1p(static_cast<double>(highest));
    const bool known = is_legal_transition(from, to) || to == kTimeWait;
    out += fmt::format("  \"{}\" -> \"{}\" [label=\"{}\", penwidth={:.1f}{}];\n", state_name(from),
                       state_name(to), n, width,
                       known ? "" : ", style=dashed, tooltip=\"events between them were lost\"");
  });
  for (std::size_t i = 0; i < p.leaves().size(); ++i)
    if (p.leaves()[i] != 0)
      out += fmt::format("  \"TIME_WAIT\" -> \"CLOSE\" [label=\"{} {}\", style=dotted];\n",
                         p.leaves()[i], to_string(static_cast<LeaveReason>(i)));
  return out + "}\n";
}

StatsDiagram::StatsDiagram(OutFile& out, DiagramForm form,
                           std::function<void(std::string_view)> warn)
    : StatsSink(0), out_(out), form_(form), loss_(std::move(warn)) {}

void StatsDiagram::on(const SummaryRecord& r) {
  StatsSink::on(r);
  loss_.finish();
}

void StatsDiagram::put(const StatsInterval& p) {
  out_.write(form_ == DiagramForm::kDot ? diagram_dot(p) : diagram_text(p));
}

}  // namespace tcptrail
