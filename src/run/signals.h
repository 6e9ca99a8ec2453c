// SPDX-License-Identifier: BSD-2-Clause
// Signals as descriptors. Two signalfds over the same blocked set: the stop
// signals are peeked by the output while it waits for a slow reader, and read by
// the run loop.
#pragma once

#include <csignal>

#include "kernel/handles.h"
#include "util/result.h"

namespace tcptrail {

class Signals {
 public:
  // Blocks them for the process; SIGPIPE and SIGXFSZ are ignored, their errno says it better.
  Signals();

  // Without them a run could not be stopped: it must not begin.
  [[nodiscard]] Result<void> ready() const;
  [[nodiscard]] int stop_fd() const { return stop_.get(); }    // SIGINT, SIGTERM
  [[nodiscard]] int other_fd() const { return other_.get(); }  // SIGHUP, SIGCHLD
  // The next pending signal of the descriptor, 0 when there is none.
  static int take(int fd);

  // For a child between fork() and exec().
  static void restore_in_child();

 private:
  int error_ = 0;
  Fd stop_;
  Fd other_;
};

}  // namespace tcptrail
