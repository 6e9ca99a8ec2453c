// SPDX-License-Identifier: BSD-2-Clause
#include "sys.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

namespace tcpload {

long check(long rc, std::string_view what) {
  if (rc < 0) throw std::system_error(errno, std::generic_category(), std::string(what));
  return rc;
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

pid_t run_program(const std::vector<std::string>& argv) {
  std::vector<char*> args;
  for (const auto& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, args[0], &actions, nullptr, args.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) throw NotHere(argv[0] + " is not installed");
  if (error != 0) throw std::system_error(error, std::generic_category(), argv[0]);
  int status = 0;
  check(waitpid(pid, &status, 0), "waitpid");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw std::runtime_error(fmt::format("{} failed (status {})", fmt::join(argv, " "), status));
  return pid;
}

bool in_own_network_namespace() {
  struct stat mine {};
  struct stat init {};
  if (stat("/proc/self/ns/net", &mine) == 0 && stat("/proc/1/ns/net", &init) == 0)
    return mine.st_ino != init.st_ino;
  // PID 1 may be closed even to root (containers). A namespace without any way out is good enough.
  struct if_nameindex* all = if_nameindex();
  bool alone = all != nullptr;
  for (const auto* one = all; alone && one->if_index != 0; ++one)
    alone = std::string_view(one->if_name) == "lo";
  if_freenameindex(all);
  return alone;
}

unsigned long long network_namespace() {
  struct stat mine {};
  check(stat("/proc/self/ns/net", &mine), "/proc/self/ns/net");
  return mine.st_ino;
}

namespace {

void write_text(const std::string& path, std::string_view value) {
  const Fd fd(static_cast<int>(check(open(path.c_str(), O_WRONLY | O_CLOEXEC), path)));
  check(write(fd.get(), value.data(), value.size()), path);
}

}  // namespace

Sysctl::Sysctl(std::string_view name, std::string_view value)
    : path_(fmt::format("/proc/sys/net/{}", name)) {
  std::ifstream(path_) >> before_;
  write_text(path_, value);
}

Sysctl::~Sysctl() {
  try {
    write_text(path_, before_);
  } catch (const std::system_error&) {
    // The namespace is a throw-away one; what cannot be put back goes with it.
  }
}

void raise_descriptor_limit() {
  rlimit limit{};
  check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  const rlimit wish{1'000'000, 1'000'000};
  if (setrlimit(RLIMIT_NOFILE, &wish) != 0) {
    limit.rlim_cur = limit.rlim_max;  // not root: up to the hard limit
    check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
  }
}

void pin_to_cpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  check(sched_setaffinity(0, sizeof set, &set), "sched_setaffinity");
}

void print_line(std::string line) {
  line += '\n';
  check(write(STDOUT_FILENO, line.data(), line.size()), "stdout");
}

}  // namespace tcpload
