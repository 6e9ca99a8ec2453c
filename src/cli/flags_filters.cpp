// SPDX-License-Identifier: BSD-2-Clause
// The filters. Their order is that of startup.filters.
#include "cli/flag_rows.h"

namespace tcptrail {
namespace {

template <FamilyFilter Family>
Result<void> set_family(Options& o, const FlagValue&) {
  o.filters.family = Family;
  return {};
}

Result<void> set_netns(Options& o, const FlagValue& v) {
  for (const std::string_view part : split_list(v.text)) o.netns.emplace_back(part);
  return {};
}

constexpr Flag kFilters[] = {
    {.names = "-p, --pid",
     .value = "PID[,PID]",
     .example = "1234",
     .help = "owner of the socket",
     .brief = "only process PID",
     .commands = kSockets,
     .filter = "pid",
     .repeat = Repeat::kList,
     .set = filter<&Filters::pids, parse_pids>},
    {.names = "-L, --lport, --localport",
     .value = "PORTS",
     .example = "80,443",
     .help = "local ports, for example 80,443,8000-8099",
     .brief = "only local PORTS",
     .commands = kSockets,
     .filter = "lport",
     .repeat = Repeat::kList,
     .set = filter<&Filters::lports, parse_ports>},
    {.names = "-D, --rport, --remoteport",
     .value = "PORTS",
     .example = "443",
     .help = "remote ports",
     .brief = "only remote PORTS",
     .commands = kSockets,
     .filter = "rport",
     .repeat = Repeat::kList,
     .set = filter<&Filters::rports, parse_ports>},
    {.names = "--comm",
     .value = "GLOB",
     .example = "'nginx*'",
     .help = "name of the owner, for example 'nginx*'",
     .brief = "only process names",
     .commands = kSockets,
     .filter = "comm",
     .set = [](Options& o, const FlagValue& v) -> Result<void> {
       o.filters.comm_glob = v.text;
       return {};
     }},
    {.names = "--laddr",
     .value = "CIDR[,CIDR]",
     .example = "10.0.0.0/8",
     .help = "local address or prefix",
     .commands = kSockets,
     .filter = "laddr",
     .repeat = Repeat::kList,
     .set = filter<&Filters::laddrs, parse_prefixes>},
    {.names = "--raddr",
     .value = "CIDR[,CIDR]",
     .example = "10.0.0.0/8",
     .help = "remote address or prefix",
     .commands = kSockets,
     .filter = "raddr",
     .repeat = Repeat::kList,
     .set = filter<&Filters::raddrs, parse_prefixes>},
    {.names = "--netns",
     .value = "NAME|PATH|INUM|PID",
     .example = "blue",
     .help = "network namespace; default: all of them, for `ports` the caller's",
     .commands = kSockets,
     .filter = "netns",
     .repeat = Repeat::kList,
     .kind = ValueKind::kNetns,
     .set = set_netns},
    {.names = "--cgroup",
     .value = "PATH",
     .example = "/system.slice/nginx.service",
     .help = "cgroup (version 2), with the groups below it",
     .commands = kConnections,
     .filter = "cgroup",
     .kind = ValueKind::kFile,
     .set = as_given<&Options::cgroup>},
    {.names = "--uid",
     .value = "UID",
     .example = "1000",
     .help = "user id of the socket; with --bind: of the caller",
     .commands = kSockets,
     .filter = "uid",
     // (uid_t)-1 means "no user" to the kernel.
     .set =
         [](Options& o, const FlagValue& v) {
           return put(o.filters.uid, parse_number(v.flag, v.text, 0, 4'294'967'294));
         }},
    {.names = "--closed-by",
     .value = "SIDE",
     .example = "remote",
     .help = "whose FIN or RST went out first",
     .brief = "only closed by SIDE",
     .commands = kConnections,
     .filter = "closed_by",
     .repeat = Repeat::kList,
     .words = closer_words,
     .set = filter<&Filters::closed_by, parse_closers>},
    {.names = "--how",
     .value = "KIND[,KIND]",
     .example = "rst-received",
     .help = "how this end's socket ended",
     .commands = kConnections,
     .filter = "how",
     .repeat = Repeat::kList,
     .words = how_words,
     .set = filter<&Filters::how, parse_hows>},
    {.names = "--min-ms",
     .value = "N",
     .example = "500",
     .help = "connections that lasted at least N milliseconds",
     .commands = kConnections,
     .filter = "min_ms",
     .set = filter<&Filters::min_duration_ns, parse_ms_as_ns>},
    {.names = "-4, --ipv4",
     .help = "only IPv4, v4-mapped included",
     .brief = "only IPv4",
     .commands = kSockets,
     .filter = "family=ipv4",
     .set = set_family<FamilyFilter::kIpv4>},
    {.names = "-6, --ipv6",
     .help = "only IPv6",
     .brief = "only IPv6",
     .commands = kSockets,
     .filter = "family=ipv6",
     .set = set_family<FamilyFilter::kIpv6>},
    {.names = "--errors",
     .help = "only failed or reset connections",
     .brief = "only failed or reset",
     .commands = kConnections,
     .filter = "errors=true",
     .set = [](Options& o, const FlagValue&) -> Result<void> {
       o.filters.errors_only = true;
       return {};
     }},
};

}  // namespace

std::span<const Flag> filter_flags() { return kFilters; }

}  // namespace tcptrail
