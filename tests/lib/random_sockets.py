# SPDX-License-Identifier: BSD-2-Clause
"""Random sockets on one port, in every state that can keep a bind() from it."""

import errno
import socket

from privilege import NOBODY
from sockets import LINGER_0, TCP_CLOSE_WAIT, TCP_FIN_WAIT2, accepted, fresh, reach, to_time_wait

V4 = ["127.0.0.1", "127.0.0.2", "0.0.0.0"]
V6 = ["::1", "::", "::ffff:127.0.0.1", "fd00::1"]
KINDS = ["LISTEN", "BOUND", "ESTABLISHED", "TIME_WAIT", "FIN_WAIT2", "FIN_WAIT2 minisocket", "CLOSE_WAIT"]


def target_of(address, rng):
    """Where a client reaches a listener that is bound to the address."""
    if address == "0.0.0.0":
        return rng.choice(["127.0.0.1", "127.0.0.2"])
    if address == "::":
        return rng.choice(["::1", "fd00::1", "::ffff:127.0.0.1"])
    return address


REFUSED = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.ECONNREFUSED)


QUEUED_S = 0.1  # until then it is in the queue of this listener, or the combination goes without it


class Sockets:
    """The sockets of one combination, all on one port; closed with a RST at the end."""

    def __init__(self, rng, port):
        self.rng, self.port, self.open, self.made, self.refused = rng, port, [], [], 0
        self.no_port = 0  # of the refused calls

    def keep(self, *socks):
        self.open.extend(socks)

    def add(self):
        rng = self.rng
        kind = rng.choice(KINDS)
        address = rng.choice(V4 + V6)
        options = {"reuseaddr": rng.random() < 0.5, "reuseport": rng.random() < 0.4, "uid": rng.choice([0, 0, NOBODY])}
        if address == "::":
            options["v6only"] = rng.random() < 0.3
        as_client = kind not in ("LISTEN", "BOUND") and rng.random() < 0.3
        sock = fresh(address, **options)
        self.keep(sock)
        try:
            sock.bind((address, self.port))
            if as_client:
                self._connect(sock, address, kind)
            elif kind != "BOUND":
                sock.listen()
                if kind != "LISTEN":
                    self._accept(sock, address, options.get("v6only"), kind)
        except OSError as error:
            # Taken; an IPv6-only client has no way to IPv4; another listener of the port was chosen.
            if not isinstance(error, TimeoutError) and error.errno not in REFUSED:
                raise
            self.refused += 1
            self.no_port += error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
            return
        flags = "".join(letter for letter, name in (("R", "reuseaddr"), ("P", "reuseport")) if options[name])
        self.made.append(f"{kind} {address}{' v6only' if options.get('v6only') else ''} {flags or '-'} uid {options['uid']}{' client' if as_client else ''}")

    def _connect(self, sock, address, kind):
        """The socket itself is a client that has bound the port."""
        to = target_of(address, self.rng)
        listener = fresh(to)
        self.keep(listener)
        listener.bind((to, 0))
        listener.listen()
        sock.connect((to, listener.getsockname()[1]))
        peer = accepted(listener)
        listener.close()
        self._end(sock, peer, kind)

    def _accept(self, listener, address, v6only, kind):
        to = "::1" if v6only else target_of(address, self.rng)
        client = fresh(to)
        self.keep(client)
        client.connect((to, self.port))
        child = self._queued(listener)
        if self.rng.random() < 0.2:  # what counts is the socket's own option, not what the listener had
            child.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, self.rng.randrange(2))
        if self.rng.random() < 0.8:
            listener.close()
        self._end(child, client, kind)

    @staticmethod
    def _queued(listener):
        """As accepted(); TimeoutError when another listener of the port has got it."""
        listener.settimeout(QUEUED_S)
        return listener.accept()[0]

    def _end(self, ours, theirs, kind):
        self.keep(ours, theirs)
        if kind == "CLOSE_WAIT":
            theirs.shutdown(socket.SHUT_WR)
            reach(TCP_CLOSE_WAIT, ours)
        elif kind != "ESTABLISHED":
            if kind == "TIME_WAIT":
                to_time_wait(ours, theirs)
                return
            ours.shutdown(socket.SHUT_WR)
            reach(TCP_FIN_WAIT2, ours)
            if kind == "FIN_WAIT2 minisocket":
                ours.close()

    def close(self):
        for sock in self.open:
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
                sock.close()
