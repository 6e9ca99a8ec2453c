// SPDX-License-Identifier: BSD-2-Clause
// A recording back into the calls it was made of. Every block is read whole and
// its checksum compared before anything of it is handed out; the first byte that
// is not as it was written ends the reading, and what came before it is whole.
// Input: a ByteSource, read once from front to end; output: calls of a ModelInput.
// Bounded memory whatever the bytes are. Called by src/run/replay.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "recording/byte_source.h"
#include "recording/format.h"
#include "recording/header.h"
#include "recording/items.h"
#include "recording/recorded_facts.h"
#include "util/result.h"

struct ZSTD_DCtx_s;

namespace tcptrail {

class RecordingReader {
 public:
  // `name` is for messages. Reads the preamble and the header.
  static Result<std::unique_ptr<RecordingReader>> open(std::unique_ptr<ByteSource> source,
                                                       std::string name);
  ~RecordingReader();

  [[nodiscard]] const RecordingHeader& header() const { return header_; }
  [[nodiscard]] std::uint32_t part() const { return preamble_.part; }

  enum class Status {
    kItem,     // one was handed out
    kBlock,    // the next block is ready; flush what the items so far have brought
    kEnd,      // the end mark, and nothing behind it
    kStopped,  // the source was asked to stop
    kDamaged,  // failure() says where and how
  };
  Status next(ModelInput& input);
  // The time of the item that next() will hand out, if it has one and its block is there.
  [[nodiscard]] std::uint64_t next_boot_ns() const { return items_.next_boot_ns(); }
  // Of the last item.
  [[nodiscard]] std::uint64_t boot_ns() const { return boot_ns_; }

  // What the items so far have answered.
  [[nodiscard]] const RecordedFacts& answers() const { return recorded_facts_; }
  // The recording goes on in another file. After kEnd.
  [[nodiscard]] bool continued() const { return continued_; }
  [[nodiscard]] std::uint64_t events() const { return events_; }
  // "FILE: damaged at byte N: ..."; after kDamaged.
  [[nodiscard]] const Error& failure() const { return failure_; }

 private:
  RecordingReader(std::unique_ptr<ByteSource> source, std::string name);

  Result<void> read_preamble();
  Result<void> read_header();
  // The next block, checked and uncompressed, in payload_. False: status_ says why not.
  bool read_block(BlockHeader& header);
  Status next_block();
  Status check_end(const BlockHeader& header);
  // False, and failure_ and status_ say what it is.
  bool damaged(std::uint64_t at, const std::string& reason, std::string why, std::string fix);
  bool cut_short(std::uint64_t at, const std::string& reason);
  bool changed(std::uint64_t at, const std::string& reason);

  struct FreeContext {
    void operator()(ZSTD_DCtx_s* context) const noexcept;
  };

  std::unique_ptr<ByteSource> source_;
  std::string name_;
  RecordingPreamble preamble_;
  RecordingHeader header_;
  RecordedFacts recorded_facts_;
  ItemDecoder items_;
  std::unique_ptr<ZSTD_DCtx_s, FreeContext> zstd_;
  std::vector<std::byte> stored_;
  std::vector<std::byte> raw_;
  std::span<const std::byte> payload_;
  BlockHeader block_;
  Status status_ = Status::kBlock;
  Error failure_;
  bool continued_ = false;
  std::uint32_t blocks_ = 0;
  std::uint64_t at_ = 0;        // bytes read
  std::uint64_t block_at_ = 0;  // where the current block begins
  std::uint64_t items_read_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t boot_ns_ = 0;
};

}  // namespace tcptrail
