// SPDX-License-Identifier: BSD-2-Clause
// Runs a program and lets chosen system calls of it fail, as a full, broken or
// forbidding machine would. The kernel asks us about each of them (seccomp user
// notification), so that it does not matter which library makes the call.
//
//   faults [-r REPORT] [-p start|run] [-k KEY -e ERRNO [-n N] [-a]] -- CMD ARGS...
//
// A KEY names a kind of call: "bpf:PROG_LOAD", "openat:/sys/kernel/btf/vmlinux",
// "mmap:shared", "setns". The Nth of the kind fails (with -a: all from the Nth on). -p:
// only before, or only after, the line `tcptrail: ready`; the count begins there.
// REPORT gets a line `PHASE KEY` for each call seen; "!" in front where it failed. The
// exit status is that of CMD (128 + N for signal N). Used by tests/net/test_faults.py.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// What is asked about. mmap only where it is MAP_SHARED: memory that malloc() wants is
// "mmap:private", from 1 MiB on, so that the loader of shared libraries stays out of it.
static const struct {
  int number;
  const char* name;
} kCalls[] = {
    {__NR_bpf, "bpf"},
    {__NR_perf_event_open, "perf_event_open"},
    {__NR_openat, "openat"},
    {__NR_socket, "socket"},
    {__NR_mmap, "mmap"},
    {__NR_setns, "setns"},
    {__NR_write, "write"},
    {__NR_ioctl, "ioctl"},
    {__NR_read, "read"},
    {__NR_getdents64, "getdents64"},
    {__NR_clone, "clone"},
    {__NR_clone3, "clone"},
    {__NR_pipe2, "pipe2"},
    {__NR_pidfd_open, "pidfd_open"},
    {__NR_epoll_create1, "epoll_create1"},
    {__NR_epoll_ctl, "epoll_ctl"},
    {__NR_signalfd4, "signalfd4"},
    {__NR_capset, "capset"},
    {__NR_capget, "capget"},
    {__NR_prctl, "prctl"},
    {__NR_seccomp, "seccomp"},
    {__NR_sendto, "sendto"},
    {__NR_recvfrom, "recvfrom"},
};
enum { kCallCount = sizeof kCalls / sizeof kCalls[0] };

static const char* const kBpfCommands[] = {
    "MAP_CREATE",        "MAP_LOOKUP_ELEM",
    "MAP_UPDATE_ELEM",   "MAP_DELETE_ELEM",
    "MAP_GET_NEXT_KEY",  "PROG_LOAD",
    "OBJ_PIN",           "OBJ_GET",
    "PROG_ATTACH",       "PROG_DETACH",
    "PROG_TEST_RUN",     "PROG_GET_NEXT_ID",
    "MAP_GET_NEXT_ID",   "PROG_GET_FD_BY_ID",
    "MAP_GET_FD_BY_ID",  "OBJ_GET_INFO_BY_FD",
    "PROG_QUERY",        "RAW_TRACEPOINT_OPEN",
    "BTF_LOAD",          "BTF_GET_FD_BY_ID",
    "TASK_FD_QUERY",     "MAP_LOOKUP_AND_DELETE_ELEM",
    "MAP_FREEZE",        "BTF_GET_NEXT_ID",
    "MAP_LOOKUP_BATCH",  "MAP_LOOKUP_AND_DELETE_BATCH",
    "MAP_UPDATE_BATCH",  "MAP_DELETE_BATCH",
    "LINK_CREATE",       "LINK_UPDATE",
    "LINK_GET_FD_BY_ID", "LINK_GET_NEXT_ID",
    "ENABLE_STATS",      "ITER_CREATE",
    "LINK_DETACH",       "PROG_BIND_MAP",
};

static const struct {
  const char* name;
  int number;
} kErrors[] = {
    {"EPERM", EPERM},   {"ENOMEM", ENOMEM}, {"EINVAL", EINVAL}, {"EMFILE", EMFILE},
    {"ENOSPC", ENOSPC}, {"EIO", EIO},       {"ENOENT", ENOENT}, {"EACCES", EACCES},
    {"EAGAIN", EAGAIN}, {"ENOSYS", ENOSYS}, {"ENFILE", ENFILE}, {"EBUSY", EBUSY},
    {"E2BIG", E2BIG},
};

static void die(const char* what) {
  perror(what);
  exit(125);
}

static int install_filter(void) {
  struct sock_filter code[2 + kCallCount + 2];
  unsigned n = 0;
  code[n++] =
      (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (unsigned i = 0; i < kCallCount; ++i)
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)kCalls[i].number,
                                             kCallCount - i, 0);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
  struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
  return (int)syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                      &program);
}

// Not by write(): the filter is in force already, and nobody answers yet.
static void send_fd(int channel, int fd) {
  char byte = 0;
  struct iovec data = {.iov_base = &byte, .iov_len = 1};
  char control[CMSG_SPACE(sizeof fd)] = {0};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(channel, &message, 0) != 1) _exit(125);
}

static int receive_fd(int channel) {
  char byte;
  struct iovec data = {.iov_base = &byte, .iov_len = 1};
  int fd = -1;
  char control[CMSG_SPACE(sizeof fd)];
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message) != NULL)
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return fd;
}

static void read_text(pid_t pid, unsigned long long address, char* text, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  // A string near the end of a mapping: what can be read is enough.
  ssize_t n = fd < 0 ? -1 : pread(fd, text, size - 1, (off_t)address);
  text[n > 0 ? n : 0] = 0;
  if (fd >= 0) close(fd);
}

// /proc/1234/ns/net → /proc/PID/ns/net
static void without_pids(char* path) {
  if (strncmp(path, "/proc/", 6) != 0 || path[6] < '0' || path[6] > '9') return;
  const char* rest = path + 6 + strspn(path + 6, "0123456789");
  char copy[512];
  snprintf(copy, sizeof copy, "/proc/PID%s", rest);
  snprintf(path, 512, "%s", copy);
}

// False: none of our business.
static int key_of(const struct seccomp_notif* call, char* key, size_t size, int* is_ready) {
  const char* name = NULL;
  for (unsigned i = 0; i < kCallCount; ++i)
    if (kCalls[i].number == call->data.nr) name = kCalls[i].name;
  if (name == NULL) return 0;
  snprintf(key, size, "%s", name);
  char text[512];
  const unsigned long long* args = (const unsigned long long*)call->data.args;
  switch (call->data.nr) {
    case __NR_bpf:
      if (args[0] < sizeof kBpfCommands / sizeof kBpfCommands[0])
        snprintf(key, size, "bpf:%s", kBpfCommands[args[0]]);
      return 1;
    case __NR_openat: {
      read_text((pid_t)call->pid, args[1], text, sizeof text);
      const char* so = strstr(text, ".so");
      if ((so != NULL && (so[3] == 0 || so[3] == '.')) || strstr(text, "locale") != NULL) return 0;
      without_pids(text);
      snprintf(key, size, "openat:%s", text);
      return 1;
    }
    case __NR_mmap:
      if ((args[3] & MAP_SHARED) != 0 && (int)args[4] >= 0)
        snprintf(key, size, "mmap:shared");
      else if ((args[3] & MAP_ANONYMOUS) != 0 && args[1] >= 1 << 20)
        snprintf(key, size, "mmap:private");
      else
        return 0;
      return 1;
    case __NR_write:
      if (args[0] == 2) {
        read_text((pid_t)call->pid, args[1], text, 16);
        *is_ready = strcmp(text, "tcptrail: ready") == 0;
        return 0;
      }
      snprintf(key, size, args[0] == 1 ? "write:stdout" : "write");
      return 1;
    case __NR_read:
      return args[0] != 0;
    default:
      return 1;
  }
}

static const char* g_key;
static const char* g_phase;
static int g_error;
static long g_nth = 1;
static int g_all;
static FILE* g_report;

static void serve(int listener, pid_t child) {
  static char call_memory[4096] __attribute__((aligned(16)));
  static char answer_memory[4096] __attribute__((aligned(16)));
  static long seen;
  static int ready;
  struct seccomp_notif* call = (struct seccomp_notif*)call_memory;
  struct seccomp_notif_resp* answer = (struct seccomp_notif_resp*)answer_memory;
  memset(call_memory, 0, sizeof call_memory);
  memset(answer_memory, 0, sizeof answer_memory);
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, call) != 0) return;
  char key[600];
  char task[64];
  int is_ready = 0;
  int fails = 0;
  snprintf(task, sizeof task, "/proc/%d/task/%d", child, call->pid);
  if (access(task, F_OK) == 0 && key_of(call, key, sizeof key, &is_ready)) {
    const char* phase = ready ? "run" : "start";
    if (g_key != NULL && strcmp(key, g_key) == 0 &&
        (g_phase == NULL || strcmp(phase, g_phase) == 0)) {
      ++seen;
      fails = seen == g_nth || (g_all && seen > g_nth);
    }
    if (g_report != NULL) fprintf(g_report, "%s%s %s\n", fails ? "!" : "", phase, key);
  }
  answer->id = call->id;
  if (fails)
    answer->error = -g_error;
  else
    answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, answer);
  if (is_ready) ready = 1;
}

static pid_t g_child;
static void forward(int signal) { kill(g_child, signal); }

int main(int argc, char** argv) {
  int option;
  while ((option = getopt(argc, argv, "+r:p:k:e:n:a")) != -1) {
    switch (option) {
      case 'r':
        g_report = fopen(optarg, "we");
        if (g_report == NULL) die(optarg);
        break;
      case 'p':
        g_phase = optarg;
        break;
      case 'k':
        g_key = optarg;
        break;
      case 'n':
        g_nth = atol(optarg);
        break;
      case 'a':
        g_all = 1;
        break;
      case 'e':
        for (unsigned i = 0; i < sizeof kErrors / sizeof kErrors[0]; ++i)
          if (strcmp(kErrors[i].name, optarg) == 0) g_error = kErrors[i].number;
        break;
      default:
        return 125;
    }
  }
  if (optind >= argc || (g_key != NULL && g_error == 0)) {
    fprintf(
        stderr,
        "usage: faults [-r REPORT] [-p start|run] [-k KEY -e ERRNO [-n N] [-a]] -- CMD ARGS...\n");
    return 125;
  }
  int channel[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0) die("socketpair");
  const pid_t child = g_child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int listener = install_filter();
    if (listener < 0) _exit(124);
    send_fd(channel[1], listener);
    fcntl(listener, F_SETFD, FD_CLOEXEC);
    execvp(argv[optind], argv + optind);
    _exit(127);
  }
  close(channel[1]);
  const int listener = receive_fd(channel[0]);
  if (listener < 0) {
    fprintf(stderr, "faults: this kernel has no seccomp user notification\n");
    waitpid(child, NULL, 0);
    return 77;
  }
  struct sigaction action = {.sa_handler = forward};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
  const int ended = (int)syscall(SYS_pidfd_open, child, 0);
  for (;;) {
    struct pollfd fds[2] = {{.fd = listener, .events = POLLIN}, {.fd = ended, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0) continue;
    if ((fds[0].revents & POLLIN) != 0)
      serve(listener, child);
    else if (fds[1].revents != 0)
      break;
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (g_report != NULL) fclose(g_report);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
