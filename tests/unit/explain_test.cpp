// SPDX-License-Identifier: BSD-2-Clause
// The two forms of `explain`: what fits on a line, what must not get out, and that
// programs read the same as people.
#include "output/explain.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "explanation_records.h"
#include "memory_output.h"
#include "output/wrap.h"
#include "schema_check.h"
#include "util/display_width.h"

namespace tcptrail {
namespace {

using nlohmann::json;
using test::OwnedConnection;

template <class Sink, class Options, class Send>
std::vector<std::string> lines_of(const Options& options, Send&& send) {
  WallClock clock;
  clock.set_offset(test::kOffset);
  test::MemoryOutput memory;
  Sink sink(memory.file(), clock, options);
  send(sink);
  return memory.lines();
}

// Each way to end, by each side, with each thing left behind, and all at once that can be unusual.
template <class Sink>
void send_every_ending(Sink& sink) {
  using enum TcpState;
  for (const auto role : {Role::kActive, Role::kPassive, Role::kUnknown}) {
    for (int how = 0; how <= static_cast<int>(How::kHalfOpen); ++how) {
      for (int closer = 0; closer <= static_cast<int>(Closer::kNone); ++closer) {
        for (int phase = 0; phase <= static_cast<int>(TimeWaitPhase::kTimeWait); ++phase) {
          OwnedConnection c = test::ended(role == Role::kPassive, {{kSynSent, 1500},
                                                                   {kSynRecv, 1},
                                                                   {kEstablished, 1e9},
                                                                   {kFinWait1, 2000},
                                                                   {kCloseWait, 90'000},
                                                                   {kFinWait2, 90'000}});
          ConnectionRecord& r = c.record;
          r.tuple = test::tuple_v6(65000, 65001);
          r.role = role;
          r.how = static_cast<How>(how);
          r.closer = static_cast<Closer>(closer);
          r.time_wait = {TimeWaitSide::kLocal,
                         r.boot_ns,
                         static_cast<TimeWaitPhase>(phase),
                         r.boot_ns,
                         false,
                         false};
          r.owner = r.closer_process = {
              4'000'000'000,
              test::comm("\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b")};
          const std::string cgroup(300, '\x01');
          r.cgroup = cgroup;
          r.error = 110;
          r.complete = false;
          r.began = Began::kBeforeTrace;
          r.owner_source = OwnerSource::kInherited;
          r.connect_ns = 3 * test::kSecondNs;
          r.counters->retransmits = 7;
          r.cookie = r.peer_cookie = UINT64_MAX;
          sink.on(r);
        }
      }
    }
  }
}

TEST(Explain, NoLineIsLongerThanAHundredColumnsAndNoneHoldsAControl) {
  const auto lines =
      lines_of<ExplainText>(ExplainTextOptions{.labels = {{"site", std::string(200, 'x')}}},
                            [](ExplainText& sink) { send_every_ending(sink); });
  EXPECT_GT(lines.size(), 1000U);
  for (const std::string& line : lines) {
    ASSERT_LE(display_width(line), kTextWidth) << line;
    ASSERT_EQ(std::count_if(line.begin(), line.end(),
                            [](char c) { return static_cast<unsigned char>(c) < ' '; }),
              0)
        << line;
  }
}

TEST(Explain, EveryEndingIsAValidRecord) {
  const test::SchemaCheck schema(json::parse(test::schema_text()));
  const auto lines = lines_of<ExplainJson>(ExplainJsonOptions{},
                                           [](ExplainJson& sink) { send_every_ending(sink); });
  ASSERT_EQ(lines.size(), 3U * 10 * 5 * 3);
  for (const std::string& line : lines) ASSERT_EQ(schema.check(json::parse(line)), "") << line;
}

TEST(Explain, PeopleAndProgramsReadTheSameSentences) {
  const auto text = lines_of<ExplainText>(ExplainTextOptions{},
                                          [](ExplainText& sink) { test::send_story(sink); });
  std::string all;
  for (const std::string& line : text)
    all += line.substr(std::min(line.find_first_not_of(' '), line.size())) + ' ';
  for (const std::string& line : lines_of<ExplainJson>(
           ExplainJsonOptions{}, [](ExplainJson& sink) { test::send_story(sink); })) {
    const json record = json::parse(line);
    if (record["type"] != "explanation") continue;
    EXPECT_NE(all.find(record["headline"].get<std::string>()), std::string::npos)
        << record["headline"];
    for (const json& finding : record["findings"])
      EXPECT_NE(all.find(finding["text"].get<std::string>()), std::string::npos) << finding["text"];
  }
}

TEST(Explain, StartupAndSummaryFrameTheJsonStreamOnly) {
  const auto records = lines_of<ExplainJson>(ExplainJsonOptions{.labels = {{"k", "v"}}},
                                             [](ExplainJson& sink) { test::send_story(sink); });
  EXPECT_EQ(json::parse(records.front())["type"], "startup");
  EXPECT_EQ(json::parse(records.back())["type"], "summary");
  for (const std::string& line : records) EXPECT_EQ(json::parse(line)["labels"]["k"], "v");
  const auto text = lines_of<ExplainText>(ExplainTextOptions{}, [](ExplainText& sink) {
    sink.on(test::startup());
    sink.on(test::summary());
  });
  EXPECT_TRUE(text.empty());
}

TEST(Explain, LossIsAWarningAndNoPartOfTheText) {
  std::string warned;
  const auto text = lines_of<ExplainText>(
      ExplainTextOptions{.warn = [&](std::string_view line) { warned += line; }},
      [](ExplainText& sink) {
        sink.on(test::some_loss());
        sink.on(test::summary());
      });
  EXPECT_TRUE(text.empty());
  EXPECT_NE(warned.find("lost"), std::string::npos);
}

TEST(Explain, LocalTimeIsForSentencesOnly) {
  const auto lines =
      lines_of<ExplainJson>(ExplainJsonOptions{.local_time = true},
                            [](ExplainJson& sink) { sink.on(test::server_closes_first().record); });
  const json record = json::parse(lines.at(0));
  EXPECT_TRUE(record["time"].get<std::string>().ends_with("Z"));
  EXPECT_FALSE(record["headline"].get<std::string>().ends_with("Z."));
}

TEST(Wrap, BreaksAtSpacesButNotWithinACommand) {
  EXPECT_EQ(wrap_text("one two three", "> ", 2, 9),
            (std::vector<std::string>{"> one two", "  three"}));
  EXPECT_EQ(wrap_text("run `a b c` now", "", 0, 9),
            (std::vector<std::string>{"run", "`a b c`", "now"}));
  EXPECT_EQ(wrap_text("`a b c d e f g`", "", 0, 9),
            (std::vector<std::string>{"`a b c d", "e f g`"}));
}

TEST(Wrap, CutsAWordThatIsLongerThanALineBetweenCharacters) {
  EXPECT_EQ(wrap_text("aaaaaaaa", "", 1, 4), (std::vector<std::string>{"aaaa", " aaa", " a"}));
  EXPECT_EQ(wrap_text("\u00e9\u00e9\u00e9", "", 0, 2),
            (std::vector<std::string>{"\u00e9\u00e9", "\u00e9"}));
}

TEST(Wrap, EmptyTextIsItsHead) {
  EXPECT_EQ(wrap_text("", "  x  ", 2), std::vector<std::string>{"  x  "});
}

}  // namespace
}  // namespace tcptrail
