// SPDX-License-Identifier: BSD-2-Clause
#include "stats/talkers.h"

#include <algorithm>

namespace tcptrail {
namespace {

bool heavier(const Talker& a, const Talker& b) {
  if (a.bytes() != b.bytes()) return a.bytes() > b.bytes();
  if (a.connections != b.connections) return a.connections > b.connections;
  if (a.family != b.family) return a.family < b.family;
  return a.address.bytes < b.address.bytes;
}

}  // namespace

void Talkers::add(const Address& address, Family family, std::uint64_t tx_bytes,
                  std::uint64_t rx_bytes) {
  auto known = index_.find({address, family});
  if (known == index_.end()) {
    if (talkers_.size() >= most_) give_up_half();
    known = index_.emplace(Key{address, family}, talkers_.size()).first;
    talkers_.push_back({address, family, 0, 0, 0});
  }
  Talker& talker = talkers_[known->second];
  ++talker.connections;
  talker.tx_bytes += tx_bytes;
  talker.rx_bytes += rx_bytes;
}

void Talkers::clear() {
  talkers_.clear();
  index_.clear();
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
  index_.clear();
  for (std::size_t i = 0; i < talkers_.size(); ++i)
    index_.emplace(Key{talkers_[i].address, talkers_[i].family}, i);
}

}  // namespace tcptrail
