// SPDX-License-Identifier: BSD-2-Clause
#include "ports/port_answers.h"

#include <algorithm>

namespace tcptrail {
namespace {

// The end that is furthest away first: no timer, then the latest.
bool stays_longer(const PortSocket* a, const PortSocket* b) {
  const auto rank = [](const PortSocket* s) { return s->minisocket ? s->expires_ns : UINT64_MAX; };
  if (rank(a) != rank(b)) return rank(a) > rank(b);
  return (a->state == TcpState::kListen) > (b->state == TcpState::kListen);
}

}  // namespace

std::vector<BlockerRecord> blocker_records(const PortSnapshot& snapshot,
                                           std::vector<const PortSocket*> sockets,
                                           std::uint64_t now_ns) {
  const std::size_t shown = std::min(sockets.size(), kMaxBlockers);
  std::partial_sort(sockets.begin(), sockets.begin() + static_cast<std::ptrdiff_t>(shown),
                    sockets.end(), stays_longer);
  sockets.resize(shown);
  std::vector<BlockerRecord> records;
  records.reserve(shown);
  for (const PortSocket* s : sockets) {
    BlockerRecord record;
    record.state = s->state;
    record.cookie = s->cookie;
    record.tuple = s->tuple;
    record.reuseaddr = s->reuseaddr;
    record.reuseport = s->reuseport;
    record.orphan = s->orphan;
    record.expires_in_ms = expires_in_ms(*s, now_ns);
    if (const auto holders = snapshot.holders(s->cookie); !holders.empty()) {
      record.owner = holders.front();
      record.owner_alive = true;
    } else if (const PortOwner past = snapshot.past_owner(*s); past.process.pid != 0) {
      record.owner = past.process;
      record.owner_alive = past.alive;
    }
    records.push_back(record);
  }
  return records;
}

std::optional<IdlePeer> peer_that_stays(const PortSnapshot& snapshot,
                                        std::span<const PortSocket* const> blockers,
                                        std::uint64_t now_ns) {
  std::size_t looked = 0;
  for (const PortSocket* s : blockers) {
    if (s->state != TcpState::kFinWait2) continue;
    if (++looked > kMaxBlockers) break;
    const Tuple other = s->tuple.reversed();
    for (const PortSocket& peer : snapshot.table().on_port(other.lport)) {
      if (peer.state != TcpState::kCloseWait || peer.tuple != other) continue;
      const auto holders = snapshot.holders(peer.cookie);
      if (holders.empty()) continue;
      IdlePeer idle{holders.front(), std::nullopt};
      if (const auto since = snapshot.in_state_since(peer.cookie); since && *since <= now_ns)
        idle.for_ns = now_ns - *since;
      return idle;
    }
  }
  return std::nullopt;
}

PortRecord answer_bind(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                       const BindQuestion& question, std::uint64_t now_ns) {
  const PortTable& table = snapshot.table();
  PortRecord record;
  record.boot_ns = now_ns;
  record.netns = snapshot.netns();
  record.lport = question.port;
  // `::ffff:a.b.c.d` of an AF_INET6 socket keeps its form.
  record.family = question.address.inet6 ? Family::kIpv6 : Family::kIpv4;
  if (question.address.inet6)
    record.laddr.bytes = question.address.bytes;
  else
    std::copy(question.address.bytes.begin() + 12, question.address.bytes.end(),
              record.laddr.bytes.begin());

  const BindRefusal refused = refusal(question, sysctls);
  if (refused == BindRefusal::kNone) {
    record.bind_plain = bind_succeeds(table, sysctls, question, BindOptions::kPlain);
    record.bind_reuseaddr = bind_succeeds(table, sysctls, question, BindOptions::kReuseAddr);
    record.bind_reuseport = bind_succeeds(table, sysctls, question, BindOptions::kReusePort);
  }
  std::vector<const PortSocket*> blockers;
  if (refused == BindRefusal::kNone && question.port != 0)
    blockers = bind_blockers(table, question, BindOptions::kPlain);
  record.states = states_of(blockers);
  record.blocker_count = blockers.size();
  if (record.bind_plain)
    record.free_in_ms = 0;
  else if (!blockers.empty())
    record.free_in_ms = all_gone_in_ms(blockers, now_ns);
  record.owners = owners_of(snapshot, blockers);
  if (!record.bind_plain) {
    BindCase c;
    c.question = question;
    c.refusal = refused;
    c.reuseaddr_ok = record.bind_reuseaddr;
    c.reuseport_ok = record.bind_reuseport;
    if (const auto v6only = with_v6only(question))
      c.v6only_ok = refused == BindRefusal::kNone &&
                    bind_succeeds(table, sysctls, *v6only, BindOptions::kPlain);
    c.blockers = blockers;
    c.client_port = table.is_client_port(question.port);
    c.free_in_ms = record.free_in_ms;
    c.peer_that_stays = peer_that_stays(snapshot, blockers, now_ns);
    c.holders = [&](std::uint64_t cookie) { return snapshot.holders(cookie); };
    record.remedies = bind_remedies(c, sysctls);
  }
  record.blockers = blocker_records(snapshot, std::move(blockers), now_ns);
  return record;
}

DestinationRecord destination_record(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                                     const Tuple& tuple, const ConnectAnswer& answer,
                                     std::uint64_t now_ns) {
  DestinationRecord record;
  record.boot_ns = now_ns;
  record.netns = snapshot.netns();
  record.tuple = tuple;
  record.tuple.lport = 0;
  record.connect = answer.ok;
  record.used = answer.used;
  record.time_wait = answer.time_wait;
  record.available = answer.available;
  record.range_low = sysctls.range_low;
  record.range_high = sysctls.range_high;
  record.reserved = reserved_in_range(sysctls);
  record.free_in_ms = answer.free_in_ms;
  const unsigned range = sysctls.range_high - sysctls.range_low + 1;
  if (!answer.ok || answer.available < range / 5) {
    const ConnectCase c{.question = {record.tuple},
                        .answer = answer,
                        .now_ns = now_ns,
                        .holders = [&](std::uint64_t cookie) { return snapshot.holders(cookie); }};
    record.remedies = connect_remedies(c, sysctls);
  }
  return record;
}

DestinationRecord answer_connect(const PortSnapshot& snapshot, const PortSysctls& sysctls,
                                 const ConnectQuestion& question, std::uint64_t now_ns) {
  const ConnectAnswer answer = connect_answer(snapshot.table(), sysctls, question, now_ns);
  DestinationRecord record = destination_record(snapshot, sysctls, question.tuple, answer, now_ns);
  record.owners = owners_of(snapshot, answer.blockers);
  return record;
}

}  // namespace tcptrail
