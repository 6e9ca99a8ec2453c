// SPDX-License-Identifier: BSD-2-Clause
// Explanations for programs: the `explanation` record of docs/json.md; and what the
// two explain sinks share.
#include "output/explain.h"
#include "output/fast_format.h"
#include "output/json_values.h"
#include "util/escape.h"

namespace tcptrail {

using namespace json_value;

namespace {

constexpr std::size_t kFixedRoom = 2048;
constexpr std::size_t kRoomPerStep = 128;
constexpr std::size_t kRoomPerFinding = 160;
constexpr std::size_t kRoomPerText = 8;
constexpr std::size_t kRoomPerFact = 64;

std::size_t text_room(std::string_view text) {
  return text.size() * kJsonEscapeGrowth + kRoomPerText;
}

std::size_t room_for(const Explanation& e) {
  std::size_t room =
      kFixedRoom + text_room(e.headline) + text_room(e.about) + text_room(e.evidence);
  for (const TimelineStep& step : e.timeline) room += kRoomPerStep + text_room(step.text);
  for (const Finding& f : e.findings) {
    room += kRoomPerFinding + text_room(f.text);
    for (const std::string& advice : f.advice) room += text_room(advice);
    for (const Fact& fact : f.facts) {
      room += kRoomPerFact + fact.name.size();
      if (const auto* text = std::get_if<std::string>(&fact.value)) room += text_room(*text);
    }
  }
  return room;
}

char* put_timeline(char* p, const std::vector<TimelineStep>& timeline) {
  p = put::literal(p, R"(,"timeline":[)");
  for (const TimelineStep& step : timeline) {
    p = put::number(put::literal(p, R"({"at_us":)"), step.at_ns / 1000);
    p = put_state(put::literal(p, R"(,"state":)"), step.state);
    p = put_text(put::literal(p, R"(,"text":)"), step.text);
    p = put::literal(p, "},");
  }
  if (!timeline.empty()) --p;
  *p++ = ']';
  return p;
}

char* put_facts(char* p, const std::vector<Fact>& facts) {
  p = put::literal(p, R"(,"facts":{)");
  for (const Fact& fact : facts) {
    *p++ = '"';
    p = put::text(p, fact.name);
    p = put::literal(p, "\":");
    if (const auto* number = std::get_if<std::uint64_t>(&fact.value))
      p = put::number(p, *number);
    else if (const auto* truth = std::get_if<bool>(&fact.value))
      p = put_bool(p, *truth);
    else
      p = put_text(p, std::get<std::string>(fact.value));
    *p++ = ',';
  }
  if (!facts.empty()) --p;
  *p++ = '}';
  return p;
}

char* put_findings(char* p, const std::vector<Finding>& findings) {
  p = put::literal(p, R"(,"findings":[)");
  for (const Finding& f : findings) {
    p = put_word(put::literal(p, R"({"kind":)"), to_string(f.kind));
    p = put_word(put::literal(p, R"(,"severity":)"), to_string(f.severity));
    p = put_text(put::literal(p, R"(,"text":)"), f.text);
    p = put::literal(p, R"(,"advice":[)");
    for (const std::string& advice : f.advice) {
      p = put_text(p, advice);
      *p++ = ',';
    }
    if (!f.advice.empty()) --p;
    *p++ = ']';
    p = put_facts(p, f.facts);
    p = put::literal(p, "},");
  }
  if (!findings.empty()) --p;
  *p++ = ']';
  return p;
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
  char* p = put::literal(out_.reserve(room_for(e) + stream_.tail().size()),
                         R"({"type":"explanation","time":")");
  p = clock_.put_rfc3339(p, e.boot_ns);
  p = put::number(put::literal(p, R"(","boot_ns":)"), e.boot_ns);
  p = put_word(put::literal(p, R"(,"subject":)"), to_string(e.subject));
  p = put_cookie(put::literal(p, R"(,"cookie":)"), e.cookie);
  p = put::literal(p, R"(,"generation":)");
  p = e.subject == Subject::kConnection ? put::number(p, e.generation) : put_null(p);
  p = put_tuple(put_netns(p, e.netns), e.tuple);
  p = put_word(put::literal(p, R"(,"role":)"), to_string(e.role));
  p = put_non_zero(put::literal(p, R"(,"pid":)"), e.owner.pid);
  p = put_comm(put::literal(p, R"(,"comm":)"), e.owner);
  p = put_cookie(put::literal(p, R"(,"peer_cookie":)"), e.peer_cookie);
  p = put_optional(put::literal(p, R"(,"service_port":)"), e.service_port);
  p = put_optional_time(put::literal(p, R"(,"start":)"), clock_, e.start);
  p = put_text(put::literal(p, R"(,"headline":)"), e.headline);
  p = put_text(put::literal(p, R"(,"about":)"), e.about);
  p = put_timeline(p, e.timeline);
  p = put::literal(p, R"(,"closer":)");
  p = e.closer ? put_word(p, to_string(*e.closer)) : put_null(p);
  p = put::literal(p, R"(,"how":)");
  p = e.how ? put_word(p, to_string(*e.how)) : put_null(p);
  p = put_text(put::literal(p, R"(,"evidence":)"), e.evidence);
  p = put_non_zero(put::literal(p, R"(,"closer_pid":)"), e.closer_process.pid);
  p = put_comm(put::literal(p, R"(,"closer_comm":)"), e.closer_process);
  p = put_errno(put::literal(p, R"(,"error":)"), e.error);
  p = put_findings(p, e.findings);
  out_.commit(put::text(p, stream_.tail()));
}

}  // namespace tcptrail
