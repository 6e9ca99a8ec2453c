// SPDX-License-Identifier: BSD-2-Clause
// What libbpf relocates an object by, in place of all of vmlinux BTF. It searches the whole for
// each type that the programs name: 40 times 130,000 types are 20 ms of the start, the few that
// count take 2 ms to pick. Used by session.
#pragma once

#include <bpf/libbpf.h>

#include <string>

#include "kernel/handles.h"

namespace tcptrail {

// The object is opened with the file's name and read by it when it is loaded: in between the object
// says what it needs.
class CoreBtf {
 public:
  CoreBtf();
  // For bpf_object_open_opts; null where there can be no such file, and libbpf takes vmlinux
  // itself.
  [[nodiscard]] const char* path() const { return path_.empty() ? nullptr : path_.c_str(); }
  // False with errno.
  [[nodiscard]] bool fill(const bpf_object* object) const;

 private:
  Fd file_;  // in memory
  std::string path_;
};

}  // namespace tcptrail
