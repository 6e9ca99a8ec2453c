// SPDX-License-Identifier: BSD-2-Clause
// The JSON Lines sink, see json.h. The records that come with every event are written in one
// pass between begin() and end(), which reserve the room and close the line; the others go
// through JsonWriter. Tests compare each record with schema.json.
#include "output/json.h"

#include <array>
#include <cstring>

#include "output/fast_format.h"
#include "output/json_values.h"
#include "output/json_writer.h"
#include "util/escape.h"
#include "util/hash.h"

namespace tcptrail {

using namespace json_value;

namespace {

// Sizes that begin() reserves: literals, numbers of 20 digits, names at their worst.
constexpr std::size_t kFixedRoom = 3072;
constexpr std::size_t kRoomPerState = 96;

void add_loss(JsonWriter& json, const Loss& loss) {
  json.key("ring").value(put::number, loss.ring);
  json.key("nested").value(put::number, loss.nested);
  json.key("table").value(put::number, loss.table);
  json.key("malformed").value(put::number, loss.malformed);
  json.key("total").value(put::number, loss.total());
  json.key("other").value(put::number, loss.other);
}

char* put_counters(char* p, const Counters& c) {
  p = put::number(put::literal(p, R"(,"tx_bytes":)"), c.tx_bytes);
  p = put::number(put::literal(p, R"(,"rx_bytes":)"), c.rx_bytes);
  p = put::number(put::literal(p, R"(,"tx_segs":)"), c.tx_segs);
  p = put::number(put::literal(p, R"(,"rx_segs":)"), c.rx_segs);
  p = put::number(put::literal(p, R"(,"retransmits":)"), c.retransmits);
  p = put_optional(put::literal(p, R"(,"rtt_us":)"), c.rtt_us);
  p = put_optional(put::literal(p, R"(,"min_rtt_us":)"), c.min_rtt_us);
  return put_non_zero(put::literal(p, R"(,"mss":)"), c.mss);
}

char* put_path(char* p, const ConnectionRecord& r) {
  p = put::literal(p, R"(,"states":[)");
  for (const StateSpan& span : r.states) {
    p = put_state(put::literal(p, R"({"state":)"), span.state);
    p = put::number(put::literal(p, R"(,"us":)"), span.ns / 1000);
    p = put::literal(p, "},");
  }
  if (!r.states.empty()) --p;
  p = put::literal(p, R"(],"path":[)");
  for (const TcpState state : r.path) {
    p = put_state(p, state);
    *p++ = ',';
  }
  if (!r.path.empty()) --p;
  *p++ = ']';
  return p;
}

char* put_time_wait(char* p, WallClock& clock, const TimeWaitOutcome& outcome) {
  p = put_word(put::literal(p, R"(,"time_wait":{"side":)"), to_string(outcome.side));
  p = put_optional_time(put::literal(p, R"(,"entered":)"), clock, outcome.entered);
  p = put::literal(p, R"(,"phase":)");
  p = outcome.phase == TimeWaitPhase::kNone ? put_null(p) : put_word(p, to_string(outcome.phase));
  p = put_optional_time(put::literal(p, R"(,"expected_end":)"), clock, outcome.expected_end);
  *p++ = '}';
  return p;
}

std::string tail_text(const Labels& labels) {
  if (labels.empty()) return "}\n";
  JsonWriter json;
  json.open('{');
  for (const auto& [key, value] : labels) json.quoted_key(key).quoted(value);
  json.close('}');
  return R"(,"labels":)" + json.finish("}\n");
}

}  // namespace

// From `,"cookie"` to `"rport":N`, the same in every record of a connection.
struct JsonSink::TupleText {
  std::uint64_t cookie = 0;
  std::uint32_t generation = 0;
  std::uint32_t netns = 0;
  Tuple tuple;
  std::uint16_t size = 0;  // 0 = the entry is empty
  char text[232];

  [[nodiscard]] bool is(std::uint64_t c, std::uint32_t g, std::uint32_t n, const Tuple& t) const {
    return size != 0 && cookie == c && generation == g && netns == n && tuple == t;
  }
};

// Direct-mapped. An entry is compared with all it was made from, so a collision
// or a port that became known costs time and never shows a wrong text.
class JsonSink::TupleCache {
 public:
  TupleText& slot(std::uint64_t cookie, std::uint32_t generation) {
    return entries_[spread(cookie + generation) >> (64 - kBits)];
  }

 private:
  static constexpr unsigned kBits = 12;
  std::array<TupleText, std::size_t{1} << kBits> entries_;
};

JsonSink::JsonSink(OutFile& out, WallClock& clock, const JsonOptions& options)
    : out_(out),
      clock_(clock),
      events_(options.events),
      tail_(tail_text(options.labels)),
      cache_(std::make_unique<TupleCache>()),
      ports_(out, clock, tail_) {}

JsonSink::~JsonSink() = default;

// `head` is the line up to the value of `time`.
template <std::size_t N>
char* JsonSink::begin(std::size_t room, const char (&head)[N], std::uint64_t boot_ns) {
  char* p = put::literal(out_.reserve(room + tail_.size()), head);
  p = clock_.put_rfc3339(p, boot_ns);
  return put::number(put::literal(p, R"(","boot_ns":)"), boot_ns);
}

void JsonSink::end(char* p) { out_.commit(put::text(p, tail_)); }

const JsonSink::TupleText& JsonSink::identity_text(std::uint64_t cookie, std::uint32_t generation,
                                                   std::uint32_t netns, const Tuple& tuple) {
  TupleText& entry = cache_->slot(cookie, generation);
  if (!entry.is(cookie, generation, netns, tuple)) [[unlikely]] {
    entry.cookie = cookie;
    entry.generation = generation;
    entry.netns = netns;
    entry.tuple = tuple;
    char* p = put_cookie(put::literal(entry.text, R"(,"cookie":)"), cookie);
    p = put::number(put::literal(p, R"(,"generation":)"), generation);
    p = put_tuple(put_netns(p, netns), tuple);
    entry.size = static_cast<std::uint16_t>(p - entry.text);
  }
  return entry;
}

void JsonSink::on(const TransitionRecord& r) {
  if (!events_.transition) return;
  char* p = begin(kFixedRoom, R"({"type":"transition","time":")", r.boot_ns);
  const TupleText& identity = identity_text(r.cookie, r.generation, r.netns, r.tuple);
  p = put::text(p, {identity.text, identity.size});
  p = put_state(put::literal(p, R"(,"old":)"), r.old_state);
  p = put_state(put::literal(p, R"(,"new":)"), r.new_state);
  p = put_optional_us(put::literal(p, R"(,"in_old_us":)"), r.in_old_ns);
  p = put_non_zero(put::literal(p, R"(,"pid":)"), r.owner.pid);
  p = put_comm(put::literal(p, R"(,"comm":)"), r.owner);
  p = put_word(put::literal(p, R"(,"owner_source":)"), to_string(r.owner_source));
  end(p);
  ++printed_;
}

void JsonSink::on(const ConnectionRecord& r) {
  if (!events_.connection) return;
  const std::size_t room =
      kFixedRoom +
      (r.cgroup.size() + r.reset_reason.size() + to_string(r.evidence).size()) * kJsonEscapeGrowth +
      (r.states.size() + r.path.size()) * kRoomPerState;
  char* p = begin(room, R"({"type":"connection","time":")", r.boot_ns);
  const TupleText& identity = identity_text(r.cookie, r.generation, r.netns, r.tuple);
  p = put::text(p, {identity.text, identity.size});
  p = put_word(put::literal(p, R"(,"role":)"), to_string(r.role));
  p = put_non_zero(put::literal(p, R"(,"pid":)"), r.owner.pid);
  p = put_comm(put::literal(p, R"(,"comm":)"), r.owner);
  p = put_optional(put::literal(p, R"(,"uid":)"), r.uid);
  p = put_name(put::literal(p, R"(,"cgroup":)"), r.cgroup);
  p = put_word(put::literal(p, R"(,"owner_source":)"), to_string(r.owner_source));
  p = put_word(put::literal(p, R"(,"began":)"), to_string(r.began));
  p = put_time(put::literal(p, R"(,"start":)"), clock_, r.start);
  p = put_optional_time(put::literal(p, R"(,"end":)"), clock_, r.end);
  p = put_optional_us(put::literal(p, R"(,"duration_us":)"), r.duration_ns);
  p = put_optional_us(put::literal(p, R"(,"connect_us":)"), r.connect_ns);
  p = put_path(p, r);
  p = put_word(put::literal(p, R"(,"closer":)"), to_string(r.closer));
  p = put_word(put::literal(p, R"(,"how":)"), to_string(r.how));
  p = put_text(put::literal(p, R"(,"evidence":)"), to_string(r.evidence));
  p = put_non_zero(put::literal(p, R"(,"closer_pid":)"), r.closer_process.pid);
  p = put_comm(put::literal(p, R"(,"closer_comm":)"), r.closer_process);
  p = put_errno(put::literal(p, R"(,"error":)"), r.error);
  p = put_time_wait(p, clock_, r.time_wait);
  p = r.counters
          ? put_counters(p, *r.counters)
          : put::literal(p, R"(,"tx_bytes":null,"rx_bytes":null,"tx_segs":null,"rx_segs":null,)"
                            R"("retransmits":null,"rtt_us":null,"min_rtt_us":null,"mss":null)");
  p = put_bool(put::literal(p, R"(,"complete":)"), r.complete);
  p = put_cookie(put::literal(p, R"(,"peer_cookie":)"), r.peer_cookie);
  p = put_optional(put::literal(p, R"(,"service_port":)"), r.service_port);
  p = put_name(put::literal(p, R"(,"reset_reason":)"), r.reset_reason);
  end(p);
  ++printed_;
}

void JsonSink::on(const TimeWaitRecord& r) {
  if (!events_.time_wait) return;
  const bool left = r.event == TimeWaitEvent::kLeave;
  char* p = begin(kFixedRoom, R"({"type":"time_wait","time":")", r.boot_ns);
  p = put_word(put::literal(p, R"(,"event":)"), to_string(r.event));
  p = put::literal(p, R"(,"phase":)");
  p = r.phase == TimeWaitPhase::kNone ? put_null(p) : put_word(p, to_string(r.phase));
  p = put_cookie(put::literal(p, R"(,"cookie":)"), r.cookie);
  p = put_tuple(put_netns(p, r.netns), r.tuple);
  p = put_non_zero(put::literal(p, R"(,"pid":)"), r.owner.pid);
  p = put_comm(put::literal(p, R"(,"comm":)"), r.owner);
  p = put::literal(p, R"(,"reuseaddr":)");
  p = r.reuseaddr ? put_bool(p, *r.reuseaddr) : put_null(p);
  p = put::literal(p, R"(,"reuseport":)");
  p = r.reuseport ? put_bool(p, *r.reuseport) : put_null(p);
  p = put_optional(put::literal(p, R"(,"expires_in_ms":)"), r.expires_in_ms);
  p = put::literal(p, R"(,"reason":)");
  p = left ? put_word(p, to_string(r.reason)) : put_null(p);
  p = put_optional_us(put::literal(p, R"(,"held_us":)"), r.held_ns);
  end(p);
  ++printed_;
}

void JsonSink::on(const BlockedRecord& r) {
  if (!events_.blocked) return;
  ports_.put(r);
  ++printed_;
}

void JsonSink::on(const PortRound& round) {
  for (const PortRecord& r : round.ports) ports_.put(r);
  for (const DestinationRecord& r : round.destinations) ports_.put(r);
  for (const LeakRecord& r : round.leaks) ports_.put(r);
  printed_ += round.ports.size() + round.destinations.size() + round.leaks.size();
  for (const TimeWaitRecord& r : round.time_waits) on(r);
}

void JsonSink::on(const LossRecord& r) {
  JsonWriter json("loss", clock_, r.boot_ns);
  add_loss(json, r.loss);
  json.key("since").value(put_time, clock_, r.since);
  out_.write(json.finish(tail_));
}

void JsonSink::on(const SummaryRecord& r) {
  JsonWriter json("summary", clock_, r.boot_ns);
  json.key("events").value(put::number, r.events);
  json.key("transitions").value(put::number, r.transitions);
  json.key("connections").value(put::number, r.connections);
  json.key("open").value(put::number, r.open);
  json.key("incomplete").value(put::number, r.incomplete);
  json.key("loss").open('{');
  add_loss(json, r.loss);
  json.close('}');
  json.key("duration_us").value(put::number, r.duration_ns / 1000);
  out_.write(json.finish(tail_));
}

void JsonSink::on(const StartupRecord& r) {
  JsonWriter json("startup", clock_, r.boot_ns);
  json.key("schema").value(put::number, kJsonSchemaVersion);
  json.key("version").text(r.version);
  json.key("command").text(r.command);
  json.key("hostname").text(r.hostname);
  json.key("boot_id").text(r.boot_id);
  json.key("kernel").text(r.kernel);
  json.key("features").open('{');
  for (const auto& [name, on] : r.features) json.quoted_key(name).value(put_bool, on);
  json.close('}');
  json.key("filters").open('{');
  for (const auto& [name, value] : r.filters) json.quoted_key(name).quoted(value);
  json.close('}');
  out_.write(json.finish(tail_));
}

}  // namespace tcptrail
