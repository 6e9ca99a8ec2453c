# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel itself says of its TCP sockets: sock_diag(7), which is what ss reads, in the network namespace of the
calling thread.

Asking has an effect: a socket without a cookie is given one."""

import collections
import socket
import struct
import subprocess
import time

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, SOCK_DESTROY, NLMSG_ERROR, NLMSG_DONE = 4, 20, 21, 2, 3
NLM_F_REQUEST_ACK, NLM_F_REQUEST_DUMP = 0x5, 0x301
STATES = dict(enumerate("- ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING NEW_SYN_RECV BOUND".split()))
NUMBERS = {name: number for number, name in STATES.items()}
TIMEWAIT_TIMER = 3
ALL = 0x3FFF

# state and tuple as tcptrail prints them; expires_ms of a minisocket (else None), counted from a moment between from_ns
# and at_ns (boot time): this thread may have waited for a CPU before it could look at the clock
Socket = collections.namedtuple("Socket", "cookie state mini family laddr lport raddr rport expires_ms from_ns at_ns uid inode raw_family raw_id")


def tuple_of(one):
    """(laddr, lport, raddr, rport) of a Socket or of a record."""
    if isinstance(one, dict):
        return one["laddr"], one["lport"], one["raddr"], one["rport"]
    return one.laddr, one.lport, one.raddr, one.rport


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def timer_off_ms(one, record, expires_in_ms):
    """How far what a record says is from the kernel's timer of this minisocket."""
    ends = record["boot_ns"] / 1e6 + expires_in_ms
    return max(one.from_ns / 1e6 + one.expires_ms - ends, ends - one.at_ns / 1e6 - one.expires_ms, 0)


def sockets(*states):
    """Every TCP socket that has one of these states (none: all); a minisocket has that of its phase."""
    mask = sum(1 << NUMBERS[state] for state in states) or ALL
    found = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as diag:
        for family in (socket.AF_INET, socket.AF_INET6):
            request = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 0, 0, mask)
            from_ns = boot_ns()
            diag.send(struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0) + request)
            _read(diag, found, from_ns)
    return found


def minisockets():
    """TIME_WAIT and FIN_WAIT2 minisockets, by cookie."""
    return {one.cookie: one for one in sockets("TIME_WAIT", "FIN_WAIT2") if one.mini}


def destroy(one):
    """What ss -K does to the Socket."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as diag:
        request = struct.pack("=BBBBI", one.raw_family, socket.IPPROTO_TCP, 0, 0, ALL) + one.raw_id
        diag.send(struct.pack("=IHHII", 16 + len(request), SOCK_DESTROY, NLM_F_REQUEST_ACK, 1, 0) + request)
        (error,) = struct.unpack("=i", diag.recv(4096)[16:20])
        if error:
            raise OSError(-error, f"SOCK_DESTROY of {one}")


def _read(diag, found, from_ns):
    while True:
        # The kernel fills the first part while it takes the request, and the next one while it hands a part out.
        began_ns = boot_ns()
        data = diag.recv(1 << 18)
        at_ns = boot_ns()
        while data:
            length, kind = struct.unpack("=IH", data[:6])
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                raise OSError(f"sock_diag: {data[16:20].hex()}")
            found.append(_parse(data[16:length], from_ns, at_ns))
            data = data[(length + 3) & ~3 :]
        from_ns = began_ns


def _parse(message, from_ns, at_ns):
    family, state, timer, _, sport, dport = struct.unpack("!BBBBHH", message[:8])
    cookie_low, cookie_high, expires, _, _, uid, inode = struct.unpack("=IIIIIII", message[44:72])
    size = 4 if family == socket.AF_INET else 16
    local, remote = (socket.inet_ntop(family, message[at : at + size]) for at in (8, 24))
    mapped = family == socket.AF_INET6 and remote.startswith("::ffff:") and "." in remote
    if mapped:
        local, remote = local.removeprefix("::ffff:"), remote.removeprefix("::ffff:")
    mini = timer == TIMEWAIT_TIMER
    name = "BOUND" if STATES[state] == "CLOSE" and sport else STATES[state]
    return Socket(
        f"{cookie_high << 32 | cookie_low:x}", name, mini, "ipv4" if family == socket.AF_INET or mapped else "ipv6",
        local, sport, remote, dport, expires if mini else None, from_ns, at_ns, uid, inode, family, message[4:52],
    )


def ss_cookies():
    """The cookies of all minisockets, as the words of `ss -tanoe` have them."""
    lines = subprocess.run(["ss", "-Htanoe", "state", "time-wait", "state", "fin-wait-2"], capture_output=True, text=True, check=True).stdout
    return {line.split(" sk:")[1].split()[0] for line in lines.splitlines() if "timer:(timewait" in line}
