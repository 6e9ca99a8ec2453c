// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/vmlinux_btf.h"

#include <bpf/btf.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "kernel/handles.h"
#include "kernel/machine.h"

namespace tcptrail {
namespace {

constexpr std::uint32_t kBtfKindEnum64 = 19;  // headers before 6.0 lack it

// What follows the common part of a type; nullopt for a kind of a later kernel.
std::optional<std::size_t> bytes_after(std::uint32_t info) {
  const std::size_t members = BTF_INFO_VLEN(info);
  switch (BTF_INFO_KIND(info)) {
    case BTF_KIND_INT:
      return 4;
    case BTF_KIND_ARRAY:
      return 12;
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_DATASEC:
      return 12 * members;
    case BTF_KIND_ENUM:
    case BTF_KIND_FUNC_PROTO:
      return 8 * members;
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG:
      return 4;
    case kBtfKindEnum64:
      return 12 * members;
    case BTF_KIND_PTR:
    case BTF_KIND_FWD:
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_FUNC:
    case BTF_KIND_FLOAT:
    case BTF_KIND_TYPE_TAG:
      return 0;
    default:
      return std::nullopt;
  }
}

// The kinds whose name a program can go by.
bool names_a_type(std::uint32_t kind) {
  return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_ENUM ||
         kind == kBtfKindEnum64 || kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_INT;
}

template <class T>
T load(std::string_view bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// Copies types with what they consist of, giving out new ids and name offsets.
class Extract {
 public:
  Extract(std::string_view types, std::string_view strings,
          const std::vector<std::uint32_t>& positions)
      : types_(types), strings_(strings), positions_(positions), ids_(positions.size(), 0) {}

  // The new id of a type, which is copied later if it has not been yet.
  std::uint32_t id_of(std::uint32_t old) {
    if (old == 0 || old >= ids_.size()) return 0;
    if (ids_[old] == 0) {
      pending_.push_back(old);
      ids_[old] = static_cast<std::uint32_t>(pending_.size());
    }
    return ids_[old];
  }

  std::string finish() {
    for (std::size_t i = 0; i < pending_.size(); ++i) copy(positions_[pending_[i]]);
    btf_header header{};
    header.magic = BTF_MAGIC;
    header.version = BTF_VERSION;
    header.hdr_len = sizeof header;
    header.type_len = header.str_off = static_cast<__u32>(out_.size());
    header.str_len = static_cast<__u32>(names_.size());
    std::string all(reinterpret_cast<const char*>(&header), sizeof header);
    return all.append(out_).append(names_);
  }

 private:
  std::uint32_t name(std::uint32_t old) {
    if (old == 0 || old >= strings_.size()) return 0;
    const auto [found, added] =
        offsets_.try_emplace(old, static_cast<std::uint32_t>(names_.size()));
    if (added) names_.append(strings_.data() + old).push_back('\0');
    return found->second;
  }
  template <class T>
  void put(const T& value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void copy(std::size_t at) {
    auto type = load<btf_type>(types_, at);
    at += sizeof type;
    const std::uint32_t kind = BTF_INFO_KIND(type.info);
    const std::size_t members = BTF_INFO_VLEN(type.info);
    type.name_off = name(type.name_off);
    if (kind == BTF_KIND_PTR)
      type.type = 0;  // who follows a pointer begins anew, with what it points to
    else if (kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_CONST || kind == BTF_KIND_VOLATILE ||
             kind == BTF_KIND_RESTRICT || kind == BTF_KIND_TYPE_TAG)
      type.type = id_of(type.type);
    put(type);
    if (kind == BTF_KIND_ARRAY) {
      auto array = load<struct btf_array>(types_, at);
      array.type = id_of(array.type);
      array.index_type = id_of(array.index_type);
      put(array);
    } else if (kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION) {
      for (std::size_t i = 0; i < members; ++i) {
        auto member = load<btf_member>(types_, at + i * sizeof(btf_member));
        member.name_off = name(member.name_off);
        member.type = id_of(member.type);
        put(member);
      }
    } else if (kind == BTF_KIND_ENUM || kind == kBtfKindEnum64) {
      const std::size_t size = kind == BTF_KIND_ENUM ? 8 : 12;
      for (std::size_t i = 0; i < members; ++i) {
        put(name(load<std::uint32_t>(types_, at + i * size)));
        out_.append(types_.substr(at + i * size + 4, size - 4));
      }
    } else {
      out_.append(types_.substr(at, bytes_after(type.info).value_or(0)));
    }
  }

  std::string_view types_;
  std::string_view strings_;
  const std::vector<std::uint32_t>& positions_;
  std::vector<std::uint32_t> ids_;      // by old id
  std::vector<std::uint32_t> pending_;  // old ids in the order of the new ones
  std::unordered_map<std::uint32_t, std::uint32_t> offsets_;
  std::string out_;
  std::string names_ = std::string(1, '\0');
};

}  // namespace

VmlinuxBtf::VmlinuxBtf() {
  const Fd fd(::open(std::string(kBtfPath).c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || info.st_size <= 0) return;
  const auto size = static_cast<std::size_t>(info.st_size);
  // Linux 6.16 allows it; reading takes 1,300 calls of a page each.
  if (void* mapping = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
      mapping != MAP_FAILED) {
    mapping_ = mapping;
    bytes_ = std::string_view(static_cast<const char*>(mapping), size);
  } else {
    copy_.resize(size);
    std::size_t filled = 0;
    while (filled < size) {
      const ssize_t n = ::read(fd.get(), copy_.data() + filled, size - filled);
      if (n <= 0) break;
      filled += static_cast<std::size_t>(n);
    }
    copy_.resize(filled);
    bytes_ = copy_;
  }
  if (bytes_.size() < sizeof(btf_header)) return;
  const auto header = load<btf_header>(bytes_, 0);
  const std::size_t strings = std::size_t{header.hdr_len} + header.str_off;
  if (strings + header.str_len <= bytes_.size()) strings_ = bytes_.substr(strings, header.str_len);
  const std::size_t types = std::size_t{header.hdr_len} + header.type_off;
  if (types + header.type_len <= bytes_.size()) types_ = bytes_.substr(types, header.type_len);
}

VmlinuxBtf::~VmlinuxBtf() {
  if (mapping_ != nullptr) ::munmap(mapping_, bytes_.size());
}

// Names occur in the string section of BTF between two NULs: searching the bytes takes less than
// parsing the types. 0, which is the empty name's, when it is not there.
std::uint32_t VmlinuxBtf::offset_of(std::string_view name) const {
  std::string needle;
  needle.reserve(name.size() + 2);
  needle.append(1, '\0').append(name).append(1, '\0');
  const void* found = ::memmem(strings_.data(), strings_.size(), needle.data(), needle.size());
  return found == nullptr
             ? 0
             : static_cast<std::uint32_t>(static_cast<const char*>(found) - strings_.data() + 1);
}

// By type id, the first of which is 1.
std::optional<std::vector<std::uint32_t>> VmlinuxBtf::positions() const {
  std::vector<std::uint32_t> positions{0};
  positions.reserve(types_.size() / 16);
  for (std::size_t at = 0; at + sizeof(btf_type) <= types_.size();) {
    positions.push_back(static_cast<std::uint32_t>(at));
    const std::optional<std::size_t> more = bytes_after(load<btf_type>(types_, at).info);
    if (!more || at + sizeof(btf_type) + *more > types_.size()) return std::nullopt;
    at += sizeof(btf_type) + *more;
  }
  return positions;
}

std::vector<std::uint32_t> VmlinuxBtf::functions(std::span<const std::string_view> names) const {
  std::vector<std::uint32_t> ids(names.size());
  std::vector<std::uint32_t> offsets;
  for (const std::string_view name : names) offsets.push_back(offset_of(name));
  const auto types = positions();
  if (!types) return ids;
  for (std::uint32_t id = 1; id < types->size(); ++id) {
    const auto type = load<btf_type>(types_, (*types)[id]);
    if (BTF_INFO_KIND(type.info) != BTF_KIND_FUNC) continue;
    for (std::size_t i = 0; i < offsets.size(); ++i)
      if (offsets[i] != 0 && offsets[i] == type.name_off) ids[i] = id;
  }
  return ids;
}

// Where the type of this name and kind begins.
std::optional<btf_type> VmlinuxBtf::find(std::string_view name, std::uint32_t kind,
                                         const std::vector<std::uint32_t>& types,
                                         std::size_t& at) const {
  const std::uint32_t offset = offset_of(name);
  if (offset == 0) return std::nullopt;
  for (std::uint32_t id = 1; id < types.size(); ++id) {
    const auto type = load<btf_type>(types_, types[id]);
    if (type.name_off != offset || BTF_INFO_KIND(type.info) != kind) continue;
    at = types[id];
    return type;
  }
  return std::nullopt;
}

// typedef void (*btf_trace_NAME)(void *, ...): the first argument is the tracepoint's own.
std::size_t VmlinuxBtf::tracepoint_arguments(std::string_view name) const {
  const auto types = positions();
  std::size_t at = 0;
  if (!types) return 0;
  auto type = find("btf_trace_" + std::string(name), BTF_KIND_TYPEDEF, *types, at);
  for (int step = 0; type && step < 2; ++step) {
    if (type->type == 0 || type->type >= types->size()) return 0;
    type = load<btf_type>(types_, (*types)[type->type]);
  }
  if (!type || BTF_INFO_KIND(type->info) != BTF_KIND_FUNC_PROTO) return 0;
  const std::size_t all = BTF_INFO_VLEN(type->info);
  return all == 0 ? 0 : all - 1;
}

std::vector<std::string> VmlinuxBtf::enumerators(std::string_view name) const {
  std::vector<std::string> names;
  const auto types = positions();
  std::size_t at = 0;
  if (!types) return names;
  const auto type = find(name, BTF_KIND_ENUM, *types, at);
  if (!type) return names;
  for (std::size_t i = 0; i < BTF_INFO_VLEN(type->info); ++i) {
    const auto member =
        load<struct btf_enum>(types_, at + sizeof(btf_type) + i * sizeof(struct btf_enum));
    if (member.val < 0 || member.val >= 256 || member.name_off >= strings_.size()) continue;
    const auto value = static_cast<std::size_t>(member.val);
    if (names.size() <= value) names.resize(value + 1);
    names[value] = strings_.data() + member.name_off;
  }
  return names;
}

std::string VmlinuxBtf::only(const btf* wanted) const {
  const auto types = positions();
  if (!types || strings_.empty() || strings_.back() != '\0') return {};
  std::unordered_set<std::string_view> names;
  for (std::uint32_t id = 1; id < btf__type_cnt(wanted); ++id) {
    const btf_type* type = btf__type_by_id(wanted, id);
    if (!names_a_type(BTF_INFO_KIND(type->info)) || type->name_off == 0) continue;
    const std::string_view name = btf__name_by_offset(wanted, type->name_off);
    names.insert(name.substr(
        0, name.find("___")));  // what follows is not part of it: bpf_core_essential_name_len()
  }
  Extract extract(types_, strings_, *types);
  for (std::uint32_t id = 1; id < types->size(); ++id) {
    const auto type = load<btf_type>(types_, (*types)[id]);
    if (!names_a_type(BTF_INFO_KIND(type.info)) || type.name_off == 0 ||
        type.name_off >= strings_.size())
      continue;
    if (names.contains(strings_.data() + type.name_off)) extract.id_of(id);
  }
  return extract.finish();
}

}  // namespace tcptrail
