// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/privilege.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

#include "kernel/handles.h"

namespace tcptrail {
namespace {

constexpr unsigned kCapDacReadSearch = 2;
constexpr unsigned kCapSysPtrace = 19;
constexpr unsigned kCapSysAdmin = 21;
constexpr unsigned kCapBpf = 39;

using CapSet = std::uint64_t;
constexpr CapSet bit(unsigned capability) { return CapSet{1} << capability; }

struct Sets {
  CapSet effective = 0;
  CapSet permitted = 0;
};

bool read_sets(Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  sets.effective = data[0].effective | CapSet{data[1].effective} << 32;
  sets.permitted = data[0].permitted | CapSet{data[1].permitted} << 32;
  return true;
}

bool write_sets(const Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = static_cast<std::uint32_t>(sets.effective);
  data[1].effective = static_cast<std::uint32_t>(sets.effective >> 32);
  data[0].permitted = static_cast<std::uint32_t>(sets.permitted);
  data[1].permitted = static_cast<std::uint32_t>(sets.permitted >> 32);
  return ::syscall(SYS_capset, &header, data) == 0;
}

/*
 * Since Linux kernel commit c8644cd0efe7 ("bpf: refine kernel.unprivileged_bpf_disabled behaviour")
 * (in v5.19), only creating maps and programs asks for CAP_BPF. Before that, with the sysctl set,
 * every bpf(2) command does.
 */
bool bpf_works_with(CapSet effective, const Sets& have, int bpf_fd) {
  if (bpf_fd < 0 || !write_sets({effective, have.permitted})) return false;
  bpf_prog_info info{};
  __u32 size = sizeof info;
  const bool works = ::bpf_obj_get_info_by_fd(bpf_fd, &info, &size) == 0;
  return write_sets(have) && works;
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
    "rt_sigreturn", "restart_syscall", "sigaltstack", "clock_gettime", "clock_nanosleep",
    "nanosleep", "gettimeofday", "futex", "getrandom", "sched_yield", "uname", "getpid", "gettid",
    "geteuid", "getuid",
    // the traced command
    "kill", "tgkill", "pidfd_send_signal", "wait4", "waitid",
    // memory
    "mmap", "munmap", "mremap", "mprotect", "madvise", "brk",
    // snapshots
    "setns",
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
  for (const unsigned command : kBpfCommands)
    if (const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1,
                                           SCMP_A0(SCMP_CMP_EQ, command));
        error != 0)
      return -error;
  return -seccomp_load(filter.get());
}

}  // namespace

Result<std::vector<std::string>> drop_privileges(const PrivilegeNeeds& needs) {
  Sets have;
  if (!read_sets(have))
    return Error{"cannot read the capabilities of this process", std::strerror(errno), ""};
  CapSet keep = 0;
  if (needs.other_namespaces) keep |= bit(kCapSysAdmin) | bit(kCapSysPtrace);
  if (needs.cgroup_names) keep |= bit(kCapDacReadSearch);
  keep &= have.permitted;
  if ((have.permitted & bit(kCapBpf)) != 0 && !bpf_works_with(keep, have, needs.bpf_fd))
    keep |= bit(kCapBpf);
  if (!write_sets({keep, keep}))
    return Error{"cannot give up capabilities", std::strerror(errno), ""};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return Error{"cannot set no_new_privs", std::strerror(errno), ""};
  if (const int error = filter_system_calls(); error != 0)
    return Error{"cannot restrict the system calls of this process", std::strerror(error),
                 "the kernel needs CONFIG_SECCOMP_FILTER"};

  std::vector<std::string> kept;
  for (const auto& [capability, name] :
       {std::pair{kCapDacReadSearch, "CAP_DAC_READ_SEARCH"},
        std::pair{kCapSysPtrace, "CAP_SYS_PTRACE"}, std::pair{kCapSysAdmin, "CAP_SYS_ADMIN"},
        std::pair{kCapBpf, "CAP_BPF"}})
    if ((keep & bit(capability)) != 0) kept.emplace_back(name);
  return kept;
}

}  // namespace tcptrail
