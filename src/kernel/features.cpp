// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/features.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "kernel/handles.h"
#include "kernel/machine.h"
#include "kernel/tracefs.h"

namespace tcptrail {
namespace {

constexpr std::array<std::string_view, kFeatureCount> kNames = {
    "tp_btf", "second_copy", "task_btf", "cookie", "timewait_walk", "send_reset", "receive_reset", "accept", "refused_calls", "iter_tcp", "iter_task_file",
};

constexpr std::array<std::string_view, kFeatureCount> kPurposes = {
    "every state transition, typed and without tracefs",
    "the transitions that interrupt the first program on its CPU",
    "the process by direct loads: cheaper, and under lockdown too",
    "one identity for a socket from its birth into TIME_WAIT",
    "whether TIME_WAIT, FIN_WAIT2 or nothing is left behind at CLOSE, and until when",
    "RST in answer to data after close() told apart from a RST received",
    "refusal by RST told apart from refusal by ICMP",
    "which process accepted a connection",
    "which process was refused a port by bind() or listen()",
    "connections, listeners and TIME_WAIT older than the trace",
    "owners of sockets older than the trace",
};

// As in bpf/refused.bpf.h.
#if defined(__x86_64__) || defined(__aarch64__)
constexpr bool kArgumentsAreKnown = true;
#else
constexpr bool kArgumentsAreKnown = false;
#endif

// Names occur in the string section of BTF between two NULs. Searching the bytes
// takes a few ms less than parsing the types, and libbpf parses them anyway.
class BtfNames {
 public:
  BtfNames() {
    const Fd fd(::open(std::string(kBtfPath).c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0 || info.st_size <= 0) return;
    bytes_.resize(static_cast<std::size_t>(info.st_size));
    std::size_t filled = 0;
    while (filled < bytes_.size()) {
      const ssize_t n = ::read(fd.get(), bytes_.data() + filled, bytes_.size() - filled);
      if (n <= 0) break;
      filled += static_cast<std::size_t>(n);
    }
    bytes_.resize(filled);
    // struct btf_header: magic u16, version u8, flags u8, hdr_len, type_off, type_len, str_off, str_len
    std::uint32_t header[6];
    if (filled < sizeof header) return;
    std::memcpy(header, bytes_.data(), sizeof header);
    const std::size_t start = std::size_t{header[1]} + header[4];
    if (start + header[5] <= filled) strings_ = std::string_view(bytes_).substr(start, header[5]);
  }
  [[nodiscard]] bool any() const { return !strings_.empty(); }
  [[nodiscard]] bool has(std::string_view name) const {
    std::string needle;
    needle.reserve(name.size() + 2);
    needle.append(1, '\0').append(name).append(1, '\0');
    return ::memmem(strings_.data(), strings_.size(), needle.data(), needle.size()) != nullptr;
  }

 private:
  std::string bytes_;
  std::string_view strings_;
};

// securityfs, which would name the lockdown mode, is not mounted everywhere: ask the verifier.
bool may_probe_memory() {
  const bpf_insn program[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10, .off = 0, .imm = 0},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .src_reg = 0, .off = 0, .imm = -8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .src_reg = 0, .off = 0, .imm = 8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_probe_read_kernel},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  };
  const Fd loaded(bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "may_probe", "Dual BSD/GPL", program, std::size(program), nullptr));
  return static_cast<bool>(loaded);
}

}  // namespace

std::span<const std::string_view> feature_names() { return kNames; }
std::string_view name_of(Feature feature) { return kNames[static_cast<std::size_t>(feature)]; }
std::string_view purpose_of(Feature feature) { return kPurposes[static_cast<std::size_t>(feature)]; }

Features probe_features(std::span<const std::string> denied) {
  Features features;
  const auto need = [&](Feature feature, bool present, std::string why, std::string fix = {}) {
    if (!present && features.on(feature)) features.turn_off(feature, std::move(why), std::move(fix));
  };

  for (std::size_t i = 0; i < kFeatureCount; ++i)
    if (std::find(denied.begin(), denied.end(), kNames[i]) != denied.end())
      features.turn_off(static_cast<Feature>(i), "--deny-feature " + std::string(kNames[i]));

  const BtfNames btf;
  const std::string old_kernel = "this kernel does not have ";
  need(Feature::kTpBtf, btf.has("btf_trace_inet_sock_set_state"), old_kernel + "a typed sock:inet_sock_set_state");
  need(Feature::kCookie, btf.has("bpf_get_socket_ptr_cookie"), old_kernel + "bpf_get_socket_cookie() for tracing programs (5.12)");
  need(Feature::kTaskBtf, btf.has("bpf_get_current_task_btf"), old_kernel + "bpf_get_current_task_btf() (5.11)");
  need(Feature::kSendReset, btf.has("btf_trace_tcp_send_reset"), old_kernel + "tcp:tcp_send_reset");
  need(Feature::kReceiveReset, btf.has("btf_trace_tcp_receive_reset"), old_kernel + "tcp:tcp_receive_reset");
  need(Feature::kIterTcp, btf.has("bpf_iter_tcp"), old_kernel + "the tcp iterator (5.9)");
  need(Feature::kIterTaskFile, btf.has("bpf_iter_task_file") && btf.has("bpf_sock_from_file"),
       old_kernel + "the task_file iterator with bpf_sock_from_file() (5.11)");

  const bool probes = may_probe_memory();
  need(Feature::kTimeWaitWalk, probes, "the kernel forbids reading its memory (lockdown=confidentiality)",
       "boot with lockdown=integrity, or accept that TIME_WAIT is inferred");
  need(Feature::kRefusedCalls, kArgumentsAreKnown, "where a system call keeps its arguments is not known for this processor");
  for (const auto& [feature, call] : {std::pair(Feature::kAccept, "sys_exit_accept4"), std::pair(Feature::kRefusedCalls, "sys_exit_bind")}) {
    need(feature, probes, "the kernel forbids reading its memory (lockdown=confidentiality)");
    if (!features.on(feature)) continue;
    const Result<std::uint64_t> id = tracepoint_id("syscalls", call);
    if (!id) features.turn_off(feature, id.error().why, id.error().fix);
  }

  // Typed programs carry these; the classic tracepoint has an address and no more.
  if (!features.on(Feature::kTpBtf))
    for (const Feature f : {Feature::kTaskBtf, Feature::kCookie, Feature::kIterTcp, Feature::kIterTaskFile})
      need(f, false, "needs tp_btf");
  return features;
}

}  // namespace tcptrail
