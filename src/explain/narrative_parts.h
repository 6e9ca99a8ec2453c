// SPDX-License-Identifier: BSD-2-Clause
// What the parts of the narrative share: one connection with the names that its
// sentences use. Included by narrative*.cpp only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "explain/narrative.h"

namespace tcptrail::narrative {

struct Case {
  Case(const ConnectionRecord& record, const NarrativeContext& context);

  const ConnectionRecord& r;
  const NarrativeContext& context;
  std::string self;   // "nginx (pid 12)", or "this end"
  std::string peer;   // "curl (pid 5)", or "the other end"
  std::string local;  // "10.0.0.1:443"
  std::string remote;
  bool opened = false;  // it was ESTABLISHED at some time, or later
  std::uint64_t lasted_ns = 0;
  std::optional<std::uint64_t> first_close_ns;  // since the start: the first FIN or RST

  // Time in a state; nullopt when it was never left.
  [[nodiscard]] std::optional<std::uint64_t> in(TcpState state) const;
  // Whether the time in the state has no known beginning.
  [[nodiscard]] bool older_than_trace(TcpState state) const;
  // One socket is both ends.
  [[nodiscard]] bool self_connected() const {
    return r.tuple.lport == r.tuple.rport && r.tuple.lport != 0 && r.tuple.laddr == r.tuple.raddr;
  }
  [[nodiscard]] std::string clock(std::uint64_t boot_ns) const;
};

// With a capital letter when it begins with "this end" or "the other end".
std::string capital(std::string text);

void add(Explanation& out, FindingKind kind, Severity severity, std::string text,
         std::vector<std::string> advice = {}, std::vector<Fact> facts = {});

std::string headline(const Case& c);
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

}  // namespace tcptrail::narrative
