// SPDX-License-Identifier: BSD-2-Clause
#include "run/live_start.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "kernel/cgroup.h"
#include "kernel/diagnose.h"
#include "kernel/netns.h"
#include "kernel/privilege.h"
#include "run/model_options.h"
#include "run/sinks.h"
#include "run/startup.h"
#include "util/message.h"

namespace tcptrail {
namespace {

constexpr std::size_t kDefaultRingBytes = 8U << 20;

}  // namespace

Result<void> resolve_filters(Options& options) {
  for (const std::string& text : options.netns) {
    const Result<std::uint32_t> inode = resolve_netns(text);
    if (!inode) return inode.error();
    options.filters.netns.push_back(*inode);
  }
  // As `ports`: the caller's own, unless others are named.
  if (options.command == Command::kPorts && options.filters.netns.empty())
    options.filters.netns = {own_netns()};
  if (!options.cgroup.empty()) {
    const Result<std::uint64_t> id = Cgroups().id_of(options.cgroup);
    if (!id) return id.error();
    options.filters.cgroup_ids.push_back(*id);
  }
  options.filters.in_tree = !options.child.empty();
  return {};
}

Result<LivePrograms> start_programs(const Options& options, std::uint32_t command_pid) {
  if (const auto obstacle = find_obstacle()) return *obstacle;
  LivePrograms programs{
      .features = probe_features(options.denied_features), .plan = {}, .session = {}};
  const ModelOptions wanted = model_options(options, {});
  const PlanRequest request{.snapshot = !options.no_snapshot,
                            .command_tree = !options.child.empty(),
                            .trace = true,
                            .blocked = wanted.want_blocked,
                            .time_wait = wanted.follow_time_wait};
  programs.plan = make_plan(programs.features, request);
  if (options.watch_ns && !programs.plan.snapshot)
    return Error{"cannot look at the sockets of this machine",
                 programs.features[Feature::kIterTcp].why_off, "`tcptrail doctor` says more"};
  SessionOptions session;
  session.filters = options.filters;
  // Ports are taken by sockets of either side: what is shown is chosen afterwards.
  if (options.watch_ns) {
    session.filters = {};
    session.filters.netns = options.filters.netns;
  }
  session.ring_bytes = static_cast<std::size_t>(options.ring_bytes.value_or(kDefaultRingBytes));
  session.command_pid = command_pid;
  session.verbose = options.verbose > 0;
  Result<std::unique_ptr<Session>> started =
      Session::start(programs.features, programs.plan, request, options.denied_features, session);
  if (!started) return started.error();
  programs.session = std::move(*started);
  for (const std::string& warning : programs.session->warnings())
    print_error(warning_text({warning}));
  for (const std::string& limit : programs.plan.limits)
    print_error(warning_text({limit, "", "`tcptrail doctor` says why"}));
  return programs;
}

ProgramCapabilities capabilities_of(const Plan& plan) {
  return {.snapshots = plan.snapshot,
          .resets_traced = plan.resets,
          .listen_traced = plan.refused_calls,
          .cookie_is_address = !plan.cookie,
          .reset_reasons = plan.reset_reasons};
}

Result<std::unique_ptr<RecordingWriter>> start_recording(const Options& options,
                                                         const LivePrograms& programs,
                                                         const OutFile& out,
                                                         std::uint64_t started_ns,
                                                         std::int64_t clock_offset_ns) {
  RecordingHeader header;
  header.startup = startup_record(options, programs.features, started_ns);
  if (::getrandom(&header.recording_id, sizeof header.recording_id, 0) < 0)
    return Error{std::string("cannot get random bytes: ") + std::strerror(errno)};
  header.part_began_ns = started_ns;
  header.clock_offset_ns = clock_offset_ns;
  header.netns = options.filters.netns;
  header.own_netns = own_netns();
  header.in_tree = options.filters.in_tree;
  header.labels = options.labels;
  header.programs = capabilities_of(programs.plan);
  RecordingTarget target{options.record_path, options.max_bytes, options.rotate, options.force};
  if (options.command != Command::kRecord)  // it shows nothing
    if (const Result<void> apart = keep_apart(out, target); !apart) return apart.error();
  return RecordingWriter::create(std::move(target), std::move(header));
}

void give_up_privileges(const Options& options, const LivePrograms& programs, const OutFile& out) {
  const std::vector<std::uint32_t>& netns = options.filters.netns;
  PrivilegeNeeds needs;
  needs.other_namespaces =
      programs.plan.snapshot && (netns.empty() || netns != std::vector{own_netns()});
  needs.cgroup_names = options.events.connection || !options.record_path.empty();
  needs.bpf_fd = programs.session->program_fd();
  // Opened again after SIGHUP, or renamed when a part is full.
  if (out.is_regular()) needs.output_files.push_back(out.name());
  if (options.rotate != 0) needs.output_files.push_back(options.record_path);
  const auto kept = drop_privileges(needs);
  if (!kept)
    print_error(warning_text({"running with more privilege than needed: " + kept.error().what,
                              kept.error().why, kept.error().fix}));
}

}  // namespace tcptrail
