// SPDX-License-Identifier: BSD-2-Clause
// The tables of columns and the check of --columns, see columns.h.
#include "output/columns.h"

#include <algorithm>
#include <array>
#include <optional>

#include "util/suggest.h"

namespace tcptrail {
namespace {

// Narrow terminals (`drop`): what a reader can look up elsewhere goes first. Who,
// which connection, and the answer (CLOSER, HOW; the states) never go.
constexpr std::array kLifeColumns = {
    Column{ColumnId::kPid, "PID", "PID", 7, 0, "process (tgid) that owns the socket"},
    Column{ColumnId::kComm, "COMM", "COMM", 16, 0, "its name"},
    Column{ColumnId::kLaddr, "LADDR", "LADDR", 15, 0, "local address"},
    Column{ColumnId::kLport, "LPORT", "LPORT", 5, 0, "local port"},
    Column{ColumnId::kRaddr, "RADDR", "RADDR", 15, 0, "remote address"},
    Column{ColumnId::kRport, "RPORT", "RPORT", 5, 0, "remote port"},
    Column{ColumnId::kTxKb, "TX_KB", "TX_KB", 6, 1, "payload sent, KiB"},
    Column{ColumnId::kRxKb, "RX_KB", "RX_KB", 6, 1, "payload received, KiB"},
    Column{ColumnId::kMs, "MS", "MS", 9, 3,
           "first SYN (or first sight) to the end of the data phase, ms"},
    Column{ColumnId::kCloser, "CLOSER", "CLOSER", 6, 0, "the side whose FIN or RST went out first"},
    Column{ColumnId::kHow, "HOW", "HOW", 10, 0,
           "how this end's socket ended; * = events are missing"},
    Column{ColumnId::kTimeWait, "TIMEWAIT", "TIMEWAIT", 10, 2,
           "side that holds TIME_WAIT, and for how long"},
    // Optional from here.
    Column{ColumnId::kTime, "TIME", "TIME", 8, 0, "local time of the end (CSV: UTC, RFC 3339)"},
    Column{ColumnId::kTimeS, "TIME_S", "TIME(s)", 12, 0, "seconds since tcptrail started"},
    Column{ColumnId::kNetns, "NETNS", "NETNS", 10, 0, "network namespace, inode number"},
    Column{ColumnId::kCookie, "COOKIE", "COOKIE", 8, 0,
           "socket cookie, hexadecimal, as ss -e shows it"},
    Column{ColumnId::kGen, "GEN", "GEN", 3, 0, "which connection of this socket, from 0"},
    Column{ColumnId::kFamily, "FAMILY", "FAMILY", 6, 0, "ipv4 or ipv6, of the packets"},
    Column{ColumnId::kUid, "UID", "UID", 6, 0, "user id of the socket"},
    Column{ColumnId::kCgroup, "CGROUP", "CGROUP", 24, 0, "cgroup v2 path"},
    Column{ColumnId::kRole, "ROLE", "ROLE", 7, 0, "active (it connected) or passive (it accepted)"},
    Column{ColumnId::kOwnerSource, "OWNER_SOURCE", "OWNER_SOURCE", 12, 0, "how the owner is known"},
    Column{ColumnId::kBegan, "BEGAN", "BEGAN", 12, 0, "observed, or before_trace"},
    Column{ColumnId::kConnectMs, "CONNECT_MS", "CONNECT_MS", 10, 0, "first SYN to ESTABLISHED, ms"},
    Column{ColumnId::kRttUs, "RTT_US", "RTT_US", 8, 0, "smoothed round-trip time, us"},
    Column{ColumnId::kMinRttUs, "MIN_RTT_US", "MIN_RTT_US", 10, 0, "least round-trip time, us"},
    Column{ColumnId::kRetrans, "RETRANS", "RETRANS", 7, 0, "segments sent again"},
    Column{ColumnId::kMss, "MSS", "MSS", 5, 0, "maximum segment size, bytes"},
    Column{ColumnId::kTxBytes, "TX_BYTES", "TX_BYTES", 10, 0, "payload sent, bytes"},
    Column{ColumnId::kRxBytes, "RX_BYTES", "RX_BYTES", 10, 0, "payload received, bytes"},
    Column{ColumnId::kTxSegs, "TX_SEGS", "TX_SEGS", 8, 0, "segments sent"},
    Column{ColumnId::kRxSegs, "RX_SEGS", "RX_SEGS", 8, 0, "segments received"},
    Column{ColumnId::kError, "ERROR", "ERROR", 13, 0, "errno of the socket"},
    Column{ColumnId::kEvidence, "EVIDENCE", "EVIDENCE", 40, 0,
           "what CLOSER and HOW were concluded from"},
    Column{ColumnId::kCloserPid, "CLOSER_PID", "CLOSER_PID", 10, 0,
           "process whose call closed first"},
    Column{ColumnId::kCloserComm, "CLOSER_COMM", "CLOSER_COMM", 16, 0, "its name"},
    Column{ColumnId::kPeerCookie, "PEER_COOKIE", "PEER_COOKIE", 11, 0,
           "cookie of the other end on this host"},
    Column{ColumnId::kServicePort, "SERVICE_PORT", "SERVICE_PORT", 12, 0,
           "port of the passive side"},
    Column{ColumnId::kComplete, "COMPLETE", "COMPLETE", 8, 0,
           "false = events of this connection are missing"},
    Column{ColumnId::kPath, "PATH", "PATH", 40, 0, "states, first to last"},
    Column{ColumnId::kStates, "STATES", "STATES", 40, 0, "time in each state, ms"},
    Column{ColumnId::kStart, "START", "START", 30, 0, "first SYN or first sight, UTC"},
    Column{ColumnId::kEnd, "END", "END", 30, 0, "end, UTC"},
    Column{ColumnId::kTimeWaitEnd, "TIMEWAIT_END", "TIMEWAIT_END", 30, 0,
           "expected end of TIME_WAIT, UTC"},
    Column{ColumnId::kLabels, "LABELS", "LABELS", 20, 0, "the --label values"},
};
constexpr std::size_t kLifeDefaults = 12;

constexpr std::array kTraceColumns = {
    Column{ColumnId::kPid, "PID", "PID", 7, 0, "process (tgid) that owns the socket"},
    Column{ColumnId::kComm, "COMM", "COMM", 16, 2, "its name"},
    Column{ColumnId::kLaddr, "LADDR", "LADDR", 15, 0, "local address"},
    Column{ColumnId::kLport, "LPORT", "LPORT", 5, 0, "local port"},
    Column{ColumnId::kRaddr, "RADDR", "RADDR", 15, 0, "remote address"},
    Column{ColumnId::kRport, "RPORT", "RPORT", 5, 0, "remote port"},
    Column{ColumnId::kOldState, "OLDSTATE", "OLDSTATE", 11, 0,
           "state that is left; - where TIME_WAIT begins"},
    Column{ColumnId::kNewState, "NEWSTATE", "NEWSTATE", 11, 0, "state that is entered"},
    Column{ColumnId::kMs, "MS", "MS", 9, 1, "time in OLDSTATE, ms"},
    // Optional from here.
    Column{ColumnId::kTime, "TIME", "TIME", 8, 0, "local time (CSV: UTC, RFC 3339)"},
    Column{ColumnId::kTimeS, "TIME_S", "TIME(s)", 12, 0, "seconds since tcptrail started"},
    Column{ColumnId::kNetns, "NETNS", "NETNS", 10, 0, "network namespace, inode number"},
    Column{ColumnId::kCookie, "COOKIE", "COOKIE", 8, 0,
           "socket cookie, hexadecimal, as ss -e shows it"},
    Column{ColumnId::kGen, "GEN", "GEN", 3, 0, "which connection of this socket, from 0"},
    Column{ColumnId::kFamily, "FAMILY", "FAMILY", 6, 0, "ipv4 or ipv6, of the packets"},
    Column{ColumnId::kOwnerSource, "OWNER_SOURCE", "OWNER_SOURCE", 12, 0, "how the owner is known"},
    Column{ColumnId::kReason, "REASON", "REASON", 17, 0, "why TIME_WAIT ended"},
    Column{ColumnId::kExpiresMs, "EXPIRES_MS", "EXPIRES_MS", 10, 0, "until TIME_WAIT ends, ms"},
    Column{ColumnId::kLabels, "LABELS", "LABELS", 20, 0, "the --label values"},
};
constexpr std::size_t kTraceDefaults = 9;

// Not a column of its own: text draws it between OLDSTATE and NEWSTATE.
constexpr Column kArrowColumn = {ColumnId::kArrow, "->", "->", 2, 0, ""};

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

const Column* find_column(Table table, std::string_view name) {
  const std::string wanted = upper(name);
  for (const Column& candidate : all_columns(table))
    if (candidate.name == wanted || upper(candidate.header) == wanted) return &candidate;
  return nullptr;
}

Error unknown_column(Table table, std::string_view name) {
  std::vector<std::string_view> names;
  std::string all;
  for (const Column& known : all_columns(table)) {
    names.push_back(known.name);
    all += all.empty() ? "" : " ";
    all += known.name;
  }
  Error error{.what = "unknown column " + std::string(name),
              .why = "columns of this view: " + all,
              .exit_code = 2};
  if (const auto close = nearest(name, names))
    error.fix = "did you mean " + std::string(*close) + "?";
  return error;
}

}  // namespace

std::span<const Column> all_columns(Table table) {
  if (table == Table::kLife) return kLifeColumns;
  return kTraceColumns;
}

const Column& column(Table table, ColumnId id) {
  if (id == ColumnId::kArrow) return kArrowColumn;
  const auto columns = all_columns(table);
  const auto found =
      std::find_if(columns.begin(), columns.end(), [id](const Column& c) { return c.id == id; });
  return found == columns.end() ? columns.front() : *found;
}

std::vector<ColumnId> default_columns(Table table) {
  std::vector<ColumnId> ids;
  const auto columns =
      all_columns(table).first(table == Table::kLife ? kLifeDefaults : kTraceDefaults);
  for (const Column& known : columns) ids.push_back(known.id);
  return ids;
}

Result<std::vector<ColumnId>> parse_columns(Table table, std::string_view list) {
  std::vector<ColumnId> ids;
  if (list.starts_with('+')) {
    ids = default_columns(table);
    list.remove_prefix(1);
  }
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view name = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (name.empty()) continue;
    const Column* known = find_column(table, name);
    if (known == nullptr) return unknown_column(table, name);
    if (std::find(ids.begin(), ids.end(), known->id) == ids.end()) ids.push_back(known->id);
  }
  if (ids.empty()) {
    return Error{.what = "--columns names no column",
                 .fix = "for example --columns PID,CLOSER or --columns +UID",
                 .exit_code = 2};
  }
  return ids;
}

}  // namespace tcptrail
