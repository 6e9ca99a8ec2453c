// SPDX-License-Identifier: BSD-2-Clause
// What a record tells a human: one headline, the steps with their times, and
// findings: what is left behind, what was unusual, what to change. Inputs: a record
// and what else is known of it (the other end, a TIME_WAIT that it took over).
// Output: data, which output/explain_* print. Pure; called by the explainer.
//
// Advice is given only where it fits and is true. What is known to be wrong is never
// said: tcp_fin_timeout does not shorten TIME_WAIT, SO_REUSEADDR on the new socket
// alone does not help, tcp_tw_recycle does not exist any more.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tcp/record.h"

namespace tcptrail {

// kInfo: so it is meant to be. kNotice: unusual, or good to know before it hurts. kProblem:
// something failed.
enum class Severity : std::uint8_t { kInfo, kNotice, kProblem };

enum class FindingKind : std::uint8_t {
  // what is left behind
  kTimeWait,
  kTimeWaitRemote,
  kFinWait2Left,
  kNoTimeWait,
  // how it began
  kTimeWaitReused,
  kSlowConnect,
  kSimultaneousOpen,
  kSelfConnect,
  kBeforeTrace,
  kOwnerChanged,
  // how it lived
  kNoData,
  kRetransmits,
  kHalfClose,
  kCloseWait,
  kFinUnanswered,
  // how it ended
  kSimultaneousClose,
  kViewsDiffer,
  kUnreadData,
  kDataAfterClose,
  kLingerReset,
  kNotAccepted,
  kDisconnected,
  kResetSent,
  kResetReceived,
  kRefused,
  kConnectTimeout,
  kTimeout,
  kUnreachable,
  kNoPort,
  kKilled,
  kGaveUpConnecting,
  kAborted,
  kHalfOpen,
  kIncomplete,
  kEndUnknown,
  // of other subjects than a connection
  kPortBlocked,
  kTimeWaitCut,
  kPeerNeverClosed,
  kLeak,
};
inline constexpr std::size_t kFindingKinds = static_cast<std::size_t>(FindingKind::kLeak) + 1;

// What an explanation is about: a finished connection, a refused call, the end of a TIME_WAIT,
// or sockets that are still open when the run ends.
enum class Subject : std::uint8_t { kConnection, kBlocked, kTimeWait, kOpen };

std::string_view to_string(Severity);
std::string_view to_string(FindingKind);
std::string_view to_string(Subject);

// The numbers and names that a finding's text is made of, for programs.
struct Fact {
  std::string_view name;
  std::variant<std::uint64_t, bool, std::string> value;
};

struct Finding {
  FindingKind kind{};
  Severity severity{};
  std::string text;                 // whole sentences
  std::vector<std::string> advice;  // what to change, the best first; whole sentences
  std::vector<Fact> facts;
};

struct TimelineStep {
  std::uint64_t at_ns = 0;  // since the start
  TcpState state{};         // that is entered
  std::string text;
};

struct Explanation {
  std::uint64_t boot_ns = 0;
  Subject subject{};
  std::uint64_t cookie = 0;
  std::uint32_t generation = 0;
  std::uint32_t netns = 0;
  Tuple tuple;
  Role role = Role::kUnknown;
  Process owner;
  std::string cgroup;  // bytes from a stranger
  std::uint64_t peer_cookie = 0;
  std::optional<std::uint16_t> service_port;
  std::optional<std::uint64_t> start;
  std::string headline;
  std::string about;  // duration, bytes, round-trip time
  std::vector<TimelineStep> timeline;
  std::optional<Closer> closer;  // of a connection
  std::optional<How> how;
  Evidence evidence = Evidence::kNone;
  Process closer_process;
  std::uint16_t error = 0;
  std::vector<Finding> findings;  // the worst first
};

// The end of a TIME_WAIT, as far as its successor's explanation needs it.
struct TakenOver {
  std::uint64_t cookie = 0;  // of the connection that had left it
  LeaveReason reason = LeaveReason::kUnknown;
  TimeWaitPhase phase = TimeWaitPhase::kTimeWait;
  std::optional<std::uint64_t> held_ns;
  Process owner;
};

// The other end, when it is on this host.
struct OtherEnd {
  Process owner;
  // While it has not ended: since when it has been in CLOSE_WAIT; 0 = it is not, or nobody knows.
  std::uint64_t close_wait_since = 0;
  // What its own record says.
  bool ended = false;
  Closer closer = Closer::kUnknown;
  How how = How::kUnknown;
  Evidence evidence = Evidence::kNone;
  TimeWaitOutcome time_wait;
  std::uint64_t fin_wait2_ns = 0;  // how long its socket waited for our FIN
};

struct ExplainContext {
  std::function<std::string(std::uint64_t)> clock;  // a boot time as wall-clock text
  const TakenOver* taken_over = nullptr;
  const OtherEnd* other_end = nullptr;
};

// From here on they are worth a sentence.
inline constexpr std::uint64_t kSlowConnectNs = 200'000'000;
inline constexpr std::uint64_t kSynResentNs =
    1'000'000'000;  // the kernel's first retransmission of a SYN
inline constexpr std::uint64_t kHalfCloseNs = 10'000'000;
inline constexpr std::uint64_t kCloseWaitNs = 500'000'000;
inline constexpr std::uint64_t kLongCloseWaitNs =
    60'000'000'000;  // net.ipv4.tcp_fin_timeout as shipped
inline constexpr std::uint64_t kFinUnansweredNs = 1'000'000'000;

Explanation explain(const ConnectionRecord& record, const ExplainContext& context);
Explanation explain(const BlockedRecord& record, const ExplainContext& context);
// A TIME_WAIT or FIN_WAIT2 minisocket that went in a way that is worth telling; nullopt otherwise.
std::optional<Explanation> explain(const TimeWaitRecord& record, const ExplainContext& context);

// Sockets that one process keeps in CLOSE_WAIT.
struct KeptOpen {
  Process owner;
  std::uint32_t netns = 0;
  TcpState state{};  // CLOSE_WAIT, or FIN_WAIT2 with a descriptor
  Tuple oldest;
  std::uint64_t oldest_cookie = 0;
  std::uint64_t count = 0;
  std::uint64_t oldest_ns = 0;  // how long
  std::uint64_t run_ns = 0;     // they all came within it
};
Explanation explain(const KeptOpen& kept, std::uint64_t boot_ns);

}  // namespace tcptrail
