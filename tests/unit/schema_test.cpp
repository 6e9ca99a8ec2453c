// SPDX-License-Identifier: BSD-2-Clause
// schema.json against what the JSON sink really prints, in both directions.
#include <gtest/gtest.h>

#include "explanation_records.h"
#include "memory_output.h"
#include "output/explain.h"
#include "output/json.h"
#include "output/stats_sink.h"
#include "sample_records.h"
#include "schema_check.h"
#include "stats_records.h"

namespace tcptrail {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::vector<std::string> stream(const Labels& labels) {
  WallClock clock;
  clock.set_offset(test::kOffset);
  test::MemoryOutput memory;
  JsonSink sink(memory.file(), clock, {EventSet{true, true, true, true}, labels});
  test::send_all(sink);
  std::vector<std::string> lines = memory.lines();
  test::MemoryOutput told;
  ExplainJson explain(told.file(), clock, {.labels = labels});
  test::send_story(explain);
  for (const std::string& line : told.lines()) lines.push_back(line);
  test::MemoryOutput summed;
  StatsJson stats(summed.file(), clock, {.interval_ns = 0, .labels = labels},
                  2);  // two groups, and a rest
  test::send_minute(stats);
  for (const std::string& line : summed.lines()) lines.push_back(line);
  return lines;
}

TEST(Schema, EveryRecordThatIsPrintedIsValid) {
  const test::SchemaCheck schema(json::parse(test::schema_text()));
  for (const std::string& line : stream({})) EXPECT_EQ(schema.check(json::parse(line)), "") << line;
  for (const std::string& line : stream({{"k", "v"}}))
    EXPECT_EQ(schema.check(json::parse(line)), "") << line;
}

TEST(Schema, KeysArePrintedInItsOrder) {
  const ordered_json schema = ordered_json::parse(test::schema_text());
  for (const std::string& line : stream({{"k", "v"}})) {
    const ordered_json record = ordered_json::parse(line);
    const ordered_json& properties =
        schema["$defs"][record["type"].get<std::string>()]["properties"];
    std::vector<std::string> expected;
    std::vector<std::string> printed;
    for (const auto& [key, value] : properties.items()) expected.push_back(key);
    for (const auto& [key, value] : record.items()) printed.push_back(key);
    EXPECT_EQ(printed, expected);
  }
}

TEST(Schema, RefusesWhatIsNotInTheContract) {
  const test::SchemaCheck schema(json::parse(test::schema_text()));
  const json good = json::parse(stream({})[1]);
  ASSERT_EQ(schema.check(good), "");
  const auto broken = [&](const char* key, json value) {
    json bad = good;
    bad[key] = std::move(value);
    return schema.check(bad);
  };
  EXPECT_NE(broken("pid", 0), "");
  EXPECT_NE(broken("cookie", "0x1a"), "");
  EXPECT_NE(broken("cookie", 12), "");
  EXPECT_NE(broken("old", "SYNSENT"), "");
  EXPECT_NE(broken("family", "inet"), "");
  EXPECT_NE(broken("time", "2026-08-01 12:00:00"), "");
  EXPECT_NE(broken("extra", 1), "");
  EXPECT_NE(broken("type", "connection"), "");
  json missing = good;
  missing.erase("comm");
  EXPECT_NE(schema.check(missing), "");
}

TEST(Schema, KnowsEveryRecordTypeOfTheContract) {
  const json schema = json::parse(test::schema_text());
  for (const char* type :
       {"startup", "transition", "connection", "time_wait", "blocked", "port", "destination",
        "leak", "explanation", "rollup", "period", "loss", "summary"}) {
    EXPECT_TRUE(schema["$defs"].contains(type)) << type;
  }
  EXPECT_EQ(schema["oneOf"].size(), 13U);
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

TEST(Schema, KnowsEveryKindOfFindingAndNoOther) {
  const json schema = json::parse(test::schema_text());
  std::vector<std::string> kinds;
  for (std::size_t kind = 0; kind < kFindingKinds; ++kind)
    kinds.emplace_back(to_string(static_cast<FindingKind>(kind)));
  EXPECT_EQ(schema["$defs"]["explanation"]["properties"]["findings"]["items"]["properties"]["kind"]
                  ["enum"],
            kinds);
}

// A consumer reads the unit from the schema; the name alone must not have to do.
TEST(Schema, EveryPropertyIsDescribed) {
  const json schema = json::parse(test::schema_text());
  for (const auto& [name, definition] : schema["$defs"].items()) {
    if (!definition.contains("properties")) {
      EXPECT_TRUE(definition.contains("description")) << name;
      continue;
    }
    for (const auto& [key, rule] : definition["properties"].items()) {
      const bool described =
          rule.contains("description") || rule.contains("$ref") || rule.contains("const");
      EXPECT_TRUE(described) << name << "." << key;
    }
  }
}

}  // namespace
}  // namespace tcptrail
