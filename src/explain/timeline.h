// SPDX-License-Identifier: BSD-2-Clause
// The timeline of a finished connection: each state it entered, when, and what happened
// then. Input: a connection with its names (sentence.h). Called by explanation.cpp. Pure.
#pragma once

#include <vector>

#include "explain/explanation.h"
#include "explain/sentence.h"

namespace tcptrail::findings {

std::vector<TimelineStep> timeline(const Case& c);

}  // namespace tcptrail::findings
