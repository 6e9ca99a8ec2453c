// SPDX-License-Identifier: BSD-2-Clause
// See schema_check.h.
#include "schema_check.h"

#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace tcptrail::test {
namespace {

bool has_type(const std::string& type, const nlohmann::json& value) {
  if (type == "null") return value.is_null();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

bool has_any_type(const nlohmann::json& rule, const nlohmann::json& value) {
  if (rule.is_string()) return has_type(rule.get<std::string>(), value);
  for (const auto& type : rule) {
    if (has_type(type.get<std::string>(), value)) return true;
  }
  return false;
}

}  // namespace

std::string SchemaCheck::check(const Json& schema, const Json& value, const std::string& at) const {
  for (const auto& [key, rule] : schema.items()) {
    const std::string error = check_keyword(key, rule, value, at);
    if (!error.empty()) return error;
  }
  return value.is_object() ? check_object(schema, value, at) : "";
}

std::string SchemaCheck::check_object(const Json& schema, const Json& value,
                                      const std::string& at) const {
  const Json properties = schema.value("properties", Json::object());
  for (const auto& [key, member] : value.items()) {
    const std::string place = at + "." + key;
    if (properties.contains(key)) {
      const std::string error = check(properties[key], member, place);
      if (!error.empty()) return error;
      continue;
    }
    if (!schema.contains("additionalProperties")) continue;
    const Json& more = schema["additionalProperties"];
    if (more.is_boolean()) {
      if (!more.get<bool>()) return place + ": not in the schema";
      continue;
    }
    const std::string error = check(more, member, place);
    if (!error.empty()) return error;
  }
  return "";
}

std::string SchemaCheck::check_keyword(const std::string& key, const Json& rule, const Json& value,
                                       const std::string& at) const {
  static const std::set<std::string> kSilent = {
      "$schema", "$id",         "$comment",   "$defs",
      "title",   "description", "properties", "additionalProperties"};
  if (kSilent.contains(key)) return "";
  if (key == "$ref")
    return check(root_.at(Json::json_pointer(rule.get<std::string>().substr(1))), value, at);
  if (key == "type") return has_any_type(rule, value) ? "" : at + ": is not of type " + rule.dump();
  if (key == "const") return value == rule ? "" : at + ": is not " + rule.dump();
  if (key == "enum") {
    for (const auto& word : rule) {
      if (word == value) return "";
    }
    return at + ": " + value.dump() + " is not one of " + rule.dump();
  }
  if (key == "required") {
    for (const auto& name : rule) {
      if (!value.contains(name.get<std::string>()))
        return at + ": misses " + name.get<std::string>();
    }
    return "";
  }
  if (key == "minimum")
    return !value.is_number() || value >= rule ? "" : at + ": is below " + rule.dump();
  if (key == "maximum")
    return !value.is_number() || value <= rule ? "" : at + ": is above " + rule.dump();
  if (key == "minItems")
    return !value.is_array() || value.size() >= rule.get<std::size_t>() ? "" : at + ": too short";
  if (key == "maxItems")
    return !value.is_array() || value.size() <= rule.get<std::size_t>() ? "" : at + ": too long";
  if (key == "pattern") {
    return !value.is_string() ||
                   std::regex_search(value.get<std::string>(), std::regex(rule.get<std::string>()))
               ? ""
               : at + ": " + value.dump() + " does not match " + rule.dump();
  }
  if (key == "items") {
    for (std::size_t i = 0; value.is_array() && i < value.size(); ++i) {
      const std::string error = check(rule, value[i], at + "[" + std::to_string(i) + "]");
      if (!error.empty()) return error;
    }
    return "";
  }
  if (key == "oneOf") {
    int valid = 0;
    std::string errors;
    for (const auto& choice : rule) {
      const std::string error = check(choice, value, at);
      valid += error.empty() ? 1 : 0;
      if (error.find("$.type:") == std::string::npos) errors += error + "; ";
    }
    return valid == 1 ? "" : at + ": fits " + std::to_string(valid) + " of oneOf: " + errors;
  }
  return at + ": the checker does not know the keyword " + key;
}

std::string source_dir() {
#ifdef TCPTRAIL_SOURCE_DIR
  return TCPTRAIL_SOURCE_DIR;
#else
  const char* dir = std::getenv("TCPTRAIL_SOURCE_DIR");
  return dir == nullptr ? "." : dir;
#endif
}

std::string schema_text() {
  std::ostringstream out;
  out << std::ifstream(source_dir() + "/src/output/schema.json").rdbuf();
  return out.str();
}

}  // namespace tcptrail::test
