// SPDX-License-Identifier: BSD-2-Clause
// The living view of the ports: what the last look at a network namespace shows,
// with what only tracing knows: who closed what is in TIME_WAIT, how fast each
// destination uses up its ports and when none is left, and connections that
// nobody closes. Pure; driven by the model, writes one PortRound per look.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "connections/conn.h"
#include "ports/port_report.h"
#include "tcp/machine_queries.h"

namespace tcptrail {

class PortsWatch {
 public:
  PortsWatch(Filters filters, PortList list, bool list_time_waits, MachineQueries& facts,
             RecordSink& sink)
      : filters_(std::move(filters)),
        list_(list),
        list_time_waits_(list_time_waits),
        facts_(facts),
        sink_(sink) {}

  // An active open has got its port.
  void connected(const Conn& conn);

  void show(std::uint64_t boot_ns, std::span<const PortSnapshot> snapshots);

 private:
  struct Destination {
    std::uint32_t netns = 0;
    Tuple tuple;  // lport 0
    friend bool operator==(const Destination&, const Destination&) = default;
  };
  struct DestinationHash {
    std::size_t operator()(const Destination& d) const;
  };
  // Opens in each interval between two looks, the newest last, from the first that had any.
  struct Opens {
    std::uint64_t now = 0;
    std::uint64_t since_ns = 0;                                // beginning of the first interval
    std::deque<std::pair<std::uint64_t, std::uint64_t>> past;  // end of the interval, how many
  };
  struct LeakKey {
    std::uint32_t netns;
    TcpState state;
    bool queue;
    std::uint32_t pid;
    auto operator<=>(const LeakKey&) const = default;
  };
  struct Leaks {
    std::deque<std::pair<std::uint64_t, std::uint64_t>> past;  // look, count
  };

  [[nodiscard]] std::optional<double> rate(const Destination& destination,
                                           std::uint64_t boot_ns) const;
  void end_interval(std::uint64_t boot_ns);
  std::vector<LeakRecord> leaks(std::uint64_t boot_ns, const PortSnapshot& snapshot);

  Filters filters_;
  PortList list_;
  bool list_time_waits_;
  MachineQueries& facts_;
  RecordSink& sink_;
  std::uint64_t began_ns_ = 0;      // of the first interval
  std::uint64_t last_look_ns_ = 0;  // of the present one
  std::unordered_map<Destination, Opens, DestinationHash> opens_;
  std::map<LeakKey, Leaks> leaks_;
};

}  // namespace tcptrail
