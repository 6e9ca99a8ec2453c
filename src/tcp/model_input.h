// SPDX-License-Identifier: BSD-2-Clause
// Everything that a run tells the model, in order: the events of the ring, what
// belongs to a snapshot, and how far time has come. The live loop and the reader
// of a recording call it; the model and the writer of a recording implement it.
// Whoever gives the model the same calls (and the same MachineQueries) gets the
// same records, byte for byte.
#pragma once

#include <cstdint>
#include <vector>

#include "tcp/event.h"
#include "tcp/record.h"

namespace tcptrail {

// How a snapshot ended. Lists are sorted inode numbers.
struct SnapshotScope {
  std::vector<std::uint32_t> netns_read;     // to their end
  std::vector<std::uint32_t> netns_refused;  // could not be entered
  std::vector<std::uint32_t> netns_gone;     // asked for by number, and no longer there
  // TIME_WAIT and FIN_WAIT2 minisockets only (SEEN_TIMEWAIT, and SEEN_SOCKET of SYN_SENT);
  // false: every socket (SEEN_SOCKET) and who holds it (SEEN_HOLDER).
  bool minisockets_only = false;
};

// A call that somebody does not override says nothing to them.
class ModelInput {
 public:
  virtual ~ModelInput() = default;
  virtual void event(const Event& /*event*/) {}
  // What is seen between these two belongs to one snapshot.
  virtual void begin_snapshot(std::uint64_t /*boot_ns*/, bool /*minisockets_only*/) {}
  virtual void end_snapshot(std::uint64_t /*boot_ns*/, const SnapshotScope& /*scope*/) {}
  // No event before `boot_ns` will come any more.
  virtual void advance_to(std::uint64_t /*boot_ns*/) {}
  // `ports --watch`: show the last snapshot now.
  virtual void round(std::uint64_t /*boot_ns*/) {}
  virtual void loss(const LossRecord& /*record*/) {}
  // CLOCK_REALTIME minus CLOCK_BOOTTIME, from here on.
  virtual void clock_offset(std::int64_t /*ns*/) {}
  // At the end of the run: nothing waits any longer.
  virtual void finish(std::uint64_t /*boot_ns*/) {}
};

// Repeats every call to one input, or to two in this order. Derive from it to note or change some
// of the calls. The inputs must outlive it.
class ForwardingInput : public ModelInput {
 public:
  explicit ForwardingInput(ModelInput& next) : next_(next) {}
  ForwardingInput(ModelInput& next, ModelInput& then) : next_(next), then_(&then) {}
  void event(const Event& event) override { each(&ModelInput::event, event); }
  void begin_snapshot(std::uint64_t boot_ns, bool minisockets_only) override {
    each(&ModelInput::begin_snapshot, boot_ns, minisockets_only);
  }
  void end_snapshot(std::uint64_t boot_ns, const SnapshotScope& scope) override {
    each(&ModelInput::end_snapshot, boot_ns, scope);
  }
  void advance_to(std::uint64_t boot_ns) override { each(&ModelInput::advance_to, boot_ns); }
  void round(std::uint64_t boot_ns) override { each(&ModelInput::round, boot_ns); }
  void loss(const LossRecord& record) override { each(&ModelInput::loss, record); }
  void clock_offset(std::int64_t ns) override { each(&ModelInput::clock_offset, ns); }
  void finish(std::uint64_t boot_ns) override { each(&ModelInput::finish, boot_ns); }

 private:
  template <class... Parameters, class... Arguments>
  void each(void (ModelInput::*call)(Parameters...), const Arguments&... arguments) {
    (next_.*call)(arguments...);
    if (then_ != nullptr) (then_->*call)(arguments...);
  }

  ModelInput& next_;
  ModelInput* then_ = nullptr;
};

}  // namespace tcptrail
