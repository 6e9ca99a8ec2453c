// SPDX-License-Identifier: BSD-2-Clause
// The answers to `--bind` and `--connect` in records: what the rules of port_rules
// say on a snapshot, with the sockets in the way, their owners, and remedies. Pure:
// the clock and the sysctls are passed in. Called by port_report, blocked and
// src/run/ports.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ports/port_remedies.h"
#include "ports/port_rules.h"
#include "ports/port_snapshot.h"
#include "tcp/record.h"

namespace tcptrail {

// The sockets in the way as a record names them: at most kMaxBlockers, those that stay longest
// first.
std::vector<BlockerRecord> blocker_records(const PortSnapshot& snapshot,
                                           std::vector<const PortSocket*> sockets,
                                           std::uint64_t now_ns);
// Who keeps the peer of a FIN_WAIT2 open on this host (CLOSE_WAIT); nullopt = nobody here.
std::optional<IdlePeer> peer_that_stays(const PortSnapshot& snapshot,
                                        std::span<const PortSocket* const> blockers,
                                        std::uint64_t now_ns);

PortRecord answer_bind(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                       const BindQuestion& question, std::uint64_t now_ns);
DestinationRecord answer_connect(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                                 const ConnectQuestion& question, std::uint64_t now_ns);

// What connect() to this destination meets, from its answer; without owners.
DestinationRecord destination_record(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                                     const Tuple& tuple, const ConnectAnswer& answer,
                                     std::uint64_t now_ns);

}  // namespace tcptrail
