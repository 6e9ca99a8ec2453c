// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/diagnose.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernel/capabilities.h"
#include "kernel/machine.h"

namespace tcptrail {
namespace {

constexpr const char* kWhat = "cannot load BPF programs";
constexpr const char* kSetcap =
    "run with sudo, or: setcap cap_bpf,cap_perfmon+ep \"$(command -v tcptrail)\"";

}  // namespace

std::optional<Error> find_obstacle() {
  if (!in_initial_user_namespace())
    return Error{std::string(kWhat) + ": inside a user namespace",
                 "root in a user namespace has no capability in the initial one, where BPF asks "
                 "for CAP_BPF and CAP_PERFMON",
                 "run on the host, outside the container or `unshare -U`"};
  const bool bpf = has_capability(CAP_BPF) || has_capability(CAP_SYS_ADMIN);
  const bool perfmon = has_capability(CAP_PERFMON) || has_capability(CAP_SYS_ADMIN);
  if (!bpf || !perfmon) {
    const std::string missing = !bpf && !perfmon ? "CAP_BPF and CAP_PERFMON"
                                : bpf            ? "CAP_PERFMON"
                                                 : "CAP_BPF";
    return Error{
        std::string(kWhat) + ": missing " + missing,
        "tracing programs read kernel memory, which needs CAP_BPF and CAP_PERFMON (have: " +
            std::string(bpf       ? "CAP_BPF"
                        : perfmon ? "CAP_PERFMON"
                                  : "neither") +
            ")",
        kSetcap};
  }
  if (::access(std::string(kBtfPath).c_str(), R_OK) != 0)
    return Error{std::string(kWhat) + ": this kernel has no BTF",
                 std::string(kBtfPath) + ": " + std::strerror(errno),
                 "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian 11, Ubuntu 20.10, RHEL "
                 "8.2 and later have it)"};
  return std::nullopt;
}

Error explain_load_failure(int error, const std::string& log) {
  std::string why = std::strerror(error);
  std::string fix =
      "run again with -v for the kernel's own log, and `tcptrail doctor` for what is supported";
  if (error == EPERM) {
    why =
        "the kernel refused although CAP_BPF and CAP_PERFMON are there (a seccomp filter, an LSM "
        "or kernel.unprivileged_bpf_disabled)";
    if (!lockdown_mode().empty()) why += "; lockdown is " + lockdown_mode();
  } else if (error == EMFILE || error == ENFILE) {
    fix = "raise the limit of open files: ulimit -n 1024";
  } else if (error == ENOMEM) {
    why = "not enough memory for the ring buffer";
    fix = "use a smaller --ring-size";
  } else if (error == EINVAL || error == EACCES) {
    why = "the kernel's verifier refused a program";
  }
  if (!log.empty()) why += " (" + log + ")";
  return {kWhat, why, fix};
}

}  // namespace tcptrail
