// SPDX-License-Identifier: BSD-2-Clause
// Who moved most bytes: a bounded table of remote addresses. When it is full, the
// lighter half is given up; an address that comes back begins anew, so its sums are
// then lower bounds, which lossy() says. Pure; used by the period of stats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <unordered_map>
#include <vector>

#include "tcp/address.h"
#include "util/hash.h"

namespace tcptrail {

struct Talker {
  Address address;
  Family family = Family::kIpv4;
  std::uint64_t connections = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t rx_bytes = 0;
  [[nodiscard]] std::uint64_t bytes() const { return tx_bytes + rx_bytes; }
};

class Talkers {
 public:
  explicit Talkers(std::size_t most = 4096) : most_(most) {}

  void add(const Address& address, Family family, std::uint64_t tx_bytes, std::uint64_t rx_bytes);
  void clear();
  // The heaviest first, at most `n`.
  [[nodiscard]] std::vector<Talker> top(std::size_t n) const;
  [[nodiscard]] std::size_t size() const { return talkers_.size(); }
  [[nodiscard]] bool lossy() const { return lossy_; }

 private:
  struct Key {
    Address address;
    Family family;
    friend bool operator==(const Key&, const Key&) = default;
  };
  void give_up_half();

  std::size_t most_;
  std::vector<Talker> talkers_;
  std::pmr::unsynchronized_pool_resource pool_;  // an interval takes the nodes of the last one
  std::pmr::unordered_map<Key, std::size_t, BytesHash> index_{&pool_};  // in talkers_
  bool lossy_ = false;
};

}  // namespace tcptrail
