// SPDX-License-Identifier: BSD-2-Clause
// What would help, in sentences: one list for a bind that fails, one for a connect
// that finds no port. Only what fits the case, nothing that is already so, the best
// first. Pure; called by port_report.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ports/port_rules.h"
#include "tcp/record.h"

namespace tcptrail {

// A process that has not closed its end, which the other side has finished.
struct IdlePeer {
  Process process;
  std::optional<std::uint64_t> for_ns;  // in CLOSE_WAIT
};

struct BindCase {
  BindQuestion question;
  BindRefusal refusal = BindRefusal::kNone;
  Process asker;                            // whose bind() it was; pid 0 = a question
  BindOptions asked = BindOptions::kPlain;  // what the socket has; kPlain for a question about all
  bool reuseaddr_ok = false;                // what the same bind with the option would give
  bool reuseport_ok = false;
  bool v6only_ok = false;  // the same of a dual-stack wildcard with IPV6_V6ONLY
  std::span<const PortSocket* const> blockers;
  bool client_port = false;  // the port was given to its holders by connect()
  std::optional<std::uint64_t> free_in_ms;
  // On this host: who has not closed the other end of a FIN_WAIT2 (its socket is in CLOSE_WAIT).
  std::optional<IdlePeer> peer_that_stays;
  // The processes that hold a socket, by cookie.
  std::function<std::span<const Process>(std::uint64_t)> holders;
};
std::vector<std::string> bind_remedies(const BindCase& bind_case, const PortSysctls& sysctls);

// Of ports that connect() has chosen: what keeps a server out of their way.
std::string client_ports_remedy(const PortSysctls& sysctls);

struct ConnectCase {
  ConnectQuestion question;
  const ConnectAnswer& answer;
  std::uint64_t now_ns = 0;
  std::function<std::span<const Process>(std::uint64_t)> holders;
};
// connect() of a socket that bind() gave a port: `blocker` has this port and destination already.
std::vector<std::string> bound_connect_remedies(const PortSocket& blocker,
                                                std::span<const Process> holders,
                                                std::uint64_t now_ns);
std::vector<std::string> connect_remedies(const ConnectCase& connect_case,
                                          const PortSysctls& sysctls);

}  // namespace tcptrail
