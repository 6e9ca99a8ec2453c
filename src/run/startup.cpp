// SPDX-License-Identifier: BSD-2-Clause
#include "run/startup.h"

#include "cli/version.h"
#include "kernel/machine.h"

namespace tcptrail {

StartupRecord startup_record(const Options& options, const Features& features,
                             std::uint64_t boot_ns) {
  StartupRecord startup;
  startup.boot_ns = boot_ns;
  startup.version = TCPTRAIL_VERSION;
  startup.command = to_string(options.command);
  startup.hostname = host_name();
  startup.boot_id = boot_id();
  startup.kernel = kernel_release();
  for (std::size_t i = 0; i < kFeatureCount; ++i)
    startup.features.emplace_back(name_of(static_cast<Feature>(i)),
                                  features.on(static_cast<Feature>(i)));
  startup.filters = options.given_filters;
  return startup;
}

}  // namespace tcptrail
