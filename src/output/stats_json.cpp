// SPDX-License-Identifier: BSD-2-Clause
// The `rollup` and `period` records of docs/json.md.
#include "output/json_writer.h"
#include "output/stats_sink.h"

namespace tcptrail {

using namespace json_value;

namespace {

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
void add_quantiles(JsonWriter& json, std::string_view key, Quantile&& quantile) {
  json.key(key).open('{');
  json.key("p50").value(put_optional_us, quantile(0.5));
  json.key("p95").value(put_optional_us, quantile(0.95));
  json.key("p99").value(put_optional_us, quantile(0.99));
  json.key("max").value(put_optional_us, quantile(1.0));
  json.close('}');
}

void add_quantiles(JsonWriter& json, std::string_view key, const DenseHistogram& h) {
  add_quantiles(
      json, key, [&](double fraction) { return h.quantile(fraction); });
}

void add_sums(JsonWriter& json, const Group& g) {
  json.key("connections").value(put::number, g.connections);
  json.key("tx_bytes").value(put::number, g.tx_bytes);
  json.key("rx_bytes").value(put::number, g.rx_bytes);
  json.key("retransmits").value(put::number, g.retransmits);
}

void add_failures(JsonWriter& json, const Group& g) {
  json.key("failed").value(put::number, g.failed);
  json.key("incomplete").value(put::number, g.incomplete);
  json.key("blocked").value(put::number, g.blocked);
}

// Opens the object; a period adds how its TIME_WAITs ended.
void open_time_wait(JsonWriter& json, const Group& g) {
  json.key("time_wait").open('{');
  json.key("local").value(put::number, g.time_wait);
  json.key("fin_wait2").value(put::number, g.fin_wait2);
}

void add_leaves(JsonWriter& json, const LeaveCounts& leaves) {
  json.key("left").open('{');
  for (std::size_t i = 0; i < leaves.size(); ++i)
    if (leaves[i] != 0)
      json.key(to_string(static_cast<LeaveReason>(i))).value(put::number, leaves[i]);
  json.close('}');
}

void add_states(JsonWriter& json, const StatsInterval& period) {
  json.key("states").open('[');
  for (unsigned n = 1; n < kStateCount; ++n) {
    const auto state = static_cast<TcpState>(n);
    const DenseHistogram& h = period.state(state);
    if (h.count() == 0) continue;
    json.open('{');
    json.key("state").value(put_state, state);
    json.key("count").value(put::number, h.count());
    add_quantiles(json, "us", h);
    json.close('}');
  }
  json.close(']');
}

void add_edges(JsonWriter& json, const StatsInterval& period) {
  json.key("edges").open('[');
  for (unsigned from = 0; from < kStateCount; ++from) {
    for (unsigned to = 0; to < kStateCount; ++to) {
      const std::uint64_t n = period.edge(static_cast<TcpState>(from), static_cast<TcpState>(to));
      if (n == 0) continue;
      json.open('{');
      json.key("from").value(put_state, static_cast<TcpState>(from));
      json.key("to").value(put_state, static_cast<TcpState>(to));
      json.key("count").value(put::number, n);
      json.close('}');
    }
  }
  json.close(']');
}

void add_talkers(JsonWriter& json, const StatsInterval& period) {
  json.key("talkers").open('[');
  for (const Talker& t : period.talkers().top(kTalkersShown)) {
    json.open('{');
    json.key("raddr").word(address_text(t.address, t.family));
    json.key("connections").value(put::number, t.connections);
    json.key("tx_bytes").value(put::number, t.tx_bytes);
    json.key("rx_bytes").value(put::number, t.rx_bytes);
    json.close('}');
  }
  json.close(']');
}

void add_services(JsonWriter& json, std::span<const Service* const> services) {
  json.key("services").open('[');
  for (std::size_t i = 0; i < std::min(services.size(), kServicesShown); ++i) {
    const Service& s = *services[i];
    json.open('{');
    json.key("comm").name(s.comm.view());
    json.key("service_port").value(put_non_zero, s.port);
    json.key("role").word(to_string(s.role));
    json.key("rest").value(put_bool, s.rest);
    json.key("time_wait").open('{');
    json.key("entered").value(put::number, s.time_wait.entered());
    json.key("held").value(put::number, s.time_wait.held());
    json.key("peak").value(put::number, s.time_wait.peak());
    json.close('}');
    json.close('}');
  }
  json.close(']');
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
JsonWriter StatsJson::begin(std::string_view type, const StatsInterval& p) {
  JsonWriter json(type, clock_, p.end_ns);
  json.key("interval_s")
      .value(put_seconds, interval_ns_ != 0 ? interval_ns_ : p.end_ns - p.start_ns);
  json.key("start").value(put_time, clock_, p.start_ns);
  return json;
}

void StatsJson::put_rollup(const StatsInterval& p, const Group& g) {
  JsonWriter json = begin("rollup", p);
  json.key("comm").name(g.key.comm.view());
  json.key("service_port").value(put_non_zero, g.key.service_port);
  json.key("role").word(to_string(g.key.role));
  // A refused call has no end.
  if (g.key.refused_call) {
    json.key("closer").value(put_null);
    json.key("how").value(put_null);
  } else {
    json.key("closer").word(to_string(g.key.closer));
    json.key("how").word(to_string(g.key.how));
  }
  json.key("error").value(put_errno, g.key.error);
  add_sums(json, g);
  add_quantiles(
      json, "duration_us", [&](double f) { return g.duration.quantile(p.pages(), f); });
  add_quantiles(json, "connect_us", [&](double f) { return g.connect.quantile(p.pages(), f); });
  open_time_wait(json, g);
  json.close('}');
  add_failures(json, g);
  json.key("rest").value(put_bool, g.key.rest);
  json.key("covered_s").value(put_seconds, p.end_ns - p.seen_from_ns);
  out_.write(json.finish(stream_.tail()));
}

void StatsJson::put_period(const StatsInterval& p) {
  const Group& total = p.total();
  JsonWriter json = begin("period", p);
  add_sums(json, total);
  add_quantiles(json, "duration_us", p.duration());
  add_quantiles(json, "connect_us", p.connect());
  open_time_wait(json, total);
  add_leaves(json, p.leaves());
  json.close('}');
  add_failures(json, total);
  json.key("bad").value(put::number, p.bad());
  json.key("rest").value(put::number, p.rest());
  json.key("covered_s").value(put_seconds, p.end_ns - p.seen_from_ns);
  add_states(json, p);
  add_edges(json, p);
  add_talkers(json, p);
  add_services(json, stats_.services(p.end_ns));
  out_.write(json.finish(stream_.tail()));
}

}  // namespace tcptrail
