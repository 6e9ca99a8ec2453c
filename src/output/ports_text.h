// SPDX-License-Identifier: BSD-2-Clause
// `ports` for people: blocked endpoints, and the ports of each client, with one sentence of remedy
// each, destinations, and the two answers in full. No line is longer than 100 columns but for an
// IPv6 endpoint that is. Inputs: records of port_report; output: an OutFile, which the caller
// flushes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ports/port_report.h"
#include "util/out_file.h"

namespace tcptrail {

struct PortsTextOptions {
  bool color = false;
  std::size_t most = 50;  // endpoints and destinations shown, each; 0 = all
};

// A `blocked` record among the rows of a table: when (may be empty), what, who, what is in the way,
// the best remedy.
std::vector<std::string> blocked_lines(const BlockedRecord& record, std::string_view time = {});

// Of how many endpoints these records tell.
std::size_t endpoint_count(std::span<const PortRecord> ports);

class PortsText {
 public:
  PortsText(OutFile& out, PortsTextOptions options) : out_(out), options_(options) {}
  void heading(std::uint32_t netns);  // where several namespaces are shown
  void report(std::span<const PortRecord> ports, std::span<const DestinationRecord> destinations);
  void report(const PortReport& report_of_one) {
    report(report_of_one.ports, report_of_one.destinations);
  }
  void answer(const PortRecord& record, bool v6only);
  void answer(const DestinationRecord& record);

 private:
  void line(std::string_view text);
  void wrapped(std::string_view text, std::size_t indent, std::string_view mark);
  void endpoints(std::span<const PortRecord> ports);
  void destinations(std::span<const DestinationRecord> destinations);
  [[nodiscard]] std::string painted(std::string_view text, bool good) const;

  OutFile& out_;
  PortsTextOptions options_;
  bool first_ = true;
};

}  // namespace tcptrail
