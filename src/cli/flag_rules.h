// SPDX-License-Identifier: BSD-2-Clause
// Which flags a command takes, and which go together. Input: what was given; output: the first
// mistake, with its reason. Called by parse_command_line(). Pure.
#pragma once

#include "cli/tokens.h"

namespace tcptrail {

// `view`: what `command` shows; differs for replay only.
Result<void> check_flags(const Tokens& tokens, Command command, Command view);

// Whether `command` takes the flag at all, for help and completion.
bool takes(Command command, const Flag& flag);

}  // namespace tcptrail
