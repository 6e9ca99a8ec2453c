// SPDX-License-Identifier: BSD-2-Clause
#include "recording/header.h"

#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

namespace tcptrail {
namespace {

using Json = nlohmann::ordered_json;
using Pairs = std::vector<std::pair<std::string, std::string>>;

Json object_of(const Pairs& pairs) {
  Json object = Json::object();
  for (const auto& [key, value] : pairs) object[key] = value;
  return object;
}

// get() would make a number of 1e23, and cut 2^40 for a narrow type.
template <class Value>
Value value_of(const Json& json) {
  if constexpr (std::is_integral_v<Value> && !std::is_same_v<Value, bool>) {
    const bool fits =
        json.is_number_unsigned()
            ? std::in_range<Value>(json.get<std::uint64_t>())
            : json.is_number_integer() && std::in_range<Value>(json.get<std::int64_t>());
    if (!fits) throw Json::type_error::create(302, "a number is no integer, or too large", &json);
  }
  return json.get<Value>();
}

template <class Value>
void take(const Json& json, const char* key, Value& value) {
  const auto found = json.find(key);
  if (found != json.end()) value = value_of<Value>(*found);  // throws when the type is another
}

void take(const Json& json, const char* key, std::vector<std::uint32_t>& list) {
  const auto found = json.find(key);
  if (found == json.end()) return;
  for (const Json& value : *found) list.push_back(value_of<std::uint32_t>(value));
}

template <class Value>
void take_object(const Json& json, const char* key,
                 std::vector<std::pair<std::string, Value>>& pairs) {
  const auto found = json.find(key);
  if (found == json.end()) return;
  for (const auto& [name, value] : found->items())
    pairs.emplace_back(name, value.template get<Value>());
}

}  // namespace

std::string header_json(const RecordingHeader& header) {
  const StartupRecord& startup = header.startup;
  Json features = Json::object();
  for (const auto& [name, on] : startup.features) features[name] = on;
  const Json json = {{"version", startup.version},
                     {"command", startup.command},
                     {"hostname", startup.hostname},
                     {"boot_id", startup.boot_id},
                     {"kernel", startup.kernel},
                     {"boot_ns", startup.boot_ns},
                     {"part_began_ns", header.part_began_ns},
                     {"clock_offset_ns", header.clock_offset_ns},
                     {"features", features},
                     {"filters", object_of(startup.filters)},
                     {"netns", header.netns},
                     {"in_tree", header.in_tree},
                     {"labels", object_of(header.labels)},
                     {"own_netns", header.own_netns},
                     {"rotates", header.rotates},
                     {"can_look", header.programs.snapshots},
                     {"resets_traced", header.programs.resets_traced},
                     {"listen_traced", header.programs.listen_traced},
                     {"cookie_is_address", header.programs.cookie_is_address},
                     {"reset_reasons", header.programs.reset_reasons}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<RecordingHeader> header_from_json(std::string_view text) {
  RecordingHeader header;
  StartupRecord& startup = header.startup;
  try {
    const Json json = Json::parse(text);
    if (!json.is_object()) return Error{"its header is no JSON object"};
    take(json, "version", startup.version);
    take(json, "command", startup.command);
    take(json, "hostname", startup.hostname);
    take(json, "boot_id", startup.boot_id);
    take(json, "kernel", startup.kernel);
    take(json, "boot_ns", startup.boot_ns);
    take(json, "part_began_ns", header.part_began_ns);
    take(json, "clock_offset_ns", header.clock_offset_ns);
    take_object(json, "features", startup.features);
    take_object(json, "filters", startup.filters);
    take(json, "netns", header.netns);
    take(json, "in_tree", header.in_tree);
    take_object(json, "labels", header.labels);
    take(json, "own_netns", header.own_netns);
    take(json, "rotates", header.rotates);
    take(json, "can_look", header.programs.snapshots);
    take(json, "resets_traced", header.programs.resets_traced);
    take(json, "listen_traced", header.programs.listen_traced);
    take(json, "cookie_is_address", header.programs.cookie_is_address);
    take(json, "reset_reasons", header.programs.reset_reasons);
  } catch (const Json::exception& error) {
    return Error{std::string("its header cannot be read: ") + error.what()};
  }
  return header;
}

}  // namespace tcptrail
