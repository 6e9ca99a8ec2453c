// SPDX-License-Identifier: BSD-2-Clause
#include "connections/peers.h"

#include <cstring>

#include "util/hash.h"

namespace tcptrail {
namespace {

std::uint64_t end_hash(const Address& address, std::uint16_t port) {
  std::uint64_t words[2];
  std::memcpy(words, address.bytes.data(), sizeof words);
  return mix(mix(mix(port, words[0]), words[1]), port);
}

// Equal for both ends.
std::uint64_t key_of(const Conn& conn) {
  const Tuple& tuple = conn.tuple;
  const std::uint64_t ends =
      end_hash(tuple.laddr, tuple.lport) + end_hash(tuple.raddr, tuple.rport);
  return mix(ends, is_loopback(tuple.laddr, tuple.family) ? conn.netns : 0);
}

bool is_other_end(const Tuple& a, const Tuple& b) {
  return a.lport == b.rport && a.rport == b.lport && a.family == b.family && a.laddr == b.raddr &&
         a.raddr == b.laddr;
}

// The two ends of one connection, or the same end of two.
bool share_a_tuple(const Conn& a, const Conn& b) {
  if (a.netns != b.netns && is_loopback(a.tuple.laddr, a.tuple.family)) return false;
  return is_other_end(a.tuple, b.tuple) || a.tuple == b.tuple;
}

}  // namespace

std::uint32_t Peers::meet(std::uint32_t end) {
  const Conn& conn = conns_[end];
  const std::uint64_t key = key_of(conn);
  const auto key_at = [this](std::uint32_t index) { return key_of(conns_[index]); };
  const std::uint32_t index =
      waiting_.find(key, [&](std::uint32_t other) { return share_a_tuple(conns_[other], conn); });
  if (index == kNone) {
    waiting_.insert(key, end, key_at);
    return kNone;
  }
  Conn& other = conns_[index];
  // A socket that is connected to itself is its own other end; two of them are not each other's.
  if (!other.ambiguous && other.tuple != conn.tuple) {
    waiting_.erase(key, index, key_at);
    return index;
  }
  other.ambiguous = true;
  return kNone;
}

std::uint32_t Peers::successor_of_peer(std::uint32_t end) const {
  const Conn& conn = conns_[end];
  return waiting_.find(key_of(conn), [&](std::uint32_t other) {
    const Conn& one = conns_[other];
    return share_a_tuple(one, conn) && is_other_end(one.tuple, conn.tuple);
  });
}

void Peers::leave(std::uint32_t end) {
  const Conn& conn = conns_[end];
  const std::uint64_t key = key_of(conn);
  const auto key_at = [this](std::uint32_t index) { return key_of(conns_[index]); };
  if (waiting_.erase(key, end, key_at)) return;
  // It came second to a tuple that another one waits with. That one is forgotten too: the next to
  // come is found by nobody.
  const std::uint32_t index =
      waiting_.find(key, [&](std::uint32_t other) { return share_a_tuple(conns_[other], conn); });
  if (index != kNone && conns_[index].ambiguous) waiting_.erase(key, index, key_at);
}

}  // namespace tcptrail
