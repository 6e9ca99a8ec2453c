// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/session.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

#include "kernel/bpf_objects.h"
#include "kernel/machine.h"
#include "kernel/netns.h"
#include "kernel/wait_any.h"

namespace tcptrail {

Session::Session() = default;

Session::~Session() { detach(); }

Result<std::unique_ptr<Session>> Session::start(const Plan& plan, const SessionOptions& options) {
  auto objects = BpfObjects::load(plan, options);
  if (!objects) return objects.error();
  std::unique_ptr<Session> session(new Session);
  session->objects_ = std::move(*objects);
  session->snapshot_ = plan.snapshot;
  session->holders_ = plan.holders;
  session->netns_wanted_ = options.filters.netns;

  const std::vector<int> ring_fds = session->objects_->ring_fds();
  auto ring =
      RingSource::open(ring_fds, session->objects_->ring_bytes(), session->objects_->sleeping());
  if (!ring) return ring.error();
  session->ring_ = std::make_unique<RingSource>(std::move(*ring));
  session->bell_ = wait_any(ring_fds);
  if (!session->bell_)
    return Error{"cannot wait for the ring buffer", std::strerror(errno),
                 "raise the limit of open files: ulimit -n 1024"};

  auto attached = session->objects_->attach(plan);
  if (!attached) return attached.error();
  session->links_ = std::move(attached->links);
  session->warnings_ = std::move(attached->warnings);
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

int Session::program_fd() const { return bpf_program__fd(objects_->program("set_state")); }

std::uint64_t Session::lost_ring() const { return objects_->lost_ring(); }

std::uint64_t Session::lost_other() const { return objects_->lost_other(); }

std::uint64_t Session::lost_nested(std::uint64_t duplicates) const {
  bpf_prog_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(bpf_program__fd(objects_->program("set_state")), &info, &size) != 0)
    return lost_nested_;
  const std::uint64_t recovered = objects_->recovered();
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
  return !holders_ || !objects_->holds_socket(netns, [this] {
    return read_to_end(create_iterator(objects_->program("seen_holders")), [] {});
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
  objects_->prepare_snapshot(request.minisockets_only, 0);
  for (std::size_t i = 0; i < namespaces.size(); ++i) {
    const NetNamespace netns = namespaces[i];
    Fd sockets;
    in_net_namespace(netns, [&] { sockets = create_iterator(objects_->program("seen_sockets")); });
    if (read_to_end(sockets, drain)) {
      scope.netns_read.push_back(netns.inode);
    } else if (inode_of(netns.path) == netns.inode) {
      scope.netns_refused.push_back(netns.inode);
    } else if (!wanted.empty()) {
      // The process has gone whose namespace it was; perhaps it was not the only one.
      for (NetNamespace& again : find_namespaces({netns.inode}, scope))
        namespaces.push_back(std::move(again));
      objects_->prepare_snapshot(request.minisockets_only, 0);
    }
  }
  if (holders_ && !request.minisockets_only) {
    objects_->prepare_snapshot(false, request.netns.size() == 1 ? request.netns.front() : 0);
    read_to_end(create_iterator(objects_->program("seen_holders")), drain);
  }
  ring().drain_all(drain);  // what is read later would be missing
  for (auto* list : {&scope.netns_read, &scope.netns_refused, &scope.netns_gone})
    std::sort(list->begin(), list->end());
  return scope;
}

}  // namespace tcptrail
