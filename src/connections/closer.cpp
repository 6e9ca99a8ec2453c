// SPDX-License-Identifier: BSD-2-Clause
#include "connections/closer.h"

#include <cerrno>

namespace tcptrail {
namespace {

using enum TcpState;

bool has(const CloseInput& f, std::uint16_t bit) { return (f.facts & bit) != 0; }

Closer known_or(Closer known, Closer otherwise) {
  return known == Closer::kUnknown ? otherwise : known;
}

bool synchronized_with_fin_queued(TcpState state) {
  return state == kFinWait1 || state == kFinWait2;
}

// A FIN that is only queued when the socket dies was never seen by anybody.
Closer fin_closer(const CloseInput& f) {
  if (f.fin_closer != Closer::kUnknown) return f.fin_closer;
  return f.old_state == kFinWait1 && f.fin_sent ? Closer::kLocal : Closer::kUnknown;
}

CloseVerdict fin(const CloseInput& f, Evidence evidence) {
  return {.closer = fin_closer(f), .how = How::kFin, .evidence = evidence};
}

Evidence fin_evidence(Closer closer) {
  switch (closer) {
    case Closer::kLocal:
      return Evidence::kOurFinFirst;
    case Closer::kRemote:
      return Evidence::kPeerFinFirst;
    case Closer::kBoth:
      return Evidence::kFinsCrossed;
    default:
      return Evidence::kFinsNotSeen;
  }
}

CloseVerdict end_of_connecting(const CloseInput& f) {
  switch (f.error) {
    case ECONNREFUSED:
      return {.closer = Closer::kNone,
              .how = How::kRefused,
              .evidence = f.reset_received ? Evidence::kRefusedByReset : Evidence::kRefusedByIcmp};
    case ETIMEDOUT:
      return {.closer = Closer::kNone, .how = How::kTimeout, .evidence = Evidence::kSynUnanswered};
    case 0:
      break;
    case ECONNRESET:
      return {.closer = Closer::kRemote,
              .how = How::kRstReceived,
              .evidence = Evidence::kResetInHandshake};
    default:
      return {.closer = Closer::kNone, .how = How::kUnreachable, .evidence = Evidence::kIcmpError};
  }
  // The owner learned of it by poll() or SO_ERROR, and closed.
  if (f.soft_error == ECONNREFUSED)
    return {.closer = Closer::kNone,
            .how = How::kRefused,
            .error = ECONNREFUSED,
            .evidence = Evidence::kRefusedByIcmp};
  if (f.soft_error != 0)
    return {.closer = Closer::kNone,
            .how = How::kUnreachable,
            .error = f.soft_error,
            .evidence = Evidence::kIcmpError};
  if (!f.own && f.reset_received)
    return {.closer = Closer::kNone,
            .how = How::kRefused,
            .error = ECONNREFUSED,
            .evidence = Evidence::kRefusedByReset};
  if (!f.own)
    return {
        .closer = Closer::kUnknown, .how = How::kUnknown, .evidence = Evidence::kNoErrorInSynSent};
  if (has(f, TCPTRAIL_END_NO_SEGS_OUT) && !has(f, TCPTRAIL_END_SHUT_RCV | TCPTRAIL_END_SHUT_SEND))
    return {.closer = Closer::kNone,
            .how = How::kNoPort,
            .error = EADDRNOTAVAIL,
            .evidence = Evidence::kNoPort};
  return {.closer = Closer::kLocal, .how = How::kAborted, .evidence = Evidence::kGaveUpConnecting};
}

CloseVerdict reset_or_data_after_close(const CloseInput& f) {
  // tcp_rcv_state_process() calls tcp_reset() for data that arrives after RCV_SHUTDOWN in these two
  // states.
  const bool ambiguous = f.error == ECONNRESET && synchronized_with_fin_queued(f.old_state) &&
                         has(f, TCPTRAIL_END_SHUT_RCV);
  const Closer first = fin_closer(f);
  if (ambiguous) {
    if (f.reset_after == ResetAfter::kNotYet) return {.wait_for_reset = true};
    if (f.reset_after == ResetAfter::kUntraced)
      return {.closer = first, .how = How::kUnknown, .evidence = Evidence::kResetOrDataAfterClose};
    if (f.reset_after == ResetAfter::kYes)
      return {.closer = known_or(first, Closer::kLocal),
              .how = How::kRstSent,
              .evidence = Evidence::kDataAfterClose};
  }
  return {.closer = known_or(first, Closer::kRemote),
          .how = How::kRstReceived,
          .evidence = f.met_new_syn      ? Evidence::kNewSyn
                      : f.reset_received ? Evidence::kResetReceived
                                         : Evidence::kResetInSocketError};
}

CloseVerdict abort_by_this_end(const CloseInput& f) {
  CloseVerdict v{.closer = known_or(fin_closer(f), Closer::kLocal), .how = How::kRstSent};
  if (has(f, TCPTRAIL_END_REPAIR))
    return {.closer = Closer::kLocal, .how = How::kAborted, .evidence = Evidence::kRepair};
  if (has(f, TCPTRAIL_END_NO_SOCKET) && !has(f, TCPTRAIL_END_DEAD))
    v.evidence = Evidence::kNotAccepted;
  else if (has(f, TCPTRAIL_END_UNREAD))
    v.evidence = Evidence::kUnread;
  else if (has(f, TCPTRAIL_END_LINGER0))
    v.evidence = Evidence::kLinger0;
  else if (!has(f, TCPTRAIL_END_SHUT_RCV | TCPTRAIL_END_SHUT_SEND))
    v.evidence = Evidence::kDisconnected;
  else
    v.evidence = Evidence::kAborted;
  return v;
}

// Why the kernel reset a socket that no process held any more.
Evidence orphan_evidence(const CloseInput& f) {
  if (f.reset_reason == "tcp_abort_on_memory") return Evidence::kTooManyOrphans;
  const bool aborted =
      f.reset_reason == "tcp_abort_on_data" || f.reset_reason == "tcp_abort_on_linger";
  if (!aborted) return Evidence::kOrphanReset;
  return has(f, TCPTRAIL_END_LINGER2) ? Evidence::kLinger2 : Evidence::kDataAfterClose;
}

// close() with the peer's FIN outstanding leaves a FIN_WAIT2 minisocket. Without one the orphan
// was reset, or tcp_max_tw_buckets was reached and nothing at all was sent.
CloseVerdict orphan_in_fin_wait2(const CloseInput& f) {
  if (f.reset_sent || f.reset_after == ResetAfter::kYes)
    return {.closer = known_or(fin_closer(f), Closer::kLocal),
            .how = How::kRstSent,
            .evidence = orphan_evidence(f)};
  if (f.reset_after == ResetAfter::kNotYet) return {.wait_for_reset = true};
  const bool walked = (f.tw & TCPTRAIL_TW_PHASE) != TCPTRAIL_TW_UNKNOWN;
  if (f.reset_after == ResetAfter::kUntraced && walked)
    return {.closer = fin_closer(f),
            .how = How::kUnknown,
            .evidence = Evidence::kOrphanResetOrNoMinisocket};
  return fin(f, walked ? Evidence::kNoMinisocket : fin_evidence(fin_closer(f)));
}

// No error, no minisocket: what is left is told apart by the state and the SOCK_DONE, SOCK_DEAD
// flags.
CloseVerdict end_without_error(const CloseInput& f) {
  const bool dead = has(f, TCPTRAIL_END_DEAD);
  switch (f.old_state) {
    case kLastAck:
      if (has(f, TCPTRAIL_END_ALL_ACKED)) return fin(f, fin_evidence(Closer::kRemote));
      return {.closer = Closer::kRemote,
              .how = How::kRstSent,
              .evidence = Evidence::kFinUnacknowledged};
    case kClosing:
    case kFinWait2:
      if (has(f, TCPTRAIL_END_DONE)) {
        if ((f.tw & TCPTRAIL_TW_PHASE) == TCPTRAIL_TW_UNKNOWN)
          return fin(f, fin_evidence(fin_closer(f)));
        return fin(f, Evidence::kNoTimeWait);
      }
      if (dead && f.old_state == kFinWait2) return orphan_in_fin_wait2(f);
      break;
    case kSynRecv:
      if (f.own || has(f, TCPTRAIL_END_NO_SOCKET)) break;
      return {.closer = Closer::kNone,
              .how = How::kHalfOpen,
              .evidence = Evidence::kHandshakeIncomplete};
    default:
      break;
  }
  if (f.own && !dead) return abort_by_this_end(f);
  if (has(f, TCPTRAIL_END_NO_SOCKET) && !dead) return abort_by_this_end(f);
  if (dead && f.old_state == kFinWait1)
    return {.closer = known_or(fin_closer(f), Closer::kLocal),
            .how = How::kRstSent,
            .evidence = orphan_evidence(f)};
  if (dead) return abort_by_this_end(f);
  // The error of a RST is set before the CLOSE and without the owner's lock: a getsockopt(SO_ERROR)
  // or poll() and read() on another CPU may have taken it already.
  if (f.reset_received)
    return {.closer = known_or(fin_closer(f), Closer::kRemote),
            .how = How::kRstReceived,
            .error = static_cast<std::uint16_t>(f.old_state == kCloseWait ? EPIPE : ECONNRESET),
            .evidence = Evidence::kResetReceived};
  return {.closer = fin_closer(f), .how = How::kUnknown, .evidence = Evidence::kNoCauseSeen};
}

// Nothing is waited for but the answer to keepalive probes when all is acknowledged.
Evidence timeout_evidence(const CloseInput& f) {
  if (has(f, TCPTRAIL_END_ALL_ACKED)) return Evidence::kKeepalive;
  const bool orphan = has(f, TCPTRAIL_END_DEAD);
  const bool heard = has(f, TCPTRAIL_END_HEARD);
  if (has(f, TCPTRAIL_END_WINDOW_FULL) && heard)
    return orphan ? Evidence::kOrphanWindowFull : Evidence::kWindowFull;
  if (heard) return Evidence::kNotAcknowledged;
  return orphan ? Evidence::kOrphanSilent : Evidence::kPeerSilent;
}

CloseVerdict verdict(const CloseInput& f) {
  const std::uint8_t phase = f.tw & TCPTRAIL_TW_PHASE;
  if (phase == TCPTRAIL_TW_TIME_WAIT || phase == TCPTRAIL_TW_FIN_WAIT2)
    return fin(f, fin_evidence(fin_closer(f)));
  if (f.error == ECONNABORTED)
    return {.closer = known_or(fin_closer(f), Closer::kLocal),
            .how = How::kAborted,
            .evidence = Evidence::kKilled};
  if (f.old_state == kSynSent) return end_of_connecting(f);

  switch (f.error) {
    case 0:
      return end_without_error(f);
    case ECONNRESET:
    case EPIPE:
      return reset_or_data_after_close(f);
    case ECONNREFUSED:
      if (f.old_state == kSynRecv) return reset_or_data_after_close(f);
      break;
    case ETIMEDOUT:
      if (f.old_state == kSynRecv)
        return {.closer = Closer::kNone,
                .how = How::kHalfOpen,
                .evidence = Evidence::kHandshakeTimedOut};
      return {.closer = known_or(fin_closer(f), Closer::kNone),
              .how = How::kTimeout,
              .evidence = timeout_evidence(f)};
    default:
      break;
  }
  return {.closer = known_or(fin_closer(f), Closer::kNone),
          .how = How::kUnreachable,
          .evidence = Evidence::kNetworkError};
}

}  // namespace

CloseVerdict close_verdict(const CloseInput& facts) {
  CloseVerdict v = verdict(facts);
  if (v.error == 0) v.error = facts.error;
  return v;
}

TimeWaitOutcome time_wait_outcome(const CloseVerdict& verdict, const tcptrail_end_record& end) {
  TimeWaitOutcome outcome;
  const std::optional<bool> reuseaddr = (end.tw & TCPTRAIL_TW_REUSEADDR) != 0;
  const std::optional<bool> reuseport = (end.tw & TCPTRAIL_TW_REUSEPORT) != 0;
  const std::uint64_t now = end.base.ts_boot_ns;
  const std::uint64_t expires = now + std::uint64_t{end.tw_expires_ms} * 1'000'000;
  const Closer closer = verdict.closer;
  switch (end.tw & TCPTRAIL_TW_PHASE) {
    case TCPTRAIL_TW_TIME_WAIT:
      outcome = {closer == Closer::kBoth ? TimeWaitSide::kBoth : TimeWaitSide::kLocal,
                 now,
                 TimeWaitPhase::kTimeWait,
                 expires,
                 reuseaddr,
                 reuseport};
      return outcome;
    case TCPTRAIL_TW_FIN_WAIT2:
      // Becomes TIME_WAIT when the peer's FIN comes, if it comes in time.
      outcome = {TimeWaitSide::kLocal,
                 std::nullopt,
                 TimeWaitPhase::kFinWait2,
                 expires,
                 reuseaddr,
                 reuseport};
      return outcome;
    case TCPTRAIL_TW_UNKNOWN: {
      // What the walk would have shown: both FINs are through, so only tcp_max_tw_buckets could
      // prevent it.
      const TcpState old{end.base.old_state};
      if (verdict.how == How::kFin && (end.facts & TCPTRAIL_END_DONE) != 0 &&
          (old == TcpState::kFinWait2 || old == TcpState::kClosing)) {
        outcome = {closer == Closer::kBoth ? TimeWaitSide::kBoth : TimeWaitSide::kLocal, now,
                   TimeWaitPhase::kTimeWait, std::nullopt};
        return outcome;
      }
      if (old == TcpState::kFinWait2) return outcome;
      break;
    }
    default:
      break;
  }
  if (verdict.how == How::kUnknown) return outcome;
  outcome.side = verdict.how == How::kFin && closer == Closer::kRemote ? TimeWaitSide::kRemote
                                                                       : TimeWaitSide::kNone;
  return outcome;
}

Closer fin_closer_from(TcpState old_state, TcpState new_state, bool fin_sent, bool fin_waits) {
  switch (new_state) {
    case kCloseWait:
      return Closer::kRemote;
    case kFinWait2:
      if (old_state != kFinWait1) return Closer::kUnknown;
      return fin_waits ? Closer::kBoth : Closer::kLocal;
    case kClose:
      return old_state == kFinWait1 && fin_waits && fin_sent ? Closer::kBoth : Closer::kUnknown;
    case kClosing:
      // The peer's FIN found ours either on the wire (they crossed) or still behind unsent data.
      if (old_state != kFinWait1) return Closer::kUnknown;
      return fin_sent ? Closer::kBoth : Closer::kRemote;
    default:
      return Closer::kUnknown;
  }
}

Closer fin_closer_in(TcpState state) {
  switch (state) {
    case kFinWait2:
      return Closer::kLocal;
    case kCloseWait:
    case kLastAck:
      return Closer::kRemote;
    default:
      return Closer::kUnknown;  // CLOSING too: crossed, or ours was late
  }
}

}  // namespace tcptrail
