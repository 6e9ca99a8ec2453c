// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/machine.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <ctime>
#include <fstream>

namespace tcptrail {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::uint32_t inode_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint32_t>(info.st_ino) : 0;
}

bool in_initial_user_namespace() {
  constexpr std::uint32_t kUserInitIno =
      0xEFFFFFFDU;  // PROC_USER_INIT_INO, include/linux/proc_ns.h
  const std::uint32_t inode = inode_of("/proc/self/ns/user");
  return inode == 0 || inode == kUserInitIno;
}

std::uint32_t foreign_pid_namespace() {
  constexpr std::uint32_t kPidInitIno = 0xEFFFFFFCU;  // PROC_PID_INIT_INO
  const std::uint32_t inode = inode_of("/proc/self/ns/pid");
  return inode == kPidInitIno ? 0 : inode;
}

std::string lockdown_mode() {
  const std::string line =
      first_line("/sys/kernel/security/lockdown");  // "none [integrity] confidentiality"
  const std::size_t open = line.find('[');
  const std::size_t close = line.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return {};
  return line.substr(open + 1, close - open - 1);
}

std::string kernel_release() {
  utsname name{};
  return ::uname(&name) == 0 ? name.release : "";
}

std::string host_name() {
  utsname name{};
  return ::uname(&name) == 0 ? name.nodename : "";
}

std::string boot_id() { return first_line("/proc/sys/kernel/random/boot_id"); }

std::uint32_t kernel_hz() {
  timespec tick{};
  if (::clock_getres(CLOCK_MONOTONIC_COARSE, &tick) != 0 || tick.tv_nsec <= 0) return 250;
  return static_cast<std::uint32_t>(std::lround(1e9 / static_cast<double>(tick.tv_nsec)));
}

}  // namespace tcptrail
