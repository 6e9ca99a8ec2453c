// SPDX-License-Identifier: BSD-2-Clause
// The command line of record, replay and --record.
#include "command_line.h"
#include "run/record_progress.h"
#include "run/replay_filters.h"

namespace tcptrail {
namespace {

using test::bad;
using test::good;
using Filter = std::vector<std::pair<std::string, std::string>>;

TEST(OptionsRecord, TakesItsFileFromO) {
  const Options o = good({"record", "-o", "r.trail", "-L", "80", "--for", "10s", "--max-size", "1G",
                          "--rotate", "4", "--", "curl", "x"});
  EXPECT_EQ(o.command, Command::kRecord);
  EXPECT_EQ(o.record_path, "r.trail");
  EXPECT_TRUE(o.output.empty());
  EXPECT_EQ(o.max_bytes, 1U << 30);
  EXPECT_EQ(o.rotate, 4U);
  EXPECT_EQ(o.events, EventSet{});
  EXPECT_EQ(o.child, (std::vector<std::string>{"curl", "x"}));
  EXPECT_EQ(good({"record", "-o", "-"}).record_path, "-");
}

TEST(OptionsRecord, AViewCanBeRecordedBeside) {
  for (const char* view : {"life", "trace", "explain", "stats"}) {
    const Options o = good({view, "--record", "r.trail", "-o", "out"});
    EXPECT_EQ(o.record_path, "r.trail");
    EXPECT_EQ(o.output, "out");
  }
  EXPECT_EQ(good({"ports", "--watch", "--record", "r"}).record_path, "r");
  EXPECT_EQ(good({"--record", "-", "-o", "out"}).record_path, "-");
  EXPECT_TRUE(good({"life"}).record_path.empty());
}

TEST(OptionsRecord, WhatCannotBeIsRefused) {
  EXPECT_NE(bad({"record", "f"}).find("fix: tcptrail record -o FILE; to run"), std::string::npos);
  EXPECT_EQ(bad({"record"}),
            "tcptrail: error: record needs a file\n  fix: tcptrail record -o FILE\n");
  EXPECT_NE(bad({"record", "-o", "f", "--json"}).find("tcptrail replay FILE --json"),
            std::string::npos);
  EXPECT_NE(bad({"record", "-o", "f", "--count", "5"}).find("no records to count"),
            std::string::npos);
  EXPECT_NE(bad({"record", "-o", "f", "-T"}).find("record has no format"), std::string::npos);
  EXPECT_NE(bad({"record", "--record", "f"}).find("tcptrail record -o FILE"), std::string::npos);
  EXPECT_NE(bad({"ports", "--record", "f"}).find("ports --watch --record FILE"), std::string::npos);
  EXPECT_NE(bad({"doctor", "--record", "f"}).find("doctor with --record"), std::string::npos);
  EXPECT_NE(bad({"life", "--record", "f", "-o", "f"}).find("the same file"), std::string::npos);
  EXPECT_NE(bad({"life", "--record", "-"}).find("the same file"), std::string::npos);
  EXPECT_NE(bad({"life", "--max-size", "1G"}).find("are about a recording"), std::string::npos);
  EXPECT_NE(bad({"record", "-o", "f", "--rotate", "2"}).find("--rotate without --max-size"),
            std::string::npos);
  EXPECT_NE(bad({"record", "-o", "-", "--max-size", "1G", "--rotate", "2"}).find("stdout"),
            std::string::npos);
  EXPECT_NE(bad({"record", "-o", "f", "--max-size", "10K"}).find("half a megabyte"),
            std::string::npos);
  EXPECT_NE(bad({"record", "-o", "f", "--max-size", "big"}).find("not a size"), std::string::npos);
  EXPECT_NE(bad({"record", "-o", "f", "--max-size", "1G", "--rotate", "0"}).find("--rotate"),
            std::string::npos);
  EXPECT_TRUE(good({"life", "--record", "f", "--force"}).force);
  EXPECT_FALSE(good({"life", "--record", "f"}).force);
  EXPECT_NE(bad({"life", "-o", "f", "--force"}).find("--force is about a recording"),
            std::string::npos);
  EXPECT_NE(bad({"--max-size"}).find("--max-size needs a value\n  fix: --max-size 1G"),
            std::string::npos);
}

TEST(OptionsReplay, TakesAFileAndAView) {
  const Options o = good({"replay", "r.trail", "trace", "--json", "-L", "80"});
  EXPECT_EQ(o.command, Command::kReplay);
  EXPECT_EQ(o.replay_file, "r.trail");
  EXPECT_EQ(o.replay_view, Command::kTrace);
  EXPECT_EQ(view_of(o), Command::kTrace);
  EXPECT_EQ(o.events, good({"trace"}).events);
  EXPECT_EQ(o.filters.lports.ranges, (std::vector<PortRange>{{80, 80}}));
  EXPECT_EQ(good({"replay", "r.trail"}).replay_view, Command::kLife);
  EXPECT_EQ(good({"--json", "replay", "-", "ports"}).replay_file, "-");
  EXPECT_EQ(good({"replay", "--csv", "f", "-p", "1", "trace"}).replay_view, Command::kTrace);
}

// So that the same bytes come out.
TEST(OptionsReplay, AViewPrintsWhatItPrintsLive) {
  EXPECT_EQ(good({"replay", "f", "life"}).events, good({"life"}).events);
  EXPECT_EQ(good({"replay", "f", "explain"}).events, good({"explain"}).events);
  EXPECT_EQ(good({"replay", "f", "stats"}).events, good({"stats"}).events);
  EXPECT_EQ(good({"replay", "f", "ports"}).events, good({"ports", "--watch"}).events);
}

TEST(OptionsReplay, WhatCannotBeIsRefused) {
  EXPECT_NE(bad({"replay"}).find("tcptrail replay FILE"), std::string::npos);
  EXPECT_NE(bad({"replay", "f", "trcae"}).find("did you mean trace?"), std::string::npos);
  EXPECT_NE(bad({"replay", "life", "f"}).find("a recording is shown as life, trace"),
            std::string::npos);
  EXPECT_NE(bad({"replay", "f", "life", "more"}).find("unexpected argument more"),
            std::string::npos);
  EXPECT_NE(bad({"replay", "f", "--jsno"}).find("did you mean --json?"), std::string::npos);
  EXPECT_NE(bad({"replay", "f", "--", "true"}).find("has happened already"), std::string::npos);
  EXPECT_NE(bad({"replay", "f", "--for", "1s"}).find("replay with --for"), std::string::npos);
  EXPECT_NE(bad({"replay", "f", "--ring-size", "1M"}).find("it is about tracing"),
            std::string::npos);
  EXPECT_NE(bad({"replay", "f", "--deny-feature", "tp_btf"}).find("--deny-feature"),
            std::string::npos);
  EXPECT_NE(bad({"replay", "f", "--no-snapshot"}).find("--no-snapshot"), std::string::npos);
  EXPECT_NE(bad({"replay", "f", "--record", "g"}).find("it is recorded already"),
            std::string::npos);
  EXPECT_NE(bad({"replay", "f", "ports", "--bind", ":80"}).find("questions to ports"),
            std::string::npos);
  EXPECT_NE(bad({"replay", "f", "ports", "--csv"}).find("ports has no CSV"), std::string::npos);
  EXPECT_NE(bad({"replay", "f", "explain", "--csv"}).find("explain has no CSV"), std::string::npos);
}

TEST(OptionsReplay, AMomentIsADurationOrATimeWithItsZone) {
  EXPECT_EQ(good({"replay", "f", "ports", "--at", "90s"}).at, (AtTime{90'000'000'000, 0}));
  const AtTime noon{std::nullopt, 1'785'587'696'500'000'000};
  EXPECT_EQ(good({"replay", "f", "ports", "--at", "2026-08-01T12:34:56.5Z"}).at, noon);
  EXPECT_EQ(good({"replay", "f", "ports", "--at", "2026-08-01T14:34:56.5+02:00"}).at, noon);
  EXPECT_EQ(good({"replay", "f", "ports", "--at", "2026-08-01 07:04:56.5-05:30"}).at, noon);
  for (const char* text : {"12:34", "2026-08-01", "2026-08-01T12:34:56", "2026-02-30T12:00:00Z",
                           "2026-08-01T12:34:56.Z", "2026-08-01T24:00:00Z", "2026-08-01T12:34:56+2",
                           "2026-08-01T12:34:56Zulu"})
    EXPECT_NE(bad({"replay", "f", "ports", "--at", text}).find("neither a duration nor a time"),
              std::string::npos)
        << text;
  EXPECT_NE(bad({"replay", "f", "life", "--at", "1s"}).find("replay FILE ports --at 1s"),
            std::string::npos);
  EXPECT_NE(bad({"ports", "--at", "1s"}).find("replay FILE ports"), std::string::npos);
}

TEST(RecordedFilters, HoldUnlessTheSameFlagIsGivenAgain) {
  Options o = good({"replay", "f", "-L", "443"});
  const Filter recorded = {{"lport", "80"},    {"comm", "nginx*"}, {"how", "timeout"},
                           {"family", "ipv6"}, {"errors", "true"}, {"min_ms", "5"}};
  ASSERT_TRUE(add_recorded_filters(o, recorded).ok());
  EXPECT_EQ(o.filters.lports.ranges, (std::vector<PortRange>{{443, 443}}));
  EXPECT_EQ(o.filters.comm_glob, "nginx*");
  EXPECT_EQ(o.filters.how, std::vector<How>{How::kTimeout});
  EXPECT_EQ(o.filters.family, FamilyFilter::kIpv6);
  EXPECT_TRUE(o.filters.errors_only);
  EXPECT_EQ(o.filters.min_duration_ns, 5'000'000U);
  EXPECT_EQ(o.given_filters, (Filter{{"lport", "443"},
                                     {"comm", "nginx*"},
                                     {"how", "timeout"},
                                     {"min_ms", "5"},
                                     {"family", "ipv6"},
                                     {"errors", "true"}}));
}

TEST(RecordedFilters, OfALaterVersionAreNotMistaken) {
  Options o = good({"replay", "f"});
  EXPECT_TRUE(add_recorded_filters(o, Filter{{"mood", "good"}}).ok());
  EXPECT_FALSE(add_recorded_filters(o, Filter{{"how", "vanished"}}).ok());
}

TEST(RecordedFilters, NamespacesAreKnownByNumberAndByTheNameThatWasGiven) {
  RecordingHeader header;
  header.startup.boot_id = "of another machine";
  header.startup.filters = {{"netns", "blue,red"}};
  header.netns = {4026532001, 4026532002};
  Options all = good({"replay", "f"});
  ASSERT_TRUE(join_recorded_filters(all, header).ok());
  EXPECT_EQ(all.filters.netns, header.netns);
  Options some = good({"replay", "f", "--netns", "red,4026532009"});
  ASSERT_TRUE(join_recorded_filters(some, header).ok());
  EXPECT_EQ(some.filters.netns, (std::vector<std::uint32_t>{4026532002, 4026532009}));
  Options unknown = good({"replay", "f", "--netns", "green"});
  const Result<void> failed = join_recorded_filters(unknown, header);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().exit_code, 2);
  EXPECT_NE(failed.error().what.find("network namespace green"), std::string::npos);
}

TEST(RecordedFilters, LabelsOfTheRecordingStayUnlessGivenAgain) {
  RecordingHeader header;
  header.labels = {{"site", "fra1"}, {"rack", "7"}};
  header.in_tree = true;
  Options o = good({"replay", "f", "--label", "site=ams2"});
  ASSERT_TRUE(join_recorded_filters(o, header).ok());
  EXPECT_EQ(o.labels, (Filter{{"site", "ams2"}, {"rack", "7"}}));
  EXPECT_TRUE(o.filters.in_tree);
}

TEST(RecordedFilters, ACgroupHoldsTheGroupsBelowIt) {
  EXPECT_TRUE(is_below("/a/b", "/a"));
  EXPECT_TRUE(is_below("/a", "/a"));
  EXPECT_FALSE(is_below("/ab", "/a"));
  EXPECT_TRUE(is_below("/a", ""));
}

TEST(RecordProgress, IsOneLine) {
  EXPECT_EQ(progress_text(1'234'567, 12'345'678, 0), "1,234,567 events, 12.3 MB, 0 lost");
}

}  // namespace
}  // namespace tcptrail
