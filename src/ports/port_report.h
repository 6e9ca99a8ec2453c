// SPDX-License-Identifier: BSD-2-Clause
// What is blocked now, in records: from the snapshot of one network namespace to
// one record per blocked local endpoint and per destination, with owners and
// remedies. Pure: the answer for one endpoint is in port_answers, the clock and the
// sysctls are passed in. Called by src/run/ports and ports_watch.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "ports/port_answers.h"
#include "ports/port_snapshot.h"
#include "tcp/filter.h"
#include "tcp/record.h"

namespace tcptrail {

struct PortReport {
  std::vector<PortRecord> ports;                // what hurts most first
  std::vector<DestinationRecord> destinations;  // what is nearest to its end first
};

// New connections a second to a destination (lport 0), where that is observed.
using ConnectRate = std::function<std::optional<double>(const Tuple& destination)>;

// For programs one record per endpoint; for people the ports that connect() has chosen are one by
// owner.
enum class PortList : std::uint8_t { kEach, kClientsTogether };

// `filters`: an endpoint or destination is shown when one of its sockets passes.
PortReport report_ports(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                        const Filters& filters, std::uint64_t now_ns, PortList list,
                        const ConnectRate& rate = {});
// One record per minisocket that passes.
void report_time_wait(const PortSnapshot& snapshot, const Filters& filters, std::uint64_t now_ns,
                      const std::function<void(const TimeWaitRecord&)>& put);

}  // namespace tcptrail
