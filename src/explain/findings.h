// SPDX-License-Identifier: BSD-2-Clause
// The findings of an explanation, one file for each part of a connection's life. Input: a
// connection with its names (sentence.h); output: findings added to an explanation. Included
// by src/explain only. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "explain/explanation.h"
#include "explain/sentence.h"

namespace tcptrail::findings {

void add(Explanation& out, FindingKind kind, Severity severity, std::string text,
         std::vector<std::string> advice = {}, std::vector<Fact> facts = {});

void add_left_behind(Explanation& out, const Case& c);
void add_beginning(Explanation& out, const Case& c);
void add_life(Explanation& out, const Case& c);
void add_ending(Explanation& out, const Case& c);

// What a minisocket on `local` blocks, for whom, and for whom not. `until`: "until 12:01:09Z".
std::string blocked_by_minisocket(Role role, const std::string& local, const std::string& remote,
                                  std::uint16_t port, const std::optional<bool>& reuseaddr,
                                  const std::optional<bool>& reuseport);

// The worst first; of equals in the order in which they were added.
void sort_findings(Explanation& out);

}  // namespace tcptrail::findings
