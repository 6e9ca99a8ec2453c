// SPDX-License-Identifier: BSD-2-Clause
// The texts of -h (the commands and the flags most used) and --help (all).
// Called by options.cpp. A test compares them with the flags that exist.
#pragma once

#include <string>

namespace tcptrail {

std::string short_help();
std::string full_help();
std::string version_text();

}  // namespace tcptrail
