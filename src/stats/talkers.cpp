// SPDX-License-Identifier: BSD-2-Clause
#include "stats/talkers.h"

#include <algorithm>
#include <cstring>

namespace tcptrail {
namespace {

std::uint64_t hash_of(const Address& address, Family family) {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::memcpy(&low, address.bytes.data(), 8);
  std::memcpy(&high, address.bytes.data() + 8, 8);
  std::uint64_t h = low * 0x9E3779B97F4A7C15ULL ^
                    (high + static_cast<std::uint64_t>(family)) * 0xC2B2AE3D27D4EB4FULL;
  h ^= h >> 29;
  h *= 0x9E3779B97F4A7C15ULL;
  return h ^ h >> 32;
}

bool heavier(const Talker& a, const Talker& b) {
  if (a.bytes() != b.bytes()) return a.bytes() > b.bytes();
  if (a.connections != b.connections) return a.connections > b.connections;
  if (a.family != b.family) return a.family < b.family;
  return a.address.bytes < b.address.bytes;
}

}  // namespace

std::uint32_t& Talkers::slot_of(const Address& address, Family family) {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash_of(address, family) & mask;; i = (i + 1) & mask) {
    std::uint32_t& slot = slots_[i];
    if (slot == 0) return slot;
    const Talker& known = talkers_[slot - 1];
    if (known.address == address && known.family == family) return slot;
  }
}

void Talkers::add(const Address& address, Family family, std::uint64_t tx_bytes,
                  std::uint64_t rx_bytes) {
  if ((talkers_.size() + 1) * 2 > slots_.size())
    rebuild(std::max<std::size_t>(64, slots_.size() * 2));
  std::uint32_t* slot = &slot_of(address, family);
  if (*slot == 0) {
    if (talkers_.size() >= most_) {
      give_up_half();
      slot = &slot_of(address, family);
    }
    talkers_.push_back({address, family, 0, 0, 0});
    *slot = static_cast<std::uint32_t>(talkers_.size());
  }
  Talker& talker = talkers_[*slot - 1];
  ++talker.connections;
  talker.tx_bytes += tx_bytes;
  talker.rx_bytes += rx_bytes;
}

void Talkers::clear() {
  talkers_.clear();
  std::fill(slots_.begin(), slots_.end(), 0U);
  lossy_ = false;
}

std::vector<Talker> Talkers::top(std::size_t n) const {
  std::vector<Talker> best = talkers_;
  n = std::min(n, best.size());
  std::partial_sort(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(n), best.end(),
                    heavier);
  best.resize(n);
  return best;
}

void Talkers::give_up_half() {
  lossy_ = true;
  const auto middle = talkers_.begin() + static_cast<std::ptrdiff_t>(most_ / 2);
  std::nth_element(talkers_.begin(), middle, talkers_.end(), heavier);
  talkers_.erase(middle, talkers_.end());
  rebuild(slots_.size());
}

void Talkers::rebuild(std::size_t slots) {
  slots_.assign(slots, 0);
  for (std::size_t i = 0; i < talkers_.size(); ++i)
    slot_of(talkers_[i].address, talkers_[i].family) = static_cast<std::uint32_t>(i + 1);
}

}  // namespace tcptrail
