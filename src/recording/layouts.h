// SPDX-License-Identifier: BSD-2-Clause
// Events of older layouts, brought up to this one: one function for each step of
// TCPTRAIL_LAYOUT_VERSION, applied in turn to every event of an older recording.
// Pure; called by the item decoder. Version 1 is the first: there is no step yet.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "tcp/event.h"

namespace tcptrail {

// From layout i + 1 to layout i + 2. A layout that changes the size of a kind
// needs a new version of the recording format instead.
using LayoutStep = void (*)(Event&);
inline constexpr std::array<LayoutStep, TCPTRAIL_LAYOUT_VERSION - 1> kLayoutSteps{};

inline void upgrade(Event& event, std::uint16_t from,
                    std::span<const LayoutStep> steps = kLayoutSteps) {
  for (std::size_t i = from - 1U; i < steps.size(); ++i) steps[i](event);
}

}  // namespace tcptrail
