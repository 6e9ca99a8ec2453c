// SPDX-License-Identifier: BSD-2-Clause
// CRC-32C (Castagnoli, RFC 3720 appendix B.4), table-driven: some 1.5 GB/s, and
// what is summed is a few bytes per event. Finds every change of up to 32
// neighbouring bits. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tcptrail {

// `before` is the checksum of what precedes, 0 at the beginning.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0);

}  // namespace tcptrail
