// SPDX-License-Identifier: BSD-2-Clause
// The sentences of `evidence`, each beside its value. They are part of the JSON
// stream, see docs/json.md.
#include "tcp/evidence.h"

#include <array>
#include <cstddef>

namespace tcptrail {
namespace {

using enum Evidence;

struct Sentence {
  Evidence evidence;
  std::string_view text;
};

constexpr std::array kSentences = {
    Sentence{kNone, ""},
    Sentence{kOurFinFirst, "our FIN went out before any FIN arrived"},
    Sentence{kPeerFinFirst, "the peer's FIN arrived before ours went out"},
    Sentence{kFinsCrossed, "the FINs crossed: the peer's arrived while ours was not acknowledged"},
    Sentence{kFinsNotSeen, "a FIN exchange whose beginning was not seen"},
    Sentence{kNoTimeWait, "both FINs exchanged; no TIME_WAIT was left (tcp_max_tw_buckets)"},
    Sentence{kNoMinisocket, "our FIN went out first; no minisocket was left (tcp_max_tw_buckets)"},
    Sentence{kRefusedByReset, "the SYN was answered by a RST"},
    Sentence{kRefusedByIcmp, "the SYN was answered by an ICMP error: refused"},
    Sentence{kSynUnanswered, "no answer to the SYN and its retransmissions"},
    Sentence{kResetInHandshake, "a RST arrived during the handshake"},
    Sentence{kIcmpError, "an ICMP error answered the SYN"},
    Sentence{kNoErrorInSynSent, "left SYN_SENT without an error"},
    Sentence{
        kNoPort,
        "connect() returned before any SYN was sent: no free pair of local port and destination"},
    Sentence{kGaveUpConnecting, "closed by its owner while the SYN was unanswered"},
    Sentence{kResetReceived, "a RST was received"},
    Sentence{kResetInSocketError, "the socket's error says that a RST was received"},
    Sentence{kNewSyn,
             "the peer's new SYN from the same port found this connection: it was answered with an "
             "ACK, and that with a RST"},
    Sentence{kResetOrDataAfterClose,
             "a RST was received, or data after close() was answered by one"},
    Sentence{kDataAfterClose, "data arrived after close() and was answered by a RST"},
    Sentence{kUnread, "closed with unread data: RST sent"},
    Sentence{kLinger0, "closed with SO_LINGER 0: RST sent"},
    Sentence{kDisconnected, "disconnected by connect(AF_UNSPEC): RST sent"},
    Sentence{kNotAccepted, "its listener was closed before it was accepted: RST sent"},
    Sentence{kAborted, "aborted by its owner: RST sent"},
    Sentence{kRepair, "closed in TCP_REPAIR mode: no packet was sent"},
    Sentence{kKilled, "killed through sock_diag (ss -K) or bpf_sock_destroy()"},
    Sentence{
        kOrphanReset,
        "an orphan that the kernel reset (data after close, TCP_LINGER2, or too many orphans)"},
    Sentence{kLinger2,
             "closed with TCP_LINGER2 below 0: the kernel reset the connection instead of waiting "
             "for the peer's FIN"},
    Sentence{kTooManyOrphans,
             "the kernel reset the orphan for want of memory (tcp_max_orphans, tcp_mem)"},
    Sentence{kOrphanResetOrNoMinisocket,
             "an orphan that was reset, or found tcp_max_tw_buckets reached"},
    Sentence{kFinUnacknowledged, "the kernel dropped the socket before its FIN was acknowledged"},
    Sentence{kHandshakeIncomplete, "the handshake was never completed"},
    Sentence{kHandshakeTimedOut, "the handshake timed out"},
    Sentence{kPeerSilent, "the peer did not answer: retransmissions ran out"},
    Sentence{kKeepalive, "the peer did not answer keepalive probes"},
    Sentence{kWindowFull,
             "the peer answered, but its receive window stayed full until the timeout"},
    Sentence{kNotAcknowledged, "data was not acknowledged, although the peer still answered"},
    Sentence{kOrphanSilent,
             "an orphan that the peer did not answer: its retransmissions ran out "
             "(tcp_orphan_retries)"},
    Sentence{kOrphanWindowFull,
             "an orphan whose data the peer's full receive window did not take: the kernel gave up "
             "(tcp_orphan_retries)"},
    Sentence{kNetworkError, "the network reported an error and the kernel gave up"},
    Sentence{kNoCauseSeen, "ended without an error, a FIN or a RST that was seen"},
    Sentence{kEndNotSeen, "the end was not seen: events were lost"},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kSentences.size(); ++i)
    if (static_cast<std::size_t>(kSentences[i].evidence) != i) return false;
  return true;
}
static_assert(in_order() && kSentences.back().evidence == kEndNotSeen);

}  // namespace

std::string_view to_string(Evidence evidence) {
  const auto index = static_cast<std::size_t>(evidence);
  return index < kSentences.size() ? kSentences[index].text : std::string_view{};
}

}  // namespace tcptrail
