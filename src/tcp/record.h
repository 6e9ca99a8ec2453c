// SPDX-License-Identifier: BSD-2-Clause
// What the model says: one struct per record type of the event stream. The
// model fills them, a RecordSink prints or stores them. Names and meanings are
// those of docs/json.md. Unknown is std::nullopt (or the enumerator kUnknown),
// never a zero. Times are CLOCK_BOOTTIME nanoseconds.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tcp/address.h"
#include "tcp/evidence.h"
#include "tcp/tcp_state.h"

namespace tcptrail {

// The bytes of a task's comm: from a stranger, up to 15 bytes and a NUL.
struct Comm {
  std::array<char, 16> bytes{};
  [[nodiscard]] std::string_view view() const {
    return {bytes.data(), ::strnlen(bytes.data(), bytes.size())};
  }
  friend bool operator==(const Comm&, const Comm&) = default;
};

enum class Role : std::uint8_t { kUnknown, kActive, kPassive };
enum class Closer : std::uint8_t { kUnknown, kLocal, kRemote, kBoth, kNone };
enum class How : std::uint8_t {
  kUnknown,
  kFin,
  kRstSent,
  kRstReceived,
  kRefused,
  kTimeout,
  kUnreachable,
  kNoPort,
  kAborted,
  kHalfOpen,
};
enum class OwnerSource : std::uint8_t {
  kUnknown,
  kClose,
  kAccept,
  kConnect,
  kListen,
  kSnapshot,
  kInherited
};
enum class Began : std::uint8_t { kObserved, kBeforeTrace };
enum class TimeWaitSide : std::uint8_t { kUnknown, kNone, kLocal, kRemote, kBoth };
enum class TimeWaitPhase : std::uint8_t { kNone, kFinWait2, kTimeWait };
enum class TimeWaitEvent : std::uint8_t { kPresent, kEnter, kLeave };
enum class LeaveReason : std::uint8_t {
  kUnknown,
  kExpired,
  kReusedBySyn,
  kReusedByConnect,
  kReset,
  kKilled,
  kNetnsExit
};

// The words of the JSON stream: "local", "rst-sent", "fin_wait2", ...
std::string_view to_string(Role);
std::string_view to_string(Closer);
std::string_view to_string(How);
std::string_view to_string(OwnerSource);
std::string_view to_string(Began);
std::string_view to_string(TimeWaitSide);
std::string_view to_string(TimeWaitPhase);  // kNone has no word: print null
std::string_view to_string(TimeWaitEvent);
std::string_view to_string(LeaveReason);
std::string_view to_string(Family);
std::optional<Closer> closer_from_string(std::string_view);
std::optional<How> how_from_string(std::string_view);
// The same words for a reader who chooses among them (flags, help, completion): "unknown" last.
std::span<const std::string_view> closer_words();
std::span<const std::string_view> how_words();

struct Process {
  std::uint32_t pid = 0;  // tgid; 0 = unknown
  Comm comm;
};

struct TransitionRecord {
  std::uint64_t boot_ns = 0;
  std::uint64_t cookie = 0;  // 0 = unknown
  std::uint32_t generation = 0;
  std::uint32_t netns = 0;
  Tuple tuple;
  TcpState old_state{};
  TcpState new_state{};
  std::optional<std::uint64_t> in_old_ns;  // time spent in old_state
  Process owner;
  OwnerSource owner_source = OwnerSource::kUnknown;
};

struct StateSpan {
  TcpState state{};
  std::uint64_t ns = 0;
};

struct TimeWaitOutcome {
  TimeWaitSide side = TimeWaitSide::kUnknown;
  std::optional<std::uint64_t> entered;  // boot ns, when this end entered it
  TimeWaitPhase phase = TimeWaitPhase::kNone;
  std::optional<std::uint64_t> expected_end;  // boot ns of the kernel's timer
  // Of the minisocket that is left; nullopt = none, or not known. Printed with the time_wait
  // record.
  std::optional<bool> reuseaddr = std::nullopt;
  std::optional<bool> reuseport = std::nullopt;
};

struct Counters {
  std::uint64_t tx_bytes = 0;
  std::uint64_t rx_bytes = 0;
  std::uint32_t tx_segs = 0;
  std::uint32_t rx_segs = 0;
  std::uint32_t retransmits = 0;
  std::optional<std::uint32_t> rtt_us;
  std::optional<std::uint32_t> min_rtt_us;
  std::uint32_t mss = 0;
};

// Written when the full socket reaches CLOSE. The spans and string_views live
// until the sink returns.
struct ConnectionRecord {
  std::uint64_t boot_ns = 0;  // of the CLOSE event; the record's own time
  std::uint64_t cookie = 0;
  std::uint32_t generation = 0;
  std::uint32_t netns = 0;
  Tuple tuple;
  Role role = Role::kUnknown;
  Process owner;
  std::optional<std::uint32_t> uid;
  std::string_view cgroup;  // path below the cgroup2 root, "" = unknown
  std::uint64_t cgroup_id = 0;
  OwnerSource owner_source = OwnerSource::kUnknown;
  Began began = Began::kObserved;
  std::uint64_t start = 0;           // boot ns: first SYN, or first sight
  std::optional<std::uint64_t> end;  // boot ns; nullopt when the CLOSE was never seen
  std::optional<std::uint64_t> duration_ns;
  std::optional<std::uint64_t> connect_ns;  // first SYN to ESTABLISHED, active side
  std::span<const StateSpan> states;        // every state that was left, in order
  std::span<const TcpState> path;           // ends with TIME_WAIT when this end entered it
  Closer closer = Closer::kUnknown;
  How how = How::kUnknown;
  Evidence evidence = Evidence::kNone;
  std::string_view reset_reason;  // the kernel's word for the RST that was sent; "" = unknown
  Process closer_process;         // pid 0 = unknown
  std::uint16_t error = 0;        // errno, 0 = none
  TimeWaitOutcome time_wait;
  std::optional<Counters> counters;  // nullopt when the CLOSE was never seen
  bool complete = true;
  std::uint64_t peer_cookie = 0;  // 0 = the other end is not on this host, or not seen
  std::optional<std::uint16_t> service_port;
};

struct TimeWaitRecord {
  std::uint64_t boot_ns = 0;
  TimeWaitEvent event = TimeWaitEvent::kPresent;
  TimeWaitPhase phase = TimeWaitPhase::kTimeWait;
  std::uint64_t cookie = 0;
  std::uint32_t netns = 0;
  Tuple tuple;
  Process owner;
  std::optional<bool> reuseaddr;
  std::optional<bool> reuseport;
  std::optional<std::uint64_t> expires_in_ms;
  LeaveReason reason = LeaveReason::kUnknown;  // on leave
  std::optional<std::uint64_t> held_ns;        // on leave
  std::uint64_t successor_cookie =
      0;  // on leave by reuse: the socket that took the tuple over; not printed
};

// Blockers that a record names; how many there are stands beside them.
inline constexpr std::size_t kMaxBlockers = 64;

struct BlockerRecord {
  TcpState state{};
  std::uint64_t cookie = 0;  // 0 = unknown
  Tuple tuple;               // rport 0 = it has no remote end
  Process owner;             // pid 0 = nobody holds it, or unknown
  std::optional<bool> owner_alive;
  std::optional<bool> reuseaddr;
  std::optional<bool> reuseport;
  std::optional<std::uint64_t> expires_in_ms;
  bool orphan = false;  // closed by its process; the kernel still waits for the peer
};

struct PortOwner {
  Process process;
  std::optional<bool> alive;
  std::uint64_t count = 0;
};

struct PortRecord {
  std::uint64_t boot_ns = 0;
  std::uint32_t netns = 0;
  Family family = Family::kIpv4;  // of laddr
  Address laddr;
  std::uint16_t lport = 0;  // 0 = the kernel chooses
  // Several ports that connect() chose, as one (text alone): lport to last_port, not all of them.
  std::uint16_t last_port = 0;
  unsigned ports = 1;
  std::vector<std::pair<TcpState, std::uint64_t>> states;  // of the blockers
  bool bind_plain = false;
  bool bind_reuseaddr = false;
  bool bind_reuseport = false;
  std::vector<BlockerRecord> blockers;  // at most kMaxBlockers, those that stay longest first
  std::uint64_t blocker_count = 0;
  std::optional<std::uint64_t> free_in_ms;  // 0 = now
  std::vector<PortOwner> owners;            // those with most sockets first
  std::vector<std::string> remedies;        // the best first
};

struct DestinationRecord {
  std::uint64_t boot_ns = 0;
  std::uint32_t netns = 0;
  Tuple tuple;  // lport 0
  bool connect = false;
  unsigned used = 0;
  unsigned time_wait = 0;
  unsigned available = 0;
  unsigned range_low = 0;
  unsigned range_high = 0;
  unsigned reserved = 0;
  std::optional<double> rate_per_s;
  std::optional<double> exhausted_in_s;
  std::optional<std::uint64_t> free_in_ms;  // 0 = now
  std::vector<PortOwner> owners;
  std::vector<std::string> remedies;  // for people; the JSON record has no place for them
};

enum class BlockedOp : std::uint8_t { kBind, kListen, kConnect };
std::string_view to_string(BlockedOp);

// A bind(), listen() or connect() that the kernel refused for want of a port.
struct BlockedRecord {
  std::uint64_t boot_ns = 0;  // of the last attempt
  BlockedOp op = BlockedOp::kBind;
  std::uint16_t error = 0;  // errno
  std::uint64_t count = 1;  // attempts that this record stands for: same call, caller and endpoint
  Process caller;
  std::uint32_t netns = 0;
  Tuple tuple;  // as asked for; lport 0 = the kernel was to choose; rport 0 = bind, listen
  std::vector<BlockerRecord> blockers;  // at most kMaxBlockers, those that stay longest first
  std::uint64_t blocker_count = 0;
  std::optional<std::uint64_t> free_in_ms;  // nullopt = no timer will free it, or unknown
  std::vector<std::string> remedies;        // the best first
};

// Connections that only their process, or their peer, can end, by process: CLOSE_WAIT,
// and FIN_WAIT2 without a timer.
struct LeakRecord {
  std::uint64_t boot_ns = 0;
  std::uint32_t netns = 0;
  TcpState state{};
  bool queue = false;  // they wait for accept(): the owner is the process that listens
  Process owner;       // pid 0 = unknown
  std::optional<bool> alive;
  std::uint64_t count = 0;
  std::optional<std::uint64_t>
      oldest_ns;  // how long the oldest has been in the state; nullopt = since before the trace
  std::optional<double>
      growth_per_s;  // of count, over the last minute at most; nullopt = first look
  std::string remedy;
};

// One look of `ports --watch` at one network namespace.
struct PortRound {
  std::uint64_t boot_ns = 0;
  std::uint32_t netns = 0;
  std::span<const PortRecord> ports;                // what hurts most first
  std::span<const DestinationRecord> destinations;  // what is nearest to its end first
  std::span<const LeakRecord> leaks;                // the most first
  std::span<const TimeWaitRecord> time_waits;       // event "present"
};

struct Loss {
  std::uint64_t ring = 0;       // transitions that found the ring full
  std::uint64_t nested = 0;     // the program was interrupted on its CPU and skipped
  std::uint64_t table = 0;      // transitions of connections that a full table pushed out
  std::uint64_t malformed = 0;  // records that could not be decoded
  // Beside the transitions, and not in total(): who accepted, RSTs, ends of TIME_WAIT, for want of
  // room.
  std::uint64_t other = 0;
  [[nodiscard]] std::uint64_t total() const { return ring + nested + table + malformed; }
  friend Loss operator-(const Loss& a, const Loss& b) {
    return {a.ring - b.ring, a.nested - b.nested, a.table - b.table, a.malformed - b.malformed,
            a.other - b.other};
  }
  friend Loss operator+(const Loss& a, const Loss& b) {
    return {a.ring + b.ring, a.nested + b.nested, a.table + b.table, a.malformed + b.malformed,
            a.other + b.other};
  }
  friend bool operator==(const Loss&, const Loss&) = default;
};

// What was lost since `since`; all of them add up to the summary's.
struct LossRecord {
  std::uint64_t boot_ns = 0;
  Loss loss;
  std::uint64_t since = 0;  // boot ns: when the previous loss record (or the run) was written
};

struct StartupRecord {
  std::uint64_t boot_ns = 0;
  std::string version;
  std::string command;
  std::string hostname;
  std::string boot_id;
  std::string kernel;
  std::vector<std::pair<std::string, bool>> features;
  std::vector<std::pair<std::string, std::string>> filters;  // flag → value as given
};

struct SummaryRecord {
  std::uint64_t boot_ns = 0;
  std::uint64_t events = 0;       // records decoded
  std::uint64_t transitions = 0;  // transitions that passed the filter
  std::uint64_t connections = 0;  // connection records
  std::uint64_t open = 0;         // connections still open
  std::uint64_t incomplete = 0;   // connection records with complete = false
  Loss loss;
  std::uint64_t duration_ns = 0;
};

// Where records go. Calls come in the order of the stream, from one thread. Every method does
// nothing unless a sink overrides it: a sink names the records that it wants.
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  virtual void on(const StartupRecord&) {}
  virtual void on(const TransitionRecord&) {}
  virtual void on(const ConnectionRecord&) {}
  virtual void on(const TimeWaitRecord&) {}
  virtual void on(const BlockedRecord&) {}
  virtual void on(const LossRecord&) {}
  virtual void on(const SummaryRecord&) {}
  virtual void on(const PortRound&) {}  // `ports --watch` alone
  // Who owns a connection became known, maybe only after a record of it: a FIN can come before
  // accept().
  virtual void owner_found(std::uint64_t /*cookie*/, const Process&) {}

  // The stream has come this far (boot ns): what a sink does at certain times, whether a record
  // comes or not. Called after the records of each batch, at least when next_tick() has come.
  virtual void tick(std::uint64_t) {}
  // The time that tick() is waited for; UINT64_MAX = none.
  [[nodiscard]] virtual std::uint64_t next_tick() const { return UINT64_MAX; }
};

// Hands everything on. What stands between the model and a view derives from it, so that a new
// record type passes.
class ForwardingSink : public RecordSink {
 public:
  explicit ForwardingSink(RecordSink& next) : next_(next) {}
  void on(const StartupRecord& r) override { next_.on(r); }
  void on(const TransitionRecord& r) override { next_.on(r); }
  void on(const ConnectionRecord& r) override { next_.on(r); }
  void on(const TimeWaitRecord& r) override { next_.on(r); }
  void on(const BlockedRecord& r) override { next_.on(r); }
  void on(const LossRecord& r) override { next_.on(r); }
  void on(const SummaryRecord& r) override { next_.on(r); }
  void on(const PortRound& r) override { next_.on(r); }
  void owner_found(std::uint64_t cookie, const Process& owner) override {
    next_.owner_found(cookie, owner);
  }
  void tick(std::uint64_t boot_ns) override { next_.tick(boot_ns); }
  [[nodiscard]] std::uint64_t next_tick() const override { return next_.next_tick(); }

 private:
  RecordSink& next_;
};

}  // namespace tcptrail
