// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/cgroup.h"

#include <fcntl.h>
#include <mntent.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <climits>
#include <cstdio>
#include <cstring>
#include <memory>

namespace tcptrail {
namespace {

constexpr long kCgroup2Magic = 0x63677270;  // CGROUP2_SUPER_MAGIC
constexpr int kFileidKernfs = 0xfe;         // FILEID_KERNFS, include/linux/exportfs.h

std::string find_mount() {
  const std::unique_ptr<FILE, Deleter<::endmntent>> mounts(::setmntent("/proc/self/mounts", "r"));
  if (!mounts) return {};
  while (const mntent* entry = ::getmntent(mounts.get()))
    if (std::strcmp(entry->mnt_type, "cgroup2") == 0) return entry->mnt_dir;
  return {};
}

}  // namespace

Cgroups::Cgroups() : mount_(find_mount()) {
  if (!mount_.empty()) mount_fd_ = Fd(::open(mount_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

std::string Cgroups::path_of(std::uint64_t id) const {
  if (!mount_fd_) return {};
  // The file handle of a kernfs node is its id: no search through the tree.
  alignas(file_handle) char bytes[sizeof(file_handle) + sizeof id];
  auto* handle = reinterpret_cast<file_handle*>(bytes);
  handle->handle_bytes = sizeof id;
  handle->handle_type = kFileidKernfs;
  std::memcpy(bytes + sizeof(file_handle), &id, sizeof id);
  const Fd directory(::open_by_handle_at(mount_fd_.get(), handle, O_PATH | O_CLOEXEC));
  if (!directory) return {};
  char path[PATH_MAX];
  const ssize_t n =
      ::readlink(("/proc/self/fd/" + std::to_string(directory.get())).c_str(), path, sizeof path);
  if (n <= 0) return {};
  const std::string_view full(path, static_cast<std::size_t>(n));
  if (full == mount_) return "/";
  return full.starts_with(mount_) ? std::string(full.substr(mount_.size())) : std::string(full);
}

Result<std::uint64_t> Cgroups::id_of(const std::string& path) const {
  for (const std::string& candidate : {path, mount_ + "/" + path}) {
    struct stat info {};
    struct statfs system {};
    if (::stat(candidate.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
        ::statfs(candidate.c_str(), &system) == 0 && system.f_type == kCgroup2Magic)
      return std::uint64_t{info.st_ino};
  }
  return Error{
      "unknown cgroup " + path,
      mount_.empty() ? "no cgroup2 file system is mounted" : "no such directory below " + mount_,
      "give a directory of the cgroup2 file system, as in /proc/PID/cgroup", 2};
}

}  // namespace tcptrail
