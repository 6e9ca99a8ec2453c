// SPDX-License-Identifier: BSD-2-Clause
#include "explain/findings.h"

#include <algorithm>
#include <utility>

namespace tcptrail::findings {

void add(Explanation& out, FindingKind kind, Severity severity, std::string text,
         std::vector<std::string> advice, std::vector<Fact> facts) {
  out.findings.push_back({kind, severity, std::move(text), std::move(advice), std::move(facts)});
}

void sort_findings(Explanation& out) {
  std::stable_sort(
      out.findings.begin(), out.findings.end(),
      [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
}

}  // namespace tcptrail::findings
