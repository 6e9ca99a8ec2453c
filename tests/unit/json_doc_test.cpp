// SPDX-License-Identifier: BSD-2-Clause
// docs/json.md against schema.json: every key, every word, which keys may be
// null; and every sample line is a valid record.
//
// A section whose title names one or more definitions of the schema in backticks
// has a table row for each of their keys: `key`, or `outer.inner`, or `outer[].inner`.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "schema_check.h"

namespace tcptrail {
namespace {

using nlohmann::json;

// Those that every record has are described once.
const std::set<std::string> kCommonKeys = {"type", "time", "boot_ns", "labels"};

std::string page() {
  std::ostringstream out;
  out << std::ifstream(test::source_dir() + "/docs/json.md").rdbuf();
  return out.str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::set<std::string> in_backticks(const std::string& text) {
  static const std::regex kWord("`([^`]+)`");
  std::set<std::string> words;
  for (std::sregex_iterator it(text.begin(), text.end(), kWord); it != std::sregex_iterator(); ++it)
    words.insert(it->str(1));
  return words;
}

struct Section {
  std::set<std::string> names;              // definitions in its title
  std::map<std::string, bool> may_be_null;  // key → what its third column says
};

std::vector<Section> sections() {
  static const std::regex kRow(R"(^\| `([^`]+)` \| [^|]* \| ([^|]*) \|)");
  std::vector<Section> found;
  for (const std::string& line : lines_of(page())) {
    std::smatch row;
    if (line.starts_with("## ")) {
      found.push_back({in_backticks(line), {}});
    } else if (!found.empty() && std::regex_search(line, row, kRow)) {
      found.back().may_be_null[row.str(1)] = row.str(2) != "never";
    }
  }
  return found;
}

class Schema {
 public:
  // Every key of the definition, those of objects and arrays that are written out in it included.
  [[nodiscard]] std::map<std::string, bool> keys(const std::string& name) const {
    std::map<std::string, bool> found;
    collect(root_["$defs"].at(name), "", found);
    return found;
  }
  [[nodiscard]] bool has(const std::string& name) const {
    return root_["$defs"].contains(name) && root_["$defs"][name].contains("properties");
  }
  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& [name, definition] : root_["$defs"].items()) {
      if (definition.contains("properties")) found.insert(name);
    }
    return found;
  }
  [[nodiscard]] std::set<std::string> words() const {
    std::set<std::string> found;
    collect_words(root_, found);
    return found;
  }

 private:
  void collect(const json& object, const std::string& before,
               std::map<std::string, bool>& found) const {
    for (const auto& [key, rule] : object["properties"].items()) {
      found[before + key] = may_be_null(rule);
      if (rule.contains("properties")) {
        found.erase(before + key);  // its members are listed instead
        collect(rule, before + key + ".", found);
      }
      if (rule.contains("items") && rule["items"].contains("properties"))
        collect(rule["items"], before + key + "[].", found);
    }
  }
  [[nodiscard]] bool may_be_null(const json& rule) const {
    if (rule.contains("$ref"))
      return may_be_null(root_.at(json::json_pointer(rule["$ref"].get<std::string>().substr(1))));
    for (const char* list : {"type", "enum"}) {
      if (!rule.contains(list) || !rule[list].is_array()) continue;
      for (const auto& value : rule[list]) {
        if (value.is_null() || value == "null") return true;
      }
    }
    return false;
  }
  static void collect_words(const json& rule, std::set<std::string>& found) {
    if (!rule.is_structured()) return;
    if (rule.is_object() && rule.contains("enum")) {
      for (const auto& word : rule["enum"]) {
        if (word.is_string()) found.insert(word.get<std::string>());
      }
    }
    for (const auto& member : rule) collect_words(member, found);
  }
  json root_ = json::parse(test::schema_text());
};

TEST(JsonDoc, EveryKeyOfTheSchemaHasARowAndEveryRowIsAKey) {
  const Schema schema;
  std::set<std::string> documented;
  for (const Section& section : sections()) {
    std::map<std::string, bool> expected;
    for (const std::string& name : section.names) {
      ASSERT_TRUE(schema.has(name)) << name;
      expected.merge(schema.keys(name));
      documented.insert(name);
    }
    if (section.names.empty()) continue;
    for (const std::string& key : kCommonKeys) expected.erase(key);
    std::set<std::string> wanted;
    std::set<std::string> rows;
    for (const auto& [key, null] : expected) wanted.insert(key);
    for (const auto& [key, null] : section.may_be_null) rows.insert(key);
    EXPECT_EQ(rows, wanted) << *section.names.begin();
  }
  EXPECT_EQ(documented, schema.names());
}

TEST(JsonDoc, KeysOfEveryRecordAreDescribedOnce) {
  std::set<std::string> rows;
  for (const Section& section : sections()) {
    for (const auto& [key, null] : section.may_be_null) {
      if (section.names.empty()) rows.insert(key);
    }
  }
  EXPECT_EQ(rows, kCommonKeys);
}

TEST(JsonDoc, SaysNeverExactlyWhereTheSchemaAllowsNoNull) {
  const Schema schema;
  for (const Section& section : sections()) {
    for (const std::string& name : section.names) {
      for (const auto& [key, null] : schema.keys(name)) {
        const auto row = section.may_be_null.find(key);
        if (row != section.may_be_null.end()) {
          EXPECT_EQ(row->second, null) << name << "." << key;
        }
      }
    }
  }
}

TEST(JsonDoc, NamesEveryWordOfTheSchema) {
  const std::set<std::string> words =
      in_backticks(std::regex_replace(page(), std::regex("```"), ""));
  for (const std::string& word : Schema().words()) EXPECT_TRUE(words.contains(word)) << word;
}

TEST(JsonDoc, EverySampleIsAValidRecordAndNoPrintedTypeIsWithoutOne) {
  const test::SchemaCheck schema(json::parse(test::schema_text()));
  std::set<std::string> types;
  for (const std::string& line : lines_of(page())) {
    if (!line.starts_with('{')) continue;
    const json record = json::parse(line);
    EXPECT_EQ(schema.check(record), "") << line;
    types.insert(record["type"].get<std::string>());
  }
  EXPECT_EQ(types, (std::set<std::string>{"startup", "transition", "connection", "time_wait",
                                          "explanation", "rollup", "period", "loss", "summary"}));
}

}  // namespace
}  // namespace tcptrail
