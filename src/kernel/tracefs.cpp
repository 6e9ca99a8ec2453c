// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/tracefs.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace tcptrail {
namespace {

// The new mount interface has no wrappers in glibc 2.35 and older.
Fd private_tracefs() {
  const Fd context(static_cast<int>(::syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC)));
  if (!context) return {};
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return {};
  return Fd(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
}

Fd open_event_file(const std::string& relative) {
  for (const char* root : {"/sys/kernel/tracing/", "/sys/kernel/debug/tracing/"}) {
    Fd file(::open((root + relative).c_str(), O_RDONLY | O_CLOEXEC));
    if (file || errno == EACCES) return file;
  }
  const Fd mount = private_tracefs();
  return mount ? Fd(::openat(mount.get(), relative.c_str(), O_RDONLY | O_CLOEXEC)) : Fd();
}

}  // namespace

Result<std::uint64_t> tracepoint_id(const std::string& category, const std::string& name) {
  const std::string relative = "events/" + category + "/" + name + "/id";
  const Fd file = open_event_file(relative);
  const int error = errno;
  char text[32] = {};
  if (file && ::read(file.get(), text, sizeof text - 1) > 0)
    return std::strtoull(text, nullptr, 10);
  const std::string what = "cannot find the tracepoint " + category + ":" + name;
  if (error == EACCES || error == EPERM)
    return Error{what, "tracefs is not readable for this user", "run as root"};
  return Error{
      what, std::string("no ") + relative + " in tracefs (" + std::strerror(error) + ")",
      "mount -t tracefs tracefs /sys/kernel/tracing, or a kernel with CONFIG_FTRACE_SYSCALLS"};
}

Result<BpfLink> attach_tracepoint(const bpf_program* program) {
  const std::string section = bpf_program__section_name(program);
  const std::size_t before = section.find('/');
  const std::size_t between = section.rfind('/');
  const std::string category = section.substr(before + 1, between - before - 1);
  const std::string name = section.substr(between + 1);
  const Result<std::uint64_t> id = tracepoint_id(category, name);
  if (!id) return id.error();
  perf_event_attr attr{};
  attr.size = sizeof attr;
  attr.type = PERF_TYPE_TRACEPOINT;
  attr.config = *id;
  // The program hangs on the trace event itself: one descriptor serves all CPUs.
  const int fd =
      static_cast<int>(::syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC));
  if (fd < 0)
    return Error{
        "cannot open the tracepoint " + category + ":" + name,
        std::string("perf_event_open: ") + std::strerror(errno),
        errno == EMFILE || errno == ENFILE
            ? "raise the limit of open files: ulimit -n 1024"
            : "allow perf_event_open(2) in the profile of the container, or run on the host"};
  bpf_link* link = bpf_program__attach_perf_event(program, fd);
  if (link == nullptr) {
    const int error = errno;
    ::close(fd);
    return Error{"cannot attach to the tracepoint " + category + ":" + name, std::strerror(error),
                 "`tcptrail doctor` says what works here; report it with the output of -v"};
  }
  return BpfLink(link);  // owns fd
}

}  // namespace tcptrail
