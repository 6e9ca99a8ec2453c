// SPDX-License-Identifier: BSD-2-Clause
// The programs in the kernel while a trace runs: start, snapshot, loss counters,
// detach; bpf_objects loads and attaches them. Inputs: a plan and the filters;
// output: the ring. Called by src/run/live, ports and doctor.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/features.h"
#include "kernel/handles.h"
#include "kernel/netns.h"
#include "kernel/plan.h"
#include "kernel/ring_source.h"
#include "kernel/session_options.h"
#include "tcp/model_input.h"
#include "util/result.h"

namespace tcptrail {

class BpfObjects;

struct SnapshotRequest {
  std::vector<std::uint32_t> netns;  // inode numbers; empty = every one that the session traces
  bool minisockets_only = false;
};

class Session {
 public:
  // Loads and attaches what the plan says. A program that the plan wants and the
  // kernel refuses is an error that names it.
  static Result<std::unique_ptr<Session>> start(const Plan& plan, const SessionOptions& options);
  // The same, but that a kernel which refuses a program of socket_hooks, although it was found to
  // allow them, is asked once more without: a warning says so. `features` and `plan` are then those
  // of the session; `denied` as for probe_features().
  static Result<std::unique_ptr<Session>> start(Features& features, Plan& plan,
                                                const PlanRequest& request,
                                                std::vector<std::string> denied,
                                                const SessionOptions& options);
  ~Session();

  RingSource& ring() { return *ring_; }
  // Readable once a program has rung the bell for the reader of the rings.
  [[nodiscard]] int bell() const { return bell_.get(); }

  // Writes a record into the ring for every socket and holder, namespace after
  // namespace. `drain` is called whenever the ring fills, and must empty it.
  SnapshotScope snapshot(const SnapshotRequest& request, const std::function<void()>& drain);

  // Of a loaded program, to ask the kernel about; the session's own.
  [[nodiscard]] int program_fd() const;

  // No event comes after this; the ring still holds what came before.
  void detach();

  // Since the start: transitions, and other records, that found the ring full.
  [[nodiscard]] std::uint64_t lost_ring() const;
  [[nodiscard]] std::uint64_t lost_other() const;
  // Runs of set_state that were skipped because its CPU was inside it already, and
  // that the second copy did not make up for. `duplicates`: how many of the second
  // copy's records the model has dropped.
  [[nodiscard]] std::uint64_t lost_nested(std::uint64_t duplicates) const;
  // Not attached although planned, with the reason: warnings, not errors.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  Session();
  [[nodiscard]] std::vector<NetNamespace> find_namespaces(const std::vector<std::uint32_t>& wanted,
                                                          SnapshotScope& scope);
  [[nodiscard]] bool is_gone(std::uint32_t netns);

  std::unique_ptr<BpfObjects> objects_;
  std::unique_ptr<RingSource> ring_;
  Fd bell_;  // epoll of all rings
  std::vector<BpfLink> links_;
  mutable std::uint64_t lost_nested_ = 0;  // the most that was ever said
  std::vector<std::string> warnings_;
  std::vector<std::uint32_t> netns_wanted_;
  std::vector<NetNamespace> netns_known_;  // where those that were asked for have been found
  bool snapshot_ = false;
  bool holders_ = false;
};

}  // namespace tcptrail
