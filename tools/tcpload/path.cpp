// SPDX-License-Identifier: BSD-2-Clause
#include "path.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <deque>
#include <new>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace tcpload {

namespace {

constexpr const char* kDevice = "tcpload0";
constexpr std::uint32_t kNetwork =
    0xc6120000;  // 198.18.0.0/24, set aside for benchmarks (RFC 2544)

enum Mode : int { kPass, kHold, kDrop, kRefuse };

using Packet = std::vector<std::uint8_t>;

std::uint16_t checksum(const std::uint8_t* data, std::size_t size) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < size; i += 2)
    sum += static_cast<std::uint32_t>(data[i] << 8 | data[i + 1]);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

void put16(Packet& packet, std::size_t at, std::uint16_t value) {
  packet[at] = static_cast<std::uint8_t>(value >> 8);
  packet[at + 1] = static_cast<std::uint8_t>(value);
}

// ICMP destination unreachable, code 1 (host), RFC 792: the IP header and 8 bytes of what could not
// be delivered.
Packet host_unreachable(const Packet& packet) {
  constexpr std::size_t kIp = 20;
  constexpr std::size_t kIcmp = 8;
  const std::size_t quoted = std::min<std::size_t>(packet.size(), kIp + 8);
  Packet answer(kIp + kIcmp + quoted, 0);
  answer[0] = 0x45;
  put16(answer, 2, static_cast<std::uint16_t>(answer.size()));
  answer[8] = 64;  // TTL
  answer[9] = 1;   // ICMP
  std::memcpy(&answer[12], &packet[16], 4);
  std::memcpy(&answer[16], &packet[12], 4);
  put16(answer, 10, checksum(answer.data(), kIp));
  answer[kIp] = 3;
  answer[kIp + 1] = 1;
  std::memcpy(&answer[kIp + kIcmp], packet.data(), quoted);
  put16(answer, kIp + 2, checksum(&answer[kIp], answer.size() - kIp));
  return answer;
}

int open_tun() {
  const int fd = static_cast<int>(
      check(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), "/dev/net/tun"));
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::memcpy(request.ifr_name, kDevice, std::strlen(kDevice) + 1);
  check(ioctl(fd, TUNSETIFF, &request), "TUNSETIFF");
  return fd;
}

void ip(const char* command) {
  std::vector<std::string> words{"ip"};
  for (const char* at = command; *at != '\0';) {
    const char* end = std::strchr(at, ' ');
    words.emplace_back(at, end == nullptr ? std::strlen(at) : static_cast<std::size_t>(end - at));
    at = end == nullptr ? at + std::strlen(at) : end + 1;
  }
  run_program(words);
}

}  // namespace

struct Path::Control {
  std::atomic<int> mode{kPass};
  std::atomic<unsigned> held{0};
  std::atomic<unsigned> release{0};
  std::atomic<unsigned> told{0};   // commands given ...
  std::atomic<unsigned> heard{0};  // ... and in force
};

namespace {

[[noreturn]] void pump(int tun, int wake, Path::Control& control) {
  std::deque<Packet> held;
  int mode = kPass;
  const auto deliver = [&](const Packet& packet) {
    // A full device queue is a lost packet, as on any path.
    [[maybe_unused]] const ssize_t written = write(tun, packet.data(), packet.size());
  };
  const auto handle = [&](Packet packet) {
    if (packet[0] >> 4 != 4) {
      return;  // IPv6 router solicitations and the like
    }
    if (mode == kPass) {
      deliver(packet);
    } else if (mode == kHold) {
      held.push_back(std::move(packet));
    } else if (mode == kRefuse) {
      deliver(host_unreachable(packet));
    }
  };
  for (;;) {
    std::array<pollfd, 2> ready{{{tun, POLLIN, 0}, {wake, POLLIN, 0}}};
    if (poll(ready.data(), ready.size(), -1) < 0) _exit(1);
    std::uint64_t word = 0;
    [[maybe_unused]] const ssize_t woken = read(wake, &word, sizeof word);
    const unsigned told = control.told;
    // What was sent before a command is treated as before it.
    Packet buffer(65536);
    for (ssize_t size = 0; (size = read(tun, buffer.data(), buffer.size())) > 0;)
      handle(Packet(buffer.begin(), buffer.begin() + size));
    mode = control.mode;
    std::size_t free = mode == kPass ? held.size() : control.release.exchange(0);
    for (; free > 0 && !held.empty(); --free) {
      deliver(held.front());
      held.pop_front();
    }
    if (mode == kDrop) held.clear();
    control.held = static_cast<unsigned>(held.size());
    control.heard = told;
  }
}

}  // namespace

Address Path::client(std::uint16_t port) { return ipv4(kNetwork + 1, port); }
Address Path::server(std::uint16_t port) { return ipv4(kNetwork + 2, port); }

Path::Path() : wake_(static_cast<int>(check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"))) {
  void* memory =
      mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) check(-1, "mmap");
  control_ = new (memory) Control;

  Fd tun(open_tun());
  const Sysctl accept_local(fmt::format("ipv4/conf/{}/accept_local", kDevice), "1");
  ip("addr add 198.18.0.1/32 dev tcpload0");
  ip("addr add 198.18.0.2/32 dev tcpload0");
  ip("link set tcpload0 up");
  // Both addresses are local, so the local table would hand the packets over at once. What is sent
  // from here looks at our table first; what comes in from the device still finds the local table.
  ip("route add 198.18.0.0/24 dev tcpload0 src 198.18.0.1 table 198");
  ip("rule add pref 10 iif lo to 198.18.0.0/24 lookup 198");
  ip("rule add pref 20 lookup local");
  ip("rule del pref 0");

  pump_ = static_cast<pid_t>(check(fork(), "fork"));
  if (pump_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "path-pump");
    pump(tun.get(), wake_.get(), *control_);
  }
}

Path::~Path() {
  kill(pump_,
       SIGKILL);  // the device goes with its last descriptor, and its addresses and routes with it
  waitpid(pump_, nullptr, 0);
  try {
    ip("rule add pref 0 lookup local");
    ip("rule del pref 10");
    ip("rule del pref 20");
  } catch (const std::exception&) {
    // The namespace is a throw-away one.
  }
  munmap(control_, sizeof(Control));
}

void Path::tell(int mode) {
  control_->mode = mode;
  const unsigned told = ++control_->told;
  const std::uint64_t one = 1;
  check(write(wake_.get(), &one, sizeof one), "eventfd");
  wait_until([&] { return control_->heard == told; }, "the path's pump to hear");
}

void Path::pass() { tell(kPass); }
void Path::hold() { tell(kHold); }
void Path::drop() { tell(kDrop); }
void Path::refuse() { tell(kRefuse); }

void Path::release(unsigned n) {
  control_->release = n;
  tell(kHold);
}

void Path::wait_held(unsigned n) {
  wait_until([&] { return control_->held >= n; }, "packets on the path");
}

}  // namespace tcpload
