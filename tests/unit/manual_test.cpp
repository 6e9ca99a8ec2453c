// SPDX-License-Identifier: BSD-2-Clause
// docs/tcptrail.8 against the program: flags, commands, columns, words, features.
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "cli/commands.h"
#include "command_line.h"
#include "kernel/features.h"
#include "output/columns.h"
#include "schema_check.h"
#include "tcp/record.h"

namespace tcptrail {
namespace {

using Words = std::set<std::string>;

std::string page() {
  std::ostringstream out;
  out << std::ifstream(test::source_dir() + "/docs/tcptrail.8").rdbuf();
  return out.str();
}

// From `.SH title` to the next section; "" when there is none.
std::string section(const std::string& title) {
  const std::string text = page();
  const std::size_t from = text.find(".SH " + title + "\n");
  if (from == std::string::npos) return "";
  return text.substr(from, text.find("\n.SH ", from) - from);
}

std::string without_backslashes(std::string text) {
  std::erase(text, '\\');
  return text;
}

// The lines after .TP: what an entry is about.
std::vector<std::string> tags(const std::string& text) {
  std::vector<std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line == ".TP" && std::getline(lines, line)) found.push_back(line);
  }
  return found;
}

Words matches(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  Words found;
  for (std::sregex_iterator it(text.begin(), text.end(), expression); it != std::sregex_iterator();
       ++it) {
    found.insert(without_backslashes(it->str(1)));
  }
  return found;
}

// Only `\-` is copied out of the page as the ASCII character that a shell wants.
TEST(Manual, OptionsAreTheFlagsOfTheProgram) {
  Words documented;
  for (const std::string& tag : tags(section("OPTIONS"))) {
    documented.merge(matches(tag, R"((\\-(\\-)?[A-Za-z0-9]([A-Za-z0-9]|\\-)*))"));
  }
  Words known;
  for (const std::string& flag : test::flag_names()) known.insert(flag);
  EXPECT_EQ(documented, known);
}

TEST(Manual, NoFlagIsWrittenWithAPlainHyphen) {
  std::istringstream lines(page());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(".\\\"")) continue;
    EXPECT_FALSE(std::regex_search(line, std::regex(R"((^|[ "\[])-{1,2}[A-Za-z])"))) << line;
  }
}

TEST(Manual, CommandsAreThoseOfTheProgram) {
  Words documented;
  for (const std::string& tag : tags(section("COMMANDS")))
    documented.merge(matches(tag, R"(^\.B (\w+)$)"));
  Words known{"help"};
  for (const std::string_view name : command_names()) known.emplace(name);
  EXPECT_EQ(documented, known);
}

TEST(Manual, FieldsNameEveryColumn) {
  const Words words = matches(section("FIELDS"), R"(\b([A-Z][A-Z_]+)\b)");
  for (const Table table : {Table::kLife, Table::kTrace}) {
    for (const Column& column : all_columns(table))
      EXPECT_TRUE(words.contains(std::string(column.name))) << column.name;
  }
}

TEST(Manual, FieldsExplainEveryWordOfCloserHowAndOwner) {
  const std::string fields = without_backslashes(section("FIELDS"));
  const Words words = matches(fields, R"(([a-z][a-z_-]+))");
  for (int i = 0; i <= static_cast<int>(Closer::kNone); ++i) {
    EXPECT_TRUE(words.contains(std::string(to_string(static_cast<Closer>(i))))) << i;
  }
  for (int i = 0; i <= static_cast<int>(How::kHalfOpen); ++i) {
    EXPECT_TRUE(words.contains(std::string(to_string(static_cast<How>(i))))) << i;
  }
  for (int i = 0; i <= static_cast<int>(OwnerSource::kInherited); ++i) {
    EXPECT_TRUE(words.contains(std::string(to_string(static_cast<OwnerSource>(i))))) << i;
  }
}

TEST(Manual, DenyFeatureListsEveryFeature) {
  const Words words = matches(section("OPTIONS"), R"(\b([a-z][a-z_]+)\b)");
  for (const std::string_view name : feature_names())
    EXPECT_TRUE(words.contains(std::string(name))) << name;
}

TEST(Manual, HasEverySection) {
  for (const char* title : {"NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "FIELDS",
                            "OVERHEAD", "EXAMPLES", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES",
                            "SIGNALS", "DIAGNOSTICS", "LIMITS", "\"SEE ALSO\""}) {
    EXPECT_NE(section(title), "") << title;
  }
}

}  // namespace
}  // namespace tcptrail
