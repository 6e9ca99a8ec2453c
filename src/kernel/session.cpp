// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/session.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <iterator>
#include <system_error>
#include <thread>

#include "kernel/core_btf.h"
#include "kernel/diagnose.h"
#include "kernel/machine.h"
#include "kernel/netns.h"
#include "kernel/tracefs.h"
#include "kernel/wait_any.h"
#include "tcptrail/event.h"
#include "tcptrail_classic.skel.h"
#include "tcptrail_timewait.skel.h"
#include "tcptrail_typed.skel.h"

namespace tcptrail {
namespace {

constexpr std::size_t kMostRings = 16;  // that the programs know
constexpr std::size_t kLeastRingBytes = 64 * 1024;

bool g_verbose = false;  // libbpf's print callback has no context argument
std::string g_last_libbpf_line;

int on_libbpf_print(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG && !g_verbose) return 0;
  if (g_verbose) {
    va_list copy;
    va_copy(copy, arguments);
    std::vfprintf(stderr, format, copy);
    va_end(copy);
  }
  char line[512];
  const int n = std::vsnprintf(line, sizeof line, format, arguments);
  if (level == LIBBPF_WARN && n > 0) {
    std::string_view text(line,
                          std::min<std::size_t>(static_cast<std::size_t>(n), sizeof line - 1));
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    // The verifier's log is for -v; the sentence around it is enough otherwise. What follows it
    // only says that something failed, or advises (memlock) what does not help.
    if (text.starts_with("libbpf: ")) text.remove_prefix(8);
    const bool says_nothing =
        text.find("skeleton") != std::string_view::npos ||
        text.find("failed to load object") != std::string_view::npos ||
        text.find("RLIMIT_MEMLOCK") != std::string_view::npos ||
        text.find("permission error while running as root") != std::string_view::npos;
    if (!says_nothing && text.find('\n') == std::string_view::npos) g_last_libbpf_line = text;
  }
  return n;
}

}  // namespace

// The two skeletons differ only in type. This is what both have.
class Session::Programs {
 public:
  using Typed = std::unique_ptr<tcptrail_typed, Deleter<tcptrail_typed__destroy>>;
  using Classic = std::unique_ptr<tcptrail_classic, Deleter<tcptrail_classic__destroy>>;
  using Hooks = std::unique_ptr<tcptrail_timewait, Deleter<tcptrail_timewait__destroy>>;

  static bpf_map* find_ring(const bpf_object* object, std::size_t n) {
    return bpf_object__find_map_by_name(object, ("events_" + std::to_string(n)).c_str());
  }

  explicit Programs(bool typed) {
    LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = core_btf_.path());
    if (typed)
      typed_.reset(tcptrail_typed__open_opts(&options));
    else
      classic_.reset(tcptrail_classic__open_opts(&options));
  }
  [[nodiscard]] bool opened() const { return typed_ != nullptr || classic_ != nullptr; }
  [[nodiscard]] bpf_object* object() const { return typed_ ? typed_->obj : classic_->obj; }
  // Not bpf_object__load(): only the skeleton maps .bss to the kernel's memory.
  // libbpf that takes the kernel for one without global data loads, and maps nothing.
  [[nodiscard]] bool mapped() const {
    return typed_ ? typed_->bss != nullptr : classic_->bss != nullptr;
  }
  int load() {
    if (!core_btf_.fill(object())) return -errno;
    return typed_ ? tcptrail_typed__load(typed_.get()) : tcptrail_classic__load(classic_.get());
  }
  [[nodiscard]] bpf_program* program(std::string_view name) const {
    return bpf_object__find_program_by_name(object(), std::string(name).c_str());
  }
  template <class Set>
  void configure(Set&& set) {
    if (typed_)
      set(*typed_->rodata);
    else
      set(*classic_->rodata);
  }
  [[nodiscard]] bpf_map* ring(std::size_t n) const { return find_ring(object(), n); }
  [[nodiscard]] bpf_map* tree() const { return typed_ ? typed_->maps.tree : classic_->maps.tree; }
  [[nodiscard]] volatile std::uint32_t* sleeping() const {
    return typed_ ? &typed_->data_shared->consumer_sleeping
                  : &classic_->data_shared->consumer_sleeping;
  }
  void look_at(bool minisockets_only, std::uint32_t netns) {
    if (!typed_) return;
    *const_cast<volatile __u32*>(&typed_->bss->snapshot_is_scan) = minisockets_only ? 1 : 0;
    *const_cast<volatile __u32*>(&typed_->bss->snapshot_netns) = netns;
  }
  template <class Run>
  bool holds_socket(std::uint32_t netns, Run&& run) {
    look_at(true, netns);
    *const_cast<volatile __u32*>(&typed_->bss->snapshot_found) = 0;
    return !run() || *const_cast<volatile __u32*>(&typed_->bss->snapshot_found) != 0;
  }
  [[nodiscard]] std::uint64_t lost_ring() const {
    return typed_ ? *const_cast<volatile __u64*>(&typed_->bss->lost_ring)
                  : *const_cast<volatile __u64*>(&classic_->bss->lost_ring);
  }
  [[nodiscard]] std::uint64_t recovered() const {
    return typed_ ? *const_cast<volatile __u64*>(&typed_->bss->recovered)
                  : *const_cast<volatile __u64*>(&classic_->bss->recovered);
  }
  [[nodiscard]] std::uint64_t lost_other() const {
    return typed_ ? *const_cast<volatile __u64*>(&typed_->data_shared->lost_other)
                  : *const_cast<volatile __u64*>(&classic_->data_shared->lost_other);
  }

  // The object beside the first, with the first one's rings and the words that both share.
  template <class Set>
  Result<std::vector<BpfLink>> add_hooks(Set&& set, std::size_t rings) {
    const auto failure = [](int error, const std::string& what) {
      return Error{what, std::strerror(error) +
                             (g_last_libbpf_line.empty() ? "" : "; " + g_last_libbpf_line)};
    };
    const CoreBtf core_btf;
    LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = core_btf.path());
    Hooks hooks(tcptrail_timewait__open_opts(&options));
    if (!hooks) return failure(errno, "cannot open");
    set(*hooks->rodata);
    // Where it is missing, tw_rearm sees as much.
    const bool born =
        hooks->rodata->births_wanted &&
        libbpf_find_vmlinux_btf_id("inet_twsk_hashdance_schedule", BPF_TRACE_FEXIT) > 0;
    bpf_program__set_autoload(hooks->progs.tw_born, born);
    bpf_map__set_autocreate(hooks->maps.tree, false);
    int error = 0;
    for (std::size_t n = 0; n < kMostRings; ++n)
      if (n >= rings)
        bpf_map__set_autocreate(find_ring(hooks->obj, n), false);
      else if (error == 0)
        error = bpf_map__reuse_fd(find_ring(hooks->obj, n), bpf_map__fd(ring(n)));
    if (error == 0)
      error = bpf_map__reuse_fd(hooks->maps.data_shared, bpf_map__fd(typed_->maps.data_shared));
    if (error == 0 && !core_btf.fill(hooks->obj)) error = -errno;
    if (error == 0) error = tcptrail_timewait__load(hooks.get());
    if (error != 0) return failure(-error, "cannot load");
    std::vector<BpfLink> links;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, hooks->obj) {
      if (!bpf_program__autoload(program)) continue;
      bpf_link* link = bpf_program__attach_trace(program);
      if (link == nullptr)
        return failure(errno, std::string("cannot attach ") + bpf_program__name(program));
      links.emplace_back(link);
    }
    hooks_ = std::move(hooks);
    return links;
  }

 private:
  CoreBtf core_btf_;
  Typed typed_;
  Classic classic_;
  Hooks hooks_;
};

namespace {

template <std::size_t N>
void set_ports(__u64 (&bits)[N], __u32& on, const PortSet& ports) {
  on = ports.empty() ? 0 : 1;
  for (const PortRange& range : ports.ranges)
    for (unsigned port = range.first; port <= range.last; ++port)
      bits[port >> 6] |= 1ULL << (port & 63);
}

// More prefixes than the program looks at: the loader alone decides.
template <class Slot, std::size_t N>
void set_prefixes(Slot (&list)[N], __u32& count, const std::vector<Prefix>& prefixes) {
  count = 0;
  if (prefixes.size() > N) return;
  for (const Prefix& prefix : prefixes) {
    std::uint8_t value[16] = {};
    std::uint8_t mask[16] = {};
    for (unsigned bit = 0; bit < prefix.length; ++bit)
      mask[bit / 8] = static_cast<std::uint8_t>(mask[bit / 8] | (0x80U >> (bit % 8)));
    for (std::size_t i = 0; i < 16; ++i) value[i] = prefix.address.bytes[i] & mask[i];
    Slot& slot = list[count++];
    std::memcpy(&slot.value[0], value, 8);
    std::memcpy(&slot.value[1], value + 8, 8);
    std::memcpy(&slot.mask[0], mask, 8);
    std::memcpy(&slot.mask[1], mask + 8, 8);
    slot.ipv4 = prefix.family == Family::kIpv4 ? 1 : 0;
  }
}

template <class Rodata>
void set_filters(Rodata& ro, const Filters& filters) {
  ro.want_family = filters.family == FamilyFilter::kIpv4   ? 4
                   : filters.family == FamilyFilter::kIpv6 ? 6
                                                           : 0;
  set_ports(ro.lport_bits, ro.lport_on, filters.lports);
  set_ports(ro.rport_bits, ro.rport_on, filters.rports);
  set_prefixes(ro.laddrs, ro.laddr_count, filters.laddrs);
  set_prefixes(ro.raddrs, ro.raddr_count, filters.raddrs);
  if (filters.netns.size() <= std::size(ro.want_netns)) {
    ro.netns_count = static_cast<__u32>(filters.netns.size());
    std::copy(filters.netns.begin(), filters.netns.end(), ro.want_netns);
  }
  if (filters.uid) {
    ro.uid_on = 1;
    ro.want_uid = *filters.uid;
  }
  if (filters.cgroup_ids.size() == 1) ro.want_cgroup = filters.cgroup_ids.front();
}

// One for each CPU, or for each group of them: a power of two, of which none is small. A CPU that
// comes later shares one.
std::size_t ring_count(std::size_t total_bytes) {
  const auto cpus = static_cast<std::size_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  return std::clamp<std::size_t>(total_bytes / kLeastRingBytes, 1,
                                 std::min(std::bit_ceil(cpus), kMostRings));
}

}  // namespace

Session::~Session() { detach(); }

Result<std::unique_ptr<Session>> Session::start(const Plan& plan, const SessionOptions& options) {
  g_verbose = options.verbose;
  libbpf_set_print(on_libbpf_print);

  std::unique_ptr<Session> session(new Session);
  session->programs_ = std::make_unique<Programs>(plan.typed);
  session->snapshot_ = plan.snapshot;
  session->holders_ = plan.holders;
  session->netns_wanted_ = options.filters.netns;
  Programs& programs = *session->programs_;
  if (!programs.opened()) return explain_load_failure(errno, g_last_libbpf_line);

  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, programs.object())
      bpf_program__set_autoload(program, plan.loads(bpf_program__name(program)));

  const std::size_t rings = ring_count(options.ring_bytes);
  const std::size_t ring_bytes = options.ring_bytes / rings;
  const auto configure = [&](auto& ro) {
    set_filters(ro, options.filters);
    ro.probe_reads = plan.probe_reads;
    ro.births_wanted = plan.births;
    ro.have_cookie = plan.cookie;
    ro.have_task_btf = plan.task_btf;
    ro.trace_tree = options.command_pid != 0;
    ro.kernel_hz = kernel_hz();
    ro.pid_namespace = plan.probe_reads ? foreign_pid_namespace() : 0;
    ro.ring_mask = static_cast<__u32>(rings - 1);
    ro.snapshot_high_water = ring_bytes / 2;
  };
  programs.configure(configure);
  for (std::size_t n = 0; n < kMostRings; ++n) {
    bpf_map__set_autocreate(programs.ring(n), n < rings);
    bpf_map__set_max_entries(programs.ring(n), static_cast<__u32>(ring_bytes));
  }
  if (options.command_pid == 0) bpf_map__set_max_entries(programs.tree(), 1);

  if (const int error = programs.load(); error != 0) {
    // The verifier says EINVAL to a helper that lockdown takes away.
    if (error == -EINVAL && !plan.probe_reads && !plan.task_btf)
      return Error{
          "cannot load BPF programs",
          "the kernel forbids reading its memory (lockdown=confidentiality), and without tp_btf "
          "and task_btf there is no other way",
          "boot with lockdown=integrity, or use Linux 5.11 or later without --deny-feature"};
    return explain_load_failure(-error, g_last_libbpf_line);
  }
  if (!programs.mapped())
    return explain_load_failure(ENOMEM, "the kernel refused a map for the programs' variables");

  if (options.command_pid != 0) {
    const __u8 one = 1;
    bpf_map__update_elem(programs.tree(), &options.command_pid, sizeof options.command_pid, &one,
                         sizeof one, BPF_ANY);
  }
  std::vector<int> ring_fds;
  for (std::size_t n = 0; n < rings; ++n) ring_fds.push_back(bpf_map__fd(programs.ring(n)));
  auto ring = RingSource::open(ring_fds, ring_bytes, programs.sleeping());
  if (!ring) return ring.error();
  session->ring_ = std::make_unique<RingSource>(std::move(*ring));
  session->bell_ = wait_any(ring_fds);
  if (!session->bell_)
    return Error{"cannot wait for the ring buffer", std::strerror(errno),
                 "raise the limit of open files: ulimit -n 1024"};

  struct Classic {
    const char* program;
    const char* category;
    const char* name;
    const char* without;  // what is less true when it cannot be attached; null = nothing works
  };
  static constexpr const char* kNoAccept = "a passive connection's owner is known when it closes";
  static constexpr const char* kNoRefused = "some refused calls are not seen";
  static constexpr Classic kClassic[] = {
      {"set_state", "sock", "inet_sock_set_state", nullptr},
      {"destroy", "tcp", "tcp_destroy_sock", nullptr},
      {"accept4_return", "syscalls", "sys_exit_accept4", kNoAccept},
      {"accept_return", "syscalls", "sys_exit_accept", kNoAccept},
      {"bind_return", "syscalls", "sys_exit_bind", kNoRefused},
      {"listen_return", "syscalls", "sys_exit_listen", kNoRefused}};
  for (const Classic& c : kClassic) {
    const bpf_program* classic = programs.program(c.program);
    if (!plan.loads(c.program) || bpf_program__type(classic) != BPF_PROG_TYPE_TRACEPOINT) continue;
    Result<BpfLink> link = attach_tracepoint(classic, c.category, c.name);
    if (!link && c.without == nullptr) return link.error();
    if (!link)
      session->warnings_.push_back(link.error().what + " (" + link.error().why + "): " + c.without);
    else
      session->links_.push_back(std::move(*link));
  }
  for (const char* name :
       {"send_reset", "receive_reset", "destroy", "process_fork", "accept_hook", "bind_hook",
        "bind6_hook", "listen_hook", "set_state", "set_state_again"}) {
    const bpf_program* found = programs.program(name);
    if (found == nullptr || !plan.loads(name) ||
        bpf_program__type(found) == BPF_PROG_TYPE_TRACEPOINT)
      continue;
    bpf_link* link =
        bpf_program__attach(found);  // tp_btf or fentry, or raw_tp in the classic object
    if (link == nullptr) return explain_load_failure(errno, std::string("attaching ") + name);
    session->links_.push_back(BpfLink(link));
  }
  if (plan.timewait_hooks) {
    Result<std::vector<BpfLink>> links = programs.add_hooks(configure, rings);
    if (!links)
      session->warnings_.push_back("the hooks at minisockets: " + links.error().what + " (" +
                                   links.error().why +
                                   "): the end of a TIME_WAIT is found by looking again");
    else
      std::move(links->begin(), links->end(), std::back_inserter(session->links_));
  }
  return session;
}

Result<std::unique_ptr<Session>> Session::start(Features& features, Plan& plan,
                                                const PlanRequest& request,
                                                std::vector<std::string> denied,
                                                const SessionOptions& options) {
  Result<std::unique_ptr<Session>> session = start(plan, options);
  if (session || !plan.socket_hooks) return session;
  const Error refusal = session.error();
  denied.emplace_back(name_of(Feature::kSocketHooks));
  Features fewer = probe_features(denied);
  Plan smaller = make_plan(fewer, request);
  session = start(smaller, options);
  if (!session) return session;  // it was something else
  (*session)->warnings_.push_back("the hooks at sockets: " + refusal.what + " (" + refusal.why +
                                  "): system call tracepoints take their place");
  fewer.turn_off(Feature::kSocketHooks, refusal.what + " (" + refusal.why + ")");
  features = std::move(fewer);
  plan = std::move(smaller);
  return session;
}

// Taking away the tracepoint of a system call waits tens of ms for the kernel: all at once.
void Session::detach() {
  std::vector<std::jthread> waiting;
  while (!links_.empty()) {
    try {
      waiting.emplace_back([link = links_.back().get()] { bpf_link__destroy(link); });
    } catch (const std::system_error&) {  // no thread to be had: one after the other
      links_.pop_back();
      continue;
    }
    [[maybe_unused]] bpf_link* const theirs = links_.back().release();
    links_.pop_back();
  }
}

int Session::program_fd() const { return bpf_program__fd(programs_->program("set_state")); }

std::uint64_t Session::lost_ring() const { return programs_->lost_ring(); }

std::uint64_t Session::lost_other() const { return programs_->lost_other(); }

std::uint64_t Session::lost_nested(std::uint64_t duplicates) const {
  bpf_prog_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(bpf_program__fd(programs_->program("set_state")), &info, &size) != 0)
    return lost_nested_;
  const std::uint64_t recovered = programs_->recovered();
  const std::uint64_t really = recovered > duplicates ? recovered - duplicates : 0;
  // Two counters that are read one after the other: what has been reported as lost stays lost.
  if (info.recursion_misses > really)
    lost_nested_ = std::max<std::uint64_t>(lost_nested_, info.recursion_misses - really);
  return lost_nested_;
}

namespace {

// One over sockets shows the namespace of the thread that creates it, whoever reads it.
Fd create_iterator(const bpf_program* program) {
  const BpfLink link(bpf_program__attach_iter(program, nullptr));
  return Fd(link ? bpf_iter_create(bpf_link__fd(link.get())) : -1);
}

bool read_to_end(const Fd& iterator, const std::function<void()>& drain) {
  if (!iterator) return false;
  char nothing[64];  // the records go into the ring
  for (;;) {
    const ssize_t n = ::read(iterator.get(), nothing, sizeof nothing);
    if (n == 0) return true;
    if (n < 0 && errno == EAGAIN)
      drain();
    else if (n < 0 && errno != EINTR)
      return false;
  }
}

}  // namespace

// Of a namespace that no path leads to: a socket alone keeps one alive too.
bool Session::is_gone(std::uint32_t netns) {
  if (!can_find_every_netns()) return false;
  return !holders_ || !programs_->holds_socket(netns, [this] {
    return read_to_end(create_iterator(programs_->program("seen_holders")), [] {});
  });
}

// Finding one takes a walk through /proc: where it was found is remembered.
std::vector<NetNamespace> Session::find_namespaces(const std::vector<std::uint32_t>& wanted,
                                                   SnapshotScope& scope) {
  if (wanted.empty()) return list_net_namespaces();
  std::erase_if(
      netns_known_, [](const NetNamespace& netns) { return inode_of(netns.path) != netns.inode; });
  const auto known = [&](std::uint32_t inode) {
    return std::find_if(netns_known_.begin(), netns_known_.end(),
                        [&](const NetNamespace& netns) { return netns.inode == inode; });
  };
  std::vector<std::uint32_t> missing;
  for (const std::uint32_t inode : wanted)
    if (known(inode) == netns_known_.end()) missing.push_back(inode);
  if (!missing.empty())
    for (NetNamespace& netns : namespaces_with(missing))
      if (std::find(missing.begin(), missing.end(), netns.inode) != missing.end())
        netns_known_.push_back(std::move(netns));
  std::vector<NetNamespace> found;
  for (const std::uint32_t inode : wanted)
    if (const auto netns = known(inode); netns != netns_known_.end())
      found.push_back(*netns);
    else
      (is_gone(inode) ? scope.netns_gone : scope.netns_refused).push_back(inode);
  return found;
}

SnapshotScope Session::snapshot(const SnapshotRequest& request,
                                const std::function<void()>& drain) {
  SnapshotScope scope;
  scope.minisockets_only = request.minisockets_only;
  if (!snapshot_) return scope;
  const std::vector<std::uint32_t>& wanted = request.netns.empty() ? netns_wanted_ : request.netns;
  std::vector<NetNamespace> namespaces = find_namespaces(wanted, scope);
  programs_->look_at(request.minisockets_only, 0);
  for (std::size_t i = 0; i < namespaces.size(); ++i) {
    const NetNamespace netns = namespaces[i];
    Fd sockets;
    in_net_namespace(netns, [&] { sockets = create_iterator(programs_->program("seen_sockets")); });
    if (read_to_end(sockets, drain)) {
      scope.netns_read.push_back(netns.inode);
    } else if (inode_of(netns.path) == netns.inode) {
      scope.netns_refused.push_back(netns.inode);
    } else if (!wanted.empty()) {
      // The process has gone whose namespace it was; perhaps it was not the only one.
      for (NetNamespace& again : find_namespaces({netns.inode}, scope))
        namespaces.push_back(std::move(again));
      programs_->look_at(request.minisockets_only, 0);
    }
  }
  if (holders_ && !request.minisockets_only) {
    programs_->look_at(false, request.netns.size() == 1 ? request.netns.front() : 0);
    read_to_end(create_iterator(programs_->program("seen_holders")), drain);
  }
  ring().drain_all(drain);  // what is read later would be missing
  for (auto* list : {&scope.netns_read, &scope.netns_refused, &scope.netns_gone})
    std::sort(list->begin(), list->end());
  return scope;
}

}  // namespace tcptrail
