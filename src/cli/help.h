// SPDX-License-Identifier: BSD-2-Clause
// The help texts, printed from the tables of commands and flags; no line is over 80 columns.
// Called by the parser. Pure.
#pragma once

#include <string>

#include "cli/commands.h"
#include "cli/flags.h"

namespace tcptrail {

std::string short_help();                   // -h: the commands and the flags most used
std::string full_help();                    // --help: every flag
std::string command_help(Command command);  // its flags and two examples
std::string version_text();

// The help of a flag with its words, on one line; for completion too.
std::string describe(const Flag& flag);

}  // namespace tcptrail
