// SPDX-License-Identifier: BSD-2-Clause
// `-- CMD`: a child that exists before the programs are attached, so that they
// know its pid, and that runs its command only when they are.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "kernel/handles.h"
#include "util/result.h"

namespace tcptrail {

class Child {
 public:
  static Result<Child> prepare(const std::vector<std::string>& command);
  Child(Child&&) = default;
  // A child that was never released is ended.
  ~Child();

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Readable once it has ended; -1 before Linux 5.3.
  [[nodiscard]] int pid_fd() const { return pid_fd_.get(); }
  // Lets the command run. An error when exec(2) failed.
  Result<void> release();
  // True once it has ended; its exit status as a shell would give it (128 + signal).
  bool ended();
  [[nodiscard]] int exit_status() const { return status_; }
  void send(int signal) const;
  // SIGTERM, and SIGKILL when it has not ended after two seconds.
  void end();

 private:
  Child() = default;
  void reap(int options);

  pid_t pid_ = -1;
  std::string name_;
  Fd pid_fd_;
  Fd gate_;    // closing it without a byte ends the child
  Fd result_;  // errno of exec, or EOF
  bool released_ = false;
  bool ended_ = false;
  int status_ = 0;
};

}  // namespace tcptrail
