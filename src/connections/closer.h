// SPDX-License-Identifier: BSD-2-Clause
// Who closed first and how this end's socket ended: a pure function of the
// states that were passed, the fingerprint at the CLOSE event, and what RSTs
// were traced. Never of the context in which an event ran. Rows and numbers are
// those of the table in docs/kernels.md. Called by the lifecycle.
#pragma once

#include <cstdint>

#include "tcp/evidence.h"
#include "tcp/record.h"
#include "tcptrail/event.h"

namespace tcptrail {

// Whether a RST sent by this socket was traced after its CLOSE. kNotYet: it may
// still come; kNo: it did not come; kUntraced: tcp_send_reset is not available.
enum class ResetAfter : std::uint8_t { kNotYet, kNo, kYes, kUntraced };

struct CloseInput {
  TcpState old_state{};
  // From the states before: kUnknown while no FIN is known to have gone out or come in.
  Closer fin_closer = Closer::kUnknown;
  bool fin_sent = false;    // TCPTRAIL_F_FIN_SENT at CLOSE
  bool own = false;         // closed inside a call of its owner
  std::uint16_t error = 0;  // sk_err
  std::uint16_t facts = 0;  // TCPTRAIL_END_*
  std::uint8_t tw = TCPTRAIL_TW_UNKNOWN;
  std::uint8_t soft_error = 0;  // an ICMP error that did not end the socket
  bool reset_received = false;  // tcp_receive_reset was traced
  bool met_new_syn = false;     // ... while the peer's next connection had sent its SYN
  bool reset_sent = false;      // tcp_send_reset was traced before the CLOSE
  ResetAfter reset_after = ResetAfter::kUntraced;
  std::string_view reset_reason{};  // the kernel's word for the RST that was sent; "" = unknown
};

struct CloseVerdict {
  Closer closer = Closer::kUnknown;
  How how = How::kUnknown;
  std::uint16_t error = 0;
  Evidence evidence = Evidence::kNone;
  // Only a RST traced after the CLOSE can decide: ask again with reset_after set.
  bool wait_for_reset = false;
};

CloseVerdict close_verdict(const CloseInput& facts);

// Who holds TIME_WAIT after this end. "remote" is an inference from an orderly passive close.
TimeWaitOutcome time_wait_outcome(const CloseVerdict& verdict, const tcptrail_end_record& end);

// Which side's FIN came first, from one transition; kUnknown when it tells nothing.
// `fin_sent`: whatever FIN is queued has been on the wire. FIN_WAIT1 alone only
// says that a FIN is queued, so it is judged when the socket leaves FIN_WAIT1.
// `fin_waits`: the peer's has arrived too, behind a hole.
Closer fin_closer_from(TcpState old_state, TcpState new_state, bool fin_sent,
                       bool fin_waits = false);

// The same from a state that a socket is seen in without its history.
Closer fin_closer_in(TcpState state);

}  // namespace tcptrail
