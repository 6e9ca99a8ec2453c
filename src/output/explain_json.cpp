// SPDX-License-Identifier: BSD-2-Clause
// Explanations for programs: the `explanation` record of docs/json.md; and what the
// two explain sinks share.
#include "output/explain.h"
#include "output/json_writer.h"

namespace tcptrail {

using namespace json_value;

namespace {

void add_timeline(JsonWriter& json, const std::vector<TimelineStep>& timeline) {
  json.key("timeline").open('[');
  for (const TimelineStep& step : timeline) {
    json.open('{');
    json.key("at_us").value(put::number, step.at_ns / 1000);
    json.key("state").value(put_state, step.state);
    json.key("text").text(step.text);
    json.close('}');
  }
  json.close(']');
}

void add_facts(JsonWriter& json, const std::vector<Fact>& facts) {
  json.key("facts").open('{');
  for (const Fact& fact : facts) {
    json.key(fact.name);
    if (const auto* number = std::get_if<std::uint64_t>(&fact.value))
      json.value(put::number, *number);
    else if (const auto* truth = std::get_if<bool>(&fact.value))
      json.value(put_bool, *truth);
    else
      json.text(std::get<std::string>(fact.value));
  }
  json.close('}');
}

void add_findings(JsonWriter& json, const std::vector<Finding>& findings) {
  json.key("findings").open('[');
  for (const Finding& f : findings) {
    json.open('{');
    json.key("kind").word(to_string(f.kind));
    json.key("severity").word(to_string(f.severity));
    json.key("text").text(f.text);
    json.key("advice").open('[');
    for (const std::string& advice : f.advice) json.text(advice);
    json.close(']');
    add_facts(json, f.facts);
    json.close('}');
  }
  json.close(']');
}

// null where the explanation is not of a connection.
template <class Word>
void add_word(JsonWriter& json, std::string_view key, const std::optional<Word>& word) {
  json.key(key);
  if (word)
    json.word(to_string(*word));
  else
    json.value(put_null);
}

}  // namespace

ExplainSink::ExplainSink(WallClock& clock, bool local_time)
    : clock_(clock), local_time_(local_time), explainer_([this](std::uint64_t boot_ns) {
        if (!local_time_) return clock_.rfc3339(boot_ns).substr(11, 8) + 'Z';
        char text[WallClock::kLocalSize];
        return std::string(text, clock_.put_local(text, boot_ns));
      }) {}

void ExplainSink::on(const StartupRecord& r) { explainer_.on(r); }

void ExplainSink::on(const TimeWaitRecord& r) {
  if (const auto explanation = explainer_.on(r)) put(*explanation);
}

void ExplainSink::on(const SummaryRecord& r) {
  for (const Explanation& explanation : explainer_.finish(r.boot_ns)) put(explanation);
}

ExplainJson::ExplainJson(OutFile& out, WallClock& clock, const ExplainJsonOptions& options)
    : ExplainSink(clock, options.local_time),
      out_(out),
      stream_(out, clock, {EventSet{}, options.labels}) {}

void ExplainJson::on(const StartupRecord& r) {
  ExplainSink::on(r);
  stream_.on(r);
}

void ExplainJson::on(const SummaryRecord& r) {
  ExplainSink::on(r);
  stream_.on(r);
}

void ExplainJson::put(const Explanation& e) {
  JsonWriter json("explanation", clock_, e.boot_ns);
  json.key("subject").word(to_string(e.subject));
  json.key("cookie").value(put_cookie, e.cookie);
  json.key("generation");
  if (e.subject == Subject::kConnection)
    json.value(put::number, e.generation);
  else
    json.value(put_null);
  json.members(put_netns, e.netns);
  json.members(put_tuple, e.tuple);
  json.key("role").word(to_string(e.role));
  json.key("pid").value(put_non_zero, e.owner.pid);
  json.key("comm").value(put_comm, e.owner);
  json.key("peer_cookie").value(put_cookie, e.peer_cookie);
  json.key("service_port").value(put_optional<std::uint16_t>, e.service_port);
  json.key("start").value(put_optional_time, clock_, e.start);
  json.key("headline").text(e.headline);
  json.key("about").text(e.about);
  add_timeline(json, e.timeline);
  add_word(json, "closer", e.closer);
  add_word(json, "how", e.how);
  json.key("evidence").text(to_string(e.evidence));
  json.key("closer_pid").value(put_non_zero, e.closer_process.pid);
  json.key("closer_comm").value(put_comm, e.closer_process);
  json.key("error").value(put_errno, e.error);
  add_findings(json, e.findings);
  out_.write(json.finish(stream_.tail()));
}

}  // namespace tcptrail
