// SPDX-License-Identifier: BSD-2-Clause
// From bytes to an Event: the one place that trusts neither the length nor the
// content of what a ring or a recording hands over. Pure; called for every
// record by src/run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tcp/address.h"
#include "tcp/record.h"
#include "tcp/tcp_state.h"
#include "tcptrail/event.h"

namespace tcptrail {

// A decoded record: aligned, complete, of a known kind. Which member is valid follows from kind().
union Event {
  tcptrail_record base;
  tcptrail_owned_record owned;
  tcptrail_end_record end;
  tcptrail_holder_record holder;
  tcptrail_reset_record reset;
  tcptrail_timewait_record timewait;
  tcptrail_refused_record refused;

  [[nodiscard]] std::uint8_t kind() const { return base.kind; }
  [[nodiscard]] std::uint64_t boot_ns() const { return base.ts_boot_ns; }
  [[nodiscard]] std::uint64_t cookie() const { return base.cookie; }
  [[nodiscard]] bool has(std::uint8_t flag) const { return (base.flags & flag) != 0; }
  [[nodiscard]] TcpState old_state() const { return TcpState{base.old_state}; }
  [[nodiscard]] TcpState new_state() const { return TcpState{base.new_state}; }
};

// In the ring and in a recording; 0 for an unknown kind.
std::size_t size_of_kind(std::uint8_t kind);

// False when the length does not fit the kind, or the kind is unknown: the caller counts it as
// malformed.
bool decode(std::span<const std::byte> bytes, Event& event);

Tuple tuple_of(const tcptrail_record& record);
Tuple tuple_of(const tcptrail_timewait_record& record);
Comm comm_of(const char (&bytes)[TCPTRAIL_COMM_LEN]);
// The one that ran when a transition happened; its comm where the kind has one.
Process process_of(const Event& event);

}  // namespace tcptrail
