// SPDX-License-Identifier: BSD-2-Clause
// What stands in a block: the calls of a ModelInput and the answers of MachineQueries,
// one item each, in the order in which they were made. An item is a type byte
// and its content; docs/recording.md has the tables. The encoder makes the
// payload of one block, the decoder takes a payload apart and trusts none of it.
// Pure; called by the recording writer and reader.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "recording/recorded_facts.h"
#include "tcp/machine_queries.h"
#include "tcp/model_input.h"

namespace tcptrail {

// Type bytes below are the kinds of event.h.
inline constexpr std::uint8_t kFirstOtherItem = 64;
enum class ItemType : std::uint8_t {
  kBeginSnapshot = 64,
  kEndSnapshot = 65,
  kAdvanceTo = 66,
  kRound = 67,
  kLoss = 68,
  kClockOffset = 69,
  kFinish = 70,
  kCgroup = 80,
  kAlive = 81,
  kSysctls = 82,
};

class ItemEncoder final : public ModelInput {
 public:
  ItemEncoder();

  void event(const Event& event) override;
  void begin_snapshot(std::uint64_t boot_ns, bool minisockets_only) override;
  void end_snapshot(std::uint64_t boot_ns, const SnapshotScope& scope) override;
  void advance_to(std::uint64_t boot_ns) override;
  void round(std::uint64_t boot_ns) override;
  void loss(const LossRecord& record) override;
  void clock_offset(std::int64_t ns) override;
  void finish(std::uint64_t boot_ns) override;
  void cgroup(std::uint64_t id, std::string_view path);
  void alive(const Process& process, std::optional<bool> alive);
  void sysctls(std::uint32_t netns, const std::optional<PortSysctls>& sysctls);

  // The payload so far, and what its header says of it.
  [[nodiscard]] std::span<const std::byte> bytes() const { return {buffer_.data(), size_}; }
  [[nodiscard]] std::uint32_t items() const { return items_; }
  [[nodiscard]] std::uint32_t events() const { return events_; }
  [[nodiscard]] std::uint64_t first_boot_ns() const {
    return first_boot_ns_ == UINT64_MAX ? 0 : first_boot_ns_;
  }
  [[nodiscard]] std::uint64_t last_boot_ns() const { return last_boot_ns_; }
  // Begins the next payload, which can be read without this one.
  void clear();

 private:
  std::byte* begin(std::uint8_t type, std::size_t room);
  std::byte* put_time(std::byte* p, std::uint64_t boot_ns);
  void end(std::byte* p);

  std::vector<std::byte> buffer_;
  std::size_t size_ = 0;
  std::uint32_t items_ = 0;
  std::uint32_t events_ = 0;
  std::uint64_t first_boot_ns_ = UINT64_MAX;
  std::uint64_t last_boot_ns_ = 0;
  std::uint64_t time_ = 0;                     // of the item before
  std::array<Event, kFirstOtherItem> before_;  // the last of each kind
};

class ItemDecoder {
 public:
  enum class Status { kItem, kEnd, kMalformed };

  // `layout` is that of the events; 1..TCPTRAIL_LAYOUT_VERSION. The bytes must outlive the
  // decoder's use of them.
  void start(std::span<const std::byte> payload, std::uint16_t layout);
  // The next item: a call of `input`, or an answer for `answers`.
  Status next(ModelInput& input, RecordedFacts& answers);

  [[nodiscard]] std::uint32_t items() const { return items_; }
  [[nodiscard]] std::uint32_t events() const { return events_; }
  // Of the last item that had one.
  [[nodiscard]] std::uint64_t boot_ns() const { return time_; }
  // The time that the next item has; the last one's where it has none.
  [[nodiscard]] std::uint64_t next_boot_ns() const;

 private:
  bool take_event(std::uint8_t kind, ModelInput& input);
  bool take_other(ItemType type, ModelInput& input, RecordedFacts& answers);
  bool take_time(std::uint64_t& boot_ns);
  bool take(std::uint64_t& value);
  bool take_byte(std::uint8_t& value);
  bool take_namespaces(std::vector<std::uint32_t>& list);
  bool take_sysctls(PortSysctls& sysctls);

  const std::byte* p_ = nullptr;
  const std::byte* end_ = nullptr;
  std::uint16_t layout_ = 0;
  std::uint32_t items_ = 0;
  std::uint32_t events_ = 0;
  std::uint64_t time_ = 0;
  SnapshotScope scope_;
  std::array<Event, kFirstOtherItem> before_;
};

}  // namespace tcptrail
