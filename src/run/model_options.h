// SPDX-License-Identifier: BSD-2-Clause
// What a model is told before the first event: by the command line, and by what
// the programs can see. One function for live runs and replays: the same model
// is what makes a replay print the same bytes. Called by src/run. Pure.
#pragma once

#include "cli/options.h"
#include "model/model.h"
#include "recording/header.h"

namespace tcptrail {

// Whether the run is kept: shown now or looked at later, the model then follows
// what any view could show.
inline bool is_recorded(const Options& options) {
  return !options.record_path.empty() || options.command == Command::kReplay;
}

// `ports`, again and again, or out of a recording.
inline bool watches_ports(const Options& options) {
  return options.watch_ns.has_value() ||
         (options.command == Command::kReplay && view_of(options) == Command::kPorts);
}

// Programs, and people who name ports, get each endpoint; else the ports of a client are one line.
inline PortList port_list(const Options& options) {
  return options.format == Format::kJson || !options.filters.lports.empty()
             ? PortList::kEach
             : PortList::kClientsTogether;
}

ModelOptions model_options(const Options& options, const ProgramCapabilities& programs);

}  // namespace tcptrail
