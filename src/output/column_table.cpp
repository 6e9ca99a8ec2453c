// SPDX-License-Identifier: BSD-2-Clause
// The one table of columns: a row is all there is to a column of text and CSV. What its values
// look like is in cells.h. tests/golden/columns.txt shows each with a few records.
#include <array>

#include "output/ansi.h"
#include "output/cells.h"
#include "output/columns.h"

namespace tcptrail {
namespace {

using namespace cell;

template <class Record>
char* not_known(char* p, const Record&, const Context& c) {
  return unknown(p, c);
}

// A column of both tables.
template <class Cell>
constexpr Column shared(std::string_view name, std::uint8_t width, std::string_view help,
                        Cell cell) {
  return {name, width, help, cell, cell, cell};
}

template <class Cell>
constexpr Column life(std::string_view name, std::uint8_t width, std::string_view help, Cell cell) {
  return {name, width, help, cell, not_known<TransitionRecord>, not_known<TimeWaitRecord>};
}

template <class Transition, class TimeWait>
constexpr Column trace(std::string_view name, std::uint8_t width, std::string_view help,
                       Transition of_transition, TimeWait of_time_wait) {
  return {name, width, help, not_known<ConnectionRecord>, of_transition, of_time_wait};
}

// Narrow terminals: what a reader can look up elsewhere goes first. Who, which connection,
// and the answer (CLOSER, HOW; the states) never go.
constexpr Column drops(std::uint8_t drop, Column column) {
  column.drop = drop;
  return column;
}

constexpr Column foreign(Column column) {
  column.foreign = true;
  return column;
}

constexpr Column fits(Fit fit, Column column) {
  column.fit = fit;
  return column;
}

using Color = std::string_view (*)(std::string_view cell);
constexpr Column colored(Color color, Column column) {
  column.color = color;
  return column;
}

std::string_view color_of_closer(std::string_view cell) {
  if (cell == "local") return ansi::kCyan;
  if (cell == "remote") return ansi::kMagenta;
  return cell == "both" ? ansi::kYellow : std::string_view{};
}

std::string_view color_of_how(std::string_view cell) {
  return cell.starts_with("fin") ? std::string_view{} : ansi::kRed;
}

std::string_view red(std::string_view) { return ansi::kRed; }

// The counters of a connection are known together, or not at all.
template <char* (*Put)(char*, const Counters&, const Context&)>
char* counter(char* p, const ConnectionRecord& r, const Context& c) {
  return r.counters ? Put(p, *r.counters, c) : unknown(p, c);
}

template <auto Field>
char* counted(char* p, const Counters& n, const Context&) {
  return put::number(p, n.*Field);
}

template <auto Field>
char* in_kib(char* p, const Counters& n, const Context& c) {
  return kib(p, n.*Field, c);
}

template <auto Field>
char* measured(char* p, const Counters& n, const Context& c) {
  return optional_number(p, n.*Field, c);
}

char* mss(char* p, const Counters& n, const Context& c) { return non_zero(p, n.mss, c); }

char* how(char* p, const ConnectionRecord& r, const Context& c) {
  p = put::text(p, to_string(r.how));
  if (!r.complete && !c.full) *p++ = '*';
  return p;
}

// The tracepoint shows the full socket going to CLOSE; the minisocket that takes
// its place has no state before, so the row begins with `-`.
char* minisocket_state(char* p, const TimeWaitRecord& r) {
  return state(p, r.phase == TimeWaitPhase::kFinWait2 ? TcpState::kFinWait2 : TcpState::kTimeWait);
}

bool left(const TimeWaitRecord& r) { return r.event == TimeWaitEvent::kLeave; }

char* old_state(char* p, const TimeWaitRecord& r, const Context& c) {
  return left(r) ? minisocket_state(p, r) : unknown(p, c);
}

char* new_state(char* p, const TimeWaitRecord& r, const Context&) {
  return left(r) ? state(p, TcpState::kClose) : minisocket_state(p, r);
}

constexpr Column kPid = shared(
    "PID", 7, "process (tgid) that owns the socket",
    [](char* p, auto& r, auto& c) { return non_zero(p, r.owner.pid, c); });
constexpr Column kComm = fits(
    Fit::kGivesWay,
    foreign(shared(
        "COMM", 16, "its name", [](char* p, auto& r, auto& c) { return comm(p, r.owner, c); })));
constexpr Column kLaddr =
    fits(Fit::kAddress,
         shared(
             "LADDR", 15, "local address",
             [](char* p, auto& r, auto&) { return address(p, r.tuple.laddr, r.tuple.family); }));
constexpr Column kLport = shared(
    "LPORT", 5, "local port",
    [](char* p, auto& r, auto& c) { return non_zero(p, r.tuple.lport, c); });
constexpr Column kRaddr =
    fits(Fit::kAddress,
         shared(
             "RADDR", 15, "remote address",
             [](char* p, auto& r, auto&) { return address(p, r.tuple.raddr, r.tuple.family); }));
constexpr Column kRport = shared(
    "RPORT", 5, "remote port",
    [](char* p, auto& r, auto& c) { return non_zero(p, r.tuple.rport, c); });
constexpr Column kTime = shared(
    "TIME", 8, "local time, in life that of the end (CSV: UTC, RFC 3339)",
    [](char* p, auto& r, auto& c) { return local_time(p, r.boot_ns, c); });
constexpr Column kTimeS = [] {
  Column column = shared(
      "TIME_S", 12, "seconds since tcptrail started",
      [](char* p, auto& r, auto& c) { return seconds(p, r.boot_ns, c); });
  column.header = "TIME(s)";
  return column;
}();
constexpr Column kNetns = shared(
    "NETNS", 10, "network namespace, inode number",
    [](char* p, auto& r, auto& c) { return non_zero(p, r.netns, c); });
constexpr Column kCookie = shared(
    "COOKIE", 8, "socket cookie, hexadecimal, as ss -e shows it",
    [](char* p, auto& r, auto& c) { return cookie(p, r.cookie, c); });
constexpr Column kFamily = shared(
    "FAMILY", 6, "ipv4 or ipv6, of the packets",
    [](char* p, auto& r, auto&) { return put::text(p, to_string(r.tuple.family)); });
constexpr Column kLabels = foreign(shared(
    "LABELS", 20, "the --label values", [](char* p, auto&, auto& c) { return labels(p, c); }));

constexpr std::array kLifeColumns = {
    kPid,
    kComm,
    kLaddr,
    kLport,
    kRaddr,
    kRport,
    drops(1, life("TX_KB", 6, "payload sent, KiB", counter<in_kib<&Counters::tx_bytes>>)),
    drops(1, life("RX_KB", 6, "payload received, KiB", counter<in_kib<&Counters::rx_bytes>>)),
    drops(3, life("MS", 9, "first SYN (or first sight) to the end of the data phase, ms",
                  [](char* p, auto& r, auto& c) { return optional_ms(p, r.duration_ns, c); })),
    colored(color_of_closer,
            life("CLOSER", 6, "the side whose FIN or RST went out first",
                 [](char* p, auto& r, auto&) { return put::text(p, to_string(r.closer)); })),
    colored(color_of_how,
            life("HOW", 10, "how this end's socket ended; * = events are missing", how)),
    drops(2, life("TIMEWAIT", 10, "side that holds TIME_WAIT, and for how long",
                  [](char* p, auto& r, auto& c) { return time_wait(p, r.time_wait, c); })),
    // Optional from here.
    kTime,
    kTimeS,
    kNetns,
    kCookie,
    life("GEN", 3, "which connection of this socket, from 0",
         [](char* p, auto& r, auto&) { return put::number(p, r.generation); }),
    kFamily,
    life("UID", 6, "user id of the socket",
         [](char* p, auto& r, auto& c) { return optional_number(p, r.uid, c); }),
    foreign(life("CGROUP", 24, "cgroup v2 path",
                 [](char* p, auto& r, auto& c) { return name(p, r.cgroup, c); })),
    life("ROLE", 7, "active (it connected) or passive (it accepted)",
         [](char* p, auto& r, auto&) { return put::text(p, to_string(r.role)); }),
    life("OWNER_SOURCE", 12, "how the owner is known",
         [](char* p, auto& r, auto&) { return put::text(p, to_string(r.owner_source)); }),
    life("BEGAN", 12, "observed, or before_trace",
         [](char* p, auto& r, auto&) { return put::text(p, to_string(r.began)); }),
    life("CONNECT_MS", 10, "first SYN to ESTABLISHED, ms",
         [](char* p, auto& r, auto& c) { return optional_ms(p, r.connect_ns, c); }),
    life("RTT_US", 8, "smoothed round-trip time, us", counter<measured<&Counters::rtt_us>>),
    life("MIN_RTT_US", 10, "least round-trip time, us", counter<measured<&Counters::min_rtt_us>>),
    life("RETRANS", 7, "segments sent again", counter<counted<&Counters::retransmits>>),
    life("MSS", 5, "maximum segment size, bytes", counter<mss>),
    life("TX_BYTES", 10, "payload sent, bytes", counter<counted<&Counters::tx_bytes>>),
    life("RX_BYTES", 10, "payload received, bytes", counter<counted<&Counters::rx_bytes>>),
    life("TX_SEGS", 8, "segments sent", counter<counted<&Counters::tx_segs>>),
    life("RX_SEGS", 8, "segments received", counter<counted<&Counters::rx_segs>>),
    colored(red, life("ERROR", 13, "errno of the socket",
                      [](char* p, auto& r, auto& c) { return error_name(p, r.error, c); })),
    foreign(life("EVIDENCE", 40, "what CLOSER and HOW were concluded from",
                 [](char* p, auto& r, auto& c) { return name(p, to_string(r.evidence), c); })),
    life("CLOSER_PID", 10, "process whose call closed first",
         [](char* p, auto& r, auto& c) { return non_zero(p, r.closer_process.pid, c); }),
    foreign(life("CLOSER_COMM", 16, "its name",
                 [](char* p, auto& r, auto& c) { return comm(p, r.closer_process, c); })),
    life("PEER_COOKIE", 11, "cookie of the other end on this host",
         [](char* p, auto& r, auto& c) { return cookie(p, r.peer_cookie, c); }),
    life("SERVICE_PORT", 12, "port of the passive side",
         [](char* p, auto& r, auto& c) { return optional_number(p, r.service_port, c); }),
    life("COMPLETE", 8, "false = events of this connection are missing",
         [](char* p, auto& r, auto&) { return put::text(p, r.complete ? "true" : "false"); }),
    life("PATH", 40, "states, first to last", path),
    life("STATES", 40, "time in each state, ms", states),
    life("START", 30, "first SYN or first sight, UTC",
         [](char* p, auto& r, auto& c) { return utc(p, r.start, c); }),
    life("END", 30, "end, UTC", [](char* p, auto& r, auto& c) { return utc(p, r.end, c); }),
    life("TIMEWAIT_END", 30, "expected end of TIME_WAIT, UTC",
         [](char* p, auto& r, auto& c) { return utc(p, r.time_wait.expected_end, c); }),
    kLabels,
};
constexpr std::size_t kLifeDefaults = 12;

constexpr std::array kTraceColumns = {
    kPid,
    drops(2, kComm),
    kLaddr,
    kLport,
    kRaddr,
    kRport,
    trace(
        "OLDSTATE", 11, "state that is left; - where TIME_WAIT begins",
        [](char* p, auto& r, auto&) { return state(p, r.old_state); }, old_state),
    trace(
        "NEWSTATE", 11, "state that is entered",
        [](char* p, auto& r, auto&) { return state(p, r.new_state); }, new_state),
    drops(1, trace(
                 "MS", 9, "time in OLDSTATE, ms",
                 [](char* p, auto& r, auto& c) { return optional_ms(p, r.in_old_ns, c); },
                 [](char* p, auto& r, auto& c) { return optional_ms(p, r.held_ns, c); })),
    // Optional from here.
    kTime,
    kTimeS,
    kNetns,
    kCookie,
    trace(
        "GEN", 3, "which connection of this socket, from 0",
        [](char* p, auto& r, auto&) { return put::number(p, r.generation); },
        not_known<TimeWaitRecord>),
    kFamily,
    trace(
        "OWNER_SOURCE", 12, "how the owner is known",
        [](char* p, auto& r, auto&) { return put::text(p, to_string(r.owner_source)); },
        not_known<TimeWaitRecord>),
    trace("REASON", 17, "why TIME_WAIT ended", not_known<TransitionRecord>,
          [](char* p, auto& r, auto& c) {
            return left(r) ? put::text(p, to_string(r.reason)) : unknown(p, c);
          }),
    trace("EXPIRES_MS", 10, "until TIME_WAIT ends, ms", not_known<TransitionRecord>,
          [](char* p, auto& r, auto& c) { return optional_number(p, r.expires_in_ms, c); }),
    kLabels,
};
constexpr std::size_t kTraceDefaults = 9;

constexpr Column kArrow =
    shared("->", 2, "", [](char* p, auto&, auto&) { return put::literal(p, "->"); });

}  // namespace

std::span<const Column> all_columns(Table table) {
  if (table == Table::kLife) return kLifeColumns;
  return kTraceColumns;
}

Columns default_columns(Table table) {
  Columns columns;
  const std::size_t count = table == Table::kLife ? kLifeDefaults : kTraceDefaults;
  for (const Column& known : all_columns(table).first(count)) columns.push_back(&known);
  return columns;
}

const Column& arrow_column() { return kArrow; }

}  // namespace tcptrail
