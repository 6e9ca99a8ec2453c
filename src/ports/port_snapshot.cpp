// SPDX-License-Identifier: BSD-2-Clause
#include "ports/port_snapshot.h"

#include <algorithm>
#include <map>

namespace tcptrail {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;

// The kernel sends the low half only.
std::uint64_t portless_us(const tcptrail_owned_record& r) {
  const std::uint64_t seen_us = r.base.ts_boot_ns / 1000;
  const auto age_us = static_cast<std::uint32_t>(seen_us) - r.portless_us;
  return r.portless_us != 0 ? seen_us - std::min<std::uint64_t>(seen_us, age_us) : 0;
}

PortSocket socket_of(const tcptrail_owned_record& r) {
  PortSocket s;
  s.cookie = r.base.cookie;
  s.seen_ns = r.base.ts_boot_ns;
  s.tuple = tuple_of(r.base);
  s.bound = bound_address(s.tuple.laddr, s.tuple.family, (r.base.flags & TCPTRAIL_F_INET6) != 0,
                          (r.bind & TCPTRAIL_BIND_V6ONLY) != 0);
  s.uid = r.uid;
  s.bound_dev_if = r.bound_dev_if;
  s.reuseaddr = r.reuseaddr != 0;
  s.reuseport = r.reuseport != 0;
  s.port_lock = (r.bind & TCPTRAIL_BIND_PORT_LOCK) != 0;
  s.state = TcpState{r.base.new_state};
  if (s.state == TcpState::kClose) s.state = TcpState::kBound;
  // Without a descriptor ESTABLISHED and CLOSE_WAIT are in a listener's queue.
  const bool closing = s.state == TcpState::kFinWait1 || s.state == TcpState::kFinWait2 ||
                       s.state == TcpState::kClosing || s.state == TcpState::kLastAck;
  s.orphan = closing && r.has_socket == 0;
  s.queued =
      r.has_socket == 0 && (s.state == TcpState::kEstablished || s.state == TcpState::kCloseWait);
  const unsigned phase = r.tw & TCPTRAIL_TW_PHASE;
  if (s.state == TcpState::kTimeWait && phase != TCPTRAIL_TW_NONE) {
    s.minisocket = true;
    if (phase == TCPTRAIL_TW_FIN_WAIT2) s.state = TcpState::kFinWait2;
    s.expires_ns = s.seen_ns + r.expires_ms * kNsPerMs;
    s.step_ms = r.step_ms;
    s.timestamps = (r.bind & TCPTRAIL_BIND_TIMESTAMPS) != 0;
    s.reuse_since_ns = s.seen_ns - std::min<std::uint64_t>(s.seen_ns, r.reuse_age_ms * kNsPerMs);
  } else {
    s.portless_us = portless_us(r);
  }
  return s;
}

}  // namespace

void PortSnapshot::clear() {
  table_.clear();
  holders_.clear();
}

void PortSnapshot::apply(const Event& event, const std::optional<Process>& closed_by) {
  if (event.base.netns != netns_) return;  // at the same place in both kinds
  if (event.kind() == TCPTRAIL_SEEN_HOLDER) {
    std::vector<Process>& known = holders_[event.holder.cookie];
    const Process process{event.holder.pid, comm_of(event.holder.comm)};
    const auto same = [&](const Process& p) { return p.pid == process.pid; };
    if (process.pid != 0 && std::none_of(known.begin(), known.end(), same))
      known.push_back(process);
    return;
  }
  if (event.kind() != TCPTRAIL_SEEN_SOCKET || event.base.lport == 0) return;
  const tcptrail_owned_record& r = event.owned;
  PortSocket socket = socket_of(r);
  socket.closed_by = closed_by;
  table_.add(socket);
  if ((r.bind & TCPTRAIL_BIND_BUCKET) == 0) return;
  PortBucket bucket;
  bucket.fastreuse = r.fastreuse;
  bucket.fastreuseport = r.fastreuseport;
  bucket.fastuid = r.fastuid;
  std::copy(std::begin(r.fast_addr), std::end(r.fast_addr), bucket.fast.bytes.begin());
  bucket.fast.inet6 = (r.bind & TCPTRAIL_BIND_FAST_INET6) != 0;
  bucket.fast.v6only = (r.bind & TCPTRAIL_BIND_FAST_V6ONLY) != 0;
  table_.set_bucket(r.base.lport, bucket);
}

std::span<const Process> PortSnapshot::holders(std::uint64_t cookie) const {
  const auto found = holders_.find(cookie);
  if (cookie == 0 || found == holders_.end()) return {};
  return found->second;
}

std::vector<PortOwner> owners_of(const PortSnapshot& snapshot,
                                 std::span<const PortSocket* const> sockets) {
  std::map<std::uint32_t, PortOwner> by_pid;
  const auto count = [&](const Process& process, std::optional<bool> alive) {
    PortOwner& owner = by_pid[process.pid];
    owner.process = process;
    owner.alive = alive;
    ++owner.count;
  };
  for (const PortSocket* s : sockets) {
    const auto holders = snapshot.holders(s->cookie);
    for (const Process& process : holders) count(process, true);
    if (!holders.empty()) continue;
    if (const PortOwner past = snapshot.past_owner(*s); past.process.pid != 0)
      count(past.process, past.alive);
  }
  std::vector<PortOwner> owners;
  owners.reserve(by_pid.size());
  for (auto& [pid, owner] : by_pid) owners.push_back(owner);
  std::stable_sort(owners.begin(), owners.end(),
                   [](const PortOwner& a, const PortOwner& b) { return a.count > b.count; });
  return owners;
}

}  // namespace tcptrail
