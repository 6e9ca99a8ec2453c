// SPDX-License-Identifier: BSD-2-Clause
// Items into blocks, blocks into files. One pass, bounded memory; whatever ends
// the process, all blocks but the last one stay readable. Input: items, and the
// time now and then; output: FILE, and with rotation its older parts FILE.1 (the
// newest of them) to FILE.N. Called by the Recorder and the run loop.
//
// The process must ignore SIGPIPE and SIGXFSZ, as for OutFile.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "recording/format.h"
#include "recording/header.h"
#include "recording/items.h"
#include "recording/parts.h"
#include "recording/recorded_facts.h"
#include "util/out_file.h"
#include "util/result.h"

struct ZSTD_CCtx_s;

namespace tcptrail {

class RecordingWriter final : public ModelInput {
 public:
  // Opens the file and writes the preamble and the header block: an output that
  // cannot be written, or would destroy an existing file, is an error at once.
  static Result<std::unique_ptr<RecordingWriter>> create(RecordingTarget target,
                                                         RecordingHeader header);
  RecordingWriter(const RecordingWriter&) = delete;
  ~RecordingWriter() override;  // does not write

  // Items. Calls after a failure do nothing.
  void event(const Event& event) override {
    items_.event(event);
    if (items_.bytes().size() >= kBlockFill) [[unlikely]]
      flush();
  }
  void begin_snapshot(std::uint64_t boot_ns, bool minisockets_only) override;
  void end_snapshot(std::uint64_t boot_ns, const SnapshotScope& scope) override;
  void advance_to(std::uint64_t boot_ns) override;
  void round(std::uint64_t boot_ns) override;
  void loss(const LossRecord& record) override;
  void clock_offset(std::int64_t ns) override;
  void finish(std::uint64_t boot_ns) override;
  // Answers: written when they are not what the file says already.
  void cgroup(std::uint64_t id, std::string_view path);
  void alive(const Process& process, std::optional<bool> alive);
  void sysctls(std::uint32_t netns, const std::optional<PortSysctls>& sysctls);
  [[nodiscard]] const RecordedFacts& answers() const { return recorded_facts_; }

  // To be called in every round of the run loop, and at due_ns() when that is idle:
  // what waits in memory is written before it is a second old. Boot ns; UINT64_MAX = nothing waits.
  void tick(std::uint64_t now_ns);
  [[nodiscard]] std::uint64_t due_ns() const;
  // Writes the last block and the end mark. True when everything has been written.
  bool close();

  [[nodiscard]] bool ok() const { return !failure_; }
  // One message for stderr, exit code 1. Only when not ok().
  [[nodiscard]] const Error& failure() const { return *failure_; }
  // The reader of the pipe that is written to has gone: not a failure, but nothing is recorded any
  // more.
  [[nodiscard]] bool reader_gone() const { return out_.state() == OutFile::State::kClosed; }
  // max_bytes is reached, and there is no rotation: the run should end.
  [[nodiscard]] bool full() const;
  // A new part began, and no full snapshot since: one should be taken, so that the part can be read
  // alone.
  [[nodiscard]] bool wants_snapshot() const { return wants_snapshot_; }

  [[nodiscard]] std::uint64_t events() const { return events_; }  // of all parts
  [[nodiscard]] std::uint64_t bytes() const { return earlier_bytes_ + part_bytes_; }
  [[nodiscard]] std::uint32_t part() const { return preamble_.part; }
  // For OutFile's set_stop_fd() and the like: a recording may go into a pipe.
  [[nodiscard]] OutFile& file() { return out_; }

 private:
  RecordingWriter(RecordingTarget target, RecordingHeader header, OutFile out);

  bool flush();
  [[nodiscard]] bool fits(std::uint64_t bytes) const;
  void after_item();
  bool begin_part();
  bool rotate();
  bool put_answers();
  bool put_items(const ItemEncoder& items);
  bool put_end(bool continued);
  bool put_block(BlockHeader header, std::span<const std::byte> stored);
  bool fail(Error error);
  [[nodiscard]] std::span<const std::byte> compressed(std::span<const std::byte> payload);

  struct FreeContext {
    void operator()(ZSTD_CCtx_s* context) const noexcept;
  };

  RecordingTarget target_;
  RecordingHeader header_;
  OutFile out_;
  RecordingPreamble preamble_;
  ItemEncoder items_;
  RecordedFacts recorded_facts_;
  std::unique_ptr<ZSTD_CCtx_s, FreeContext> zstd_;
  std::vector<std::byte> compressed_;
  std::optional<Error> failure_;
  bool in_snapshot_ = false;
  std::uint32_t snapshot_block_ = 0;  // in which it began
  std::uint64_t snapshot_from_ = 0;   // bytes before it
  std::array<std::uint64_t, 2>
      snapshot_bytes_{};  // of the last one: of everything, of minisockets only
  bool wants_snapshot_ = false;
  bool closed_ = false;
  std::uint64_t waiting_since_ns_ = 0;  // 0 = no item waits, or nobody has looked yet
  std::uint64_t now_ns_ = 0;
  std::uint32_t blocks_ = 0;  // of this part, as the next three
  std::uint64_t part_items_ = 0;
  std::uint64_t part_events_ = 0;
  std::uint64_t part_bytes_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t earlier_bytes_ = 0;
};

}  // namespace tcptrail
