// SPDX-License-Identifier: BSD-2-Clause
// The first record of every stream, the same for tracing and for `ports`.
#pragma once

#include <cstdint>

#include "cli/options.h"
#include "kernel/features.h"

namespace tcptrail {

StartupRecord startup_record(const Options& options, const Features& features,
                             std::uint64_t boot_ns);

}  // namespace tcptrail
