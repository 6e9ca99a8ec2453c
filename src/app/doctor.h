// SPDX-License-Identifier: BSD-2-Clause
// `tcptrail doctor`: what this machine supports, what is off and why, how to fix it.
#pragma once

#include "cli/options.h"

namespace tcptrail {

// Prints to stdout. 0 when tracing works, 1 when it cannot.
int run_doctor(const Options& options);

}  // namespace tcptrail
