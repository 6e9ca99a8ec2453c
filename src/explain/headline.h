// SPDX-License-Identifier: BSD-2-Clause
// The one sentence that says how a connection ended and what it left behind. Input: a
// connection with its names (sentence.h). Called by explanation.cpp. Pure.
#pragma once

#include <string>

#include "explain/sentence.h"

namespace tcptrail::findings {

std::string headline(const Case& c);

}  // namespace tcptrail::findings
