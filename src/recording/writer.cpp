// SPDX-License-Identifier: BSD-2-Clause
#include "recording/writer.h"

#include <zstd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "recording/crc32c.h"

namespace tcptrail {
namespace {

// 60 ns an event; the next level costs a third more and saves nothing.
constexpr int kZstdLevel = 1;
// Less than this is left at the end of a file of limited size: for what is still
// in the ring when the run stops, and the end mark.
constexpr std::uint64_t kReserve = 512 * 1024;
constexpr std::uint64_t kEndBytes = sizeof(BlockHeader) + sizeof(RecordingEnd);

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

void RecordingWriter::FreeContext::operator()(ZSTD_CCtx_s* context) const noexcept {
  ZSTD_freeCCtx(context);
}

Result<std::unique_ptr<RecordingWriter>> RecordingWriter::create(RecordingTarget target,
                                                                 RecordingHeader header) {
  const Result<bool> continues = continues_rotation(target);
  if (!continues) return continues.error();
  if (*continues)
    if (const Result<void> moved = move_parts(target); !moved) return moved.error();
  Result<OutFile> out = OutFile::open(target.path);
  if (!out) return out.error();
  if (target.keep != 0 && !out->is_regular())
    return Error{"cannot rotate " + target.path,
                 "it is not a regular file, and its older parts would need names of their own",
                 "leave out --rotate, or name a file", 2};
  header.rotates = target.keep != 0;
  std::unique_ptr<RecordingWriter> writer(
      new RecordingWriter(std::move(target), std::move(header), std::move(*out)));
  if (!writer->begin_part()) {
    if (writer->reader_gone())
      return Error{"cannot write to " + writer->target_.path + ": nobody reads from it"};
    return writer->failure();
  }
  return writer;
}

RecordingWriter::RecordingWriter(RecordingTarget target, RecordingHeader header, OutFile out)
    : target_(std::move(target)),
      header_(std::move(header)),
      out_(std::move(out)),
      zstd_(ZSTD_createCCtx()) {
  if (!zstd_) throw std::bad_alloc();
  ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_compressionLevel, kZstdLevel);
  // A second witness beside our own checksum: of what came out, not of what was stored.
  ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_checksumFlag, 1);
  preamble_.layout = TCPTRAIL_LAYOUT_VERSION;
  preamble_.recording_id = header_.recording_id;
  out_.set_whole_flushes();
  now_ns_ = header_.part_began_ns;
}

RecordingWriter::~RecordingWriter() = default;

bool RecordingWriter::begin_part() {
  blocks_ = 0;
  part_items_ = part_events_ = 0;
  part_bytes_ = sizeof preamble_;
  header_.part_began_ns = now_ns_;
  preamble_.checksum = crc32c(bytes_of(preamble_).first(offsetof(RecordingPreamble, checksum)));
  char* p = out_.reserve(sizeof preamble_);
  std::memcpy(p, &preamble_, sizeof preamble_);
  out_.commit(p + sizeof preamble_);
  const std::string json = header_json(header_);
  BlockHeader block;
  block.type = FileBlock::kHeader;
  block.raw_size = static_cast<std::uint32_t>(json.size());
  return put_block(block, std::as_bytes(std::span(json)));
}

// Empty when that would not make it shorter.
std::span<const std::byte> RecordingWriter::compressed(std::span<const std::byte> payload) {
  compressed_.resize(ZSTD_compressBound(payload.size()));
  const std::size_t size = ZSTD_compress2(zstd_.get(), compressed_.data(), compressed_.size(),
                                          payload.data(), payload.size());
  if (ZSTD_isError(size) != 0 || size >= payload.size()) return {};
  return std::span(compressed_).first(size);
}

// A block is one write: a disk that fills up leaves the blocks before it.
bool RecordingWriter::put_block(BlockHeader header, std::span<const std::byte> stored) {
  header.stored_size = static_cast<std::uint32_t>(stored.size());
  header.sequence = blocks_++;
  header.checksum = crc32c(stored, crc32c(bytes_of(header).subspan(offsetof(BlockHeader, sequence)),
                                          preamble_.checksum));
  char* p = out_.reserve(sizeof header + stored.size());
  std::memcpy(p, &header, sizeof header);
  std::memcpy(p + sizeof header, stored.data(), stored.size());
  out_.commit(p + sizeof header + stored.size());
  part_bytes_ += sizeof header + stored.size();
  if (out_.flush()) return true;
  if (reader_gone()) return false;
  return fail(out_.failure());
}

bool RecordingWriter::put_items(const ItemEncoder& items) {
  BlockHeader header;
  header.raw_size = static_cast<std::uint32_t>(items.bytes().size());
  header.items = items.items();
  header.events = items.events();
  header.first_boot_ns = items.first_boot_ns();
  header.last_boot_ns = items.last_boot_ns();
  const auto stored = [&] {
    const std::span<const std::byte> frame = compressed(items.bytes());
    header.flags = frame.empty() ? 0 : kBlockZstd;
    return frame.empty() ? items.bytes() : frame;
  };
  std::span<const std::byte> bytes = stored();
  // A snapshot is never divided: its end says what was not seen in it.
  if (!in_snapshot_ && !fits(sizeof header + bytes.size())) {
    if (!rotate()) return false;
    bytes = stored();  // the answers took the buffer
  }
  part_items_ += header.items;
  part_events_ += header.events;
  return put_block(header, bytes);
}

// False: this much more would need a new part.
bool RecordingWriter::fits(std::uint64_t bytes) const {
  return target_.keep == 0 || !target_.max_bytes || part_events_ == 0 ||
         part_bytes_ + bytes + kEndBytes <= *target_.max_bytes;
}

bool RecordingWriter::put_end(bool continued) {
  const RecordingEnd end{.items = part_items_,
                         .events = part_events_,
                         .blocks = blocks_,
                         .continued = continued ? 1U : 0U};
  BlockHeader header;
  header.type = FileBlock::kEnd;
  header.raw_size = sizeof end;
  return put_block(header, bytes_of(end));
}

bool RecordingWriter::fail(Error error) {
  if (!failure_) failure_ = std::move(error);
  return false;
}

bool RecordingWriter::flush() {
  waiting_since_ns_ = 0;
  if (items_.items() == 0) return ok();
  const bool good = ok() && !reader_gone() && !closed_ && put_items(items_);
  if (good) events_ += items_.events();
  items_.clear();
  return good;
}

// The new FILE begins with everything that a reader of it alone has to know.
bool RecordingWriter::rotate() {
  if (!put_end(true)) return false;
  if (const Result<void> moved = move_parts(target_); !moved) return fail(moved.error());
  if (const Result<void> opened = out_.reopen_new(); !opened) return fail(opened.error());
  earlier_bytes_ += part_bytes_;
  ++preamble_.part;
  wants_snapshot_ = true;
  recorded_facts_.forget_processes();
  return begin_part() && put_answers();
}

bool RecordingWriter::put_answers() {
  ItemEncoder known;
  const auto put = [&](std::size_t from) {
    if (known.bytes().size() < from || known.items() == 0) return true;
    BlockHeader header;
    header.raw_size = static_cast<std::uint32_t>(known.bytes().size());
    header.items = known.items();
    const std::span<const std::byte> frame = compressed(known.bytes());
    header.flags = frame.empty() ? 0 : kBlockZstd;
    part_items_ += header.items;
    const bool good = put_block(header, frame.empty() ? known.bytes() : frame);
    known.clear();
    return good;
  };
  for (const auto& [id, path] : recorded_facts_.cgroups()) {
    known.cgroup(id, path);
    if (!put(kBlockFill)) return false;
  }
  for (const auto& [netns, sysctls] : recorded_facts_.sysctls()) {
    known.sysctls(netns, sysctls);
    if (!put(kBlockFill)) return false;
  }
  return put(0);
}

bool RecordingWriter::full() const {
  return target_.keep == 0 && target_.max_bytes &&
         part_bytes_ + items_.bytes().size() / 2 + kReserve > *target_.max_bytes;
}

void RecordingWriter::tick(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  if (items_.items() == 0) return;
  if (waiting_since_ns_ == 0) waiting_since_ns_ = now_ns;
  if (now_ns - waiting_since_ns_ >= kBlockAgeNs) flush();
}

std::uint64_t RecordingWriter::due_ns() const {
  if (items_.items() == 0) return UINT64_MAX;
  return (waiting_since_ns_ == 0 ? now_ns_ : waiting_since_ns_) + kBlockAgeNs;
}

bool RecordingWriter::close() {
  if (closed_) return ok();
  if (items_.events() == 0) in_snapshot_ = true;  // the last words are no part of their own
  if (flush()) put_end(false);
  closed_ = true;
  return ok() && !reader_gone();
}

// ---- items ------------------------------------------------------------------

void RecordingWriter::after_item() {
  if (items_.bytes().size() >= kBlockFill) flush();
}

// Where one like the last of its kind has no room, it begins a new part.
void RecordingWriter::begin_snapshot(std::uint64_t boot_ns, bool minisockets_only) {
  if (!fits(items_.bytes().size() + snapshot_bytes_[minisockets_only]) && flush() &&
      part_events_ != 0)
    rotate();
  in_snapshot_ = true;
  snapshot_from_ = bytes() + items_.bytes().size();
  snapshot_block_ = blocks_;
  if (!minisockets_only) wants_snapshot_ = false;
  items_.begin_snapshot(boot_ns, minisockets_only);
  after_item();
}

void RecordingWriter::end_snapshot(std::uint64_t boot_ns, const SnapshotScope& scope) {
  items_.end_snapshot(boot_ns, scope);
  // What follows may begin a new part, but not with the rest of a snapshot.
  if (blocks_ != snapshot_block_) flush();
  const std::uint64_t end = bytes() + items_.bytes().size();
  snapshot_bytes_[scope.minisockets_only] = end > snapshot_from_ ? end - snapshot_from_ : 0;
  in_snapshot_ = false;
}

void RecordingWriter::advance_to(std::uint64_t boot_ns) {
  items_.advance_to(boot_ns);
  after_item();
}

void RecordingWriter::round(std::uint64_t boot_ns) {
  items_.round(boot_ns);
  after_item();
}

void RecordingWriter::loss(const LossRecord& record) {
  items_.loss(record);
  after_item();
}

void RecordingWriter::clock_offset(std::int64_t ns) {
  header_.clock_offset_ns = ns;
  items_.clock_offset(ns);
  after_item();
}

void RecordingWriter::finish(std::uint64_t boot_ns) {
  items_.finish(boot_ns);
  after_item();
}

void RecordingWriter::cgroup(std::uint64_t id, std::string_view path) {
  if (!recorded_facts_.learn_cgroup(id, path)) return;
  items_.cgroup(id, path);
  after_item();
}

void RecordingWriter::alive(const Process& process, std::optional<bool> alive) {
  if (!recorded_facts_.learn_alive(process, alive)) return;
  items_.alive(process, alive);
  after_item();
}

void RecordingWriter::sysctls(std::uint32_t netns, const std::optional<PortSysctls>& sysctls) {
  if (!recorded_facts_.learn_sysctls(netns, sysctls)) return;
  items_.sysctls(netns, sysctls);
  after_item();
}

}  // namespace tcptrail
