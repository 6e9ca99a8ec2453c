// SPDX-License-Identifier: BSD-2-Clause
// JSON Lines: one object a line, keys in the order of docs/json.md, unknown =
// null. Inputs: records of the model; output: an OutFile, which the caller
// flushes per batch. Transitions and connections are written straight into its
// buffer, without allocation: this is most of what a busy tracer does in user space.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "output/ports_json.h"
#include "output/wall_clock.h"
#include "tcp/filter.h"
#include "tcp/record.h"
#include "util/out_file.h"

namespace tcptrail {

// The `schema` of startup: raised when a key changes its meaning.
inline constexpr unsigned kJsonSchemaVersion = 1;

using Labels = std::vector<std::pair<std::string, std::string>>;

struct JsonOptions {
  EventSet events{};  // startup, loss and summary are always written
  Labels labels{};
};

class JsonSink final : public RecordSink {
 public:
  JsonSink(OutFile& out, WallClock& clock, const JsonOptions& options);
  JsonSink(const JsonSink&) = delete;  // holds references and views of itself
  ~JsonSink() override;

  void on(const StartupRecord&) override;
  void on(const TransitionRecord&) override;
  void on(const ConnectionRecord&) override;
  void on(const TimeWaitRecord&) override;
  void on(const BlockedRecord&) override;
  void on(const LossRecord&) override;
  void on(const SummaryRecord&) override;
  void on(const PortRound&) override;

  // What every line ends with: the labels, if any, and the newline.
  [[nodiscard]] std::string_view tail() const { return tail_; }

  // Records written, without startup, loss and summary: what --count counts.
  [[nodiscard]] std::uint64_t printed() const { return printed_; }

 private:
  struct TupleText;
  class TupleCache;

  template <std::size_t N>
  char* begin(std::size_t room, const char (&head)[N], std::uint64_t boot_ns);
  void end(char* p);
  const TupleText& identity_text(std::uint64_t cookie, std::uint32_t generation,
                                 std::uint32_t netns, const Tuple& tuple);

  OutFile& out_;
  WallClock& clock_;
  EventSet events_;
  std::string tail_;  // `,"labels":{...}}` or `}`, and the newline
  std::unique_ptr<TupleCache> cache_;
  PortsJson ports_;
  std::uint64_t printed_ = 0;
};

}  // namespace tcptrail
