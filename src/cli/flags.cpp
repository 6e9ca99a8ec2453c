// SPDX-License-Identifier: BSD-2-Clause
#include "cli/flags.h"

#include <algorithm>
#include <array>

#include "cli/flag_rows.h"

namespace tcptrail {

// The order is that of --help, of startup.filters, and of conversion: --events stands before
// --columns, whose names it decides.
std::span<const FlagGroup> flag_groups() {
  static const std::array<FlagGroup, 7> kGroups = {{{"Filters", filter_flags()},
                                                    {"Ports", ports_flags()},
                                                    {"Stats", stats_flags()},
                                                    {"Recordings", recording_flags()},
                                                    {"Output", output_flags()},
                                                    {"Run", run_flags()},
                                                    {"Help", help_flags()}}};
  return kGroups;
}

std::span<const Flag> flag_table() {
  static const std::vector<Flag> kAll = [] {
    std::vector<Flag> all;
    for (const FlagGroup& group : flag_groups())
      all.insert(all.end(), group.flags.begin(), group.flags.end());
    return all;
  }();
  return kAll;
}

std::string_view Flag::name() const {
  const std::size_t dashes = names.find("--");
  return dashes == std::string_view::npos ? names : split_list(names.substr(dashes)).front();
}

std::vector<std::string_view> names_of(const Flag& flag) {
  std::vector<std::string_view> names = split_list(flag.names);
  for (std::string_view& name : names) name.remove_prefix(name.find('-'));
  return names;
}

const Flag* find_flag(std::string_view name) {
  for (const Flag& flag : flag_table()) {
    const auto names = names_of(flag);
    if (std::find(names.begin(), names.end(), name) != names.end()) return &flag;
  }
  return nullptr;
}

}  // namespace tcptrail
