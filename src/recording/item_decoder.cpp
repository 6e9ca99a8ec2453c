// SPDX-License-Identifier: BSD-2-Clause
// The reading half of items.h: nothing that an item says about lengths, counts or
// numbers is believed before it is checked.
#include <bit>
#include <cstring>

#include "recording/format.h"
#include "recording/items.h"
#include "recording/layouts.h"
#include "recording/varint.h"

namespace tcptrail {
namespace {

constexpr std::size_t kWords = sizeof(Event) / 8;

}  // namespace

void ItemDecoder::start(std::span<const std::byte> payload, std::uint16_t layout) {
  p_ = payload.data();
  end_ = p_ + payload.size();
  layout_ = layout;
  items_ = events_ = 0;
  time_ = 0;
  std::memset(static_cast<void*>(before_.data()), 0, sizeof before_);
  for (std::size_t kind = 0; kind < before_.size(); ++kind)
    before_[kind].base.kind = static_cast<std::uint8_t>(kind);
}

ItemDecoder::Status ItemDecoder::next(ModelInput& input, RecordedFacts& answers) {
  if (p_ == end_) return Status::kEnd;
  const auto type = std::to_integer<std::uint8_t>(*p_++);
  ++items_;
  const bool good =
      type < kFirstOtherItem ? take_event(type, input) : take_other(ItemType{type}, input, answers);
  return good ? Status::kItem : Status::kMalformed;
}

bool ItemDecoder::take_event(std::uint8_t kind, ModelInput& input) {
  const std::size_t words = size_of_kind(kind) / 8;
  std::uint16_t mask = 0;
  if (words == 0 || end_ - p_ < static_cast<std::ptrdiff_t>(sizeof mask)) return false;
  std::memcpy(&mask, p_, sizeof mask);
  p_ += sizeof mask;
  std::uint64_t boot_ns = 0;
  if ((mask & 1) != 0 || (mask >> words) != 0 || !take_time(boot_ns)) return false;
  if (end_ - p_ < std::popcount(mask) * 8) return false;

  std::array<std::uint64_t, kWords> now;
  std::memcpy(now.data(), &before_[kind], words * 8);
  now[0] = boot_ns;
  if ((mask & 2) != 0) {
    std::uint64_t cookie_step = 0;
    std::memcpy(&cookie_step, p_, 8);
    now[1] += cookie_step;
    p_ += 8;
  }
  for (unsigned left = mask & ~3U; left != 0; left &= left - 1) {
    std::memcpy(&now[static_cast<std::size_t>(std::countr_zero(left))], p_, 8);
    p_ += 8;
  }
  Event& event = before_[kind];
  std::memcpy(static_cast<void*>(&event), now.data(), words * 8);
  if (event.kind() != kind) return false;  // its own word says otherwise
  ++events_;
  if (layout_ < TCPTRAIL_LAYOUT_VERSION) {
    Event upgraded = event;  // what follows is told as a difference to what was recorded
    upgrade(upgraded, layout_);
    input.event(upgraded);
  } else {
    input.event(event);
  }
  return true;
}

bool ItemDecoder::take_other(ItemType type, ModelInput& input, RecordedFacts& answers) {
  std::uint64_t boot_ns = 0;
  std::uint64_t number = 0;
  std::uint8_t byte = 0;
  switch (type) {
    case ItemType::kBeginSnapshot:
      if (!take_time(boot_ns) || !take_byte(byte) || byte > 1) return false;
      input.begin_snapshot(boot_ns, byte != 0);
      return true;
    case ItemType::kEndSnapshot:
      if (!take_time(boot_ns) || !take_byte(byte) || byte > 1) return false;
      scope_.minisockets_only = byte != 0;
      if (!take_namespaces(scope_.netns_read) || !take_namespaces(scope_.netns_refused) ||
          !take_namespaces(scope_.netns_gone))
        return false;
      input.end_snapshot(boot_ns, scope_);
      return true;
    case ItemType::kAdvanceTo:
      if (!take_time(boot_ns)) return false;
      input.advance_to(boot_ns);
      return true;
    case ItemType::kRound:
      if (!take_time(boot_ns)) return false;
      input.round(boot_ns);
      return true;
    case ItemType::kLoss: {
      LossRecord record;
      if (!take_time(record.boot_ns)) return false;
      Loss& loss = record.loss;
      for (std::uint64_t* value :
           {&loss.ring, &loss.nested, &loss.table, &loss.malformed, &loss.other, &record.since})
        if (!take(*value)) return false;
      input.loss(record);
      return true;
    }
    case ItemType::kClockOffset:
      if (!take(number)) return false;
      input.clock_offset(unfold_sign(number));
      return true;
    case ItemType::kFinish:
      if (!take_time(boot_ns)) return false;
      input.finish(boot_ns);
      return true;
    case ItemType::kCgroup: {
      std::uint64_t size = 0;
      if (!take(number) || !take(size) || size > kMaxCgroupPath ||
          size > static_cast<std::uint64_t>(end_ - p_))
        return false;
      answers.learn_cgroup(number, {reinterpret_cast<const char*>(p_), size});
      p_ += size;
      return true;
    }
    case ItemType::kAlive: {
      Process process;
      if (!take(number) || number > UINT32_MAX ||
          end_ - p_ < static_cast<std::ptrdiff_t>(process.comm.bytes.size()))
        return false;
      process.pid = static_cast<std::uint32_t>(number);
      std::memcpy(process.comm.bytes.data(), p_, process.comm.bytes.size());
      p_ += process.comm.bytes.size();
      if (!take_byte(byte) || byte > 2) return false;
      answers.learn_alive(process, byte == 2 ? std::nullopt : std::optional(byte == 1));
      return true;
    }
    case ItemType::kSysctls: {
      if (!take(number) || number > UINT32_MAX || !take_byte(byte) || byte > 1) return false;
      std::optional<PortSysctls> sysctls;
      if (byte != 0 && !take_sysctls(sysctls.emplace())) return false;
      answers.learn_sysctls(static_cast<std::uint32_t>(number), sysctls);
      return true;
    }
  }
  return false;
}

std::uint64_t ItemDecoder::next_boot_ns() const {
  if (p_ == end_) return time_;
  const auto type = std::to_integer<std::uint8_t>(*p_);
  const bool timed =
      type < kFirstOtherItem || (type <= static_cast<std::uint8_t>(ItemType::kFinish) &&
                                 ItemType{type} != ItemType::kClockOffset);
  const std::ptrdiff_t skip =
      type < kFirstOtherItem ? 1 + static_cast<std::ptrdiff_t>(sizeof(std::uint16_t)) : 1;
  std::uint64_t step = 0;
  const std::byte* p = p_ + skip;
  if (!timed || end_ - p_ <= skip || !take_varint(p, end_, step)) return time_;
  return time_ + static_cast<std::uint64_t>(unfold_sign(step));
}

bool ItemDecoder::take(std::uint64_t& value) { return take_varint(p_, end_, value); }

bool ItemDecoder::take_byte(std::uint8_t& value) {
  if (p_ == end_) return false;
  value = std::to_integer<std::uint8_t>(*p_++);
  return true;
}

bool ItemDecoder::take_time(std::uint64_t& boot_ns) {
  std::uint64_t step = 0;
  if (!take(step)) return false;
  boot_ns = time_ += static_cast<std::uint64_t>(unfold_sign(step));
  return boot_ns <= kMaxBootNs;
}

bool ItemDecoder::take_namespaces(std::vector<std::uint32_t>& list) {
  list.clear();
  std::uint64_t count = 0;
  // Each takes a byte at least, so what is reserved is never more than what is there.
  if (!take(count) || count > kMaxScopeNamespaces || count > static_cast<std::uint64_t>(end_ - p_))
    return false;
  list.reserve(count);
  std::uint32_t netns = 0;
  for (; count != 0; --count) {
    std::uint64_t step = 0;
    if (!take(step) || step > UINT32_MAX) return false;
    netns += static_cast<std::uint32_t>(step);
    list.push_back(netns);
  }
  return true;
}

bool ItemDecoder::take_sysctls(PortSysctls& sysctls) {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::uint64_t reuse = 0;
  std::uint64_t unprivileged = 0;
  if (!take(low) || !take(high) || !take(reuse) || !take(sysctls.tw_reuse_delay_ms) ||
      !take(unprivileged))
    return false;
  if (low > UINT16_MAX || high > UINT16_MAX || low > high || reuse > UINT32_MAX ||
      unprivileged > UINT32_MAX)
    return false;
  sysctls.range_low = static_cast<unsigned>(low);
  sysctls.range_high = static_cast<unsigned>(high);
  sysctls.tcp_tw_reuse = static_cast<unsigned>(reuse);
  sysctls.unprivileged_port_start = static_cast<unsigned>(unprivileged);
  for (bool* value :
       {&sysctls.tcp_timestamps, &sysctls.autobind_reuse, &sysctls.bindv6only, &sysctls.ipv6}) {
    std::uint8_t byte = 0;
    if (!take_byte(byte) || byte > 1) return false;
    *value = byte != 0;
  }
  std::uint64_t ranges = 0;
  if (!take(ranges)) return false;
  // In order and apart, so the loop ends after 65,536 ports at most.
  std::uint64_t free_from = 0;
  for (; ranges != 0; --ranges) {
    std::uint64_t first = 0;
    std::uint64_t ports = 0;
    if (!take(first) || !take(ports)) return false;
    if (first < free_from || first >= sysctls.reserved.size() || ports == 0 ||
        ports > sysctls.reserved.size() - first)
      return false;
    free_from = first + ports;
    for (std::uint64_t port = first; port < free_from; ++port) sysctls.reserved.set(port);
  }
  return true;
}

}  // namespace tcptrail
