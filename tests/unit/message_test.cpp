// SPDX-License-Identifier: BSD-2-Clause
// Messages on stderr, suggestions, Result.
#include "util/message.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "util/suggest.h"

namespace tcptrail {
namespace {

TEST(Message, WhatWhyAndFixHaveALineEach) {
  EXPECT_EQ(
      error_text({.what = "cannot load BPF programs", .why = "no CAP_BPF", .fix = "run with sudo"}),
      "tcptrail: error: cannot load BPF programs\n  why: no CAP_BPF\n  fix: run with sudo\n");
}

TEST(Message, EmptyPartsAreLeftOut) {
  EXPECT_EQ(error_text({.what = "disk full"}), "tcptrail: error: disk full\n");
  EXPECT_EQ(warning_text({.what = "events were lost", .fix = "--ring-size 16M"}),
            "tcptrail: warning: events were lost\n  fix: --ring-size 16M\n");
}

TEST(Message, NamesInsideCannotDriveTheTerminal) {
  EXPECT_EQ(error_text({.what = "cannot open \x1b]0;x\x07: no"}),
            "tcptrail: error: cannot open \\x1b]0;x\\x07: no\n");
}

TEST(Message, FlagValuesReadAsTheyWereTyped) {
  EXPECT_EQ(error_text({.what = R"(bad value for --comm: a\*)"}),
            "tcptrail: error: bad value for --comm: a\\*\n");
}

TEST(Message, LinesOfAPartAreIndented) {
  EXPECT_EQ(error_text({.what = "w", .why = "one\ntwo"}),
            "tcptrail: error: w\n  why: one\n       two\n");
}

constexpr std::array<std::string_view, 5> kFlags = {"--json", "--for", "--columns", "--comm",
                                                    "--count"};

TEST(Suggest, SwappedLettersAreOneMistake) {
  EXPECT_EQ(edit_distance("jsno", "json"), 1U);
  EXPECT_EQ(nearest("--jsno", kFlags), "--json");
}

TEST(Suggest, CaseIsNoMistake) { EXPECT_EQ(edit_distance("PID", "pid"), 0U); }

TEST(Suggest, MissingAndDoubledLettersAreFound) {
  EXPECT_EQ(nearest("--colums", kFlags), "--columns");
  EXPECT_EQ(nearest("--commm", kFlags), "--comm");
}

TEST(Suggest, NothingIsSuggestedForAnotherWord) {
  EXPECT_FALSE(nearest("--frobnicate", kFlags));
  EXPECT_FALSE(nearest(std::string(100000, 'x'), kFlags));
  EXPECT_FALSE(nearest("", {}));
}

TEST(Suggest, DistanceIsSymmetric) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("sitting", "kitten"), 3U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
}

TEST(Result, HoldsAValueOrAnError) {
  Result<std::unique_ptr<int>> good = std::make_unique<int>(7);
  ASSERT_TRUE(good);
  EXPECT_EQ(*std::move(*good), 7);
  const Result<int> bad = Error{.what = "no", .exit_code = 2};
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error().exit_code, 2);
  const Result<void> fine;
  EXPECT_TRUE(fine);
  const Result<void> failed = Error{.what = "no"};
  EXPECT_FALSE(failed);
}

}  // namespace
}  // namespace tcptrail
