// SPDX-License-Identifier: BSD-2-Clause
// One descriptor to wait for several.
#pragma once

#include <vector>

#include "kernel/handles.h"

namespace tcptrail {

// A descriptor that is readable while any of these is; -1 is passed over. None, with errno, when it
// cannot be had.
Fd wait_any(const std::vector<int>& fds);

}  // namespace tcptrail
