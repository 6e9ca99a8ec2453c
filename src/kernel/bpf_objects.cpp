// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/bpf_objects.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <iterator>

#include "kernel/diagnose.h"
#include "kernel/machine.h"
#include "kernel/tracefs.h"
#include "tcptrail/event.h"
#include "tcptrail_classic.skel.h"
#include "tcptrail_timewait.skel.h"
#include "tcptrail_typed.skel.h"

namespace tcptrail {
namespace {

constexpr std::size_t kMostRings = 16;  // that the programs know
constexpr std::size_t kLeastRingBytes = 64 * 1024;

bool g_verbose = false;          // libbpf's print callback has no context argument
std::string g_last_libbpf_line;  // of the attempt that is under way

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

bpf_map* find_ring(const bpf_object* object, std::size_t n) {
  return bpf_object__find_map_by_name(object, ("events_" + std::to_string(n)).c_str());
}

// By a classic tracepoint; or as its section says: tp_btf, raw_tp, fentry or fexit.
Result<BpfLink> attach_program(const bpf_program* program) {
  if (bpf_program__type(program) == BPF_PROG_TYPE_TRACEPOINT) return attach_tracepoint(program);
  if (bpf_link* link = bpf_program__attach(program)) return BpfLink(link);
  return explain_load_failure(errno, std::string("attaching ") + bpf_program__name(program));
}

}  // namespace

void BpfObjects::Destroy::operator()(tcptrail_typed* skeleton) const noexcept {
  tcptrail_typed__destroy(skeleton);
}
void BpfObjects::Destroy::operator()(tcptrail_classic* skeleton) const noexcept {
  tcptrail_classic__destroy(skeleton);
}
void BpfObjects::Destroy::operator()(tcptrail_timewait* skeleton) const noexcept {
  tcptrail_timewait__destroy(skeleton);
}

bpf_object* BpfObjects::object() const { return typed_ ? typed_->obj : classic_->obj; }

BpfObjects::BpfObjects(const Plan& plan, const SessionOptions& options)
    : options_(options),
      rings_(ring_count(options.ring_bytes)),
      ring_bytes_(options.ring_bytes / rings_) {
  LIBBPF_OPTS(bpf_object_open_opts, open, .btf_custom_path = core_btf_.path());
  if (plan.typed)
    typed_.reset(tcptrail_typed__open_opts(&open));
  else
    classic_.reset(tcptrail_classic__open_opts(&open));
}

template <class Rodata>
void BpfObjects::configure(Rodata& ro, const Plan& plan) const {
  set_filters(ro, options_.filters);
  ro.probe_reads = plan.probe_reads;
  ro.births_wanted = plan.births;
  ro.have_cookie = plan.cookie;
  ro.have_task_btf = plan.task_btf;
  ro.trace_tree = options_.command_pid != 0;
  ro.kernel_hz = kernel_hz();
  ro.pid_namespace = plan.probe_reads ? foreign_pid_namespace() : 0;
  ro.ring_mask = static_cast<__u32>(rings_ - 1);
  ro.snapshot_high_water = ring_bytes_ / 2;
}

// 0, or a negative errno.
int BpfObjects::load_first(const Plan& plan) {
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object())
      bpf_program__set_autoload(program, plan.loads(bpf_program__name(program)));
  if (typed_)
    configure(*typed_->rodata, plan);
  else
    configure(*classic_->rodata, plan);
  for (std::size_t n = 0; n < kMostRings; ++n) {
    bpf_map* ring = find_ring(object(), n);
    bpf_map__set_autocreate(ring, n < rings_);
    bpf_map__set_max_entries(ring, static_cast<__u32>(ring_bytes_));
  }
  bpf_map* tree = typed_ ? typed_->maps.tree : classic_->maps.tree;
  if (options_.command_pid == 0) bpf_map__set_max_entries(tree, 1);

  if (!core_btf_.fill(object())) return -errno;
  const int error =
      typed_ ? tcptrail_typed__load(typed_.get()) : tcptrail_classic__load(classic_.get());
  if (error != 0 || options_.command_pid == 0) return error;
  const __u8 one = 1;
  bpf_map__update_elem(tree, &options_.command_pid, sizeof options_.command_pid, &one, sizeof one,
                       BPF_ANY);
  return 0;
}

// Not bpf_object__load(): only the skeleton maps .bss to the kernel's memory.
// libbpf that takes the kernel for one without global data loads, and maps nothing.
bool BpfObjects::mapped() const {
  return typed_ ? typed_->bss != nullptr : classic_->bss != nullptr;
}

Result<std::unique_ptr<BpfObjects>> BpfObjects::load(const Plan& plan,
                                                     const SessionOptions& options) {
  g_verbose = options.verbose;
  g_last_libbpf_line.clear();
  libbpf_set_print(on_libbpf_print);
  std::unique_ptr<BpfObjects> objects(new BpfObjects(plan, options));
  if (!objects->typed_ && !objects->classic_)
    return explain_load_failure(errno, g_last_libbpf_line);
  if (const int error = objects->load_first(plan); error != 0) {
    // The verifier says EINVAL to a helper that lockdown takes away.
    if (error == -EINVAL && !plan.probe_reads && !plan.task_btf)
      return Error{
          "cannot load BPF programs",
          "the kernel forbids reading its memory (lockdown=confidentiality), and without tp_btf "
          "and task_btf there is no other way",
          "boot with lockdown=integrity, or use Linux 5.11 or later without --deny-feature"};
    return explain_load_failure(-error, g_last_libbpf_line);
  }
  if (!objects->mapped())
    return explain_load_failure(ENOMEM, "the kernel refused a map for the programs' variables");
  return objects;
}

Result<BpfObjects::Attached> BpfObjects::attach(const Plan& plan) {
  std::vector<Program> programs;
  for (const Program& program : all_programs())
    if (program.kind != ProgramKind::kIterator && program.kind != ProgramKind::kMinisocket &&
        plan.loads(program.name))
      programs.push_back(program);
  std::sort(programs.begin(), programs.end(),
            [](const Program& a, const Program& b) { return a.order < b.order; });
  Attached attached;
  for (const Program& planned : programs) {
    Result<BpfLink> link = attach_program(program(planned.name));
    if (link)
      attached.links.push_back(std::move(*link));
    else if (planned.without.empty())
      return link.error();
    else
      attached.warnings.push_back(link.error().what + " (" + link.error().why +
                                  "): " + std::string(planned.without));
  }
  if (!plan.timewait_hooks) return attached;
  Result<std::vector<BpfLink>> links = add_minisockets(plan);
  if (links)
    std::move(links->begin(), links->end(), std::back_inserter(attached.links));
  else
    attached.warnings.push_back("the hooks at minisockets: " + links.error().what + " (" +
                                links.error().why +
                                "): the end of a TIME_WAIT is found by looking again");
  return attached;
}

// The object beside the first, with the first one's rings and the words that both share.
Result<std::vector<BpfLink>> BpfObjects::add_minisockets(const Plan& plan) {
  const auto failure = [](int error, const std::string& what) {
    return Error{
        what, std::strerror(error) + (g_last_libbpf_line.empty() ? "" : "; " + g_last_libbpf_line)};
  };
  g_last_libbpf_line.clear();
  const CoreBtf core_btf;
  LIBBPF_OPTS(bpf_object_open_opts, open, .btf_custom_path = core_btf.path());
  std::unique_ptr<tcptrail_timewait, Destroy> opened(tcptrail_timewait__open_opts(&open));
  if (!opened) return failure(errno, "cannot open");
  configure(*opened->rodata, plan);
  for (const Program& program : all_programs()) {
    if (program.kind != ProgramKind::kMinisocket) continue;
    const bool loads =
        plan.loads(program.name) &&
        (!program.may_be_missing ||
         libbpf_find_vmlinux_btf_id(std::string(program.function).c_str(), BPF_TRACE_FEXIT) > 0);
    bpf_program__set_autoload(
        bpf_object__find_program_by_name(opened->obj, std::string(program.name).c_str()), loads);
  }
  bpf_map__set_autocreate(opened->maps.tree, false);
  int error = 0;
  for (std::size_t n = 0; n < kMostRings; ++n) {
    bpf_map* ring = find_ring(opened->obj, n);
    if (n >= rings_)
      bpf_map__set_autocreate(ring, false);
    else if (error == 0)
      error = bpf_map__reuse_fd(ring, bpf_map__fd(find_ring(object(), n)));
  }
  if (error == 0)
    error = bpf_map__reuse_fd(opened->maps.data_shared, bpf_map__fd(typed_->maps.data_shared));
  if (error == 0 && !core_btf.fill(opened->obj)) error = -errno;
  if (error == 0) error = tcptrail_timewait__load(opened.get());
  if (error != 0) return failure(-error, "cannot load");
  std::vector<BpfLink> links;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, opened->obj) {
    if (!bpf_program__autoload(program)) continue;
    bpf_link* link = bpf_program__attach_trace(program);
    if (link == nullptr)
      return failure(errno, std::string("cannot attach ") + bpf_program__name(program));
    links.emplace_back(link);
  }
  minisockets_ = std::move(opened);
  return links;
}

bpf_program* BpfObjects::program(std::string_view name) const {
  return bpf_object__find_program_by_name(object(), std::string(name).c_str());
}

std::vector<int> BpfObjects::ring_fds() const {
  std::vector<int> fds;
  for (std::size_t n = 0; n < rings_; ++n) fds.push_back(bpf_map__fd(find_ring(object(), n)));
  return fds;
}

volatile std::uint32_t* BpfObjects::sleeping() const {
  return typed_ ? &typed_->data_shared->consumer_sleeping
                : &classic_->data_shared->consumer_sleeping;
}

void BpfObjects::prepare_snapshot(bool minisockets_only, std::uint32_t netns) {
  if (!typed_) return;
  *const_cast<volatile __u32*>(&typed_->bss->snapshot_is_scan) = minisockets_only ? 1 : 0;
  *const_cast<volatile __u32*>(&typed_->bss->snapshot_netns) = netns;
}

bool BpfObjects::holds_socket(std::uint32_t netns, const std::function<bool()>& run) {
  prepare_snapshot(true, netns);
  *const_cast<volatile __u32*>(&typed_->bss->snapshot_found) = 0;
  return !run() || *const_cast<volatile __u32*>(&typed_->bss->snapshot_found) != 0;
}

std::uint64_t BpfObjects::lost_ring() const {
  return typed_ ? *const_cast<volatile __u64*>(&typed_->bss->lost_ring)
                : *const_cast<volatile __u64*>(&classic_->bss->lost_ring);
}

std::uint64_t BpfObjects::lost_other() const {
  return typed_ ? *const_cast<volatile __u64*>(&typed_->data_shared->lost_other)
                : *const_cast<volatile __u64*>(&classic_->data_shared->lost_other);
}

std::uint64_t BpfObjects::recovered() const {
  return typed_ ? *const_cast<volatile __u64*>(&typed_->bss->recovered)
                : *const_cast<volatile __u64*>(&classic_->bss->recovered);
}

}  // namespace tcptrail
