// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/privilege.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include "kernel/capabilities.h"
#include "kernel/handles.h"

namespace tcptrail {
namespace {

/*
 * Since Linux kernel commit c8644cd0efe7 ("bpf: refine kernel.unprivileged_bpf_disabled behaviour")
 * (in v5.19), only creating maps and programs asks for CAP_BPF. Before that, with the sysctl set,
 * every bpf(2) command does.
 */
bool bpf_works_with(CapabilitySet effective, const Capabilities& have, int bpf_fd) {
  if (bpf_fd < 0 || !write_capabilities({effective, have.permitted})) return false;
  bpf_prog_info info{};
  __u32 size = sizeof info;
  const bool works = ::bpf_obj_get_info_by_fd(bpf_fd, &info, &size) == 0;
  return write_capabilities(have) && works;
}

bool is_denied(const std::string& path, int mode) {
  // The effective set decides. access(2) asks for the permitted one; older C libraries guess.
  return ::syscall(SYS_faccessat2, AT_FDCWD, path.c_str(), mode, AT_EACCESS) != 0 &&
         errno == EACCES;
}

// Whether one of the files, or its directory, belongs to another user and cannot be written with
// these capabilities alone.
bool files_need_override(CapabilitySet effective, const Capabilities& have,
                         const std::vector<std::string>& files) {
  if (files.empty() || !write_capabilities({effective, have.permitted})) return false;
  const bool needed = std::any_of(files.begin(), files.end(), [](const std::string& file) {
    const std::string directory = std::filesystem::path(file).parent_path();
    return is_denied(directory.empty() ? "." : directory, W_OK | X_OK) || is_denied(file, W_OK);
  });
  write_capabilities(have);
  return needed;
}

// What the loop, the sinks, a snapshot, the questions about the machine, and the end of a run call.
constexpr std::array kSystemCalls = {
    // output and input
    "read", "write", "writev", "pread64", "lseek", "fsync", "fdatasync", "ftruncate", "fcntl",
    "ioctl", "close", "dup", "dup3",
    // files: /proc, the namespaces, -o FILE again after SIGHUP, the next recording
    "open", "openat", "stat", "fstat", "newfstatat", "lstat", "statx", "statfs", "fstatfs",
    "readlink", "readlinkat", "getdents64", "access", "faccessat", "faccessat2", "fchmod", "rename",
    "renameat", "renameat2", "unlink", "unlinkat", "open_by_handle_at", "umask",
    // waiting, signals, time
    "poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_ctl", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "rt_sigtimedwait", "restart_syscall", "sigaltstack", "clock_gettime",
    "clock_nanosleep", "nanosleep", "gettimeofday", "futex", "getrandom", "sched_yield", "uname",
    "getpid", "gettid", "geteuid", "getuid",
    // the traced command
    "kill", "tgkill", "pidfd_send_signal", "wait4", "waitid",
    // memory
    "mmap", "munmap", "mremap", "mprotect", "madvise", "brk",
    // snapshots
    "setns", "capget",
    // the end: links are closed by threads of their own
    "clone", "clone3", "set_robust_list", "rseq", "sched_getaffinity", "exit", "exit_group"};

// Only these commands of bpf(2): iterators and the counters of a program.
constexpr std::array<unsigned, 5> kBpfCommands = {
    BPF_OBJ_GET_INFO_BY_FD, BPF_LINK_CREATE, BPF_ITER_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_LINK_DETACH};

// 0, or an errno.
int filter_system_calls() {
  const std::unique_ptr<void, Deleter<seccomp_release>> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return ENOMEM;
  for (const char* name : kSystemCalls) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number < 0) continue;  // not on this architecture
    if (const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0); error != 0)
      return -error;
  }
  for (const unsigned command : kBpfCommands) {
    const scmp_arg_cmp is_command{.arg = 0, .op = SCMP_CMP_EQ, .datum_a = command, .datum_b = 0};
    if (const int error =
            seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1, &is_command);
        error != 0)
      return -error;
  }
  return -seccomp_load(filter.get());
}

}  // namespace

Result<std::vector<std::string>> drop_privileges(const PrivilegeNeeds& needs) {
  const std::optional<Capabilities> read = read_capabilities();
  if (!read) return Error{"cannot read the capabilities of this process", std::strerror(errno), ""};
  const Capabilities& have = *read;
  CapabilitySet keep = 0;
  if (needs.other_namespaces)
    keep |= capability_bit(CAP_SYS_ADMIN) | capability_bit(CAP_SYS_PTRACE);
  if (needs.cgroup_names) keep |= capability_bit(CAP_DAC_READ_SEARCH);
  keep &= have.permitted;
  if ((have.permitted & capability_bit(CAP_DAC_OVERRIDE)) != 0 &&
      files_need_override(keep, have, needs.output_files))
    keep |= capability_bit(CAP_DAC_OVERRIDE);
  if ((have.permitted & capability_bit(CAP_BPF)) != 0 && !bpf_works_with(keep, have, needs.bpf_fd))
    keep |= capability_bit(CAP_BPF);
  if (!write_capabilities({keep, keep}))
    return Error{"cannot give up capabilities", std::strerror(errno), ""};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return Error{"cannot set no_new_privs", std::strerror(errno), ""};
  if (const int error = filter_system_calls(); error != 0)
    return Error{"cannot restrict the system calls of this process", std::strerror(error),
                 "the kernel needs CONFIG_SECCOMP_FILTER"};

  std::vector<std::string> kept;
  for (const auto& [capability, name] :
       {std::pair{CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
        std::pair{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
        std::pair{CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}, std::pair{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
        std::pair{CAP_BPF, "CAP_BPF"}})
    if ((keep & capability_bit(capability)) != 0) kept.emplace_back(name);
  return kept;
}

}  // namespace tcptrail
