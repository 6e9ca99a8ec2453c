// SPDX-License-Identifier: BSD-2-Clause
// What is said of each kind of connection, and what it must never say.
#include "explain/explanation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "explanation_records.h"

namespace tcptrail {
namespace {

using enum TcpState;
using test::OwnedConnection;

Explanation told(const OwnedConnection& c, const OtherEnd* other = nullptr,
                 const TakenOver* taken_over = nullptr) {
  return explain(c.record, ExplainContext{test::boot_seconds, taken_over, other});
}

const Finding* find(const Explanation& e, FindingKind kind) {
  const auto found = std::find_if(e.findings.begin(), e.findings.end(),
                                  [&](const Finding& f) { return f.kind == kind; });
  return found == e.findings.end() ? nullptr : &*found;
}

#define SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)
#define SAYS_NOT(text, part) EXPECT_EQ((text).find(part), std::string::npos) << (text)

Finding only(const Explanation& e, FindingKind kind) {
  const Finding* found = find(e, kind);
  EXPECT_NE(found, nullptr) << to_string(kind);
  return found != nullptr ? *found : Finding{};
}

std::string advice(const Finding& f) {
  std::string all;
  for (const std::string& one : f.advice) all += one + '\n';
  return all;
}

// ---- what is left behind ----

TEST(Explanation, ServerThatClosedFirstHasTimeWaitUntilAKnownTime) {
  const Explanation e = told(test::server_closes_first());
  EXPECT_EQ(e.headline,
            "nginx (pid 100) closed first, after 8.21 s; TIME_WAIT is on this end until t168.");
  EXPECT_EQ(e.about, "lasted 8.21 s; sent 120 B, received 120 B; round trip 45 us");
  const Finding f = only(e, FindingKind::kTimeWait);
  EXPECT_EQ(f.severity, Severity::kInfo);
  SAYS(f.text, "127.0.0.1:8080 is in TIME_WAIT until t168");
  SAYS(f.text, "nor 127.0.0.1:40000 when it connects again");
  SAYS(f.text,
       "A restarted server that sets SO_REUSEADDR binds at once, because this socket had it too");
  EXPECT_TRUE(f.advice.empty());
}

TEST(Explanation, ServerWithoutReuseaddrIsToldBeforehandThatARestartFails) {
  OwnedConnection c = test::server_closes_first();
  c.record.time_wait.reuseaddr = false;
  const Finding f = only(told(c), FindingKind::kTimeWait);
  EXPECT_EQ(f.severity, Severity::kNotice);
  SAYS(f.text, "gets EADDRINUSE until then, even if it sets SO_REUSEADDR: both sockets need it");
  SAYS(advice(f), "on the listener from its first start");
  SAYS(advice(f), "let the client close first");
}

TEST(Explanation, TimeWaitWithReuseportAloneNeedsReuseport) {
  OwnedConnection c = test::server_closes_first();
  c.record.time_wait.reuseaddr = false;
  c.record.time_wait.reuseport = true;
  SAYS(only(told(c), FindingKind::kTimeWait).text, "sets SO_REUSEPORT binds at once");
}

TEST(Explanation, TimeWaitWhoseOptionsWereNotSeenSaysTheRuleOnly) {
  OwnedConnection c = test::server_closes_first();
  c.record.time_wait.reuseaddr.reset();
  c.record.time_wait.reuseport.reset();
  c.record.time_wait.expected_end.reset();
  const Explanation e = told(c);
  EXPECT_EQ(e.headline, "nginx (pid 100) closed first, after 8.21 s; TIME_WAIT is on this end.");
  SAYS(only(e, FindingKind::kTimeWait).text, "both have SO_REUSEADDR, or both SO_REUSEPORT");
  SAYS(only(e, FindingKind::kTimeWait).text, "for 60 s");
}

TEST(Explanation, ClientThatClosedFirstBlocksItsOwnPairOfEndpoints) {
  OwnedConnection c = test::ended(
      false, {{kSynSent, 0.05}, {kEstablished, 20}, {kFinWait1, 0.1}, {kFinWait2, 0.1}}, kTimeWait);
  c.record.closer = Closer::kLocal;
  c.record.how = How::kFin;
  c.record.closer_process = test::curl();
  c.record.time_wait = {TimeWaitSide::kLocal,
                        c.record.boot_ns,
                        TimeWaitPhase::kTimeWait,
                        c.record.boot_ns + 60 * test::kSecondNs,
                        false,
                        false};
  const Finding f = only(told(c), FindingKind::kTimeWait);
  EXPECT_EQ(f.severity, Severity::kInfo);  // an ephemeral port in TIME_WAIT is no news
  SAYS(f.text, "blocks this pair of endpoints and bind() of port 40000");
  SAYS(f.text, "any other destination than 127.0.0.1:8080");
  SAYS_NOT(f.text, "restarted server");
}

TEST(Explanation, OtherEndThatClosedFirstKeepsTimeWait) {
  const Explanation e = told(test::its_client());
  EXPECT_EQ(e.headline, "The other end closed first, after 8.21 s; this end has no TIME_WAIT.");
  const Finding f = only(e, FindingKind::kTimeWaitRemote);
  SAYS(f.text, "not seen");
  SAYS(f.text, "Nothing is left here that blocks 127.0.0.1:40000");
}

TEST(Explanation, TimeWaitOfAnEndOnThisHostIsAFactAndNoInference) {
  OwnedConnection c = test::its_client();
  c.record.peer_cookie = 0x51;
  c.record.closer_process = test::nginx();
  OtherEnd other{.owner = test::nginx(),
                 .close_wait_since = 0,
                 .ended = true,
                 .closer = Closer::kLocal,
                 .how = How::kFin,
                 .evidence = Evidence::kNone,
                 .time_wait = test::server_closes_first().record.time_wait,
                 .fin_wait2_ns = 0};
  const Explanation e = told(c, &other);
  EXPECT_EQ(e.headline, "nginx (pid 100) closed first, after 8.21 s; this end has no TIME_WAIT.");
  const Finding f = only(e, FindingKind::kTimeWaitRemote);
  SAYS(f.text,
       "TIME_WAIT is at 127.0.0.1:8080 of nginx (pid 100) until t168, as its own record says");
  EXPECT_EQ(find(e, FindingKind::kViewsDiffer), nullptr);
  other.time_wait.phase = TimeWaitPhase::kFinWait2;
  SAYS(only(told(c, &other), FindingKind::kTimeWaitRemote).text,
       "was still in FIN_WAIT2 without a process");
}

TEST(Explanation, FinWait2SaysWhoHasNotClosed) {
  OwnedConnection c = test::ended(
      true, {{kSynRecv, 0.04}, {kEstablished, 5000}, {kFinWait1, 0.1}, {kFinWait2, 0.01}});
  c.record.closer = Closer::kLocal;
  c.record.how = How::kFin;
  c.record.closer_process = test::nginx();
  c.record.peer_cookie = 0xc1;
  c.record.time_wait = {TimeWaitSide::kLocal,
                        std::nullopt,
                        TimeWaitPhase::kFinWait2,
                        c.record.boot_ns + 60 * test::kSecondNs,
                        false,
                        false};
  OtherEnd other;
  other.owner = test::curl();
  other.close_wait_since = c.record.boot_ns;
  const Explanation e = told(c, &other);
  EXPECT_EQ(e.headline,
            "nginx (pid 100) closed first, after 5.00 s; curl (pid 200) has not closed yet.");
  const Finding f = only(e, FindingKind::kFinWait2Left);
  EXPECT_EQ(f.severity, Severity::kNotice);
  SAYS(f.text, "curl (pid 200) has not closed yet (CLOSE_WAIT since t105)");
  SAYS(f.text, "Until t165 (net.ipv4.tcp_fin_timeout) 127.0.0.1:8080 waits in FIN_WAIT2");
  SAYS(f.text, "EADDRINUSE");
  SAYS(advice(f), "If it stays so: curl (pid 200) has not read, or not acted on, end-of-file");
  SAYS(e.timeline.back().text, "a FIN_WAIT2 socket waits");

  c.record.peer_cookie = 0;
  const Finding far = only(told(c), FindingKind::kFinWait2Left);
  SAYS(far.text, "The other end has not closed yet");
  SAYS(advice(far), "`ss -tanp state close-wait` at the other end");
}

TEST(Explanation, MissingTimeWaitIsBlamedOnTheBucketLimit) {
  OwnedConnection c = test::server_closes_first();
  c.record.time_wait = {TimeWaitSide::kNone, std::nullopt, TimeWaitPhase::kNone,
                        std::nullopt,        std::nullopt, std::nullopt};
  c.record.evidence = Evidence::kNoTimeWait;
  SAYS(only(told(c), FindingKind::kNoTimeWait).text, "net.ipv4.tcp_max_tw_buckets was reached");
}

TEST(Explanation, FinWait2MinisocketThatFoundNoRoomIsNotCalledTimeWait) {
  OwnedConnection c = test::server_closes_first();
  c.path.back() = kClose;
  c.record.time_wait = {};
  c.record.evidence = Evidence::kNoMinisocket;
  const Explanation e = told(c);
  SAYS(only(e, FindingKind::kNoTimeWait).text, "should be in FIN_WAIT2 now");
  EXPECT_EQ(e.timeline.back().text, "no process any more, and no FIN_WAIT2 socket either");
}

// A FIN that was queued behind unsent data: the other end was first, and this one is in TIME_WAIT
// all the same.
TEST(Explanation, HeadlineAndFindingAgreeOnTimeWaitWhoeverWasFirst) {
  OwnedConnection c = test::server_closes_first();
  c.record.closer = Closer::kRemote;
  EXPECT_EQ(told(c).headline,
            "The other end closed first, after 8.21 s; TIME_WAIT is on this end until t168.");
}

TEST(Explanation, OtherEndThatLeftNoTimeWaitIsBelieved) {
  OwnedConnection c = test::its_client();
  OtherEnd other;
  other.ended = true;
  other.closer = Closer::kLocal;
  other.how = How::kFin;
  other.evidence = Evidence::kNoTimeWait;
  SAYS(only(told(c, &other), FindingKind::kTimeWaitRemote).text,
       "has no TIME_WAIT either; its own record says: both FINs exchanged");
}

// ---- how it began ----

TEST(Explanation, TimeWaitTakenOverByASynSaysWhyThatIsAllowed) {
  const TakenOver old{0x40, LeaveReason::kReusedBySyn, TimeWaitPhase::kTimeWait,
                      1'020 * test::kMsNs, test::nginx()};
  const Finding f =
      only(told(test::server_closes_first(), nullptr, &old), FindingKind::kTimeWaitReused);
  SAYS(f.text, "in TIME_WAIT for 1.02 s, left by an earlier connection of nginx (pid 100)");
  SAYS(f.text, "sequence number is above all that was received, or its timestamp is newer");
  SAYS(f.text, "RFC 1122 section 4.2.2.13, RFC 6191");
}

TEST(Explanation, TimeWaitTakenOverByConnectNamesTheSysctl) {
  const TakenOver old{
      0x40, LeaveReason::kReusedByConnect, TimeWaitPhase::kTimeWait, 1'020 * test::kMsNs, {}};
  const Finding f = only(told(test::its_client(), nullptr, &old), FindingKind::kTimeWaitReused);
  SAYS(f.text, "net.ipv4.tcp_tw_reuse must allow it");
  SAYS(f.text, "timestamps");
}

TEST(Explanation, SlowConnectWithResentSynsSaysThatOneWasLost) {
  OwnedConnection c = test::its_client();
  c.record.connect_ns = 1'030 * test::kMsNs;
  c.record.counters->retransmits = 1;
  const Finding f = only(told(c), FindingKind::kSlowConnect);
  SAYS(f.text, "took 1.03 s");
  SAYS(f.text, "lost or dropped");
  SAYS(advice(f), "TcpExtListenOverflows");
}

TEST(Explanation, ConnectThatTakesAsLongAsTheWayIsNoNews) {
  OwnedConnection c = test::its_client();
  c.record.connect_ns = 260 * test::kMsNs;
  c.record.counters->min_rtt_us = 250'000;
  EXPECT_EQ(find(told(c), FindingKind::kSlowConnect), nullptr);
  c.record.counters->min_rtt_us = 20'000;
  SAYS(only(told(c), FindingKind::kSlowConnect).text,
       "took 260 ms, the shortest round trip 20.0 ms");
  c.record.connect_ns = 150 * test::kMsNs;
  EXPECT_EQ(find(told(c), FindingKind::kSlowConnect), nullptr);
}

TEST(Explanation, SimultaneousOpenIsToldFromASelfConnect) {
  OwnedConnection c = test::ended(
      false, {{kSynSent, 1}, {kSynRecv, 1}, {kEstablished, 1}, {kCloseWait, 1}, {kLastAck, 1}});
  SAYS(only(told(c), FindingKind::kSimultaneousOpen).text, "simultaneous open");
  c.record.tuple.lport = c.record.tuple.rport;
  const Explanation self = told(c);
  EXPECT_EQ(find(self, FindingKind::kSimultaneousOpen), nullptr);
  c.record.how = How::kFin;
  c.record.closer = Closer::kBoth;
  const Explanation closed = told(c);
  SAYS(closed.headline, "The socket was connected to itself, and closed after");
  EXPECT_EQ(find(closed, FindingKind::kSimultaneousClose), nullptr);
  SAYS(only(self, FindingKind::kSelfConnect).text, "connected to itself");
  SAYS(advice(only(self, FindingKind::kSelfConnect)), "ip_local_reserved_ports");
}

TEST(Explanation, ConnectionOlderThanTheTraceSaysAtLeast) {
  OwnedConnection c = test::ended(false, {{kCloseWait, 2000}, {kLastAck, 1}});
  c.path.erase(c.path.begin());  // first seen in CLOSE_WAIT
  c.record.path = c.path;
  c.record.began = Began::kBeforeTrace;
  c.record.closer = Closer::kRemote;
  c.record.how = How::kFin;
  const Explanation e = told(c);
  SAYS(e.about, "lasted at least 2.00 s");
  SAYS(only(e, FindingKind::kCloseWait).text, "at least 2.00 s");
  EXPECT_NE(find(e, FindingKind::kBeforeTrace), nullptr);
  EXPECT_EQ(e.timeline.front().text, "first seen; it is older than the trace");
}

TEST(Explanation, DescriptorThatWasPassedOnIsSaid) {
  OwnedConnection c = test::server_closes_first();
  c.record.owner_source = OwnerSource::kInherited;
  SAYS(only(told(c), FindingKind::kOwnerChanged).text, "another process had opened it");
}

// ---- how it lived ----

TEST(Explanation, CloseWaitNamesTheProcessThatDidNotClose) {
  OwnedConnection c = test::its_client();
  c.states[2].ns = 1'000 * test::kMsNs;
  const Finding f = only(told(c), FindingKind::kCloseWait);
  EXPECT_EQ(f.severity, Severity::kNotice);
  SAYS(f.text,
       "curl (pid 200) kept the connection open 1.00 s after the other end had finished "
       "(CLOSE_WAIT)");
  SAYS(advice(f), "end-of-file");
  ASSERT_EQ(f.facts.size(), 2U);
  EXPECT_EQ(std::get<std::uint64_t>(f.facts[0].value), 1'000'000U);
  EXPECT_EQ(std::get<std::uint64_t>(f.facts[1].value), 200U);
}

TEST(Explanation, CloseWaitOfAMinuteIsAProblem) {
  OwnedConnection c = test::its_client();
  c.states[2].ns = 61 * test::kSecondNs;
  const Finding f = only(told(c), FindingKind::kCloseWait);
  EXPECT_EQ(f.severity, Severity::kProblem);
  SAYS(f.text, "net.ipv4.tcp_fin_timeout (60 s)");
}

TEST(Explanation, CloseWaitAfterAHalfCloseMayBeMeant) {
  OwnedConnection c = test::its_client();
  c.states[2].ns = 61 * test::kSecondNs;
  OtherEnd other;
  other.ended = true;
  other.closer = Closer::kLocal;
  other.fin_wait2_ns = 61 * test::kSecondNs;
  const Finding f = only(told(c, &other), FindingKind::kCloseWait);
  EXPECT_EQ(f.severity, Severity::kInfo);
  SAYS(f.text, "half-close");
  EXPECT_TRUE(f.advice.empty());
}

TEST(Explanation, ShortCloseWaitIsNoNews) {
  EXPECT_EQ(find(told(test::its_client()), FindingKind::kCloseWait), nullptr);
}

TEST(Explanation, HalfCloseSaysSinceWhenAndHowLong) {
  OwnedConnection c = test::ended(
      false, {{kSynSent, 0.05}, {kEstablished, 1000}, {kFinWait1, 0.1}, {kFinWait2, 3000}},
      kTimeWait);
  c.record.closer = Closer::kLocal;
  c.record.how = How::kFin;
  SAYS(only(told(c), FindingKind::kHalfClose).text,
       "curl (pid 200) finished sending after 1.00 s and kept its socket open 3.00 s for the other "
       "end to finish");
}

TEST(Explanation, EndThatHalfClosesIsNotSaidToClose) {
  OwnedConnection c = test::ended(
      false, {{kSynSent, 0.05}, {kEstablished, 1000}, {kFinWait1, 0.1}, {kFinWait2, 3000}},
      kTimeWait);
  c.record.closer = Closer::kLocal;
  c.record.closer_process = test::curl();
  EXPECT_EQ(told(c).timeline[2].text, "curl (pid 200) finishes sending: FIN");
}

TEST(Explanation, FinThatWaitsForItsAcknowledgementIsSaid) {
  OwnedConnection c = test::its_client();
  c.states[3].ns = 3 * test::kSecondNs;
  SAYS(only(told(c), FindingKind::kFinUnanswered).text,
       "acknowledged only after 3.00 s (LAST_ACK)");
}

TEST(Explanation, RetransmissionsAreAShareOfWhatWasSent) {
  OwnedConnection c = test::its_client();
  c.record.counters->tx_segs = 120;
  c.record.counters->retransmits = 3;
  const Finding many = only(told(c), FindingKind::kRetransmits);
  SAYS(many.text, "3 of 120 segments had to be sent again (2.5 %)");
  EXPECT_EQ(many.severity, Severity::kNotice);
  c.record.counters->tx_segs = 100'000;
  EXPECT_EQ(only(told(c), FindingKind::kRetransmits).severity, Severity::kInfo);
}

TEST(Explanation, ConnectionWithoutAByteIsSaid) {
  OwnedConnection c = test::its_client();
  c.record.counters->tx_bytes = c.record.counters->rx_bytes = 0;
  SAYS(only(told(c), FindingKind::kNoData).text, "Not a byte");
  EXPECT_EQ(find(told(test::not_connected(How::kRefused, ECONNREFUSED, Evidence::kRefusedByReset)),
                 FindingKind::kNoData),
            nullptr);
}

// ---- how it ended ----

TEST(Explanation, UnreadDataAtCloseIsWhyTheResetWasSent) {
  const Explanation e = told(test::reset(true, Evidence::kUnread));
  EXPECT_EQ(e.headline,
            "nginx (pid 100) reset the connection after 300 ms: closed with unread data.");
  const Finding f = only(e, FindingKind::kUnreadData);
  EXPECT_EQ(f.severity, Severity::kProblem);
  EXPECT_EQ(e.findings.front().kind, FindingKind::kUnreadData);
  SAYS(f.text, "data that it had not read");
  SAYS(advice(f), "shutdown(SHUT_WR)");
}

TEST(Explanation, ResetAfterThePeersFinKeepsTheOrderOfEvents) {
  OwnedConnection c = test::ended(true, {{kSynRecv, 0.04}, {kEstablished, 500}, {kCloseWait, 20}});
  c.record.closer = Closer::kRemote;
  c.record.how = How::kRstSent;
  c.record.evidence = Evidence::kUnread;
  EXPECT_EQ(told(c).headline,
            "The other end closed first, after 500 ms; nginx (pid 100) then reset the connection: "
            "closed with unread data.");
}

TEST(Explanation, ResetAfterOnesOwnFinKeepsTheOrderOfEvents) {
  OwnedConnection c =
      test::ended(false, {{kSynSent, 0.04}, {kEstablished, 500}, {kFinWait1, 1}, {kFinWait2, 40}});
  c.record.closer = Closer::kLocal;
  c.record.how = How::kRstSent;
  c.record.evidence = Evidence::kLinger0;
  EXPECT_EQ(told(c).headline,
            "curl (pid 200) closed first, after 500 ms, and then reset the connection: closed with "
            "SO_LINGER 0.");
  c.record.evidence = Evidence::kDataAfterClose;
  EXPECT_EQ(told(c).headline,
            "curl (pid 200) closed first, after 500 ms; data came after that and was answered with "
            "a RST.");
  c.record.evidence = Evidence::kOrphanReset;
  EXPECT_EQ(told(c).headline,
            "curl (pid 200) closed first, after 500 ms; the kernel then reset the connection.");
}

TEST(Explanation, LingerDataAfterCloseAndDisconnectHaveTheirOwnWords) {
  SAYS(only(told(test::reset(true, Evidence::kLinger0)), FindingKind::kLingerReset).text,
       "SO_LINGER 0");
  SAYS(only(told(test::reset(true, Evidence::kDataAfterClose)), FindingKind::kDataAfterClose).text,
       "still sending when nginx (pid 100) had closed");
  SAYS(only(told(test::reset(true, Evidence::kDisconnected)), FindingKind::kDisconnected).text,
       "AF_UNSPEC");
  SAYS(only(told(test::reset(true, Evidence::kOrphanReset)), FindingKind::kResetSent).text,
       "too many orphans");
  SAYS(only(told(test::reset(true, Evidence::kAborted)), FindingKind::kResetSent).text,
       "aborted by its owner");
}

TEST(Explanation, ConnectionThatWasNeverAcceptedIsNotCalledTheOwners) {
  OwnedConnection c = test::reset(true, Evidence::kNotAccepted);
  c.record.owner_source = OwnerSource::kListen;
  const Explanation e = told(c);
  EXPECT_EQ(e.headline,
            "This end reset the connection after 300 ms: its listener was closed before accept().");
  SAYS(only(e, FindingKind::kNotAccepted).text, "its listener, of nginx (pid 100), was closed");
}

TEST(Explanation, ResetByThePeerSaysWhatThePeerSays) {
  OwnedConnection c = test::reset(false, Evidence::kResetReceived);
  SAYS(told(c).headline, "The other end reset the connection after 300 ms.");
  SAYS(only(told(c), FindingKind::kResetReceived).text, "something between");
  c.record.peer_cookie = 0x51;
  OtherEnd other;
  other.owner = test::nginx();
  other.ended = true;
  other.closer = Closer::kLocal;
  other.how = How::kRstSent;
  other.evidence = Evidence::kUnread;
  const Explanation e = told(c, &other);
  EXPECT_EQ(e.headline, "nginx (pid 100) reset the connection after 300 ms.");
  SAYS(only(e, FindingKind::kResetReceived).text, "its own record says: closed with unread data");
  EXPECT_EQ(find(e, FindingKind::kViewsDiffer), nullptr);
}

TEST(Explanation, ResetByAnEndOnThisHostThatHasNotEndedPointsToItsOwnStory) {
  OwnedConnection c = test::reset(false, Evidence::kResetReceived);
  c.record.peer_cookie = 0x51;
  SAYS(only(told(c), FindingKind::kResetReceived).text, "its own explanation follows");
}

TEST(Explanation, FinThatFoundNothingLeftIsNotBlamedOnItsSender) {
  OwnedConnection c =
      test::ended(true, {{kSynRecv, 0.05}, {kEstablished, 100}, {kCloseWait, 50}, {kLastAck, 1}});
  c.record.closer = Closer::kRemote;
  c.record.how = How::kRstReceived;
  const Explanation e = told(c);
  EXPECT_EQ(e.headline, "The other end closed first, after 100 ms, and then reset the connection.");
  const Finding f = only(e, FindingKind::kResetReceived);
  SAYS(f.text, "nothing of the connection was left there when the FIN of nginx (pid 100) came");
  EXPECT_TRUE(f.advice.empty());
}

TEST(Explanation, ResetInCloseWaitBlamesTheSender) {
  OwnedConnection c = test::ended(false, {{kSynSent, 0.05}, {kEstablished, 100}, {kCloseWait, 50}});
  c.record.closer = Closer::kRemote;
  c.record.how = How::kRstReceived;
  SAYS(only(told(c), FindingKind::kResetReceived).text,
       "what curl (pid 200) sent after that was answered with a RST");
}

TEST(Explanation, CrossedEndsDoNotContradictEachOther) {
  OwnedConnection c = test::reset(true, Evidence::kLinger0);
  c.record.peer_cookie = 0xc1;
  OtherEnd other;
  other.owner = test::curl();
  other.ended = true;
  other.closer = Closer::kLocal;
  other.how = How::kFin;
  SAYS(only(told(c, &other), FindingKind::kViewsDiffer).text,
       "this one says itself, the other itself");
  SAYS(only(told(c, &other), FindingKind::kViewsDiffer).text, "crossed or were lost");
}

TEST(Explanation, RefusedSaysWhereToLook) {
  const Explanation e =
      told(test::not_connected(How::kRefused, ECONNREFUSED, Evidence::kRefusedByReset, 0.3));
  EXPECT_EQ(e.headline, "127.0.0.1:8080 refused the connection.");
  const Finding f = only(e, FindingKind::kRefused);
  SAYS(f.text, "nobody listens there");
  SAYS(advice(f), "ss -ltn sport = :8080");
  const Finding icmp =
      only(told(test::not_connected(How::kRefused, ECONNREFUSED, Evidence::kRefusedByIcmp)),
           FindingKind::kRefused);
  SAYS(icmp.text, "ICMP error");
  SAYS_NOT(icmp.text, "nobody listens");
}

TEST(Explanation, ConnectTimeoutCountsTheSyns) {
  OwnedConnection c = test::not_connected(How::kTimeout, ETIMEDOUT, Evidence::kSynUnanswered, 7000);
  c.record.counters->tx_segs = 3;
  const Explanation e = told(c);
  EXPECT_EQ(e.headline, "127.0.0.1:8080 did not answer: connect() timed out after 7.00 s.");
  SAYS(only(e, FindingKind::kConnectTimeout).text, "did not answer 3 SYNs in 7.00 s");
}

TEST(Explanation, VanishedPeerIsATimeout) {
  OwnedConnection c = test::ended(false, {{kSynSent, 0.05}, {kEstablished, 930'000}});
  c.record.closer = Closer::kNone;
  c.record.how = How::kTimeout;
  c.record.error = ETIMEDOUT;
  const Explanation e = told(c);
  EXPECT_EQ(e.headline, "The other end stopped answering; the kernel gave up after 15 min 30 s.");
  SAYS(only(e, FindingKind::kTimeout).text, "ETIMEDOUT");
}

TEST(Explanation, TimeoutAfterAFinKeepsTheOrderOfEventsAndSaysItOnce) {
  OwnedConnection c = test::ended(true, {{kSynRecv, 0.05}, {kEstablished, 100}, {kFinWait1, 5000}});
  c.record.how = How::kTimeout;
  c.record.closer = Closer::kLocal;
  c.record.counters->retransmits = 3;
  EXPECT_EQ(told(c).headline,
            "nginx (pid 100) closed first, after 100 ms; the other end did not answer any more.");
  EXPECT_EQ(find(told(c), FindingKind::kFinUnanswered), nullptr);
  EXPECT_EQ(find(told(c), FindingKind::kRetransmits), nullptr);
  OwnedConnection passive = test::ended(
      true, {{kSynRecv, 0.05}, {kEstablished, 100}, {kCloseWait, 10}, {kLastAck, 5000}});
  passive.record.how = How::kTimeout;
  passive.record.closer = Closer::kRemote;
  EXPECT_EQ(told(passive).headline,
            "The other end closed first, after 100 ms, and did not answer any more.");
}

TEST(Explanation, UnreachableNamesTheError) {
  const Explanation e =
      told(test::not_connected(How::kUnreachable, EHOSTUNREACH, Evidence::kIcmpError));
  EXPECT_EQ(e.headline, "127.0.0.1:8080 could not be reached: EHOSTUNREACH.");
  SAYS(advice(only(e, FindingKind::kUnreachable)), "ip route get 127.0.0.1");
}

TEST(Explanation, NoPortPointsToPorts) {
  OwnedConnection c = test::not_connected(How::kNoPort, EADDRNOTAVAIL, Evidence::kNone);
  c.record.tuple.lport = 0;
  const Finding f = only(told(c), FindingKind::kNoPort);
  SAYS(f.text, "no local port was free for this destination");
  SAYS(advice(f), "tcptrail ports --connect 127.0.0.1:8080");
  c.record.tuple.lport = 1023;
  SAYS(only(told(c), FindingKind::kNoPort).text,
       "a socket with the same two endpoints still exists");
  EXPECT_EQ(told(c).headline, "Local port 1023 was already in use to 127.0.0.1:8080.");
  SAYS(advice(only(told(c), FindingKind::kNoPort)), "sport = :1023 and dport = :8080");
}

TEST(Explanation, KillerIsNamed) {
  OwnedConnection c = test::reset(true, Evidence::kKilled);
  c.record.how = How::kAborted;
  c.record.closer_process = {7, test::comm("ss")};
  const Explanation e = told(c);
  EXPECT_EQ(e.headline, "Killed from outside by ss (pid 7) after 300 ms.");
  SAYS(only(e, FindingKind::kKilled).text, "ss (pid 7) ended the socket");
}

TEST(Explanation, ConnectGivenUpIsTheCallersDeed) {
  OwnedConnection c = test::not_connected(How::kAborted, 0, Evidence::kGaveUpConnecting, 3000);
  c.record.closer = Closer::kLocal;
  const Explanation e = told(c);
  EXPECT_EQ(e.headline, "curl (pid 200) gave up connecting to 127.0.0.1:8080 after 3.00 s.");
  SAYS(only(e, FindingKind::kGaveUpConnecting).text, "1 SYN was unanswered");
  OwnedConnection at_once =
      test::not_connected(How::kAborted, 0, Evidence::kGaveUpConnecting, 0.05);
  const Finding f = only(told(at_once), FindingKind::kGaveUpConnecting);
  EXPECT_EQ(f.severity, Severity::kNotice);  // nobody had time to answer: no firewall is suspected
  SAYS_NOT(f.text, "firewall");
}

TEST(Explanation, OtherEndingsAreSaidToo) {
  OwnedConnection repair = test::reset(true, Evidence::kRepair);
  repair.record.how = How::kAborted;
  SAYS(only(told(repair), FindingKind::kAborted).text, "TCP_REPAIR");
  OwnedConnection half = test::ended(true, {{kSynRecv, 100}});
  half.record.how = How::kHalfOpen;
  SAYS(only(told(half), FindingKind::kHalfOpen).text, "did not complete it");
  OwnedConnection both = test::server_closes_first();
  both.record.closer = Closer::kBoth;
  both.record.time_wait.side = TimeWaitSide::kBoth;
  EXPECT_EQ(told(both).headline,
            "Both ends closed at the same moment, after 8.21 s; both hold TIME_WAIT, this one "
            "until t168.");
  SAYS(only(told(both), FindingKind::kSimultaneousClose).text, "simultaneous close");
  SAYS(only(told(both), FindingKind::kTimeWait).text, "and so is the other end");
}

TEST(Explanation, WhatIsNotKnownIsNotSaid) {
  const Explanation e = told(test::nothing_known());
  EXPECT_EQ(e.headline, "How it ended is not known: its end was not seen.");
  EXPECT_EQ(e.about, "");
  EXPECT_NE(find(e, FindingKind::kIncomplete), nullptr);
  EXPECT_NE(find(e, FindingKind::kEndUnknown), nullptr);
  EXPECT_EQ(find(e, FindingKind::kNoData), nullptr);
  EXPECT_EQ(find(e, FindingKind::kTimeWaitRemote), nullptr);
}

// ---- the timeline ----

TEST(Explanation, TimelineHasAStepForEachStateWithItsTime) {
  const Explanation e = told(test::server_closes_first());
  ASSERT_EQ(e.timeline.size(), 4U);  // SYN_RECV is passed in the packet that makes it ESTABLISHED
  EXPECT_EQ(e.timeline[0].at_ns, 40'000U);
  EXPECT_EQ(e.timeline[0].state, kEstablished);
  EXPECT_EQ(e.timeline[0].text, "127.0.0.1:40000 has connected");
  EXPECT_EQ(e.timeline[1].at_ns, 8'213'040'000U);
  EXPECT_EQ(e.timeline[1].text, "nginx (pid 100) closes: FIN");
  EXPECT_EQ(e.timeline[3].state, kTimeWait);
  EXPECT_EQ(e.timeline[3].text, "the other end's FIN arrives");
  EXPECT_EQ(e.timeline[3].at_ns, 8'213'140'000U);
  const Explanation client = told(test::its_client());
  EXPECT_EQ(client.timeline[0].text, "curl (pid 200) calls connect(): SYN");
  EXPECT_EQ(client.timeline[1].text, "the SYN is answered");
  EXPECT_EQ(client.timeline[2].text, "the other end's FIN arrives");
  EXPECT_EQ(client.timeline[3].text, "curl (pid 200) closes too: FIN");
  EXPECT_EQ(client.timeline[4].text, "this end's FIN is acknowledged");
}

TEST(Explanation, LongSynRecvIsShown) {
  OwnedConnection c = test::server_closes_first();
  c.states[0].ns = 5 * test::kMsNs;
  EXPECT_EQ(told(c).timeline[0].text, "127.0.0.1:40000 connects");
}

TEST(Explanation, GapInTheTimelineIsMarked) {
  OwnedConnection c =
      test::ended(true, {{kSynRecv, 1}, {kEstablished, 10}, {kFinWait2, 0}}, kTimeWait);
  c.record.complete = false;
  SAYS(told(c).timeline[2].text, "(events before this are missing)");
}

// ---- names ----

TEST(Explanation, EndsOfOneProcessAreKeptApart) {
  OwnedConnection c = test::its_client();
  c.record.peer_cookie = 0x51;
  c.record.closer_process = test::curl();
  const Explanation e = told(c);
  EXPECT_EQ(e.headline, "The other end closed first, after 8.21 s; this end has no TIME_WAIT.");
}

TEST(Explanation, HostileNamesAreEscaped) {
  OwnedConnection c = test::server_closes_first();
  c.record.owner.comm = c.record.closer_process.comm = test::comm("\x1b[31m\nx");
  const Explanation e = told(c);
  SAYS(e.headline, "\\x1b[31m\\x0ax (pid 100)");
  for (const TimelineStep& step : e.timeline) SAYS_NOT(step.text, "\x1b");
}

// ---- other subjects ----

BlockedRecord blocked_bind() {
  BlockedRecord r;
  r.boot_ns = test::kStart;
  r.error = EADDRINUSE;
  r.caller = {812, test::comm("python3")};
  r.tuple = {.laddr = {}, .raddr = {}, .lport = 8000, .rport = 0, .family = Family::kIpv4};
  BlockerRecord tw;
  tw.state = kTimeWait;
  tw.tuple = test::tuple_v4(8000, 40000);
  tw.owner = {640, test::comm("a.out")};
  tw.owner_alive = false;
  tw.reuseaddr = false;
  tw.expires_in_ms = 41'300;
  r.blockers = {tw, tw, tw};
  r.blocker_count = 3;
  r.free_in_ms = 42'000;
  r.remedies = {"Wait 42 s.",
                "For next time set SO_REUSEADDR on the listener from its first start."};
  return r;
}

TEST(Explanation, BlockedBindSaysWhoWhatUntilWhenAndWhatHelps) {
  const Explanation e = explain(blocked_bind(), ExplainContext{test::boot_seconds});
  EXPECT_EQ(e.subject, Subject::kBlocked);
  EXPECT_EQ(e.headline, "bind() on 0.0.0.0:8000 failed for python3 (pid 812) with EADDRINUSE.");
  const Finding f = only(e, FindingKind::kPortBlocked);
  SAYS(f.text, "3 TIME_WAIT left by a.out (pid 640), which has exited, without SO_REUSEADDR");
  SAYS(f.text, "Free at t142 at the latest");
  SAYS(f.text, "SO_REUSEADDR on both");
  EXPECT_EQ(f.advice.size(), 2U);
}

TEST(Explanation, BlockedByALiveSocketHasNoTimer) {
  BlockedRecord r = blocked_bind();
  r.blockers.resize(1);
  r.blockers[0].state = kListen;
  r.blockers[0].owner_alive = true;
  r.blockers[0].expires_in_ms.reset();
  r.blocker_count = 70;
  r.free_in_ms.reset();
  r.count = 312;
  const Explanation e = explain(r, ExplainContext{test::boot_seconds});
  SAYS(e.headline, "EADDRINUSE, 312 times");
  SAYS(only(e, FindingKind::kPortBlocked).text,
       "1 LISTEN of a.out (pid 640) without SO_REUSEADDR and 69 more. No timer will free it.");
}

TEST(Explanation, OrphansEndByTheirRetries) {
  BlockedRecord r = blocked_bind();
  for (BlockerRecord& blocker : r.blockers) {
    blocker.state = kFinWait1;
    blocker.expires_in_ms.reset();
    blocker.orphan = true;
  }
  r.free_in_ms.reset();
  const auto text = [&] {
    return only(explain(r, ExplainContext{test::boot_seconds}), FindingKind::kPortBlocked).text;
  };
  SAYS(text(), "net.ipv4.tcp_orphan_retries");
  EXPECT_EQ(text().find("No timer"), std::string::npos);
  r.blockers[0].orphan = false;
  SAYS(text(), "No timer will free it.");
}

TEST(Explanation, BlockedConnectSaysThatOtherDestinationsWork) {
  BlockedRecord r = blocked_bind();
  r.op = BlockedOp::kConnect;
  r.error = EADDRNOTAVAIL;
  r.tuple = test::tuple_v4(0, 8080);
  const Explanation e = explain(r, ExplainContext{test::boot_seconds});
  EXPECT_EQ(e.headline,
            "connect() to 127.0.0.1:8080 failed for python3 (pid 812) with EADDRNOTAVAIL.");
  SAYS(only(e, FindingKind::kPortBlocked).text, "other destinations are not affected");
  EXPECT_EQ(e.service_port, 8080);
}

TEST(Explanation, BindOfAForeignAddressIsNoBlock) {
  BlockedRecord r = blocked_bind();
  r.error = EADDRNOTAVAIL;
  r.blockers.clear();
  r.blocker_count = 0;
  SAYS(only(explain(r, ExplainContext{test::boot_seconds}), FindingKind::kPortBlocked).text,
       "is no address of this network namespace");
}

TEST(Explanation, MinisocketThatExpiresOrBeginsIsNoStory) {
  TimeWaitRecord r = test::time_wait_left();
  r.reason = LeaveReason::kExpired;
  EXPECT_FALSE(explain(r, ExplainContext{test::boot_seconds}));
  EXPECT_FALSE(explain(test::time_wait_entered(), ExplainContext{test::boot_seconds}));
}

TEST(Explanation, FinWait2ThatExpiresBlamesThePeer) {
  TimeWaitRecord r = test::time_wait_left();
  r.phase = TimeWaitPhase::kFinWait2;
  r.reason = LeaveReason::kExpired;
  r.held_ns = 60 * test::kSecondNs;
  OtherEnd other;
  other.owner = test::curl();
  other.close_wait_since = test::kStart;
  const auto e = explain(r, ExplainContext{test::boot_seconds, nullptr, &other});
  ASSERT_TRUE(e);
  EXPECT_EQ(e->headline,
            "curl (pid 200) never closed; this end stopped waiting for it after 60.0 s.");
  SAYS(only(*e, FindingKind::kPeerNeverClosed).text, "127.0.0.1:19999 is free again");
  SAYS(only(*e, FindingKind::kPeerNeverClosed).text, "CLOSE_WAIT since t100");
}

TEST(Explanation, TimeWaitThatWasCutShortIsSaid) {
  TimeWaitRecord r = test::time_wait_left();
  r.reason = LeaveReason::kReset;
  SAYS(only(*explain(r, ExplainContext{test::boot_seconds}), FindingKind::kTimeWaitCut).text,
       "RFC 1337");
  r.reason = LeaveReason::kKilled;
  SAYS(explain(r, ExplainContext{test::boot_seconds})->headline,
       "was killed (`ss -K`) after 2.00 s");
}

TEST(Explanation, BlockedConnectNamesAnOwnerThatHasExited) {
  BlockedRecord r = blocked_bind();
  r.op = BlockedOp::kConnect;
  SAYS(only(explain(r, ExplainContext{test::boot_seconds}), FindingKind::kPortBlocked).text,
       "left by a.out (pid 640), which has exited. Free at");
}

TEST(Explanation, SocketsLeftInCloseWaitAreALeak) {
  const Explanation e =
      explain(KeptOpen{test::curl(), 1, TcpState::kCloseWait, test::tuple_v4(40000, 8080), 0xc1, 12,
                       63 * test::kSecondNs, 70 * test::kSecondNs},
              test::kStart);
  EXPECT_EQ(e.headline,
            "curl (pid 200) still holds 12 connections in CLOSE_WAIT, the oldest for 63.0 s.");
  SAYS(only(e, FindingKind::kLeak).text, "all came within the 70.0 s of this run");
  EXPECT_EQ(only(e, FindingKind::kLeak).severity, Severity::kProblem);
}

// ---- all of them ----

// Whatever is combined: known folklore is never advised, and texts are whole sentences.
TEST(Explanation, NoAdviceIsFolklore) {
  const auto check = [](const Explanation& e) {
    for (const Finding& f : e.findings) {
      const std::string all = f.text + '\n' + advice(f);
      SAYS_NOT(all, "tw_recycle");
      SAYS_NOT(advice(f), "tcp_fin_timeout");
      EXPECT_TRUE(f.text.ends_with('.')) << f.text;
      for (const std::string& one : f.advice) EXPECT_TRUE(one.ends_with('.')) << one;
    }
    EXPECT_TRUE(e.headline.ends_with('.')) << e.headline;
  };
  for (const auto role : {Role::kActive, Role::kPassive, Role::kUnknown}) {
    for (int how = 0; how <= static_cast<int>(How::kHalfOpen); ++how) {
      for (int closer = 0; closer <= static_cast<int>(Closer::kNone); ++closer) {
        for (int phase = 0; phase <= static_cast<int>(TimeWaitPhase::kTimeWait); ++phase) {
          OwnedConnection c = test::server_closes_first();
          c.record.role = role;
          c.record.how = static_cast<How>(how);
          c.record.closer = static_cast<Closer>(closer);
          c.record.time_wait.phase = static_cast<TimeWaitPhase>(phase);
          check(told(c));
          c.record.owner = {};
          c.record.counters.reset();
          c.record.evidence = Evidence::kNone;
          check(told(c));
        }
      }
    }
  }
}

TEST(Explanation, EveryKindHasAWordOfItsOwn) {
  std::set<std::string_view> words;
  for (std::size_t kind = 0; kind < kFindingKinds; ++kind)
    words.insert(to_string(static_cast<FindingKind>(kind)));
  EXPECT_EQ(words.size(), kFindingKinds);
  EXPECT_FALSE(words.contains(""));
}

}  // namespace
}  // namespace tcptrail
