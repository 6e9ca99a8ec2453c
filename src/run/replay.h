// SPDX-License-Identifier: BSD-2-Clause
// `replay FILE VIEW`: a recording instead of the machine. Reads it once from
// front to end, tells the model what it was told then, and prints what a live
// view would have printed. Needs no privilege. Returns the exit code. Called by main().
#pragma once

#include "cli/options.h"
#include "util/result.h"

namespace tcptrail {

Result<int> run_replay(Options options);

}  // namespace tcptrail
