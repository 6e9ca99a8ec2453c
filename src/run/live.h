// SPDX-License-Identifier: BSD-2-Clause
// A live run of `life` or `trace`: programs → ring → model → sink, in one thread,
// until a signal, --for, --count, the end of CMD, or the end of the output.
// Returns the exit code. Called by main().
#pragma once

#include "cli/options.h"
#include "util/result.h"

namespace tcptrail {

Result<int> run_live(Options options);

}  // namespace tcptrail
