// SPDX-License-Identifier: BSD-2-Clause
// The part of a connection that most of them only have while they close: who closed
// each end, and the states after ESTABLISHED. An open connection has none, so that a
// million of them do not take the room (see docs/performance.md); one that closes gets
// one from here and gives it back with its record. Used by the lifecycle.
#pragma once

#include "connections/conn.h"
#include "util/slab.h"

namespace tcptrail {

class ClosingStates {
 public:
  // One more state of its path. A path that is full makes the history incomplete.
  void enter(Conn& conn, TcpState next, std::uint64_t boot_ns) {
    if (conn.steps < kMaxSteps) {
      ++conn.steps;
      replace_last_step(conn, Step(boot_ns, next));
    } else {
      conn.complete = false;
    }
    conn.before = conn.state;
    conn.state = next;
  }
  // `i` below conn.steps; the last one is step(conn, conn.steps - 1).
  [[nodiscard]] Step step(const Conn& conn, std::size_t i) const {
    return i < kOpenSteps ? conn.path[i] : slab_[conn.ending].path[i - kOpenSteps];
  }
  void replace_last_step(Conn& conn, Step step) {
    const std::size_t i = conn.steps - 1U;
    (i < kOpenSteps ? conn.path[i] : of(conn).path[i - kOpenSteps]) = step;
  }

  // Pid 0 = not known.
  [[nodiscard]] Process local_close(const Conn& conn) const {
    return conn.ending != kNone ? slab_[conn.ending].local_close : Process{};
  }
  [[nodiscard]] Process remote_close(const Conn& conn) const {
    return conn.ending != kNone ? slab_[conn.ending].remote_close : Process{};
  }
  void set_local_close(Conn& conn, const Process& process) { of(conn).local_close = process; }
  void set_remote_close(Conn& conn, const Process& process) { of(conn).remote_close = process; }

  // The connection is no more: neither its path nor who closed it can be asked for any longer.
  void drop(Conn& conn) {
    if (conn.ending != kNone) slab_.give_back(conn.ending);
    conn.ending = kNone;
  }
  // `to` is a copy of `from` that lives on; `from` has no ending any more.
  static void hand_over(Conn& from, Conn& to) {
    to.ending = from.ending;
    from.ending = kNone;
  }

  // How many there are.
  [[nodiscard]] std::size_t size() const { return slab_.size(); }

 private:
  static constexpr std::uint32_t kNone = Slab<ClosingState>::kNone;

  ClosingState& of(Conn& conn) {
    if (conn.ending == kNone) conn.ending = slab_.take();
    return slab_[conn.ending];
  }

  Slab<ClosingState> slab_;
};

}  // namespace tcptrail
