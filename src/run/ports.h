// SPDX-License-Identifier: BSD-2-Clause
// `ports`: a snapshot of one or more network namespaces, then what is blocked
// there, or the answer to --bind or --connect. Nothing is traced and no socket is
// bound. Returns the exit code. Called by main().
#pragma once

#include "cli/options.h"
#include "util/result.h"

namespace tcptrail {

Result<int> run_ports(Options options);

}  // namespace tcptrail
