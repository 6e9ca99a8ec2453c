// SPDX-License-Identifier: BSD-2-Clause
// The JSON Lines sink against the contract: keys and their order, null, escaping.
#include "output/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "memory_output.h"
#include "sample_records.h"
#include "schema_check.h"

namespace tcptrail {
namespace {

using Json = nlohmann::ordered_json;
using test::MemoryOutput;

constexpr EventSet kAll{true, true, true, true};

class JsonSinkTest : public ::testing::Test {
 protected:
  JsonSinkTest() { clock_.set_offset(test::kOffset); }

  template <class Record>
  Json written(const Record& record, JsonOptions options = {kAll, {}}) {
    MemoryOutput memory;
    JsonSink sink(memory.file(), clock_, options);
    sink.on(record);
    const std::string text = memory.text();
    EXPECT_TRUE(text.ends_with("}\n"));
    return Json::parse(text);
  }

  static std::vector<std::string> keys(const Json& object) {
    std::vector<std::string> out;
    for (const auto& [key, value] : object.items()) out.push_back(key);
    return out;
  }

  WallClock clock_;
};

// The keys of a record that is always whole, in the order of schema.json.
std::vector<std::string> required(const char* type) {
  return Json::parse(test::schema_text())["$defs"][type]["required"];
}

TEST_F(JsonSinkTest, KeysComeInTheOrderOfTheSchema) {
  EXPECT_EQ(keys(written(test::connecting())), required("transition"));
  EXPECT_EQ(keys(written(test::server_closed_first().record)), required("connection"));
  EXPECT_EQ(keys(written(test::time_wait_left())), required("time_wait"));
  EXPECT_EQ(keys(written(test::startup())), required("startup"));
  EXPECT_EQ(keys(written(test::some_loss())), required("loss"));
  const Json summary = written(test::summary());
  EXPECT_EQ(keys(summary), required("summary"));
  EXPECT_EQ(keys(summary["loss"]),
            (std::vector<std::string>{"ring", "nested", "table", "malformed", "total", "other"}));
}

TEST_F(JsonSinkTest, UnknownFieldsHaveTheSameKeysAsKnownOnes) {
  EXPECT_EQ(keys(written(test::nothing_known().record)),
            keys(written(test::server_closed_first().record)));
  EXPECT_EQ(keys(written(test::odd_transition())), keys(written(test::connecting())));
}

TEST_F(JsonSinkTest, TimeIsThatOfTheEvent) {
  const Json j = written(test::established_v6());
  EXPECT_EQ(j["time"], "2026-08-01T12:00:01.123456789Z");
  EXPECT_EQ(j["boot_ns"], 101'123'456'789);
}

TEST_F(JsonSinkTest, CookieIsHexWithoutPrefixOrLeadingZeros) {
  EXPECT_EQ(written(test::connecting())["cookie"], "1a2b");
  EXPECT_EQ(written(test::established_v6())["cookie"], "fffffffffffffffe");
  EXPECT_EQ(written(test::server_closed_first().record)["peer_cookie"], "1a2b");
}

TEST_F(JsonSinkTest, UnknownPidIsNullNotZero) {
  const Json j = written(test::odd_transition());
  EXPECT_TRUE(j["pid"].is_null());
  EXPECT_TRUE(j["comm"].is_null());
  EXPECT_TRUE(j["cookie"].is_null());
  EXPECT_TRUE(j["in_old_us"].is_null());
  EXPECT_EQ(j["owner_source"], "unknown");
}

TEST_F(JsonSinkTest, PortThatIsNotChosenYetIsNull) {
  const Json j = written(test::connecting());
  EXPECT_TRUE(j["lport"].is_null());
  EXPECT_EQ(j["rport"], 19999);
}

TEST_F(JsonSinkTest, StateWithoutNamePrintsItsNumber) {
  const Json j = written(test::odd_transition());
  EXPECT_EQ(j["old"], "state-17");
  EXPECT_EQ(j["new"], "state-255");
}

TEST_F(JsonSinkTest, TimesAreMicrosecondsRoundedDown) {
  EXPECT_EQ(written(test::established_v6())["in_old_us"], 1234);
  const Json j = written(test::client_of_it().record);
  EXPECT_EQ(j["connect_us"], 40);
  EXPECT_EQ(j["duration_us"], 8'213'400);
  EXPECT_EQ(j["states"][1], (Json{{"state", "ESTABLISHED"}, {"us", 8'213'200}}));
}

TEST_F(JsonSinkTest, PathEndsWithTimeWaitWhereThisEndEnteredIt) {
  const Json j = written(test::server_closed_first().record);
  EXPECT_EQ(j["path"].back(), "TIME_WAIT");
  EXPECT_EQ(j["time_wait"], (Json{{"side", "local"},
                                  {"entered", "2026-08-01T12:00:09.000000000Z"},
                                  {"phase", "time_wait"},
                                  {"expected_end", "2026-08-01T12:01:09.000000000Z"}}));
}

TEST_F(JsonSinkTest, ConnectionOfWhichNothingIsKnownIsNullsAndUnknowns) {
  const Json j = written(test::nothing_known().record);
  for (const char* key :
       {"cookie",     "netns",    "lport",       "rport",        "pid",
        "comm",       "uid",      "cgroup",      "end",          "duration_us",
        "connect_us", "evidence", "closer_pid",  "closer_comm",  "tx_bytes",
        "rx_bytes",   "tx_segs",  "rx_segs",     "retransmits",  "rtt_us",
        "min_rtt_us", "mss",      "peer_cookie", "service_port", "reset_reason"}) {
    EXPECT_TRUE(j[key].is_null()) << key;
  }
  for (const char* key : {"role", "closer", "how", "owner_source"})
    EXPECT_EQ(j[key], "unknown") << key;
  EXPECT_EQ(j["states"], Json::array());
  EXPECT_EQ(j["path"], Json::array());
  EXPECT_EQ(j["complete"], false);
  EXPECT_EQ(j["began"], "before_trace");
  EXPECT_EQ(j["error"], "errno-9999");
}

TEST_F(JsonSinkTest, ErrorIsItsErrnoName) {
  EXPECT_EQ(written(test::refused_v6().record)["error"], "ECONNREFUSED");
  EXPECT_TRUE(written(test::client_of_it().record)["error"].is_null());
}

TEST_F(JsonSinkTest, TimeWaitReasonIsSaidOnLeaveOnly) {
  EXPECT_TRUE(written(test::time_wait_entered())["reason"].is_null());
  EXPECT_EQ(written(test::time_wait_entered())["expires_in_ms"], 60000);
  EXPECT_EQ(written(test::time_wait_entered())["reuseaddr"], true);
  EXPECT_TRUE(written(test::time_wait_entered())["reuseport"].is_null());
  const Json left = written(test::time_wait_left());
  EXPECT_EQ(left["reason"], "reused_by_syn");
  EXPECT_EQ(left["held_us"], 2'000'000);
}

TEST_F(JsonSinkTest, LabelsEndEveryRecordAndAreEscaped) {
  const JsonOptions options{kAll, {{"site", "fra\"1\""}, {"run", "7"}}};
  for (const Json& j :
       {written(test::startup(), options), written(test::connecting(), options),
        written(test::refused_v6().record, options), written(test::time_wait_left(), options),
        written(test::some_loss(), options), written(test::summary(), options)}) {
    EXPECT_EQ(keys(j).back(), "labels");
    EXPECT_EQ(j["labels"], (Json{{"site", "fra\"1\""}, {"run", "7"}}));
  }
}

TEST_F(JsonSinkTest, HostileNamesStayInsideTheirStringAndLine) {
  test::OwnedConnection c = test::server_closed_first();
  c.record.owner.comm = test::comm("\x1b[31m\n\"},{\\");
  c.record.cgroup = "/evil\xff\xe2\x80\xae/\"x";
  const Json j = written(c.record);
  EXPECT_EQ(j["comm"], "\\x1b[31m\\x0a\"},{\\\\");
  EXPECT_EQ(j["cgroup"], "/evil\\xff\\xe2\\x80\\xae/\"x");
  TransitionRecord t = test::connecting();
  t.owner.comm = test::comm("\xc2\x9b\x7f\"\xe6\x97");
  EXPECT_EQ(written(t)["comm"], "\\xc2\\x9b\\x7f\"\\xe6\\x97");
}

TEST_F(JsonSinkTest, HugeNamesFit) {
  test::OwnedConnection c = test::server_closed_first();
  const std::string cgroup(300'000, '\x01');
  c.record.cgroup = cgroup;
  EXPECT_EQ(written(c.record)["cgroup"].get<std::string>().size(), 4 * cgroup.size());
  c.states.assign(5000, {TcpState::kFinWait2, UINT64_MAX});
  c.path.assign(5000, TcpState::kEstablished);
  c.record.states = c.states;
  c.record.path = c.path;
  EXPECT_EQ(written(c.record)["states"].size(), 5000U);
}

TEST_F(JsonSinkTest, OnlyTheAskedRecordTypesAreWritten) {
  MemoryOutput memory;
  JsonSink sink(memory.file(), clock_, {EventSet{.connection = true}, {}});
  test::send_all(sink);
  std::map<std::string, int> count;
  for (const std::string& line : memory.lines())
    ++count[Json::parse(line)["type"].get<std::string>()];
  EXPECT_EQ(count, (std::map<std::string, int>{
                       {"startup", 1}, {"connection", 4}, {"loss", 1}, {"summary", 1}}));
  EXPECT_EQ(sink.printed(), 4U);
}

TEST_F(JsonSinkTest, CachedTupleNeverShowsAnotherConnection) {
  MemoryOutput memory;
  JsonSink sink(memory.file(), clock_, {kAll, {}});
  TransitionRecord r = test::connecting();
  std::vector<std::uint16_t> expected;
  // The same cookie first without a port; then 20,000 cookies through 4,096 places.
  sink.on(r);
  expected.push_back(0);
  r.tuple.lport = 5;
  sink.on(r);
  expected.push_back(5);
  for (unsigned i = 0; i < 20000; ++i) {
    r.cookie = i % 10000 + 1;
    r.tuple.lport = static_cast<std::uint16_t>(i % 10000 + 1000);
    sink.on(r);
    expected.push_back(r.tuple.lport);
  }
  const auto lines = memory.lines();
  ASSERT_EQ(lines.size(), expected.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string port = expected[i] == 0 ? "null" : std::to_string(expected[i]);
    ASSERT_NE(lines[i].find("\"lport\":" + port + ","), std::string::npos) << lines[i];
  }
}

TEST_F(JsonSinkTest, StartupSaysFeaturesAndFilters) {
  const Json j = written(test::startup());
  EXPECT_EQ(j["schema"], kJsonSchemaVersion);
  EXPECT_EQ(j["features"], (Json{{"tp_btf", true}, {"ehash_walk", false}}));
  EXPECT_EQ(j["filters"], (Json{{"lport", "80,443"}, {"comm", "a\"b\\*"}}));
  const Json bare = written(StartupRecord{});
  EXPECT_EQ(bare["features"], Json::object());
  EXPECT_TRUE(bare["hostname"].is_null());
}

TEST_F(JsonSinkTest, LossIsTheSumOfItsReasons) {
  const Json j = written(test::some_loss());
  EXPECT_EQ(j["total"], 10);
  EXPECT_EQ(j["since"], "2026-08-01T12:00:00.000000000Z");
  EXPECT_EQ(written(test::summary())["loss"]["total"], 10);
}

}  // namespace
}  // namespace tcptrail
