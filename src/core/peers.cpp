// SPDX-License-Identifier: BSD-2-Clause
#include "core/peers.h"

#include <cstring>

namespace tcptrail {
namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL;
  return hash ^ (hash >> 29);
}

std::uint64_t end_hash(const Address& address, std::uint16_t port) {
  std::uint64_t words[2];
  std::memcpy(words, address.bytes.data(), sizeof words);
  return mix(mix(mix(port, words[0]), words[1]), port);
}

// Equal for a tuple and its reverse.
std::uint64_t key_of(std::uint32_t netns, const Tuple& tuple) {
  const std::uint64_t ends = end_hash(tuple.laddr, tuple.lport) + end_hash(tuple.raddr, tuple.rport);
  return mix(ends, is_loopback(tuple.laddr, tuple.family) ? netns : 0);
}

// True for one of a tuple and its reverse.
bool is_lower(const Tuple& tuple) { return end_hash(tuple.laddr, tuple.lport) < end_hash(tuple.raddr, tuple.rport); }

}  // namespace

std::uint64_t Peers::meet(std::uint64_t cookie, std::uint32_t netns, const Tuple& tuple) {
  const std::uint64_t key = key_of(netns, tuple);
  const std::uint32_t index = waiting_.find(key);
  if (index == waiting_.kNone) {
    waiting_[waiting_.insert(key)] = {cookie, is_lower(tuple), false};
    return 0;
  }
  End& other = waiting_[index];
  if (other.cookie == cookie) return 0;
  if (!other.ambiguous && other.lower != is_lower(tuple)) {
    const std::uint64_t found = other.cookie;
    waiting_.erase(index);
    return found;
  }
  other.ambiguous = true;
  return 0;
}

void Peers::leave(std::uint64_t cookie, std::uint32_t netns, const Tuple& tuple) {
  const std::uint32_t index = waiting_.find(key_of(netns, tuple));
  if (index != waiting_.kNone && (waiting_[index].cookie == cookie || waiting_[index].ambiguous)) waiting_.erase(index);
}

}  // namespace tcptrail
