# SPDX-License-Identifier: BSD-2-Clause
"""Servers and clients that leave minisockets behind: ledger_programs.py COUNT KEPT.

For IPv4, IPv6 and IPv4 on an AF_INET6 socket a server process and a client process each. They make COUNT connections,
open KEPT more, print "open" and wait for a line on stdin; then they end those, make COUNT more, print "done", and keep
what they hold until stdin ends. Whoever closes first prints a JSON line before it: the tuple, its pid and name, the boot
time, and what it leaves behind: time_wait, or fin_wait2 when the other keeps its end open."""

import ctypes
import itertools
import json
import os
import signal
import socket
import sys
import time

# Who closes first: the server or the client. The other one closes too; after a capital letter it does not.
KINDS = ("s", "c", "S", "c", "s", "C", "s", "c")
_libc = ctypes.CDLL(None)


class Side:
    """One process: everything that it does, in order."""

    def __init__(self, letter, name, next_socket, count, kept, talk):
        self.letter, self.name, self.next_socket, self.talk = letter, name, next_socket, talk
        self.left_open = []
        for i in range(count):
            self.end(*self.begin(i))
        waiting = [self.begin(i) for i in range(kept)]
        self.tell("open")
        for connection in waiting:
            self.end(*connection)
        for i in range(count):
            self.end(*self.begin(i))
        self.tell("done")

    def begin(self, i):
        sock = self.next_socket()
        if self.letter == "c":
            sock.sendall(KINDS[i % len(KINDS)].encode())
            return sock, KINDS[i % len(KINDS)]
        return sock, sock.recv(1).decode()

    def end(self, sock, kind):
        if kind.lower() == self.letter:
            self.say(sock, "fin_wait2" if kind.isupper() else "time_wait")
            sock.close()
            return
        sock.recv(1)
        if kind.isupper():
            self.left_open.append(sock)
        else:
            sock.close()

    def say(self, sock, phase):
        (laddr, lport), (raddr, rport) = sock.getsockname()[:2], sock.getpeername()[:2]
        plain = [address.removeprefix("::ffff:") for address in (laddr, raddr)]
        line = {"laddr": plain[0], "lport": lport, "raddr": plain[1], "rport": rport}
        os.write(1, (json.dumps(line | {"pid": os.getpid(), "comm": self.name, "phase": phase, "boot_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME)}) + "\n").encode())

    def tell(self, word):
        self.talk.sendall(word[0].encode())
        self.talk.recv(1)


def process(letter, name, next_socket, count, kept):
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        _libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        _libc.prctl(15, name.encode(), 0, 0, 0)  # PR_SET_NAME
        ours.close()
        code = 1
        try:
            Side(letter, name, next_socket, count, kept, theirs)
            code = 0
        except BaseException as error:  # noqa: BLE001 - a child must end here
            os.write(2, f"{name}: {error!r}\n".encode())
        os._exit(code)
    theirs.close()
    return ours


def main(count, kept):
    talks = []
    # No tuple twice: each client port is used once.
    for name, at, to, first in (("4", "127.0.0.1", "127.0.0.1", 2000), ("6", "::1", "::1", 12000), ("m", "::", "::ffff:127.0.0.1", 22000)):
        family = socket.AF_INET6 if ":" in at else socket.AF_INET
        server = socket.socket(family)
        server.bind((at, 0))
        server.listen(64)
        port = server.getsockname()[1]

        def client(family=family, to=to, port=port, own=itertools.count(first)):
            sock = socket.socket(family)
            sock.bind((to, next(own)))
            sock.connect((to, port))
            return sock

        talks.append(process("s", "ledger-s" + name, lambda server=server: server.accept()[0], count, kept))
        talks.append(process("c", "ledger-c" + name, client, count, kept))
        server.close()
    for word in ("open", "done"):
        for talk in talks:
            if talk.recv(1) != word[0].encode():
                sys.exit(1)
        os.write(1, (word + "\n").encode())
        sys.stdin.readline()
        for talk in talks:
            talk.sendall(b"g")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
