// SPDX-License-Identifier: BSD-2-Clause
// Attempts that the kernel refused for want of a port: bind(), listen() and
// connect(). They are collected as the events come, and joined with what is in
// their way when a look at their network namespace has ended. Pure; driven by the
// model, writes `blocked` records.
//
// A program that fails in a loop is not allowed to drown everything else: past a
// rate, attempts of the same caller, call and endpoint share a record that says
// how many they were.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "connections/conn.h"
#include "ports/port_answers.h"
#include "tcp/event.h"
#include "tcp/machine_queries.h"
#include "tcp/model_input.h"

namespace tcptrail {

class BlockedAttempts {
 public:
  BlockedAttempts(Filters filters, MachineQueries& facts, RecordSink& sink);

  // REFUSED: a bind() or listen().
  void refused(const Event& event);
  // The same of a listen(), where only its state transitions were seen: the second of them.
  void listen_refused(const Listener& listener, const tcptrail_end_record& end);
  // A connect() that found no port: its CLOSE event.
  void no_port(const Conn& conn, const tcptrail_end_record& end);

  // Where somebody was refused and no snapshot has been taken since; sorted inode numbers.
  [[nodiscard]] std::vector<std::uint32_t> netns_wanted() const;
  [[nodiscard]] bool any() const { return !pending_.empty(); }
  // A snapshot begins: it will answer what has come so far.
  void begin_snapshot() { asked_ = pending_.size(); }
  // It has ended: `snapshots` of the namespaces that could be read. What came before it began is
  // answered, without blockers where the namespace could not be read.
  void on_snapshots(std::uint64_t boot_ns, std::span<const PortSnapshot> snapshots);
  // No snapshot will come (the end of the run, or none can be taken).
  void give_up(std::uint64_t boot_ns);

 private:
  struct Attempt {
    std::uint64_t boot_ns = 0;  // of the last
    std::uint64_t count = 1;
    std::uint64_t cookie = 0;  // of the first; its own socket is not in its way
    BlockedOp op = BlockedOp::kBind;
    std::uint16_t error = 0;
    Process caller;
    std::uint32_t netns = 0;
    Tuple tuple;
    BoundAddress bound;  // bind, listen
    BindOptions options = BindOptions::kPlain;
    std::uint32_t uid = 0;
    std::uint32_t device = 0;  // bind, listen: ifindex of SO_BINDTODEVICE
    std::uint32_t port_range =
        0;  // connect: the socket's own (IP_LOCAL_PORT_RANGE), high << 16 | low
  };

  void add(Attempt attempt);
  [[nodiscard]] bool passes(const Attempt& attempt, std::optional<bool> in_tree) const;
  // Null where the namespace could not be read.
  void write(const Attempt& attempt, const PortSnapshot* snapshot, const PortSysctls* sysctls,
             std::uint64_t boot_ns);
  static bool is_later(const Attempt& attempt, const PortSnapshot& snapshot,
                       const PortSocket& socket);
  static void join(const Attempt& attempt, const PortSnapshot& snapshot, const PortSysctls& sysctls,
                   BlockedRecord& record);
  // `table`: what of the snapshot existed when the call was refused.
  static void join_bind(const Attempt& attempt, const PortSnapshot& snapshot,
                        const PortTable& table, const PortSysctls& sysctls, BlockedRecord& record);
  static void join_connect(const Attempt& attempt, const PortSnapshot& snapshot,
                           const PortTable& table, const PortSysctls& sysctls,
                           BlockedRecord& record);

  Filters filters_;
  MachineQueries& facts_;
  RecordSink& sink_;
  std::deque<Attempt> pending_;
  std::size_t asked_ =
      0;  // the first of them, which the present look answers: they do not grow any more
  std::uint64_t singles_ = 0;  // records of their own that may still be given
  std::uint64_t singles_since_ns_ = 0;
};

}  // namespace tcptrail
