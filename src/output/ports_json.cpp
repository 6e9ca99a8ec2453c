// SPDX-License-Identifier: BSD-2-Clause
#include "output/ports_json.h"

#include <fmt/format.h>

#include "output/fast_format.h"
#include "output/json_values.h"

namespace tcptrail {

using namespace json_value;

namespace {

constexpr std::size_t kFixedRoom = 1024;
constexpr std::size_t kRoomPerBlocker = 640;
constexpr std::size_t kRoomPerOwner = 192;
constexpr std::size_t kRoomPerState = 48;

char* put_optional_bool(char* p, const std::optional<bool>& value) {
  return value ? put_bool(p, *value) : put_null(p);
}

char* put_endpoint(char* p, const Address& address, Family family) {
  *p++ = '"';
  p = format_address(p, address, family);
  *p++ = '"';
  return p;
}

char* put_blocker(char* p, const BlockerRecord& b) {
  p = put_state(put::literal(p, R"({"state":)"), b.state);
  p = put_cookie(put::literal(p, R"(,"cookie":)"), b.cookie);
  p = put_endpoint(put::literal(p, R"(,"laddr":)"), b.tuple.laddr, b.tuple.family);
  p = put_non_zero(put::literal(p, R"(,"lport":)"), b.tuple.lport);
  p = put_endpoint(put::literal(p, R"(,"raddr":)"), b.tuple.raddr, b.tuple.family);
  p = put_non_zero(put::literal(p, R"(,"rport":)"), b.tuple.rport);
  p = put_non_zero(put::literal(p, R"(,"pid":)"), b.owner.pid);
  p = put_comm(put::literal(p, R"(,"comm":)"), b.owner);
  p = put_optional_bool(put::literal(p, R"(,"owner_alive":)"), b.owner_alive);
  p = put_optional_bool(put::literal(p, R"(,"reuseaddr":)"), b.reuseaddr);
  p = put_optional_bool(put::literal(p, R"(,"reuseport":)"), b.reuseport);
  p = put_optional(put::literal(p, R"(,"expires_in_ms":)"), b.expires_in_ms);
  *p++ = '}';
  return p;
}

char* put_owners(char* p, const std::vector<PortOwner>& owners) {
  p = put::literal(p, R"(,"owners":[)");
  for (const PortOwner& owner : owners) {
    p = put_non_zero(put::literal(p, R"({"pid":)"), owner.process.pid);
    p = put_comm(put::literal(p, R"(,"comm":)"), owner.process);
    p = put_optional_bool(put::literal(p, R"(,"alive":)"), owner.alive);
    p = put::number(put::literal(p, R"(,"count":)"), owner.count);
    p = put::literal(p, "},");
  }
  if (!owners.empty()) --p;
  *p++ = ']';
  return p;
}

char* put_blockers(char* p, const std::vector<BlockerRecord>& blockers, std::uint64_t count) {
  p = put::literal(p, R"(,"blockers":[)");
  for (const BlockerRecord& blocker : blockers) {
    p = put_blocker(p, blocker);
    *p++ = ',';
  }
  if (!blockers.empty()) --p;
  return put::number(put::literal(p, R"(],"blocker_count":)"), count);
}

char* put_remedies(char* p, const std::vector<std::string>& remedies) {
  p = put::literal(p, R"(,"remedies":[)");
  for (const std::string& remedy : remedies) {
    p = put_text(p, remedy);
    *p++ = ',';
  }
  if (!remedies.empty()) --p;
  *p++ = ']';
  return p;
}

char* put_number(char* p, const std::optional<double>& value) {
  return value ? fmt::format_to(p, "{:.3f}", *value) : put_null(p);
}

char* put_verdict(char* p, bool ok) {
  return ok ? put::literal(p, R"("ok")") : put::literal(p, R"("blocked")");
}

}  // namespace

void PortsJson::put(const PortRecord& r) {
  std::size_t room = kFixedRoom + tail_.size() + r.blockers.size() * kRoomPerBlocker +
                     r.owners.size() * kRoomPerOwner + r.states.size() * kRoomPerState;
  for (const std::string& remedy : r.remedies) room += remedy.size() * kJsonEscapeGrowth + 8;
  char* p =
      put_time(put::literal(out_.reserve(room), R"({"type":"port","time":)"), clock_, r.boot_ns);
  p = put::number(put::literal(p, R"(,"boot_ns":)"), r.boot_ns);
  p = put_endpoint(put::literal(put_netns(p, r.netns), R"(,"laddr":)"), r.laddr, r.family);
  p = put_non_zero(put::literal(p, R"(,"lport":)"), r.lport);
  p = put::literal(p, R"(,"states":{)");
  for (const auto& [state, count] : r.states) {
    p = put::number(put::literal(put_state(p, state), ":"), count);
    *p++ = ',';
  }
  if (!r.states.empty()) --p;
  p = put_verdict(put::literal(p, R"(},"bind_plain":)"), r.bind_plain);
  p = put_verdict(put::literal(p, R"(,"bind_reuseaddr":)"), r.bind_reuseaddr);
  p = put_verdict(put::literal(p, R"(,"bind_reuseport":)"), r.bind_reuseport);
  p = put_blockers(p, r.blockers, r.blocker_count);
  p = put_optional(put::literal(p, R"(,"free_in_ms":)"), r.free_in_ms);
  p = put_remedies(put_owners(p, r.owners), r.remedies);
  out_.commit(put::text(p, tail_));
}

void PortsJson::put(const BlockedRecord& r) {
  std::size_t room = kFixedRoom + tail_.size() + r.blockers.size() * kRoomPerBlocker;
  for (const std::string& remedy : r.remedies) room += remedy.size() * kJsonEscapeGrowth + 8;
  char* p =
      put_time(put::literal(out_.reserve(room), R"({"type":"blocked","time":)"), clock_, r.boot_ns);
  p = put::number(put::literal(p, R"(,"boot_ns":)"), r.boot_ns);
  p = put_word(put::literal(p, R"(,"op":)"), to_string(r.op));
  p = put_errno(put::literal(p, R"(,"error":)"), r.error);
  p = put_non_zero(put::literal(p, R"(,"pid":)"), r.caller.pid);
  p = put_comm(put::literal(p, R"(,"comm":)"), r.caller);
  p = put_tuple(put_netns(p, r.netns), r.tuple);
  p = put_blockers(p, r.blockers, r.blocker_count);
  p = put_optional(put::literal(p, R"(,"free_in_ms":)"), r.free_in_ms);
  p = put_remedies(p, r.remedies);
  p = put::number(put::literal(p, R"(,"count":)"), r.count);
  out_.commit(put::text(p, tail_));
}

void PortsJson::put(const LeakRecord& r) {
  const std::size_t room = kFixedRoom + tail_.size() + r.remedy.size() * kJsonEscapeGrowth;
  char* p =
      put_time(put::literal(out_.reserve(room), R"({"type":"leak","time":)"), clock_, r.boot_ns);
  p = put::number(put::literal(p, R"(,"boot_ns":)"), r.boot_ns);
  p = put_state(put::literal(put_netns(p, r.netns), R"(,"state":)"), r.state);
  p = put_bool(put::literal(p, R"(,"queue":)"), r.queue);
  p = put_non_zero(put::literal(p, R"(,"pid":)"), r.owner.pid);
  p = put_comm(put::literal(p, R"(,"comm":)"), r.owner);
  p = put_optional_bool(put::literal(p, R"(,"alive":)"), r.alive);
  p = put::number(put::literal(p, R"(,"count":)"), r.count);
  p = put_optional_us(put::literal(p, R"(,"oldest_us":)"), r.oldest_ns);
  p = put_number(put::literal(p, R"(,"growth_per_s":)"), r.growth_per_s);
  p = put_text(put::literal(p, R"(,"remedy":)"), r.remedy);
  out_.commit(put::text(p, tail_));
}

void PortsJson::put(const DestinationRecord& r) {
  const std::size_t room = kFixedRoom + tail_.size() + r.owners.size() * kRoomPerOwner;
  char* p = put_time(put::literal(out_.reserve(room), R"({"type":"destination","time":)"), clock_,
                     r.boot_ns);
  p = put::number(put::literal(p, R"(,"boot_ns":)"), r.boot_ns);
  p = put_endpoint(put::literal(put_netns(p, r.netns), R"(,"laddr":)"), r.tuple.laddr,
                   r.tuple.family);
  p = put_endpoint(put::literal(p, R"(,"raddr":)"), r.tuple.raddr, r.tuple.family);
  p = put_non_zero(put::literal(p, R"(,"rport":)"), r.tuple.rport);
  p = put_verdict(put::literal(p, R"(,"connect":)"), r.connect);
  p = put::number(put::literal(p, R"(,"used":)"), r.used);
  p = put::number(put::literal(p, R"(,"time_wait":)"), r.time_wait);
  p = put::number(put::literal(p, R"(,"available":)"), r.available);
  p = put::number(put::literal(p, R"(,"range":[)"), r.range_low);
  p = put::number(put::literal(p, ","), r.range_high);
  p = put::number(put::literal(p, R"(],"reserved":)"), r.reserved);
  p = put_number(put::literal(p, R"(,"rate_per_s":)"), r.rate_per_s);
  p = put_number(put::literal(p, R"(,"exhausted_in_s":)"), r.exhausted_in_s);
  p = put_optional(put::literal(p, R"(,"free_in_ms":)"), r.free_in_ms);
  out_.commit(put::text(put_owners(p, r.owners), tail_));
}

}  // namespace tcptrail
