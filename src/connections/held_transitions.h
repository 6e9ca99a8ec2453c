// SPDX-License-Identifier: BSD-2-Clause
// Transitions of connections on which the filter is undecided. They are printed, in
// order, or dropped once it has decided. Used by the tracker.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tcp/record.h"

namespace tcptrail {

class HeldTransitions {
 public:
  void add(std::uint64_t cookie, const TransitionRecord& record) {
    held_[cookie].push_back(record);
  }
  // The connection passes the filter.
  void print(std::uint64_t cookie, RecordSink& sink) {
    for (const TransitionRecord& record : take(cookie)) sink.on(record);
  }
  void drop(std::uint64_t cookie) {
    if (!held_.empty()) held_.erase(cookie);
  }

  // For a socket whose record waits while it may connect again.
  [[nodiscard]] std::vector<TransitionRecord> take(std::uint64_t cookie) {
    if (held_.empty()) return {};
    auto taken = held_.extract(cookie);
    return taken.empty() ? std::vector<TransitionRecord>{} : std::move(taken.mapped());
  }
  void give_back(std::uint64_t cookie, std::vector<TransitionRecord> records) {
    if (!records.empty()) held_[cookie] = std::move(records);
  }

 private:
  std::unordered_map<std::uint64_t, std::vector<TransitionRecord>> held_;
};

}  // namespace tcptrail
