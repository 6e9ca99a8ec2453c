// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <unordered_set>

#include "kernel/capabilities.h"
#include "kernel/handles.h"
#include "kernel/machine.h"

namespace tcptrail {
namespace {

constexpr const char* kOwn = "/proc/self/ns/net";
constexpr const char* kNamed = "/run/netns";

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(
             text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// A range-for over a directory throws when it cannot be read on.
template <class Look>
void each_entry(const std::string& directory, Look&& look) {
  std::error_code gone;
  for (std::filesystem::directory_iterator entry(directory, gone), end; !gone && entry != end;
       entry.increment(gone))
    if (!look(*entry)) return;
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
  each_entry(kNamed, [&](const auto& entry) {
    add(entry.path().string());
    return true;
  });
  each_entry("/proc", [&](const auto& entry) {
    if (is_number(entry.path().filename().string())) add(entry.path().string() + "/ns/net");
    return true;
  });
  return all;
}

namespace {

// The rarer places. Each hit goes from `missing` to `found`.
class Search {
 public:
  Search(std::vector<std::uint32_t> missing, std::vector<NetNamespace>& found)
      : missing_(std::move(missing)), found_(found) {}
  void run() {
    if (!missing_.empty()) mounts();
    if (!missing_.empty())
      each_process("/task", [this](const std::string& thread) { try_path(thread + "/ns/net"); });
    if (!missing_.empty())
      each_process("/fd", [this](const std::string& descriptor) { try_link(descriptor); });
  }

 private:
  void hit(std::uint32_t inode, const std::string& path) {
    if (std::erase(missing_, inode) != 0) found_.push_back({inode, path});
  }
  void try_path(const std::string& path) {
    if (const std::uint32_t inode = inode_of(path)) hit(inode, path);
  }
  void try_link(const std::string& path) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(path, error).string();
    if (!error && target.starts_with("net:[")) try_path(path);
  }

  // 36 35 0:4 net:[4026532008] /some\040place rw shared:1 - nsfs nsfs rw
  void mounts() {
    std::ifstream file("/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
      std::istringstream fields(line);
      std::string id, parent, device, root, place;
      if (fields >> id >> parent >> device >> root >> place && root.starts_with("net:["))
        try_path(without_octal(place));
    }
  }
  static std::string without_octal(const std::string& text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 3 < text.size()) {
        plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                   (text[i + 3] - '0'));
        i += 3;
      } else {
        plain += text[i];
      }
    }
    return plain;
  }

  template <class Look>
  void each_process(const char* below, Look&& look) {
    each_entry(
        "/proc",
        [&](const auto& process) {
          if (missing_.empty()) return false;
          if (!is_number(process.path().filename().string())) return true;
          each_entry(
              process.path().string() + below,
              [&](const auto& entry) {
                look(entry.path().string());
                return true;
              });
          return true;
        });
  }

  std::vector<std::uint32_t> missing_;
  std::vector<NetNamespace>& found_;
};

}  // namespace

std::vector<NetNamespace> namespaces_with(const std::vector<std::uint32_t>& wanted) {
  const std::uint32_t own = own_netns();
  if (wanted.size() == 1 && wanted.front() == own) return {{own, kOwn}};
  std::vector<NetNamespace> found = list_net_namespaces();
  std::vector<std::uint32_t> missing = wanted;
  for (const NetNamespace& netns : found) std::erase(missing, netns.inode);
  Search(std::move(missing), found).run();
  return found;
}

bool can_find_every_netns() {
  return has_capability(CAP_SYS_PTRACE) && foreign_pid_namespace() == 0;
}

std::uint32_t own_netns() { return inode_of(kOwn); }

Result<std::uint32_t> resolve_netns(const std::string& text) {
  if (is_number(text)) {
    if (const std::uint32_t inode = inode_of("/proc/" + text + "/ns/net")) return inode;
    std::uint32_t number = 0;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (status == std::errc{} && number >= 0xF0000000U)
      return number;  // PROC_DYNAMIC_FIRST: where their inodes begin
    return Error{"unknown network namespace " + text,
                 "no process has this pid and no namespace this inode number",
                 "`ip netns list` shows names, `readlink /proc/PID/ns/net` a number", 2};
  }
  const std::string path =
      text.find('/') == std::string::npos ? std::string(kNamed) + "/" + text : text;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (const int error = errno; !fd && error != ENOENT && error != ENOTDIR)
    return Error{"cannot open the network namespace " + text, path + ": " + std::strerror(error),
                 error == EMFILE || error == ENFILE
                     ? "raise the limit of open files: ulimit -n 1024"
                     : "run as root"};
  if (fd && ::ioctl(fd.get(), NS_GET_NSTYPE) == CLONE_NEWNET) return inode_of(path);
  return Error{"unknown network namespace " + text,
               path + (fd ? " is something else" : " is not there"),
               "`ip netns list` shows the names", 2};
}

bool in_net_namespace(const NetNamespace& target, const std::function<void()>& work) {
  if (target.path == kOwn) {
    work();
    return true;
  }
  bool entered = false;
  std::exception_ptr failure;  // out of the thread, where it would end the process
  const auto enter_and_work = [&] {
    const Fd there(::open(target.path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    // The path may lead to another namespace by now: the process has gone and its pid was reused.
    if (!there || ::fstat(there.get(), &info) != 0 ||
        static_cast<std::uint32_t>(info.st_ino) != target.inode)
      return;
    entered = ::setns(there.get(), CLONE_NEWNET) == 0;
    if (entered) work();
  };
  try {
    std::thread([&] {
      try {
        enter_and_work();
      } catch (...) {
        failure = std::current_exception();
      }
    }).join();
  } catch (const std::system_error&) {
    return false;  // no thread to be had
  }
  if (failure) std::rethrow_exception(failure);
  return entered;
}

}  // namespace tcptrail
