// SPDX-License-Identifier: BSD-2-Clause
// The BPF objects: opens the one that the plan chose, switches its programs on and
// off, sets what they are told, loads and attaches them; and the object of the
// hooks at minisockets beside it. After that, access to the words and maps that
// the programs share with the loader. Called by session.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/core_btf.h"
#include "kernel/handles.h"
#include "kernel/plan.h"
#include "kernel/session_options.h"
#include "util/result.h"

struct tcptrail_typed;
struct tcptrail_classic;
struct tcptrail_timewait;

namespace tcptrail {

class BpfObjects {
 public:
  // Loads what the plan says; nothing is attached yet.
  static Result<std::unique_ptr<BpfObjects>> load(const Plan& plan, const SessionOptions& options);

  struct Attached {
    std::vector<BpfLink> links;
    std::vector<std::string> warnings;  // planned, and not attached
  };
  // An error where nothing works without the program.
  Result<Attached> attach(const Plan& plan);

  [[nodiscard]] bpf_program* program(std::string_view name) const;

  [[nodiscard]] std::vector<int> ring_fds() const;
  [[nodiscard]] std::size_t ring_bytes() const { return ring_bytes_; }  // of each
  // The reader's word: it sleeps.
  [[nodiscard]] volatile std::uint32_t* sleeping() const;

  // For the iterators, before they run. `netns`: whose holders; 0 = as filtered.
  void prepare_snapshot(bool minisockets_only, std::uint32_t netns);
  // Whether a process holds a socket of this namespace; `run` runs seen_holders and says whether
  // that worked. True where it did not.
  bool holds_socket(std::uint32_t netns, const std::function<bool()>& run);

  // Counters of the programs, as in bpf/config.bpf.h.
  [[nodiscard]] std::uint64_t lost_ring() const;
  [[nodiscard]] std::uint64_t lost_other() const;
  [[nodiscard]] std::uint64_t recovered() const;

 private:
  struct Destroy {
    void operator()(tcptrail_typed* skeleton) const noexcept;
    void operator()(tcptrail_classic* skeleton) const noexcept;
    void operator()(tcptrail_timewait* skeleton) const noexcept;
  };

  BpfObjects(const Plan& plan, const SessionOptions& options);
  [[nodiscard]] bpf_object* object() const;
  template <class Rodata>
  void configure(Rodata& rodata, const Plan& plan) const;
  [[nodiscard]] int load_first(const Plan& plan);
  [[nodiscard]] bool mapped() const;
  Result<std::vector<BpfLink>> add_minisockets(const Plan& plan);

  SessionOptions options_;
  std::size_t rings_ = 0;
  std::size_t ring_bytes_ = 0;
  CoreBtf core_btf_;
  // One of these two; they differ only in type.
  std::unique_ptr<tcptrail_typed, Destroy> typed_;
  std::unique_ptr<tcptrail_classic, Destroy> classic_;
  std::unique_ptr<tcptrail_timewait, Destroy> minisockets_;
};

}  // namespace tcptrail
