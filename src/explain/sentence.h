// SPDX-License-Identifier: BSD-2-Clause
// What the sentences about one connection are made of: the names of its two ends, how long
// it lasted, and phrases that several sentences share. Included by src/explain only. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "explain/explanation.h"

namespace tcptrail::findings {

struct Case {
  Case(const ConnectionRecord& record, const ExplainContext& context);

  const ConnectionRecord& r;
  const ExplainContext& context;
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

// "after 250 ms".
std::string after(std::uint64_t ns);
// How many SYNs went out: "3 SYNs", or "the SYN" when nobody counted.
std::string syns(const Case& c);

}  // namespace tcptrail::findings
