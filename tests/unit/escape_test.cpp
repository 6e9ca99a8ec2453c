// SPDX-License-Identifier: BSD-2-Clause
// Names from strangers: what is escaped, and that the bytes can be recovered.
#include "util/escape.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <vector>

namespace tcptrail {
namespace {

std::string json_inside(std::string_view name, char* (*escape)(char*, std::string_view)) {
  std::string out(name.size() * kJsonEscapeGrowth, '\0');
  out.resize(static_cast<std::size_t>(escape(out.data(), name) - out.data()));
  return out;
}

// The reverse of escape_name().
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
    } else if (text.at(i + 1) == '\\') {
      out += '\\';
      ++i;
    } else {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 2, 2)), nullptr, 16));
      i += 3;
    }
  }
  return out;
}

TEST(Escape, PlainNamesAreLeftAlone) {
  for (const char* name : {"", "nginx", "Web Content", "tmux: server", "a\"b", "(sd-pam)",
                           "exactly8", "kworker/0:1-ev"}) {
    EXPECT_EQ(escaped_name(name), name);
  }
}

TEST(Escape, ControlsOfBothSetsAreHex) {
  EXPECT_EQ(escaped_name("\x1b[2J"), R"(\x1b[2J)");
  EXPECT_EQ(escaped_name("a\nb\tc\r"), R"(a\x0ab\x09c\x0d)");
  EXPECT_EQ(escaped_name("\x7f"), R"(\x7f)");
  EXPECT_EQ(escaped_name("\xc2\x9b"), R"(\xc2\x9b)");  // U+009B, a C1 control: CSI
  EXPECT_EQ(escaped_name(std::string_view("a\0b", 3)), R"(a\x00b)");
}

TEST(Escape, BackslashIsDoubledSoThatBytesCanBeRecovered) {
  EXPECT_EQ(escaped_name(R"(a\x41)"), R"(a\\x41)");
}

TEST(Escape, ValidUtf8IsKept) {
  for (const char* name : {"naïve", "日本語", "🦀", "\xc2\xa0"})
    EXPECT_EQ(escaped_name(name), name);
}

TEST(Escape, InvalidUtf8IsHexPerByte) {
  EXPECT_EQ(escaped_name("\xff\xfe"), R"(\xff\xfe)");
  EXPECT_EQ(escaped_name("a\xc3"), R"(a\xc3)");  // cut in the middle, as comm cuts
  EXPECT_EQ(escaped_name("\xe6\x97z"), R"(\xe6\x97z)");
  EXPECT_EQ(escaped_name("\xc0\xaf"), R"(\xc0\xaf)");          // overlong
  EXPECT_EQ(escaped_name("\xe0\x80\xaf"), R"(\xe0\x80\xaf)");  // overlong
  EXPECT_EQ(escaped_name("\xf0\x80\x80\xaf"), R"(\xf0\x80\x80\xaf)");
  EXPECT_EQ(escaped_name("\xed\xa0\x80"), R"(\xed\xa0\x80)");          // surrogate
  EXPECT_EQ(escaped_name("\xf4\x90\x80\x80"), R"(\xf4\x90\x80\x80)");  // above U+10FFFF
  EXPECT_EQ(escaped_name("\x80"), R"(\x80)");
}

TEST(Escape, LineAndBidiSeparatorsAreHex) {
  for (const std::uint32_t code : {0x2028U, 0x2029U, 0x202aU, 0x202bU, 0x202cU, 0x202dU, 0x202eU,
                                   0x2066U, 0x2067U, 0x2068U, 0x2069U}) {
    const std::string name = {static_cast<char>(0xe0 | code >> 12),
                              static_cast<char>(0x80 | (code >> 6 & 0x3f)),
                              static_cast<char>(0x80 | (code & 0x3f))};
    EXPECT_EQ(escaped_name(name).size(), 12U) << code;
  }
  EXPECT_EQ(escaped_name("\xe2\x80\xa7"), "\xe2\x80\xa7");  // U+2027 is a letter's neighbour only
  EXPECT_EQ(escaped_name("\xe2\x81\xaa"), "\xe2\x81\xaa");  // U+206A is not in the list
}

TEST(Escape, EveryByteAtEveryPlaceIsSeen) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    for (std::size_t place = 0; place < 17; ++place) {
      std::string name(17, 'x');
      name[place] = static_cast<char>(byte);
      const bool plain = byte >= 0x20 && byte < 0x7f && byte != '\\';
      EXPECT_EQ(escaped_name(name) == name, plain) << byte << " at " << place;
      EXPECT_EQ(unescaped(escaped_name(name)), name);
    }
  }
}

TEST(Escape, RandomBytesComeBackAndStayPrintable) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string name(random() % 16, '\0');
    for (char& c : name) c = static_cast<char>(random() % 4 == 0 ? 0xe2 : random());
    const std::string shown = escaped_name(name);
    ASSERT_EQ(unescaped(shown), name);
    ASSERT_LE(shown.size(), name.size() * kEscapeGrowth);
    ASSERT_TRUE(is_valid_utf8(shown));
    const auto parsed = nlohmann::json::parse('"' + json_inside(name, escape_name_json) + '"');
    ASSERT_EQ(parsed.get<std::string>(), shown);
  }
}

TEST(Escape, JsonHoldsTheEscapedName) {
  EXPECT_EQ(json_inside("a\"b\\c\x1b", escape_name_json), R"(a\"b\\\\c\\x1b)");
}

TEST(Escape, UsersTextKeepsItsMeaningInJson) {
  for (const std::string text : {"plain", "a\"b\\c", "tab\tnewline\n", "日本語", "\x7f"}) {
    EXPECT_EQ(
        nlohmann::json::parse('"' + json_inside(text, escape_text_json) + '"').get<std::string>(),
        text);
  }
  EXPECT_EQ(json_inside("\xff", escape_text_json), R"(\\xff)");
}

}  // namespace
}  // namespace tcptrail
