// SPDX-License-Identifier: BSD-2-Clause
// As much of JSON Schema 2020-12 as schema.json uses: $ref, type, const, enum,
// properties, required, additionalProperties, items, oneOf, minimum, maximum,
// minItems, maxItems, pattern. An unknown keyword is an error, so that the checker
// cannot fall behind the schema.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace tcptrail::test {

class SchemaCheck {
 public:
  explicit SchemaCheck(nlohmann::json schema) : root_(std::move(schema)) {}

  // "" when `value` is valid, else where and why it is not.
  [[nodiscard]] std::string check(const nlohmann::json& value) const {
    return check(root_, value, "$");
  }

 private:
  using Json = nlohmann::json;
  [[nodiscard]] std::string check(const Json& schema, const Json& value,
                                  const std::string& at) const;
  [[nodiscard]] std::string check_object(const Json& schema, const Json& value,
                                         const std::string& at) const;
  [[nodiscard]] std::string check_keyword(const std::string& key, const Json& rule,
                                          const Json& value, const std::string& at) const;

  Json root_;
};

// The text of src/output/schema.json.
std::string schema_text();
// Root of the source tree.
std::string source_dir();

}  // namespace tcptrail::test
