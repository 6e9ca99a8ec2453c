// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <unordered_set>

#include "kernel/machine.h"

namespace tcptrail {
namespace {

constexpr const char* kOwn = "/proc/self/ns/net";
constexpr const char* kNamed = "/run/netns";

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::vector<NetNamespace> list_net_namespaces() {
  std::vector<NetNamespace> all;
  std::unordered_set<std::uint32_t> known;
  const auto add = [&](const std::string& path) {
    const std::uint32_t inode = inode_of(path);
    if (inode != 0 && known.insert(inode).second) all.push_back({inode, path});
  };
  add(kOwn);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kNamed, error)) add(entry.path().string());
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error))
    if (is_number(entry.path().filename().string())) add(entry.path().string() + "/ns/net");
  return all;
}

std::vector<NetNamespace> namespaces_with(const std::vector<std::uint32_t>& wanted) {
  const std::uint32_t own = own_netns();
  if (wanted.size() == 1 && wanted.front() == own) return {{own, kOwn}};
  return list_net_namespaces();
}

std::uint32_t own_netns() { return inode_of(kOwn); }

Result<std::uint32_t> resolve_netns(const std::string& text) {
  if (is_number(text)) {
    if (const std::uint32_t inode = inode_of("/proc/" + text + "/ns/net")) return inode;
    std::uint32_t number = 0;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (status == std::errc{} && number >= 0xF0000000U) return number;  // PROC_DYNAMIC_FIRST: where their inodes begin
    return Error{"unknown network namespace " + text, "no process has this pid and no namespace this inode number",
                 "`ip netns list` shows names, `readlink /proc/PID/ns/net` a number", 2};
  }
  const std::string path = text.find('/') == std::string::npos ? std::string(kNamed) + "/" + text : text;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd && ::ioctl(fd.get(), NS_GET_NSTYPE) == CLONE_NEWNET) return inode_of(path);
  return Error{"unknown network namespace " + text, path + (fd ? " is something else" : " cannot be read"),
               "`ip netns list` shows the names", 2};
}

NetNamespaceGuard::NetNamespaceGuard(const NetNamespace& target) {
  if (target.path == kOwn) {
    ok_ = true;
    return;
  }
  home_ = Fd(::open(kOwn, O_RDONLY | O_CLOEXEC));
  const Fd there(::open(target.path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  // The path may lead to another namespace by now: the process has gone and its pid was reused.
  if (!home_ || !there || ::fstat(there.get(), &info) != 0 || static_cast<std::uint32_t>(info.st_ino) != target.inode) return;
  away_ = ok_ = ::setns(there.get(), CLONE_NEWNET) == 0;
}

NetNamespaceGuard::~NetNamespaceGuard() {
  // Staying in a stranger's namespace would make everything that follows wrong.
  if (away_ && ::setns(home_.get(), CLONE_NEWNET) != 0) std::abort();
}

}  // namespace tcptrail
