// SPDX-License-Identifier: BSD-2-Clause
// The help texts, see help.h.
#include "cli/help.h"

#include "cli/version.h"

namespace tcptrail {
namespace {

constexpr const char* kCommands =
    R"(Usage: tcptrail [COMMAND] [FLAGS] [-- CMD ARGS...]

Shows each TCP connection of this machine: who owns it, how it lived, and which
side closed it first.

Commands:
  life      one line per finished connection (the default)
  trace     one line per state transition, and when TIME_WAIT begins and ends
  ports     which ports are blocked now, by whom, until when, and what helps
  explain   each finished connection as a narrative: who, when, why, what helps
  stats     a summary: who closes first, time in each state, TIME_WAIT, failures
  record    write everything to a file: tcptrail record -o FILE
  replay    show it again, as life, trace, ports, explain or stats
  doctor    what this machine supports, what is off and why, how to fix it
  schema    the JSON schema of --json
  completion bash|zsh|fish: a script for the shell
)";

constexpr const char* kShortFlags = R"(
Flags used most:
  -p PID[,PID]      only these processes        -L PORTS  only these local ports
  --comm GLOB       only processes so named     -D PORTS  ... remote ports
  --netns NAME      only this namespace         -4, -6    only IPv4, only IPv6
  --closed-by SIDE  local, remote, both, none   --errors  only what ended badly
  --json            JSON Lines                  -T, -t    local time; seconds
  -s                CSV                         -w        wide: room for IPv6
  --columns LIST    which columns               -o FILE   write to FILE
  --for DURATION    stop after it, e.g. 10s     -v        say more
  -- CMD ARGS       run CMD; trace only it and its children

Examples:
  tcptrail -L 443                  connections to our port 443
  tcptrail trace -- curl example.org
  tcptrail --json | jq 'select(.closer == "remote")'

All flags: tcptrail --help
)";

constexpr const char* kFullFlags = R"(
Filters (what is filtered out in the kernel costs next to nothing):
  -p, --pid PID[,PID]        owner of the socket
  --comm GLOB                name of the owner, e.g. 'nginx*'
  -L, --lport PORTS          local port: 80,443,8000-8099 (also --localport)
  -D, --rport PORTS          remote port (also --remoteport)
  -4, --ipv4                 only IPv4, v4-mapped included
  -6, --ipv6                 only IPv6
  --laddr CIDR[,CIDR]        local address or prefix
  --raddr CIDR[,CIDR]        remote address or prefix
  --netns NAME|PATH|INUM|PID network namespace; default: all of them
  --cgroup PATH              cgroup v2
  --uid UID                  user id of the socket
  --closed-by SIDE           local, remote, both, none, unknown: whose FIN or RST went out first
  --how KIND[,KIND]          fin rst-sent rst-received refused timeout unreachable no-port aborted half-open unknown
  --min-ms N                 connections that lasted at least N milliseconds
  --errors                   only connections that ended badly: any --how but fin, or an errno
  -- CMD ARGS                run CMD and trace only it and its children; its exit status is ours

Ports (a look, nothing is traced; the caller's network namespace unless --netns says otherwise):
  ports --watch [DURATION]   look again every second (or DURATION), and trace: owners of TIME_WAIT,
                             rates, when no port will be left, connections that nobody closes
  ports --bind ADDR:PORT     would bind() and listen() succeed now? [::]:80, *:80, 127.0.0.1:80, :80
      --v6only               ... with IPV6_V6ONLY
      --uid UID              ... for this user
  ports --connect ADDR:PORT  how many ports are left to that destination?
      --from ADDR            ... from this address

Stats:
  stats --interval DURATION  a report for each interval instead of one at the end; with --json a stream of rollups
  stats --diagram [text|dot] the TCP state diagram with the counts of this run on its edges

Recordings (a file of one run, to look at later and elsewhere, without privilege):
  record -o FILE [-- CMD]    until a signal, --for, or the end of CMD
  --record FILE              show life or trace, and record it too
      --max-size SIZE        stop when FILE is nearly so large: 500M, 1G
      --rotate N             ... begin anew instead, and keep N older files: FILE.1 (the newest) to FILE.N
      --force                replace an existing FILE
  replay FILE [VIEW]         VIEW is life (the default), trace, ports, explain or stats; FILE - is stdin
      --at TIME              ports: the look at that moment: 10s after the beginning, or 2026-08-01T12:34:56Z

Output:
  --json                     JSON Lines; `tcptrail schema` describes them
  -s, --csv                  CSV with a header line (RFC 4180)
  --events LIST              record types: transition, connection, time_wait, blocked, all
  --columns LIST             PID,CLOSER = exactly these; +UID,RTT_US = the usual ones and these
  -T, --time                 column with local time
  -t, --timestamp            column with seconds since start
  -w, --wide                 room for IPv6 addresses, no column dropped on a narrow terminal
  --color WHEN               auto (default; NO_COLOR is respected), always, never
  --label KEY=VALUE          put at the end of every record; repeatable
  -o, --output FILE          write to FILE (mode 0600); reopened on SIGHUP

Run:
  --for DURATION             stop after 500ms, 10s, 2m, 1h; a bare number is seconds
  --count N                  stop after N records
  --ring-size SIZE           event buffer, a power of two from 64K to 1G; raise it if events are lost
  --max-connections N        connections followed at a time, 1000 to 16777216 (default 1048576)
  --fail-on-loss             exit with 3 if any event was lost
  --no-snapshot              do not look at the connections that exist at the start
  --deny-feature NAME[,NAME] act as if this machine lacked it; `tcptrail doctor` lists the names
  -v, --verbose              say more on stderr

  -h                         the short help
  --help                     this text
  --version                  version

Exit codes: 0 done; 1 the machine refused, or the output could not be written; 2 usage;
3 data was lost (with --fail-on-loss).
)";

}  // namespace

std::string short_help() { return std::string(kCommands) + kShortFlags; }
std::string full_help() { return std::string(kCommands) + kFullFlags; }
std::string version_text() { return "tcptrail " TCPTRAIL_VERSION "\n"; }

}  // namespace tcptrail
