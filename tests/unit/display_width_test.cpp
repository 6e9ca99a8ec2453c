// SPDX-License-Identifier: BSD-2-Clause
// Columns of a terminal, which are neither bytes nor characters.
#include "util/display_width.h"

#include <gtest/gtest.h>

namespace tcptrail {
namespace {

TEST(DisplayWidth, AsciiAndAccentedLettersTakeOneColumnEach) {
  EXPECT_EQ(display_width(""), 0U);
  EXPECT_EQ(display_width("nginx"), 5U);
  EXPECT_EQ(display_width("naïve"), 5U);
  EXPECT_EQ(display_width("▁▄█"), 3U);
}

TEST(DisplayWidth, WideCharactersTakeTwo) {
  EXPECT_EQ(display_width("日本語"), 6U);
  EXPECT_EQ(display_width("🦀"), 2U);
  EXPECT_EQ(display_width("a日"), 3U);
}

TEST(DisplayWidth, CombiningCharactersTakeNone) {
  EXPECT_EQ(display_width("e\u0301"), 1U);
  EXPECT_EQ(display_width("naı\u0308ve"), 5U);
}

// Escaped text holds no such bytes; they must not hang or crash.
TEST(DisplayWidth, InvalidBytesAreCounted) {
  EXPECT_EQ(display_width("\xff"), 1U);
  EXPECT_EQ(display_width("a\xe6\x97"), 2U);
  EXPECT_EQ(display_width(std::string_view("\0é", 3)), 2U);
}

TEST(Fitting, WideCharacterThatDoesNotFitIsLeftOut) {
  EXPECT_EQ(fitting("日本語", 5), "日本");
  EXPECT_EQ(fitting("日本語", 6), "日本語");
  EXPECT_EQ(fitting("日本語", 1), "");
}

TEST(Fitting, CombiningCharacterStaysWithItsLetter) {
  EXPECT_EQ(fitting("e\u0301e\u0301", 1), "e\u0301");
  EXPECT_EQ(fitting("abc", 2), "ab");
  EXPECT_EQ(fitting("abc", 9), "abc");
}

}  // namespace
}  // namespace tcptrail
