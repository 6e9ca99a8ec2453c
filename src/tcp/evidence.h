// SPDX-License-Identifier: BSD-2-Clause
// On what the verdict about the end of a connection rests: one value for each
// sentence of `evidence`. Closer chooses the value, explain compares it, and the
// outputs print its sentence. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace tcptrail {

enum class Evidence : std::uint8_t {
  kNone,
  kOurFinFirst,
  kPeerFinFirst,
  kFinsCrossed,
  kFinsNotSeen,
  kNoTimeWait,
  kNoMinisocket,
  kRefusedByReset,
  kRefusedByIcmp,
  kSynUnanswered,
  kResetInHandshake,
  kIcmpError,
  kNoErrorInSynSent,
  kNoPort,
  kGaveUpConnecting,
  kResetReceived,
  kResetInSocketError,
  kNewSyn,
  kResetOrDataAfterClose,
  kDataAfterClose,
  kUnread,
  kLinger0,
  kDisconnected,
  kNotAccepted,
  kAborted,
  kRepair,
  kKilled,
  kOrphanReset,
  kLinger2,
  kTooManyOrphans,
  kOrphanResetOrNoMinisocket,
  kFinUnacknowledged,
  kHandshakeIncomplete,
  kHandshakeTimedOut,
  kPeerSilent,
  kKeepalive,
  kWindowFull,
  kNotAcknowledged,
  kOrphanSilent,
  kOrphanWindowFull,
  kNetworkError,
  kNoCauseSeen,
  kEndNotSeen,
};

// The sentence; empty for kNone.
std::string_view to_string(Evidence);

}  // namespace tcptrail
