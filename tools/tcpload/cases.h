// SPDX-License-Identifier: BSD-2-Clause
// The ways of closing, as scripts for two ends.
#pragma once

#include <span>

#include "stage.h"

namespace tcpload {

// What a case needs or is good for.
enum : unsigned {
  kPlain = 0,
  kSlow = 1U << 0,          // waits for a timeout of seconds
  kOwnNamespace = 1U << 1,  // changes sysctls
  kPath = 1U << 2,          // plays on a Path; needs a namespace of its own too
  kRandom = 1U << 3,        // quick, on any family, and the packets alone tell how it ended
  kRace = 1U << 4,          // the outcome is open: only for random
  kTwice = 1U << 5,         // two connections
};

struct Case {
  const char* name;
  void (*play)(Stage&);
  unsigned traits = kPlain;
  Family family = Family::v4;
};

std::span<const Case> orderly_cases();   // FIN both ways
std::span<const Case> reset_cases();     // a RST ends it
std::span<const Case> crossing_cases();  // what one side sent crossed what the other sent
std::span<const Case> opening_cases();   // never opened, or opened in an unusual way
std::span<const Case> timeout_cases();   // the kernel gave up

}  // namespace tcpload
