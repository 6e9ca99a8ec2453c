# SPDX-License-Identifier: BSD-2-Clause
"""A process that listens, accepts, connects and closes as it is told: one JSON list a line on stdin (method, keyword
arguments), one JSON value a line on stdout. argv[1] is its name (comm)."""

import ctypes
import errno
import json
import socket
import struct
import sys

SO_BINDTODEVICE = 25
PR_SET_NAME = 15


class Worker:
    def __init__(self):
        self.sockets = []

    def _add(self, sock):
        self.sockets.append(sock)
        return len(self.sockets) - 1

    def _socket(self, address, reuseport=False, reuseaddr=False, v6only=False, device=None, protocol=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM, protocol)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuseport)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuseaddr)
        if device:
            sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
        return sock

    def listen(self, address, port=0, backlog=64, **options):
        sock = self._socket(address, **options)
        sock.bind((address, port))
        sock.listen(backlog)
        return [self._add(sock), sock.getsockname()[1]]

    def bind(self, address, port, **options):
        sock = self._socket(address, **options)
        try:
            sock.bind((address, port))
        except OSError as error:
            return errno.errorcode[error.errno]
        return "ok"

    def connect(self, address, port, **options):
        """None when it is refused."""
        sock = self._socket(address, **options)
        try:
            sock.connect((address, port))
        except ConnectionRefusedError:
            return None
        return [self._add(sock), sock.getsockname()[1]]

    def accept(self, listener):
        sock, peer = self.sockets[listener].accept()
        return [self._add(sock), peer[1]]

    def take(self, listener):
        """Empties an accept queue; how many connections waited in it. One that its client has reset still does."""
        self.sockets[listener].setblocking(False)
        count = 0
        while True:
            try:
                self.sockets[listener].accept()[0].close()
            except ConnectionAbortedError:
                pass
            except BlockingIOError:
                return count
            count += 1

    def send(self, sock, count=2):
        self.sockets[sock].sendall(b"x" * count)

    def read(self, sock):
        return len(self.sockets[sock].recv(65536))

    def is_reset(self, sock):
        try:
            self.sockets[sock].recv(1, socket.MSG_DONTWAIT)
        except ConnectionResetError:
            return True
        except BlockingIOError:
            return False

    def abort(self, sock):
        self.sockets[sock].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sockets[sock].close()

    def close(self, sock):
        self.sockets[sock].close()


def main():
    ctypes.CDLL(None).prctl(PR_SET_NAME, sys.argv[1].encode(), 0, 0, 0)
    worker = Worker()
    for line in sys.stdin:
        method, arguments = json.loads(line)
        print(json.dumps(getattr(worker, method)(**arguments)), flush=True)


if __name__ == "__main__":
    main()
