// SPDX-License-Identifier: BSD-2-Clause
// The last transitions of sockets that are not in the table: they have closed, or it
// was full. The second copy of the program may report them again (bpf/nested.bpf.h),
// after all that happens on the other CPUs while the hypervisor has taken this one
// away: there is room for that. Used by the tracker.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tcp/event.h"

namespace tcptrail {

class RecentTransitions {
 public:
  void add_close(std::uint64_t cookie) { closed_[closed_next_++ % closed_.size()] = cookie; }
  [[nodiscard]] bool has_closed(std::uint64_t cookie) const {
    return std::find(closed_.begin(), closed_.end(), cookie) != closed_.end();
  }

  // A transition that a full table passed by. The room is taken when there is one.
  void add_passed(const Event& event) {
    passed_.resize(kPassedKept);
    passed_[passed_next_++ % kPassedKept] = {event.cookie(), event.old_state(), event.new_state()};
  }
  [[nodiscard]] bool has_passed(const Event& event) const {
    const Passed wanted{event.cookie(), event.old_state(), event.new_state()};
    return std::find(passed_.begin(), passed_.end(), wanted) != passed_.end();
  }

 private:
  struct Passed {
    std::uint64_t cookie = 0;
    TcpState old_state{};
    TcpState new_state{};
    bool operator==(const Passed&) const = default;
  };
  static constexpr std::size_t kPassedKept = 16'384;

  std::array<std::uint64_t, 4096> closed_{};
  std::size_t closed_next_ = 0;
  std::vector<Passed> passed_;
  std::size_t passed_next_ = 0;
};

}  // namespace tcptrail
