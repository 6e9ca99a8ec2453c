// SPDX-License-Identifier: BSD-2-Clause
#include "run/model_options.h"

namespace tcptrail {

ModelOptions model_options(const Options& options, const ProgramCapabilities& programs) {
  const bool recorded = is_recorded(options);
  ModelOptions model;
  model.filters = options.filters;
  model.max_connections = static_cast<std::size_t>(options.max_connections);
  model.want_transitions = options.events.transition;
  model.follow_time_wait = recorded || options.events.time_wait || options.watch_ns.has_value();
  model.want_blocked = recorded || options.events.blocked;
  model.snapshots = programs.snapshots;
  model.resets_traced = programs.resets_traced;
  model.reset_reasons = programs.reset_reasons;
  model.listen_traced = programs.listen_traced;
  model.cookie_is_address = programs.cookie_is_address;
  if (watches_ports(options)) {
    model.watch_ports = true;
    model.watched_netns = options.filters.netns;
    model.port_list = port_list(options);
    model.list_time_waits = options.events.time_wait && options.format == Format::kJson;
  }
  return model;
}

}  // namespace tcptrail
