// SPDX-License-Identifier: BSD-2-Clause
// Every flag and every command occurs in each script, with what it takes.
#include <gtest/gtest.h>

#include <regex>

#include "cli/completion.h"
#include "command_line.h"

namespace tcptrail {
namespace {

constexpr std::string_view kFeatures[] = {"tp_btf", "cookie"};

class Completion : public testing::TestWithParam<const char*> {};

TEST_P(Completion, NamesEveryFlagAndCommand) {
  const std::string shell = GetParam();
  const Result<std::string> made = completion_script(shell, kFeatures);
  ASSERT_TRUE(made.ok());
  for (const std::string& flag : test::flag_names()) {
    const bool is_long = flag.starts_with("--");
    const std::string word =
        shell != "fish" ? flag : (is_long ? "-l " + flag.substr(2) : "-s " + flag.substr(1));
    EXPECT_TRUE(std::regex_search(*made, std::regex("(^|[^-\\w])" + word + "([^-\\w]|$)")))
        << shell << " " << flag;
  }
  for (const std::string_view command : command_names())
    EXPECT_NE(made->find(command), std::string::npos) << shell << " " << command;
  EXPECT_NE(made->find("tp_btf cookie"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Shells, Completion, testing::Values("bash", "zsh", "fish"));

TEST(CompletionScript, AnUnknownShellIsAUsageError) {
  const Result<std::string> made = completion_script("tcsh", kFeatures);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().exit_code, 2);
}

TEST(CompletionScript, FlagsCarryTheirHelp) {
  const Result<std::string> made = completion_script("fish", kFeatures);
  EXPECT_NE(made->find("-s p -l pid -x -d 'owner of the socket'"), std::string::npos) << *made;
}

}  // namespace
}  // namespace tcptrail
