// SPDX-License-Identifier: BSD-2-Clause
// The kernel's types as bytes: which names it has, and the few types that an object names, apart
// from the rest. Input: /sys/kernel/btf/vmlinux. Used by features and session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct btf;
struct btf_type;

namespace tcptrail {

class VmlinuxBtf {
 public:
  VmlinuxBtf();
  ~VmlinuxBtf();
  VmlinuxBtf(const VmlinuxBtf&) = delete;
  VmlinuxBtf& operator=(const VmlinuxBtf&) = delete;

  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  // Whether the name occurs, of whatever kind.
  [[nodiscard]] bool has(std::string_view name) const { return offset_of(name) != 0; }
  // The type ids of these functions, 0 for one that is not there.
  [[nodiscard]] std::vector<std::uint32_t> functions(std::span<const std::string_view> names) const;
  // How many arguments a tracepoint has, as `btf_trace_NAME` tells; 0 = there is none of the name.
  [[nodiscard]] std::size_t tracepoint_arguments(std::string_view name) const;
  // The names of an enum by their values, "" where there is a gap; empty when there is none.
  [[nodiscard]] std::vector<std::string> enumerators(std::string_view name) const;
  // As BTF: the types that are called as one in `wanted`, and what they consist of; pointers lead
  // nowhere. Enough to relocate the object by. Empty where a kind of type is in the way that is not
  // known here.
  [[nodiscard]] std::string only(const btf* wanted) const;

 private:
  [[nodiscard]] std::uint32_t offset_of(std::string_view name) const;
  [[nodiscard]] std::optional<std::vector<std::uint32_t>> positions() const;
  [[nodiscard]] std::optional<btf_type> find(std::string_view name, std::uint32_t kind,
                                             const std::vector<std::uint32_t>& types,
                                             std::size_t& at) const;

  void* mapping_ = nullptr;
  std::string copy_;
  std::string_view bytes_;
  std::string_view strings_;
  std::string_view types_;
};

}  // namespace tcptrail
