// SPDX-License-Identifier: BSD-2-Clause
// The memory behind the explanations: which connection took over which TIME_WAIT, what
// the other end of a connection on this host said, who sits in CLOSE_WAIT. Inputs: the
// records of a run, in order; output: explanations. Every memory is bounded: what was
// forgotten is left out, never guessed. Called by the explain sinks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "explain/explanation.h"
#include "tcp/record.h"
#include "util/cookie_table.h"

namespace tcptrail {

class Explainer {
 public:
  static constexpr std::size_t kKept = 65'536;  // entries of each memory

  // `clock`: a boot time as wall-clock text.
  explicit Explainer(std::function<std::string(std::uint64_t)> clock, std::size_t kept = kKept)
      : clock_(std::move(clock)), kept_(kept) {}

  void on(const StartupRecord& record) { start_ns_ = record.boot_ns; }
  void on(const TransitionRecord& record);
  void owner_found(std::uint64_t cookie, const Process& owner);
  Explanation on(const ConnectionRecord& record);
  Explanation on(const BlockedRecord& record) const;
  // Mostly nothing: what became of a TIME_WAIT belongs into its successor's explanation.
  std::optional<Explanation> on(const TimeWaitRecord& record);
  // At the end of the run: what is still held in CLOSE_WAIT or FIN_WAIT2, by process.
  [[nodiscard]] std::vector<Explanation> finish(std::uint64_t boot_ns) const;

 private:
  struct Waiting {  // in CLOSE_WAIT, or in FIN_WAIT2
    TcpState state{};
    std::uint64_t since = 0;
    std::uint32_t netns = 0;
    Tuple tuple;
    Process owner;
  };
  struct Ended {  // and the other end has not
    Process owner;
    Closer closer{};
    How how{};
    Evidence evidence{};
    TimeWaitOutcome time_wait;
    std::uint64_t fin_wait2_ns = 0;
    std::uint64_t boot_ns = 0;
    std::uint64_t peer_cookie = 0;
  };
  struct Leave {
    TakenOver taken_over;
    std::uint64_t boot_ns = 0;
  };

  template <class T>
  T& remember(CookieTable<T>& table, std::uint64_t cookie);
  std::optional<OtherEnd> other_end(std::uint64_t peer_cookie, std::uint64_t from_ns) const;

  std::function<std::string(std::uint64_t)> clock_;
  std::size_t kept_;
  std::uint64_t start_ns_ = 0;
  CookieTable<Waiting> waiting_;
  CookieTable<Ended> ended_;
  CookieTable<Leave> leaves_;             // by the cookie of the successor
  CookieTable<std::uint64_t> explained_;  // cookies whose explanation is out
};

}  // namespace tcptrail
