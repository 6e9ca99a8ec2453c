// SPDX-License-Identifier: BSD-2-Clause
// Short connections on loopback as fast as they go: the load for benchmarks and loss tests. Every
// connection is accepted, read to its end and closed by both sides, so that a storm of N makes
// exactly 10 N state transitions.
#include <netinet/tcp.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "address.h"
#include "sys.h"
#include "tcpload.h"

namespace tcpload {

namespace {

// How far the client may run ahead of the server. It bounds the accept queue (a full one drops the
// SYN and costs a second) and lets each side work through a batch before the CPU changes hands.
constexpr unsigned kAhead = 256;
constexpr unsigned kBatch = 64;

// Between processes: std::counting_semaphore waits on a process-private futex.
class Semaphore {
 public:
  explicit Semaphore(unsigned value) { check(sem_init(&semaphore_, 1, value), "sem_init"); }
  void acquire() {
    while (sem_wait(&semaphore_) != 0 && errno == EINTR) {
    }
  }
  void release() { check(sem_post(&semaphore_), "sem_post"); }

 private:
  sem_t semaphore_{};
};

struct Shared {
  Semaphore start{0};
  Semaphore ahead{kAhead / kBatch};
};

struct Pair {
  unsigned connections = 0;
  Shared* shared = nullptr;
  std::vector<Fd> listeners;  // one for each kPerDestination connections of IPv6, else one
  std::vector<Address> destinations;
};

Family family_of(const StormOptions& options) { return options.v6 ? Family::v6 : Family::v4; }

Fd listen_on(const Address& address, Family family) {
  Fd fd(static_cast<int>(check(socket(domain(family), SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")));
  const SocketAddress name = to_socket(address, family);
  check(bind(fd.get(), name.get(), name.length), "bind");
  check(listen(fd.get(), static_cast<int>(2 * kAhead)), "listen");
  return fd;
}

std::uint16_t port_of(const Fd& fd) {
  SocketAddress name;
  check(getsockname(fd.get(), name.get(), &name.length), "getsockname");
  return from_socket(name).port;
}

Pair prepare(const StormOptions& options, unsigned index) {
  const Family family = family_of(options);
  Pair pair;
  pair.connections =
      options.connections / options.pairs + (index < options.connections % options.pairs ? 1 : 0);
  const unsigned lanes = std::max(1U, (pair.connections + kPerDestination - 1) / kPerDestination);
  for (unsigned lane = 0; lane < lanes; ++lane) {
    if (pair.listeners.empty() || options.v6)
      pair.listeners.push_back(listen_on(any(family, 0), family));
    // IPv4 varies the address (disjoint between the pairs), IPv6 has only ::1 and varies the port.
    const unsigned nth = 1 + index * lanes + lane;
    pair.destinations.push_back(loopback(family, port_of(pair.listeners.back()), nth));
  }
  return pair;
}

void read_to_end(int fd) {
  char buffer[4096];
  while (check(read(fd, buffer, sizeof buffer), "read") > 0) {
  }
}

// The fewest packets that TCP allows, so that the load is state transitions and not data: the
// client's byte waits for its FIN (MSG_MORE), and both go with the ACK of the SYN-ACK (no quick
// ACK).
int open_and_send(const SocketAddress& to, Family family, const std::vector<char>& payload,
                  bool more_follows) {
  const int fd =
      static_cast<int>(check(socket(domain(family), SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const int off = 0;
  check(setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off), "TCP_QUICKACK");
  check(connect(fd, to.get(), to.length), "connect");
  if (!payload.empty()) {
    check(send(fd, payload.data(), payload.size(), MSG_NOSIGNAL | (more_follows ? MSG_MORE : 0)),
          "send");
  }
  return fd;
}

void client(const StormOptions& options, const Pair& pair) {
  const Family family = family_of(options);
  const std::vector<char> payload(options.payload, 'x');
  std::vector<int> waiting;  // server-first: closed after a batch, when the server has had its turn
  pair.shared->start.acquire();
  for (unsigned done = 0; done < pair.connections; ++done) {
    if (done % kBatch == 0) pair.shared->ahead.acquire();
    const SocketAddress to = to_socket(pair.destinations[done / kPerDestination], family);
    const int fd = open_and_send(to, family, payload, !options.server_first);
    if (!options.server_first) {
      check(close(fd), "close");
      continue;
    }
    waiting.push_back(fd);
    if (waiting.size() == kBatch || done + 1 == pair.connections) {
      for (const int one : waiting) {
        read_to_end(one);
        check(close(one), "close");
      }
      waiting.clear();
    }
  }
}

void server(const StormOptions& options, const Pair& pair) {
  std::vector<char> buffer(options.payload + 1);
  pair.shared->start.acquire();
  for (unsigned done = 0; done < pair.connections; ++done) {
    const std::size_t lane = options.v6 ? done / kPerDestination : 0;
    const int fd =
        static_cast<int>(check(accept(pair.listeners[lane].get(), nullptr, nullptr), "accept"));
    // One byte more than there is: the call returns at the client's FIN.
    const std::size_t wanted = options.payload + (options.server_first ? 0 : 1);
    check(recv(fd, buffer.data(), wanted, MSG_WAITALL), "recv");
    check(close(fd), "close");
    if (done % kBatch == kBatch - 1) pair.shared->ahead.release();
  }
}

template <class Work>
pid_t start(unsigned cpu, const char* name, Work work) {
  const pid_t pid = static_cast<pid_t>(check(fork(), "fork"));
  if (pid != 0) return pid;
  try {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, name);
    pin_to_cpu(static_cast<int>(cpu));
    // Batch scheduling keeps a wakeup from taking the CPU away at each connection: the two ends
    // work in turns.
    const sched_param none{};
    sched_setscheduler(0, SCHED_BATCH, &none);
    work();
    _exit(0);
  } catch (const std::exception& error) {
    fmt::print(stderr, "tcpload: error: storm {}: {}\n", name, error.what());
  }
  _exit(1);
}

}  // namespace

int storm(const StormOptions& options) {
  void* memory = mmap(nullptr, sizeof(Shared) * options.pairs, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) check(-1, "mmap");
  auto* shared = static_cast<Shared*>(memory);
  const unsigned cpus = std::max(1U, std::thread::hardware_concurrency());

  std::vector<pid_t> children;
  std::vector<std::uint16_t> ports;
  for (unsigned index = 0; index < options.pairs; ++index) {
    Pair pair = prepare(options, index);
    pair.shared = new (&shared[index]) Shared;
    std::transform(pair.listeners.begin(), pair.listeners.end(), std::back_inserter(ports),
                   port_of);
    children.push_back(start(
        index % cpus, "storm-server", [&] { server(options, pair); }));
    children.push_back(start(index % cpus, "storm-client", [&] { client(options, pair); }));
  }

  const auto begin = Clock::now();
  for (unsigned index = 0; index < options.pairs; ++index) {
    shared[index].start.release();
    shared[index].start.release();
  }
  bool good = true;
  for (std::size_t left = children.size(); left > 0; --left) {
    int status = 0;
    check(wait(&status), "wait");
    if (status != 0 && good) {
      good = false;  // an end that waits for a dead one would wait for ever
      for (const pid_t child : children) kill(child, SIGKILL);
    }
  }
  if (!good) throw std::runtime_error("a storm process failed");
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  print_line(fmt::format(R"({{"connections":{},"seconds":{:.6f},"rate":{:.0f},"ports":[{}]}})",
                         options.connections, seconds, options.connections / seconds,
                         fmt::join(ports, ",")));
  return 0;
}

}  // namespace tcpload
