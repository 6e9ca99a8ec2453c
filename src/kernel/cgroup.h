// SPDX-License-Identifier: BSD-2-Clause
// cgroup v2 ids and paths. The id of a cgroup is the inode number of its directory.
#pragma once

#include <cstdint>
#include <string>

#include "kernel/handles.h"
#include "util/result.h"

namespace tcptrail {

class Cgroups {
 public:
  Cgroups();
  // "/system.slice/ssh.service" below the mount, "" when it is gone or there is no cgroup2 mount.
  [[nodiscard]] std::string path_of(std::uint64_t id) const;
  // A path in the file system, or below the cgroup2 mount.
  [[nodiscard]] Result<std::uint64_t> id_of(const std::string& path) const;

 private:
  std::string mount_;
  Fd mount_fd_;
};

}  // namespace tcptrail
