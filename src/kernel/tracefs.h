// SPDX-License-Identifier: BSD-2-Clause
// Classic tracepoints: their ids in tracefs, and attaching a program to one.
// `ip netns exec` mounts a fresh /sys in which tracefs is missing, so where no
// path leads to it a private mount of it is opened.
#pragma once

#include <cstdint>
#include <string>

#include "kernel/handles.h"
#include "util/result.h"

namespace tcptrail {

Result<std::uint64_t> tracepoint_id(const std::string& category, const std::string& name);

// To the one that its section names: tracepoint/CATEGORY/NAME.
Result<BpfLink> attach_tracepoint(const bpf_program* program);

}  // namespace tcptrail
