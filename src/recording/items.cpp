// SPDX-License-Identifier: BSD-2-Clause
// The writing half; item_decoder.cpp reads.
#include "recording/items.h"

#include <algorithm>
#include <cstring>

#include "recording/format.h"
#include "recording/varint.h"

namespace tcptrail {
namespace {

// Type, mask, time and 16 words.
constexpr std::size_t kMaxEventItem = 1 + 2 + kMaxVarint + sizeof(Event);
constexpr std::size_t kMaxSmallItem = 128;
constexpr std::size_t kWords = sizeof(Event) / 8;

}  // namespace

ItemEncoder::ItemEncoder() : buffer_(kBlockFill + 4 * kMaxEventItem) { clear(); }

void ItemEncoder::clear() {
  size_ = 0;
  items_ = events_ = 0;
  first_boot_ns_ = UINT64_MAX;
  last_boot_ns_ = time_ = 0;
  std::memset(static_cast<void*>(before_.data()), 0, sizeof before_);
}

std::byte* ItemEncoder::begin(std::uint8_t type, std::size_t room) {
  if (buffer_.size() - size_ < room) buffer_.resize(std::max(buffer_.size() * 2, size_ + room));
  std::byte* p = buffer_.data() + size_;
  *p = std::byte{type};
  return p + 1;
}

void ItemEncoder::end(std::byte* p) {
  size_ = static_cast<std::size_t>(p - buffer_.data());
  ++items_;
}

// The distance to the item before: nearly always small, and now and then negative.
std::byte* ItemEncoder::put_time(std::byte* p, std::uint64_t boot_ns) {
  boot_ns = std::min(boot_ns, kMaxBootNs);
  first_boot_ns_ = std::min(first_boot_ns_, boot_ns);
  last_boot_ns_ = std::max(last_boot_ns_, boot_ns);
  p = put_varint(p, fold_sign(static_cast<std::int64_t>(boot_ns - time_)));
  time_ = boot_ns;
  return p;
}

// Only the words that differ from the last event of the kind: less than half of
// them, which halves the work of the compressor too.
void ItemEncoder::event(const Event& event) {
  const std::uint8_t kind = event.kind();
  const std::size_t words = size_of_kind(kind) / 8;
  if (words == 0 || kind >= kFirstOtherItem) return;
  std::array<std::uint64_t, kWords> now;
  std::array<std::uint64_t, kWords> before;
  std::memcpy(now.data(), &event, words * 8);
  std::memcpy(before.data(), &before_[kind], words * 8);

  std::byte* p = begin(kind, kMaxEventItem);
  std::byte* const mask_at = p;
  p = put_time(p + sizeof(std::uint16_t), now[0]);
  // Sockets are numbered in order: the distance of two cookies is small.
  unsigned mask = 0;
  const std::uint64_t cookie_step = now[1] - before[1];
  std::memcpy(p, &cookie_step, 8);
  mask |= cookie_step != 0 ? 2U : 0U;
  p += cookie_step != 0 ? 8 : 0;
  for (std::size_t i = 2; i < words; ++i) {
    std::memcpy(p, &now[i], 8);
    const bool differs = now[i] != before[i];
    mask |= static_cast<unsigned>(differs) << i;
    p += differs ? 8 : 0;
  }
  const auto mask16 = static_cast<std::uint16_t>(mask);
  std::memcpy(mask_at, &mask16, sizeof mask16);
  std::memcpy(static_cast<void*>(&before_[kind]), now.data(), words * 8);
  ++events_;
  end(p);
}

void ItemEncoder::begin_snapshot(std::uint64_t boot_ns, bool minisockets_only) {
  std::byte* p =
      put_time(begin(static_cast<std::uint8_t>(ItemType::kBeginSnapshot), kMaxSmallItem), boot_ns);
  *p++ = std::byte{minisockets_only};
  end(p);
}

void ItemEncoder::end_snapshot(std::uint64_t boot_ns, const SnapshotScope& scope) {
  const auto count = [](const auto& list) { return std::min(list.size(), kMaxScopeNamespaces); };
  const std::size_t all =
      count(scope.netns_read) + count(scope.netns_refused) + count(scope.netns_gone);
  std::byte* p = put_time(
      begin(static_cast<std::uint8_t>(ItemType::kEndSnapshot), kMaxSmallItem + all * kMaxVarint),
      boot_ns);
  *p++ = std::byte{scope.minisockets_only};
  for (const auto* list : {&scope.netns_read, &scope.netns_refused, &scope.netns_gone}) {
    p = put_varint(p, count(*list));
    std::uint32_t before = 0;
    for (const std::uint32_t netns : std::span(*list).first(count(*list))) {
      p = put_varint(p, static_cast<std::uint32_t>(netns - before));  // sorted: small
      before = netns;
    }
  }
  end(p);
}

void ItemEncoder::advance_to(std::uint64_t boot_ns) {
  end(put_time(begin(static_cast<std::uint8_t>(ItemType::kAdvanceTo), kMaxSmallItem), boot_ns));
}

void ItemEncoder::round(std::uint64_t boot_ns) {
  end(put_time(begin(static_cast<std::uint8_t>(ItemType::kRound), kMaxSmallItem), boot_ns));
}

void ItemEncoder::loss(const LossRecord& record) {
  std::byte* p =
      put_time(begin(static_cast<std::uint8_t>(ItemType::kLoss), kMaxSmallItem), record.boot_ns);
  for (const std::uint64_t value : {record.loss.ring, record.loss.nested, record.loss.table,
                                    record.loss.malformed, record.loss.other, record.since})
    p = put_varint(p, value);
  end(p);
}

void ItemEncoder::clock_offset(std::int64_t ns) {
  end(put_varint(begin(static_cast<std::uint8_t>(ItemType::kClockOffset), kMaxSmallItem),
                 fold_sign(ns)));
}

void ItemEncoder::finish(std::uint64_t boot_ns) {
  end(put_time(begin(static_cast<std::uint8_t>(ItemType::kFinish), kMaxSmallItem), boot_ns));
}

void ItemEncoder::cgroup(std::uint64_t id, std::string_view path) {
  path = path.substr(0, kMaxCgroupPath);
  std::byte* p = put_varint(
      begin(static_cast<std::uint8_t>(ItemType::kCgroup), kMaxSmallItem + path.size()), id);
  p = put_varint(p, path.size());
  end(std::transform(path.begin(), path.end(), p,
                     [](char c) { return static_cast<std::byte>(c); }));
}

void ItemEncoder::alive(const Process& process, std::optional<bool> alive) {
  std::byte* p =
      put_varint(begin(static_cast<std::uint8_t>(ItemType::kAlive), kMaxSmallItem), process.pid);
  std::memcpy(p, process.comm.bytes.data(), process.comm.bytes.size());
  p += process.comm.bytes.size();
  *p++ = !alive ? std::byte{2} : std::byte{*alive};
  end(p);
}

void ItemEncoder::sysctls(std::uint32_t netns, const std::optional<PortSysctls>& sysctls) {
  struct Range {
    std::size_t first;
    std::size_t ports;
  };
  std::vector<Range> ranges;
  if (sysctls) {
    for (std::size_t port = 0; port < sysctls->reserved.size(); ++port) {
      if (!sysctls->reserved[port]) continue;
      if (!ranges.empty() && ranges.back().first + ranges.back().ports == port)
        ++ranges.back().ports;
      else
        ranges.push_back({port, 1});
    }
  }
  std::byte* p = put_varint(begin(static_cast<std::uint8_t>(ItemType::kSysctls),
                                  kMaxSmallItem + ranges.size() * 2 * kMaxVarint),
                            netns);
  *p++ = std::byte{sysctls.has_value()};
  if (sysctls) {
    for (const std::uint64_t value :
         {std::uint64_t{sysctls->range_low}, std::uint64_t{sysctls->range_high},
          std::uint64_t{sysctls->tcp_tw_reuse}, sysctls->tw_reuse_delay_ms,
          std::uint64_t{sysctls->unprivileged_port_start}})
      p = put_varint(p, value);
    for (const bool value :
         {sysctls->tcp_timestamps, sysctls->autobind_reuse, sysctls->bindv6only, sysctls->ipv6})
      *p++ = std::byte{value};
    p = put_varint(p, ranges.size());
    for (const Range& range : ranges) p = put_varint(put_varint(p, range.first), range.ports);
  }
  end(p);
}

}  // namespace tcptrail
