// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/core_btf.h"

#include <sys/mman.h>
#include <unistd.h>

#include <string_view>

#include "kernel/vmlinux_btf.h"

namespace tcptrail {

CoreBtf::CoreBtf() : file_(::memfd_create("core_btf", MFD_CLOEXEC)) {
  if (!file_) return;
  path_ = "/proc/self/fd/" + std::to_string(file_.get());
  if (::access(path_.c_str(), R_OK) != 0) path_.clear();
}

bool CoreBtf::fill(const bpf_object* object) const {
  if (path_.empty()) return true;
  const VmlinuxBtf vmlinux;
  const std::string some = vmlinux.only(bpf_object__btf(object));
  std::string_view left = some.empty() ? vmlinux.bytes() : some;
  while (!left.empty()) {
    const ssize_t n = ::write(file_.get(), left.data(), left.size());
    if (n <= 0) return false;
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace tcptrail
