// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tcpload {

using Clock = std::chrono::steady_clock;

// No condition that these programs wait for takes longer on a healthy machine, not even a busy one.
inline constexpr std::chrono::seconds kPatience{20};

// Returns rc; throws std::system_error(errno, what) when rc is negative.
long check(long rc, std::string_view what);

// This machine cannot do what was asked, and that is no fault: no IPv6, no MPTCP, a program that is
// not installed.
struct NotHere : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Looks every millisecond; throws, naming `what`, when kPatience is over.
template <class Condition>
void wait_until(Condition condition, std::string_view what) {
  const auto deadline = Clock::now() + kPatience;
  while (!condition()) {
    if (Clock::now() > deadline)
      throw std::runtime_error("waited too long for " + std::string(what));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd();

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Starts a program with its stdout thrown away. Throws when it does not exit with 0, NotHere when
// there is none. Returns the pid that it had.
pid_t run_program(const std::vector<std::string>& argv);

// True in another network namespace than that of PID 1. Only there may sysctls and routing rules be
// touched.
bool in_own_network_namespace();

// The number in `readlink /proc/self/ns/net`.
unsigned long long network_namespace();

// A sysctl of this network namespace, put back when the object goes. `name` is relative to
// /proc/sys/net.
class Sysctl {
 public:
  Sysctl(std::string_view name, std::string_view value);
  ~Sysctl();
  Sysctl(const Sysctl&) = delete;
  Sysctl& operator=(const Sysctl&) = delete;

 private:
  std::string path_;
  std::string before_;
};

// Every descriptor that the kernel lets us have.
void raise_descriptor_limit();

void pin_to_cpu(int cpu);

// One whole line with one write(), so that lines of several processes never mix.
void print_line(std::string line);

}  // namespace tcpload
