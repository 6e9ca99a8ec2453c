// SPDX-License-Identifier: BSD-2-Clause
#include "run/child.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "run/signals.h"
#include "util/clock.h"

namespace tcptrail {

namespace {

constexpr std::uint64_t kPatienceNs = 2'000'000'000;

// Before anything is attached or printed; exec(2) has the last word.
bool is_in_path(const std::string& name) {
  if (name.find('/') != std::string::npos) return ::access(name.c_str(), X_OK) == 0;
  const char* path = std::getenv("PATH");
  std::istringstream directories(path != nullptr ? path : "/bin:/usr/bin");
  for (std::string directory; std::getline(directories, directory, ':');)
    if (::access(((directory.empty() ? "." : directory) + "/" + name).c_str(), X_OK) == 0)
      return true;
  return false;
}

Error cannot_start(const std::string& command, int error) {
  const bool files = error == EMFILE || error == ENFILE;
  return {"cannot start " + command, std::strerror(error),
          files ? "raise the limit of open files: ulimit -n 1024"
                : "raise the limit of processes (ulimit -u, pids.max of the cgroup)"};
}

}  // namespace

Result<Child> Child::prepare(const std::vector<std::string>& command) {
  if (!is_in_path(command[0]))
    return Error{"cannot run " + command[0], "there is no such program",
                 "give a program that is in PATH after `--`", 2};
  int gate[2];
  int result[2];
  if (::pipe2(gate, O_CLOEXEC) != 0 || ::pipe2(result, O_CLOEXEC) != 0)
    return cannot_start(command[0], errno);
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);

  const pid_t pid = ::fork();
  if (pid < 0) return cannot_start(command[0], errno);
  if (pid == 0) {
    ::close(gate[1]);
    char go = 0;
    if (::read(gate[0], &go, 1) != 1) ::_exit(0);
    Signals::restore_in_child();
    ::execvp(argv[0], argv.data());
    const int error = errno;
    [[maybe_unused]] const ssize_t n = ::write(result[1], &error, sizeof error);
    ::_exit(127);
  }
  ::close(gate[0]);
  ::close(result[1]);
  Child child;
  child.pid_ = pid;
  child.name_ = command[0];
  child.pid_fd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  child.gate_ = Fd(gate[1]);
  child.result_ = Fd(result[0]);
  return child;
}

Child::~Child() {
  if (pid_ <= 0 || !gate_ || ended_) return;
  if (released_) return;
  gate_ = Fd();
  ::waitpid(pid_, nullptr, 0);
}

Result<void> Child::release() {
  released_ = true;
  [[maybe_unused]] const ssize_t written = ::write(gate_.get(), "g", 1);
  int error = 0;
  // EOF: the descriptor was closed by a successful exec.
  if (::read(result_.get(), &error, sizeof error) != sizeof error) return {};
  ::waitpid(pid_, nullptr, 0);
  ended_ = true;
  return Error{"cannot run " + name_, std::strerror(error),
               "give a program that is in PATH after `--`", 2};
}

bool Child::ended() {
  if (!ended_) reap(WNOHANG);
  return ended_;
}

void Child::send(int signal) const {
  if (!ended_) ::kill(pid_, signal);
}

void Child::end() {
  send(SIGTERM);
  const std::uint64_t patience_until = boot_now_ns() + kPatienceNs;
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);  // blocked (run/signals.h), so that it waits for us
  for (std::uint64_t now = boot_now_ns(); !ended() && now < patience_until; now = boot_now_ns()) {
    const std::uint64_t left = patience_until - now;
    const timespec timeout{static_cast<time_t>(left / 1'000'000'000),
                           static_cast<long>(left % 1'000'000'000)};
    ::sigtimedwait(&child, nullptr, &timeout);
  }
  if (ended_) return;
  send(SIGKILL);
  reap(0);
}

void Child::reap(int options) {
  int status = 0;
  if (::waitpid(pid_, &status, options) != pid_) return;
  ended_ = true;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace tcptrail
