// SPDX-License-Identifier: BSD-2-Clause
// The bytes of a recording, as docs/recording.md draws them: a preamble, then
// blocks, each with a checksum of its own. Everything is in the byte order of
// the machine that recorded, which the preamble names. Pure; shared by writer and reader.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tcptrail {

// 0x89 is no text, and a transfer that changes line ends changes the last byte.
inline constexpr std::array<std::uint8_t, 8> kRecordingMagic = {0x89, 'T', 'C', 'P',
                                                                'R',  'E', 'C', '\n'};
inline constexpr std::uint32_t kByteOrderMark = 0x0A0B0C0D;
inline constexpr std::uint32_t kForeignByteOrderMark = 0x0D0C0B0A;
// Raised when a reader of the version before would misread the file.
inline constexpr std::uint16_t kRecordingVersion = 1;

struct RecordingPreamble {
  std::array<std::uint8_t, 8> magic = kRecordingMagic;
  std::uint32_t byte_order = kByteOrderMark;
  std::uint16_t version = kRecordingVersion;
  std::uint16_t layout = 0;        // TCPTRAIL_LAYOUT_VERSION
  std::uint64_t recording_id = 0;  // random; the same in all parts of one recording
  std::uint32_t part = 0;          // 0, 1, … with --rotate
  std::uint32_t checksum = 0;      // CRC-32C of what stands before it
};
static_assert(sizeof(RecordingPreamble) == 32 && offsetof(RecordingPreamble, checksum) == 28);

enum class FileBlock : std::uint8_t {
  kHeader = 1,  // JSON: who recorded what, where and how; always the first block
  kItems = 2,
  kEnd = 3,  // RecordingEnd; nothing follows it
};

inline constexpr std::uint32_t kBlockMagic = 0x42525454;  // "TTRB" in little endian
inline constexpr std::uint8_t kBlockZstd = 0x01;          // flag: the payload is one zstd frame

struct BlockHeader {
  std::uint32_t magic = kBlockMagic;
  // CRC-32C that goes on from the preamble's, of all that follows in the header, and of
  // the payload as stored: a block of another file does not fit either.
  std::uint32_t checksum = 0;
  std::uint32_t sequence = 0;  // 0 is the header
  FileBlock type = FileBlock::kItems;
  std::uint8_t flags = 0;
  std::uint16_t reserved = 0;
  std::uint32_t raw_size = 0;     // of the payload, uncompressed
  std::uint32_t stored_size = 0;  // as it stands in the file
  std::uint32_t items = 0;
  std::uint32_t events = 0;         // of the items
  std::uint64_t first_boot_ns = 0;  // least and greatest time of the items; both 0: none has a time
  std::uint64_t last_boot_ns = 0;
};
static_assert(sizeof(BlockHeader) == 48 && offsetof(BlockHeader, sequence) == 8);

struct RecordingEnd {
  std::uint64_t items = 0;  // of all blocks of this file
  std::uint64_t events = 0;
  std::uint32_t blocks = 0;     // this one not counted
  std::uint32_t continued = 0;  // 1: the recording goes on in its next part
};
static_assert(sizeof(RecordingEnd) == 24);

// A block is written when its items reach this size ...
inline constexpr std::size_t kBlockFill = 256 * 1024;
// ... or this long after its first item, so that kill -9 takes less than a second.
inline constexpr std::uint64_t kBlockAgeNs = 800'000'000;

// What a reader allocates, at most, whatever the file says.
inline constexpr std::uint32_t kMaxBlockBytes = 16U << 20;
// Later than a hundred years after the boot no time is: what is computed with times does not
// overflow.
inline constexpr std::uint64_t kMaxBootNs = std::uint64_t{1} << 62;
inline constexpr std::size_t kMaxCgroupPath = 4096;           // PATH_MAX
inline constexpr std::size_t kMaxScopeNamespaces = 1U << 20;  // of one list

}  // namespace tcptrail
