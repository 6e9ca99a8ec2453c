// SPDX-License-Identifier: BSD-2-Clause
#include "recording/reader.h"

#include <zstd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "recording/crc32c.h"

namespace tcptrail {
namespace {

// Why, and what to do about it.
struct Cause {
  const char* why;
  const char* fix;
};
constexpr Cause kCutShort{
    "the recorder was killed, its disk was full, or the file was cut or is still being written",
    "nothing brings back what was not written; if the recorder still runs, replay again when it "
    "has ended"};
constexpr Cause kNoRecording{"either it is none, or its first bytes were changed",
                             "name a file that `tcptrail record -o FILE` has written"};
constexpr Cause kChanged{"what stands before that byte is whole; nothing behind it was used",
                         "copy the file anew from where it was recorded"};

template <class T>
std::span<std::byte> bytes_of(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

}  // namespace

void RecordingReader::FreeContext::operator()(ZSTD_DCtx_s* context) const noexcept {
  ZSTD_freeDCtx(context);
}

RecordingReader::RecordingReader(std::unique_ptr<ByteSource> source, std::string name)
    : source_(std::move(source)), name_(std::move(name)), zstd_(ZSTD_createDCtx()) {
  if (!zstd_) throw std::bad_alloc();
}

RecordingReader::~RecordingReader() = default;

Result<std::unique_ptr<RecordingReader>> RecordingReader::open(std::unique_ptr<ByteSource> source,
                                                               std::string name) {
  std::unique_ptr<RecordingReader> reader(new RecordingReader(std::move(source), std::move(name)));
  if (const Result<void> read = reader->read_preamble(); !read) return read.error();
  if (const Result<void> read = reader->read_header(); !read) return read.error();
  return reader;
}

bool RecordingReader::damaged(std::uint64_t at, const std::string& reason, std::string why,
                              std::string fix) {
  failure_ = source_->error_number() != 0
                 ? Error{"cannot read " + name_ + " from byte " + std::to_string(at_) +
                         " on: " + std::strerror(source_->error_number())}
                 : Error{name_ + ": damaged at byte " + std::to_string(at) + ": " + reason,
                         std::move(why), std::move(fix)};
  status_ = Status::kDamaged;
  return false;
}

bool RecordingReader::cut_short(std::uint64_t at, const std::string& reason) {
  return damaged(at, reason, kCutShort.why, kCutShort.fix);
}

bool RecordingReader::changed(std::uint64_t at, const std::string& reason) {
  return damaged(at, reason, kChanged.why, kChanged.fix);
}

Result<void> RecordingReader::read_preamble() {
  const std::size_t got = source_->read(bytes_of(preamble_));
  at_ += got;
  const RecordingPreamble& p = preamble_;
  const auto cut = [this](const char* reason) {
    cut_short(0, reason);
    return failure_;
  };
  const auto failed = [this](const char* reason) {
    damaged(0, reason, kNoRecording.why, kNoRecording.fix);
    return failure_;
  };
  if (got == 0) return cut("it is empty");
  if (!std::equal(p.magic.begin(),
                  p.magic.begin() + static_cast<std::ptrdiff_t>(std::min(got, p.magic.size())),
                  kRecordingMagic.begin()))
    return failed("this is not how a recording begins");
  if (got < sizeof p) return cut("it ends before its first block");
  if (p.byte_order == kForeignByteOrderMark) {
    constexpr bool here_is_little = std::endian::native == std::endian::little;
    return Error{
        name_ + " was recorded on a " + (here_is_little ? "big" : "little") + "-endian machine",
        std::string("this one is ") + (here_is_little ? "little" : "big") +
            "-endian, and a recording keeps the byte order of its machine",
        "replay it there, or on another machine of its kind"};
  }
  if (crc32c(bytes_of(preamble_).first(offsetof(RecordingPreamble, checksum))) != p.checksum)
    return failed("its first 32 bytes do not match their checksum");
  if (p.version != kRecordingVersion || p.layout > TCPTRAIL_LAYOUT_VERSION)
    return Error{name_ + " was recorded by a newer tcptrail",
                 "it has format " + std::to_string(p.version) + " with event layout " +
                     std::to_string(p.layout) + "; this one reads format " +
                     std::to_string(kRecordingVersion) + " with layouts 1 to " +
                     std::to_string(TCPTRAIL_LAYOUT_VERSION),
                 "replay it with the version that recorded it, or a newer one"};
  if (p.byte_order != kByteOrderMark || p.layout == 0)
    return failed("its first 32 bytes make no sense");
  return {};
}

Result<void> RecordingReader::read_header() {
  BlockHeader block;
  if (!read_block(block)) {
    if (status_ == Status::kStopped) return Error{name_ + ": stopped before its header was read"};
    return failure_;
  }
  if (block.type != FileBlock::kHeader) {
    changed(block_at_, "its first block is not its header");
    return failure_;
  }
  Result<RecordingHeader> header =
      header_from_json({reinterpret_cast<const char*>(payload_.data()), payload_.size()});
  if (!header) {
    changed(block_at_, header.error().what);
    return failure_;
  }
  header_ = std::move(*header);
  header_.recording_id = preamble_.recording_id;
  items_.start({}, preamble_.layout);
  return {};
}

bool RecordingReader::read_block(BlockHeader& header) {
  block_at_ = at_;
  const auto fill = [this](std::span<std::byte> to) {
    const std::size_t got = source_->read(to);
    at_ += got;
    if (source_->stopped()) status_ = Status::kStopped;
    return got;
  };
  const std::size_t got = fill(bytes_of(header));
  if (status_ == Status::kStopped) return false;
  if (got == 0) return cut_short(block_at_, "the end mark is missing");
  if (got < sizeof header) return cut_short(block_at_, "it ends within a block");
  if (header.magic != kBlockMagic) return changed(block_at_, "no block begins there");
  if (header.raw_size > kMaxBlockBytes || header.stored_size > kMaxBlockBytes)
    return changed(block_at_, "the size of the block there is impossible");
  if (stored_.size() < header.stored_size) stored_.resize(header.stored_size);
  const std::span<std::byte> stored = std::span(stored_).first(header.stored_size);
  const std::size_t payload_got = fill(stored);
  if (status_ == Status::kStopped) return false;
  if (payload_got < stored.size()) return cut_short(block_at_, "it ends within a block");
  if (crc32c(stored, crc32c(bytes_of(header).subspan(offsetof(BlockHeader, sequence)),
                            preamble_.checksum)) != header.checksum)
    return changed(block_at_, "the block there does not match its checksum");
  if (header.sequence != blocks_)
    return changed(block_at_, "block " + std::to_string(blocks_) +
                                  " should begin there, and block " +
                                  std::to_string(header.sequence) + " does");
  ++blocks_;

  if ((header.flags & kBlockZstd) == 0) {
    payload_ = stored;
  } else {
    if (raw_.size() < header.raw_size) raw_.resize(header.raw_size);
    const std::size_t size = ZSTD_decompressDCtx(zstd_.get(), raw_.data(), header.raw_size,
                                                 stored.data(), stored.size());
    if (ZSTD_isError(size) != 0)
      return changed(block_at_, std::string("the block there cannot be uncompressed: ") +
                                    ZSTD_getErrorName(size));
    payload_ = std::span<const std::byte>(raw_).first(size);
  }
  if (payload_.size() != header.raw_size)
    return changed(block_at_, "the block there has another size than it says");
  return true;
}

RecordingReader::Status RecordingReader::next(ModelInput& input) {
  if (status_ == Status::kEnd || status_ == Status::kDamaged) return status_;
  switch (items_.next(input, recorded_facts_)) {
    case ItemDecoder::Status::kItem:
      boot_ns_ = items_.boot_ns();
      return Status::kItem;
    case ItemDecoder::Status::kMalformed:
      changed(block_at_, "the block there has an item that cannot be read");
      return status_;
    case ItemDecoder::Status::kEnd:
      break;
  }
  return next_block();
}

RecordingReader::Status RecordingReader::next_block() {
  if (items_.items() != block_.items || items_.events() != block_.events) {
    changed(block_at_, "the block there has not as many items as it says");
    return status_;
  }
  items_read_ += items_.items();
  events_ += items_.events();
  items_.start({}, preamble_.layout);
  block_ = {};
  BlockHeader header;
  if (!read_block(header)) return status_;
  if (header.type == FileBlock::kEnd) return check_end(header);
  if (header.type != FileBlock::kItems) {
    changed(block_at_, "the block there is of an unknown type");
    return status_;
  }
  block_ = header;
  items_.start(payload_, preamble_.layout);
  return Status::kBlock;
}

RecordingReader::Status RecordingReader::check_end(const BlockHeader&) {
  RecordingEnd end;
  if (payload_.size() != sizeof end) {
    changed(block_at_, "its end mark has an impossible size");
    return status_;
  }
  std::memcpy(&end, payload_.data(), sizeof end);
  if (end.items != items_read_ || end.events != events_ || end.blocks + 1 != blocks_) {
    changed(block_at_, "the end mark there counts other items than the file has");
    return status_;
  }
  const std::uint64_t end_at = at_;
  std::byte more{};
  const std::size_t got = source_->read({&more, 1});
  if (got != 0 || source_->error_number() != 0) {
    damaged(end_at, "bytes follow the end mark",
            "the recording itself is whole; something was appended to its file",
            "truncate -s " + std::to_string(end_at) + " " + name_);
    return status_;
  }
  continued_ = end.continued != 0;
  return status_ = Status::kEnd;
}

}  // namespace tcptrail
