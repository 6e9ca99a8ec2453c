// SPDX-License-Identifier: BSD-2-Clause
// A process that acts for us, so that the two ends of a connection have two owners, and one of them
// can be killed.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>

#include "sys.h"

namespace tcpload {

class Actor {
 public:
  explicit Actor(const char* comm);
  ~Actor();
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  pid_t pid() const noexcept { return pid_; }

  // Runs `work` in the actor's process and returns its result; what it throws is thrown here. The
  // actor is a fork of this program, so the address of a function means the same in both: only the
  // closure's bytes travel.
  template <class F>
  auto run(F work) {
    start(work);
    return finish<std::invoke_result_t<F>>();
  }

  // The same in two halves, for what blocks or must happen at the same time as something else.
  template <class F>
  void start(F work) {
    static_assert(std::is_trivially_copyable_v<F> && sizeof(F) <= sizeof(Request::closure));
    Request request{&invoke<F>, {}};
    std::memcpy(request.closure.data(), &work, sizeof work);
    send(request);
  }

  template <class R>
  R finish() {
    [[maybe_unused]] const Reply reply = receive();
    if constexpr (!std::is_void_v<R>) {
      static_assert(std::is_trivially_copyable_v<R> && sizeof(R) <= sizeof(Reply::result));
      R result;
      std::memcpy(&result, reply.result.data(), sizeof result);
      return result;
    }
  }

  // Both return when the process is gone and the kernel has closed its sockets.
  void exit();
  void kill();

 private:
  using Bytes = std::array<std::byte, 128>;
  using Invoker = void (*)(const Bytes& closure, Bytes& result);

  struct Request {
    Invoker invoker;
    Bytes closure;
  };
  struct Reply {
    int error;  // 0: done; above: errno; below: another exception
    std::array<char, 124> what;
    Bytes result;
  };

  template <class F>
  static void invoke(const Bytes& closure, Bytes& result) {
    alignas(F) std::array<std::byte, sizeof(F)> copy;
    std::memcpy(copy.data(), closure.data(), sizeof(F));
    F& work = *std::launder(reinterpret_cast<F*>(copy.data()));
    if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
      work();
    } else {
      const auto value = work();
      std::memcpy(result.data(), &value, sizeof value);
    }
  }

  void send(const Request& request);
  Reply receive();
  [[noreturn]] static void serve(int channel);
  void reap();

  pid_t pid_ = -1;
  bool gone_ = false;
  Fd channel_;
};

}  // namespace tcpload
