// SPDX-License-Identifier: BSD-2-Clause
#include "tcp/event.h"

#include <cstring>

namespace tcptrail {
namespace {

constexpr std::size_t kKindOffset = offsetof(tcptrail_record, kind);

}  // namespace

std::size_t size_of_kind(std::uint8_t kind) {
  switch (kind) {
    case TCPTRAIL_TRANSITION:
    case TCPTRAIL_RESET_SENT:
    case TCPTRAIL_RESET_RECEIVED:
    case TCPTRAIL_ACCEPT:
    case TCPTRAIL_SEEN_HOLDER:
    case TCPTRAIL_DESTROY:
    case TCPTRAIL_SEEN_TIMEWAIT:
    case TCPTRAIL_TIMEWAIT_END:
      return sizeof(tcptrail_record);
    case TCPTRAIL_TRANSITION_OWNED:
    case TCPTRAIL_TRANSITION_END:
    case TCPTRAIL_SEEN_SOCKET:
    case TCPTRAIL_REFUSED:
      return sizeof(tcptrail_owned_record);
    default:
      return 0;
  }
}

bool decode(std::span<const std::byte> bytes, Event& event) {
  if (bytes.size() < sizeof(tcptrail_record)) return false;
  const std::size_t size = size_of_kind(std::to_integer<std::uint8_t>(bytes[kKindOffset]));
  if (size == 0 || bytes.size() != size) return false;
  std::memcpy(&event, bytes.data(), size);
  return true;
}

namespace {
template <class Record>
Tuple tuple_in(const Record& record) {
  Tuple tuple;
  std::memcpy(tuple.laddr.bytes.data(), record.laddr, sizeof record.laddr);
  std::memcpy(tuple.raddr.bytes.data(), record.raddr, sizeof record.raddr);
  tuple.lport = record.lport;
  tuple.rport = record.rport;
  tuple.family = (record.flags & TCPTRAIL_F_IPV4) != 0 ? Family::kIpv4 : Family::kIpv6;
  return tuple;
}
}  // namespace

Tuple tuple_of(const tcptrail_record& record) { return tuple_in(record); }
Tuple tuple_of(const tcptrail_timewait_record& record) { return tuple_in(record); }

Comm comm_of(const char (&bytes)[TCPTRAIL_COMM_LEN]) {
  Comm comm;
  std::memcpy(comm.bytes.data(), bytes, sizeof bytes);
  return comm;
}

Process process_of(const Event& event) {
  Process process{event.base.pid, {}};
  if (event.kind() == TCPTRAIL_TRANSITION_END) process.comm = comm_of(event.end.comm);
  if (event.kind() == TCPTRAIL_TRANSITION_OWNED) process.comm = comm_of(event.owned.comm);
  return process;
}

}  // namespace tcptrail
