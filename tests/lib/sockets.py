# SPDX-License-Identifier: BSD-2-Clause
"""TCP sockets of the test itself, in the network namespace of the calling thread, each brought into a state on purpose."""

import socket
import struct

from harness import PATIENCE, wait_for
from privilege import As

IP_BIND_ADDRESS_NO_PORT = 24
SO_COOKIE = 57
TCP_FIN_WAIT2 = 5
TCP_CLOSE = 7
TCP_CLOSE_WAIT = 8
LINGER_0 = struct.pack("ii", 1, 0)  # close() sends a RST


def fresh(address, reuseaddr=False, reuseport=False, v6only=False, uid=0):
    with As(uid):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuseaddr))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(reuseport))
    if ":" in address:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
    sock.settimeout(PATIENCE)
    return sock


def accepted(listener):
    """The connection of a client whose connect() has returned. The last ACK of its handshake may still be on its way:
    a busy CPU handles it later, in ksoftirqd."""
    listener.settimeout(PATIENCE)
    child = listener.accept()[0]
    child.settimeout(PATIENCE)
    return child


def state_of(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def reach(state, sock):
    wait_for(lambda: state_of(sock) == state, f"state {state}, not {state_of(sock)}")


def to_time_wait(first, second):
    """Closes both, the first one first. Its socket ends when the other's FIN has come; then TIME_WAIT is there."""
    first.shutdown(socket.SHUT_WR)
    reach(TCP_FIN_WAIT2, first)
    second.close()
    reach(TCP_CLOSE, first)
    first.close()


def cookie_of(sock):
    return f"{struct.unpack('Q', sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]:x}"


def sysctl(name, value):
    """Sets net.ipv4.NAME where the calling thread is."""
    with open(f"/proc/sys/net/ipv4/{name}", "w") as file:
        file.write(str(value))
