// SPDX-License-Identifier: BSD-2-Clause
// How a record fills the cells of the text and CSV tables, see columns.h. Text
// rounds to two decimals; CSV (`full`) loses nothing and leaves unknown empty.
#include <optional>

#include "output/columns.h"
#include "output/fast_format.h"
#include "tcp/phrase.h"
#include "util/escape.h"

namespace tcptrail {
namespace {

using Context = CellContext;

char* unknown(char* out, const Context& c) {
  if (!c.full) *out++ = '-';
  return out;
}

template <class T>
char* optional_number(char* out, const std::optional<T>& value, const Context& c) {
  return value ? put::number(out, *value) : unknown(out, c);
}

char* non_zero(char* out, std::uint64_t value, const Context& c) {
  return value != 0 ? put::number(out, value) : unknown(out, c);
}

char* cookie(char* out, std::uint64_t value, const Context& c) {
  return value != 0 ? put::hex(out, value) : unknown(out, c);
}

char* name(char* out, std::string_view value, const Context& c) {
  return value.empty() ? unknown(out, c) : escape_name(out, value);
}

char* comm(char* out, const Process& process, const Context& c) {
  return process.pid == 0 ? unknown(out, c) : name(out, process.comm.view(), c);
}

char* hundredths(char* out, std::uint64_t value) {
  out = put::number(out, value / 100);
  *out++ = '.';
  return put::two(out, static_cast<unsigned>(value % 100));
}

char* ms(char* out, std::uint64_t ns, const Context& c) {
  if (!c.full) return hundredths(out, ns / 10'000 + (ns % 10'000 >= 5000 ? 1 : 0));
  out = put::number(out, ns / 1'000'000);
  *out++ = '.';
  return put::padded(out, ns % 1'000'000, 6);
}

char* optional_ms(char* out, const std::optional<std::uint64_t>& ns, const Context& c) {
  return ns ? ms(out, *ns, c) : unknown(out, c);
}

char* kib(char* out, std::uint64_t bytes, const Context& c) {
  const std::uint64_t whole = bytes / 1024;
  const std::uint64_t rest = bytes % 1024;
  if (!c.full) {
    const std::uint64_t rounded = (rest * 100 + 512) / 1024;  // 100 carries over
    return hundredths(out, whole * 100 + rounded);
  }
  out = put::number(out, whole);
  if (rest == 0) return out;
  *out++ = '.';
  out = put::padded(out, rest * 9'765'625, 10);  // 10^10 / 1024, exact
  while (out[-1] == '0') --out;
  return out;
}

char* state(char* out, TcpState value) {
  const std::string_view known = known_state_name(value);
  if (!known.empty()) return put::text(out, known);
  return put::number(put::literal(out, "state-"), static_cast<std::uint8_t>(value));
}

char* address(char* out, const Address& value, Family family) {
  return format_address(out, value, family);
}

char* utc(char* out, const std::optional<std::uint64_t>& boot_ns, const Context& c) {
  return boot_ns && c.clock != nullptr ? c.clock->put_rfc3339(out, *boot_ns) : unknown(out, c);
}

char* local_time(char* out, std::uint64_t boot_ns, const Context& c) {
  if (c.clock == nullptr) return unknown(out, c);
  return c.full ? c.clock->put_rfc3339(out, boot_ns) : c.clock->put_local(out, boot_ns);
}

// An event just before the start record (a snapshot in progress) counts as 0.
char* seconds(char* out, std::uint64_t boot_ns, const Context& c) {
  const std::uint64_t ns = boot_ns > c.start_boot_ns ? boot_ns - c.start_boot_ns : 0;
  out = put::number(out, ns / 1'000'000'000);
  *out++ = '.';
  const auto nanos = static_cast<unsigned>(ns % 1'000'000'000);
  return c.full ? put::nanos(out, nanos) : put::padded(out, nanos / 1000, 6);
}

char* error_name(char* out, int error, const Context& c) {
  return error != 0 ? put::text(out, errno_text(error)) : unknown(out, c);
}

// "local 60s", "local fin2", "remote", "none".
char* time_wait(char* out, const TimeWaitOutcome& outcome, const Context& c) {
  if (outcome.side == TimeWaitSide::kUnknown) return unknown(out, c);
  out = put::text(out, to_string(outcome.side));
  if (outcome.side != TimeWaitSide::kLocal && outcome.side != TimeWaitSide::kBoth) return out;
  if (outcome.phase == TimeWaitPhase::kFinWait2) return put::literal(out, " fin2");
  if (!outcome.entered || !outcome.expected_end || *outcome.expected_end < *outcome.entered)
    return out;
  *out++ = ' ';
  out = put::number(out, (*outcome.expected_end - *outcome.entered + 500'000'000) / 1'000'000'000);
  *out++ = 's';
  return out;
}

char* path(char* out, const ConnectionRecord& r, const Context& c) {
  if (r.path.empty()) return unknown(out, c);
  for (const TcpState step : r.path) {
    out = state(out, step);
    *out++ = '>';
  }
  return out - 1;
}

char* states(char* out, const ConnectionRecord& r, const Context& c) {
  if (r.states.empty()) return unknown(out, c);
  for (const StateSpan& span : r.states) {
    out = state(out, span.state);
    *out++ = '=';
    out = ms(out, span.ns, c);
    *out++ = ';';
  }
  return out - 1;
}

char* labels(char* out, const Context& c) {
  return c.labels.empty() ? unknown(out, c) : put::text(out, c.labels);
}

// The cells that all three record types have.
template <class Record>
char* put_shared(char* out, ColumnId id, const Record& r, const Context& c) {
  switch (id) {
    case ColumnId::kTime:
      return local_time(out, r.boot_ns, c);
    case ColumnId::kTimeS:
      return seconds(out, r.boot_ns, c);
    case ColumnId::kPid:
      return non_zero(out, r.owner.pid, c);
    case ColumnId::kComm:
      return comm(out, r.owner, c);
    case ColumnId::kLaddr:
      return address(out, r.tuple.laddr, r.tuple.family);
    case ColumnId::kLport:
      return non_zero(out, r.tuple.lport, c);
    case ColumnId::kRaddr:
      return address(out, r.tuple.raddr, r.tuple.family);
    case ColumnId::kRport:
      return non_zero(out, r.tuple.rport, c);
    case ColumnId::kNetns:
      return non_zero(out, r.netns, c);
    case ColumnId::kCookie:
      return cookie(out, r.cookie, c);
    case ColumnId::kFamily:
      return put::text(out, to_string(r.tuple.family));
    case ColumnId::kArrow:
      return put::literal(out, "->");
    case ColumnId::kLabels:
      return labels(out, c);
    default:
      return unknown(out, c);
  }
}

char* put_counter(char* out, ColumnId id, const Counters& n, const Context& c) {
  switch (id) {
    case ColumnId::kTxKb:
      return kib(out, n.tx_bytes, c);
    case ColumnId::kRxKb:
      return kib(out, n.rx_bytes, c);
    case ColumnId::kTxBytes:
      return put::number(out, n.tx_bytes);
    case ColumnId::kRxBytes:
      return put::number(out, n.rx_bytes);
    case ColumnId::kTxSegs:
      return put::number(out, n.tx_segs);
    case ColumnId::kRxSegs:
      return put::number(out, n.rx_segs);
    case ColumnId::kRetrans:
      return put::number(out, n.retransmits);
    case ColumnId::kRttUs:
      return optional_number(out, n.rtt_us, c);
    case ColumnId::kMinRttUs:
      return optional_number(out, n.min_rtt_us, c);
    case ColumnId::kMss:
      return non_zero(out, n.mss, c);
    default:
      return unknown(out, c);
  }
}

}  // namespace

char* put_cell(char* out, ColumnId id, const ConnectionRecord& r, const CellContext& c) {
  switch (id) {
    case ColumnId::kTxKb:
    case ColumnId::kRxKb:
    case ColumnId::kTxBytes:
    case ColumnId::kRxBytes:
    case ColumnId::kTxSegs:
    case ColumnId::kRxSegs:
    case ColumnId::kRetrans:
    case ColumnId::kRttUs:
    case ColumnId::kMinRttUs:
    case ColumnId::kMss:
      return r.counters ? put_counter(out, id, *r.counters, c) : unknown(out, c);
    case ColumnId::kMs:
      return optional_ms(out, r.duration_ns, c);
    case ColumnId::kConnectMs:
      return optional_ms(out, r.connect_ns, c);
    case ColumnId::kCloser:
      return put::text(out, to_string(r.closer));
    case ColumnId::kHow:
      out = put::text(out, to_string(r.how));
      if (!r.complete && !c.full) *out++ = '*';
      return out;
    case ColumnId::kTimeWait:
      return time_wait(out, r.time_wait, c);
    case ColumnId::kGen:
      return put::number(out, r.generation);
    case ColumnId::kUid:
      return optional_number(out, r.uid, c);
    case ColumnId::kCgroup:
      return name(out, r.cgroup, c);
    case ColumnId::kRole:
      return put::text(out, to_string(r.role));
    case ColumnId::kOwnerSource:
      return put::text(out, to_string(r.owner_source));
    case ColumnId::kBegan:
      return put::text(out, to_string(r.began));
    case ColumnId::kError:
      return error_name(out, r.error, c);
    case ColumnId::kEvidence:
      return name(out, r.evidence, c);
    case ColumnId::kCloserPid:
      return non_zero(out, r.closer_process.pid, c);
    case ColumnId::kCloserComm:
      return comm(out, r.closer_process, c);
    case ColumnId::kPeerCookie:
      return cookie(out, r.peer_cookie, c);
    case ColumnId::kServicePort:
      return optional_number(out, r.service_port, c);
    case ColumnId::kComplete:
      return put::text(out, r.complete ? "true" : "false");
    case ColumnId::kPath:
      return path(out, r, c);
    case ColumnId::kStates:
      return states(out, r, c);
    case ColumnId::kStart:
      return utc(out, r.start, c);
    case ColumnId::kEnd:
      return utc(out, r.end, c);
    case ColumnId::kTimeWaitEnd:
      return utc(out, r.time_wait.expected_end, c);
    default:
      return put_shared(out, id, r, c);
  }
}

char* put_cell(char* out, ColumnId id, const TransitionRecord& r, const CellContext& c) {
  switch (id) {
    case ColumnId::kOldState:
      return state(out, r.old_state);
    case ColumnId::kNewState:
      return state(out, r.new_state);
    case ColumnId::kMs:
      return optional_ms(out, r.in_old_ns, c);
    case ColumnId::kGen:
      return put::number(out, r.generation);
    case ColumnId::kOwnerSource:
      return put::text(out, to_string(r.owner_source));
    default:
      return put_shared(out, id, r, c);
  }
}

// The tracepoint shows the full socket going to CLOSE; the minisocket that takes
// its place has no state before, so the row begins with `-`.
char* put_cell(char* out, ColumnId id, const TimeWaitRecord& r, const CellContext& c) {
  const bool left = r.event == TimeWaitEvent::kLeave;
  const TcpState phase =
      r.phase == TimeWaitPhase::kFinWait2 ? TcpState::kFinWait2 : TcpState::kTimeWait;
  switch (id) {
    case ColumnId::kOldState:
      return left ? state(out, phase) : unknown(out, c);
    case ColumnId::kNewState:
      return state(out, left ? TcpState::kClose : phase);
    case ColumnId::kMs:
      return optional_ms(out, r.held_ns, c);
    case ColumnId::kReason:
      return left ? put::text(out, to_string(r.reason)) : unknown(out, c);
    case ColumnId::kExpiresMs:
      return optional_number(out, r.expires_in_ms, c);
    default:
      return put_shared(out, id, r, c);
  }
}

namespace {

constexpr std::size_t kRoom = 128;         // the longest cell without a name from outside
constexpr std::size_t kRoomPerState = 48;  // "ESTABLISHED=12345678901234.123456;"

}  // namespace

std::size_t cell_room(const ConnectionRecord& r, const CellContext& c) {
  return kRoom + (r.cgroup.size() + r.evidence.size()) * kEscapeGrowth +
         (r.states.size() + r.path.size()) * kRoomPerState + c.labels.size();
}
std::size_t cell_room(const TransitionRecord&, const CellContext& c) {
  return kRoom + c.labels.size();
}
std::size_t cell_room(const TimeWaitRecord&, const CellContext& c) {
  return kRoom + c.labels.size();
}

std::string labels_cell(const std::vector<std::pair<std::string, std::string>>& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    if (!out.empty()) out += ',';
    out += escaped_name(key) + '=' + escaped_name(value);
  }
  return out;
}

}  // namespace tcptrail
