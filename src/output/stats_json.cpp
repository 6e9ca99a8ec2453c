// SPDX-License-Identifier: BSD-2-Clause
// The `rollup` and `period` records of docs/json.md.
#include "output/fast_format.h"
#include "output/json_values.h"
#include "output/stats_sink.h"
#include "util/escape.h"

namespace tcptrail {

using namespace json_value;

namespace {

constexpr std::size_t kFixedRoom = 2048;
constexpr std::size_t kRoomPerElement = 320;
constexpr std::size_t kTalkersShown = 10;
constexpr std::size_t kServicesShown = 20;
constexpr std::uint64_t kSecond = 1'000'000'000;

// "60", "0.5".
char* put_seconds(char* p, std::uint64_t ns) {
  p = put::number(p, ns / kSecond);
  if (ns % kSecond == 0) return p;
  *p++ = '.';
  p = put::padded(p, ns % kSecond, 9);
  while (p[-1] == '0') --p;
  return p;
}

// `quantile` gives nanoseconds, or nullopt.
template <class Quantile>
char* put_quantiles(char* p, Quantile&& quantile) {
  p = put_optional_us(put::literal(p, R"({"p50":)"), quantile(0.5));
  p = put_optional_us(put::literal(p, R"(,"p95":)"), quantile(0.95));
  p = put_optional_us(put::literal(p, R"(,"p99":)"), quantile(0.99));
  p = put_optional_us(put::literal(p, R"(,"max":)"), quantile(1.0));
  *p++ = '}';
  return p;
}

char* put_quantiles(char* p, const DenseHistogram& h) {
  return put_quantiles(
      p, [&](double fraction) { return h.quantile(fraction); });
}

char* put_bytes(char* p, const Group& g) {
  p = put::number(put::literal(p, R"(,"connections":)"), g.connections);
  p = put::number(put::literal(p, R"(,"tx_bytes":)"), g.tx_bytes);
  p = put::number(put::literal(p, R"(,"rx_bytes":)"), g.rx_bytes);
  return put::number(put::literal(p, R"(,"retransmits":)"), g.retransmits);
}

char* put_failures(char* p, const Group& g) {
  p = put::number(put::literal(p, R"(,"failed":)"), g.failed);
  p = put::number(put::literal(p, R"(,"incomplete":)"), g.incomplete);
  return put::number(put::literal(p, R"(,"blocked":)"), g.blocked);
}

// Closes an array whose elements each end with a comma.
char* end_array(char* p) {
  if (p[-1] == ',') --p;
  *p++ = ']';
  return p;
}

char* put_states(char* p, const StatsInterval& period) {
  p = put::literal(p, R"(,"states":[)");
  for (unsigned n = 1; n < kStateCount; ++n) {
    const auto state = static_cast<TcpState>(n);
    const DenseHistogram& h = period.state(state);
    if (h.count() == 0) continue;
    p = put_state(put::literal(p, R"({"state":)"), state);
    p = put::number(put::literal(p, R"(,"count":)"), h.count());
    p = put_quantiles(put::literal(p, R"(,"us":)"), h);
    p = put::literal(p, "},");
  }
  return end_array(p);
}

char* put_edges(char* p, const StatsInterval& period) {
  p = put::literal(p, R"(,"edges":[)");
  for (unsigned from = 0; from < kStateCount; ++from) {
    for (unsigned to = 0; to < kStateCount; ++to) {
      const std::uint64_t n = period.edge(static_cast<TcpState>(from), static_cast<TcpState>(to));
      if (n == 0) continue;
      p = put_state(put::literal(p, R"({"from":)"), static_cast<TcpState>(from));
      p = put_state(put::literal(p, R"(,"to":)"), static_cast<TcpState>(to));
      p = put::number(put::literal(p, R"(,"count":)"), n);
      p = put::literal(p, "},");
    }
  }
  return end_array(p);
}

char* put_talkers(char* p, const StatsInterval& period) {
  p = put::literal(p, R"(,"talkers":[)");
  for (const Talker& t : period.talkers().top(kTalkersShown)) {
    p = format_address(put::literal(p, R"({"raddr":")"), t.address, t.family);
    p = put::number(put::literal(p, R"(","connections":)"), t.connections);
    p = put::number(put::literal(p, R"(,"tx_bytes":)"), t.tx_bytes);
    p = put::number(put::literal(p, R"(,"rx_bytes":)"), t.rx_bytes);
    p = put::literal(p, "},");
  }
  return end_array(p);
}

char* put_services(char* p, std::span<const Service* const> services) {
  p = put::literal(p, R"(,"services":[)");
  for (std::size_t i = 0; i < std::min(services.size(), kServicesShown); ++i) {
    const Service& s = *services[i];
    p = put_name(put::literal(p, R"({"comm":)"), s.comm.view());
    p = put_non_zero(put::literal(p, R"(,"service_port":)"), s.port);
    p = put_word(put::literal(p, R"(,"role":)"), to_string(s.role));
    p = put_bool(put::literal(p, R"(,"rest":)"), s.rest);
    p = put::number(put::literal(p, R"(,"time_wait":{"entered":)"), s.time_wait.entered());
    p = put::number(put::literal(p, R"(,"held":)"), s.time_wait.held());
    p = put::number(put::literal(p, R"(,"peak":)"), s.time_wait.peak());
    p = put::literal(p, "}},");
  }
  return end_array(p);
}

char* put_leaves(char* p, const LeaveCounts& leaves) {
  p = put::literal(p, R"(,"left":{)");
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (leaves[i] == 0) continue;
    p = put_word(p, to_string(static_cast<LeaveReason>(i)));
    *p++ = ':';
    p = put::number(p, leaves[i]);
    *p++ = ',';
  }
  if (p[-1] == ',') --p;
  *p++ = '}';
  return p;
}

}  // namespace

StatsJson::StatsJson(OutFile& out, WallClock& clock, const StatsJsonOptions& options,
                     std::size_t max_groups)
    : StatsSink(options.interval_ns, max_groups),
      out_(out),
      clock_(clock),
      stream_(out, clock, {EventSet{}, options.labels}) {}

void StatsJson::on(const StartupRecord& r) {
  StatsSink::on(r);
  stream_.on(r);
}

void StatsJson::on(const SummaryRecord& r) {
  StatsSink::on(r);
  stream_.on(r);
}

void StatsJson::put(const StatsInterval& p) {
  for (const Group* g : p.groups()) put_rollup(p, *g);
  put_period(p);
}

// The record's time is the end of the interval.
char* StatsJson::begin(std::size_t room, std::string_view type, const StatsInterval& p) {
  char* c = put_word(put::literal(out_.reserve(room + stream_.tail().size()), R"({"type":)"), type);
  c = clock_.put_rfc3339(put::literal(c, R"(,"time":")"), p.end_ns);
  c = put::number(put::literal(c, R"(","boot_ns":)"), p.end_ns);
  c = put_seconds(put::literal(c, R"(,"interval_s":)"),
                  interval_ns_ != 0 ? interval_ns_ : p.end_ns - p.start_ns);
  return put_time(put::literal(c, R"(,"start":)"), clock_, p.start_ns);
}

void StatsJson::put_rollup(const StatsInterval& p, const Group& g) {
  char* c = begin(kFixedRoom, "rollup", p);
  c = put_name(put::literal(c, R"(,"comm":)"), g.key.comm.view());
  c = put_non_zero(put::literal(c, R"(,"service_port":)"), g.key.service_port);
  c = put_word(put::literal(c, R"(,"role":)"), to_string(g.key.role));
  c = put::literal(c, R"(,"closer":)");
  c = g.key.refused_call ? put_null(c) : put_word(c, to_string(g.key.closer));
  c = put::literal(c, R"(,"how":)");
  c = g.key.refused_call ? put_null(c) : put_word(c, to_string(g.key.how));
  c = put_errno(put::literal(c, R"(,"error":)"), g.key.error);
  c = put_bytes(c, g);
  c = put_quantiles(
      put::literal(c, R"(,"duration_us":)"),
      [&](double f) { return g.duration.quantile(p.pages(), f); });
  c = put_quantiles(put::literal(c, R"(,"connect_us":)"),
                    [&](double f) { return g.connect.quantile(p.pages(), f); });
  c = put::number(put::literal(c, R"(,"time_wait":{"local":)"), g.time_wait);
  c = put::number(put::literal(c, R"(,"fin_wait2":)"), g.fin_wait2);
  *c++ = '}';
  c = put_failures(c, g);
  c = put_bool(put::literal(c, R"(,"rest":)"), g.key.rest);
  c = put_seconds(put::literal(c, R"(,"covered_s":)"), p.end_ns - p.seen_from_ns);
  out_.commit(put::text(c, stream_.tail()));
}

void StatsJson::put_period(const StatsInterval& p) {
  const auto services = stats_.services(p.end_ns);
  const std::size_t elements =
      kStateCount + kStateCount * kStateCount + kTalkersShown + kServicesShown;
  const Group& total = p.total();
  char* c = begin(kFixedRoom + elements * kRoomPerElement, "period", p);
  c = put_bytes(c, total);
  c = put_quantiles(put::literal(c, R"(,"duration_us":)"), p.duration());
  c = put_quantiles(put::literal(c, R"(,"connect_us":)"), p.connect());
  c = put::number(put::literal(c, R"(,"time_wait":{"local":)"), total.time_wait);
  c = put::number(put::literal(c, R"(,"fin_wait2":)"), total.fin_wait2);
  c = put_leaves(c, p.leaves());
  *c++ = '}';
  c = put_failures(c, total);
  c = put::number(put::literal(c, R"(,"bad":)"), p.bad());
  c = put::number(put::literal(c, R"(,"rest":)"), p.rest());
  c = put_seconds(put::literal(c, R"(,"covered_s":)"), p.end_ns - p.seen_from_ns);
  c = put_states(c, p);
  c = put_edges(c, p);
  c = put_talkers(c, p);
  c = put_services(c, services);
  out_.commit(put::text(c, stream_.tail()));
}

}  // namespace tcptrail
