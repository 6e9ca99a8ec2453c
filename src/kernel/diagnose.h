// SPDX-License-Identifier: BSD-2-Clause
// Why BPF programs do not load here, said from facts: libbpf's own texts blame
// the memory limit for missing capabilities and a missing process for missing BTF.
#pragma once

#include <optional>
#include <string>

#include "util/result.h"

namespace tcptrail {

// What is certain to fail, before anything is tried; nullopt when nothing is.
std::optional<Error> find_obstacle();

// After libbpf has failed with `error` (a positive errno) while loading; `log` is what it said
// last.
Error explain_load_failure(int error, const std::string& log);

}  // namespace tcptrail
