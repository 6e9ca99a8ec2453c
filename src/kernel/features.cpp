// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/features.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "kernel/handles.h"
#include "kernel/machine.h"
#include "kernel/plan.h"
#include "kernel/tracefs.h"
#include "kernel/vmlinux_btf.h"

namespace tcptrail {
namespace {

constexpr std::array<std::string_view, kFeatureCount> kNames = {
    "tp_btf",         "second_copy",    "task_btf",     "cookie",        "timewait_walk",
    "send_reset",     "receive_reset",  "accept",       "refused_calls", "iter_tcp",
    "iter_task_file", "timewait_hooks", "socket_hooks",
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
    "when a TIME_WAIT ends, exactly, and why",
    "accept and refused_calls at less cost to the machine, and of io_uring too",
};

// As in bpf/refused.bpf.h.
#if defined(__x86_64__) || defined(__aarch64__)
constexpr bool kArgumentsAreKnown = true;
#else
constexpr bool kArgumentsAreKnown = false;
#endif

// securityfs, which would name the lockdown mode, is not mounted everywhere: ask the verifier.
bool may_probe_memory() {
  const bpf_insn program[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X,
       .dst_reg = BPF_REG_1,
       .src_reg = BPF_REG_10,
       .off = 0,
       .imm = 0},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K,
       .dst_reg = BPF_REG_1,
       .src_reg = 0,
       .off = 0,
       .imm = -8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .src_reg = 0, .off = 0, .imm = 8},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_CALL,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = BPF_FUNC_probe_read_kernel},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  };
  const Fd loaded(bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "may_probe", "Dual BSD/GPL", program,
                                std::size(program), nullptr));
  return static_cast<bool>(loaded);
}

// Presence in BTF says little about fentry: a function may be inlined, and a kernel may refuse
// the kind as a whole. Empty when the function takes a program.
std::string why_no_hook(std::string_view function, std::uint32_t id) {
  if (id == 0) return "this kernel has no " + std::string(function) + "() to hook";
  const bpf_insn program[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  };
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = BPF_TRACE_FENTRY;
  options.attach_btf_id = id;
  const Fd loaded(bpf_prog_load(BPF_PROG_TYPE_TRACING, "may_hook", "Dual BSD/GPL", program,
                                std::size(program), &options));
  if (loaded) return {};
  return "the kernel refuses fentry of " + std::string(function) + "() (" + std::strerror(errno) +
         ")";
}

// The hooks of a kind are off when one of their functions takes no program.
void probe_hooks(const VmlinuxBtf& btf, Features& features) {
  std::vector<std::string_view> functions;
  std::vector<Feature> needed_by;
  for (const Program& program : all_programs()) {
    if (program.function.empty() || program.may_be_missing) continue;
    const Feature feature =
        program.kind == ProgramKind::kMinisocket ? Feature::kTimeWaitHooks : Feature::kSocketHooks;
    if (!features.on(feature)) continue;
    functions.push_back(program.function);
    needed_by.push_back(feature);
  }
  if (functions.empty()) return;
  const std::vector<std::uint32_t> ids = btf.functions(functions);
  for (std::size_t i = 0; i < functions.size(); ++i) {
    if (!features.on(needed_by[i])) continue;
    if (std::string why = why_no_hook(functions[i], ids[i]); !why.empty())
      features.turn_off(needed_by[i], std::move(why));
  }
}

}  // namespace

std::span<const std::string_view> feature_names() { return kNames; }
std::string_view name_of(Feature feature) { return kNames[static_cast<std::size_t>(feature)]; }
std::string_view purpose_of(Feature feature) {
  return kPurposes[static_cast<std::size_t>(feature)];
}

namespace {

// SK_RST_REASON_TCP_ABORT_ON_CLOSE becomes tcp_abort_on_close. NOT_SPECIFIED says nothing.
std::vector<std::string> read_reset_reasons(const VmlinuxBtf& btf) {
  constexpr std::string_view kPrefix = "SK_RST_REASON_";
  if (btf.tracepoint_arguments("tcp_send_reset") < 3) return {};
  std::vector<std::string> names = btf.enumerators("sk_rst_reason");
  for (std::string& name : names) {
    if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
    if (name == "NOT_SPECIFIED") name.clear();
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return names;
}

}  // namespace

Features probe_features(std::span<const std::string> denied) {
  Features features;
  const auto need = [&](Feature feature, bool present, std::string why, std::string fix = {}) {
    if (!present && features.on(feature))
      features.turn_off(feature, std::move(why), std::move(fix));
  };

  for (std::size_t i = 0; i < kFeatureCount; ++i)
    if (std::find(denied.begin(), denied.end(), kNames[i]) != denied.end())
      features.turn_off(static_cast<Feature>(i), "--deny-feature " + std::string(kNames[i]));

  const VmlinuxBtf btf;
  const std::string old_kernel = "this kernel does not have ";
  need(Feature::kTpBtf, btf.has("btf_trace_inet_sock_set_state"),
       old_kernel + "a typed sock:inet_sock_set_state");
  need(Feature::kCookie, btf.has("bpf_get_socket_ptr_cookie"),
       old_kernel + "bpf_get_socket_cookie() for tracing programs (5.12)");
  need(Feature::kTaskBtf, btf.has("bpf_get_current_task_btf"),
       old_kernel + "bpf_get_current_task_btf() (5.11)");
  need(Feature::kSendReset, btf.has("btf_trace_tcp_send_reset"), old_kernel + "tcp:tcp_send_reset");
  if (features.on(Feature::kSendReset)) features.reset_reasons = read_reset_reasons(btf);
  need(Feature::kReceiveReset, btf.has("btf_trace_tcp_receive_reset"),
       old_kernel + "tcp:tcp_receive_reset");
  need(Feature::kIterTcp, btf.has("bpf_iter_tcp"), old_kernel + "the tcp iterator (5.9)");
  need(Feature::kIterTaskFile, btf.has("bpf_iter_task_file") && btf.has("bpf_sock_from_file"),
       old_kernel + "the task_file iterator with bpf_sock_from_file() (5.11)");

  // Typed programs carry these; the classic tracepoint has an address and no more.
  if (!features.on(Feature::kTpBtf))
    for (const Feature f : {Feature::kTaskBtf, Feature::kCookie, Feature::kIterTcp,
                            Feature::kIterTaskFile, Feature::kTimeWaitHooks, Feature::kSocketHooks})
      need(f, false, "needs tp_btf");
  need(Feature::kTimeWaitHooks, features.on(Feature::kCookie),
       "needs cookie: nothing else names a minisocket");
  probe_hooks(btf, features);

  const bool probes = may_probe_memory();
  need(Feature::kTimeWaitWalk, probes,
       "the kernel forbids reading its memory (lockdown=confidentiality)",
       "boot with lockdown=integrity, or accept that TIME_WAIT is inferred");
  const bool hooked = features.on(Feature::kSocketHooks);
  need(Feature::kRefusedCalls, hooked || kArgumentsAreKnown,
       "where a system call keeps its arguments is not known for this processor");
  for (const auto& [feature, call] : {std::pair(Feature::kAccept, "sys_exit_accept4"),
                                      std::pair(Feature::kRefusedCalls, "sys_exit_bind")}) {
    // The address that bind() asked for has no type that direct loads could go by.
    need(feature, probes || (hooked && feature == Feature::kAccept),
         "the kernel forbids reading its memory (lockdown=confidentiality)");
    if (hooked || !features.on(feature)) continue;
    const Result<std::uint64_t> id = tracepoint_id("syscalls", call);
    if (!id) features.turn_off(feature, id.error().why, id.error().fix);
  }
  return features;
}

}  // namespace tcptrail
