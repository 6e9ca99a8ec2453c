// SPDX-License-Identifier: BSD-2-Clause
// The filters of a replay: those of the command line, and those that the
// recording was made with. What a live run asks the machine (which namespace is
// "blue", which cgroups lie below a path) is asked of the recording. Called by replay.
#pragma once

#include "cli/options.h"
#include "recording/header.h"
#include "util/result.h"

namespace tcptrail {

// Fills options.filters, options.labels and options.given_filters.
Result<void> join_recorded_filters(Options& options, const RecordingHeader& header);

// "/a" holds "/a" and "/a/b", not "/ab".
bool is_below(std::string_view path, std::string_view parent);

}  // namespace tcptrail
