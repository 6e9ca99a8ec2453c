# SPDX-License-Identifier: BSD-2-Clause
"""A server and its client as two processes, srv-end and cli-end: two_ends.py [--no-reuseaddr]

Prints the two pids, then for each word on stdin makes one connection, ends it in that way, and prints its two ports
(client, server):
  server, client   that side closes first: with shutdown(), and its socket lives until the other's FIN is there. After a
                   close() it is up to the delayed ACK whether the socket goes to TIME_WAIT or becomes a FIN_WAIT2 minisocket
  unread           the server closes with unread data
  refused          to a port where nobody listens
  close_wait       the server closes first, the client one second later
  half_close       the client finishes sending, the server goes on for 600 ms
  leak             the server closes; the client never does
"""

import ctypes
import os
import socket
import sys
import time

LATE = 1.0  # seconds; what is measured, not waited for
GOES_ON = 0.6


def rename(name):
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)  # PR_SET_NAME


def to_the_end(sock):
    """Reads until end-of-file, or a RST."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass


def client(pipe, address):
    """Does what the server says, one word at a time, and answers with a line."""
    rename("cli-end")
    sock = None
    kept = []
    for word in pipe.makefile():
        word = word.strip()
        if word == "connect":
            sock = socket.create_connection(address)
        elif word.startswith("refused"):
            sock = socket.socket()
            sock.connect_ex((address[0], int(word.split()[1])))
            port = sock.getsockname()[1]
            sock.close()
            pipe.sendall(f"{port}\n".encode())
            continue
        elif word == "send":
            sock.sendall(b"x" * 1000)
        elif word == "shutdown":
            sock.shutdown(socket.SHUT_WR)
        elif word == "end":
            to_the_end(sock)
        elif word == "late":
            time.sleep(LATE)
        elif word == "close":
            sock.close()
        elif word == "keep":
            kept.append(sock)
        pipe.sendall(f"{sock.getsockname()[1] if sock.fileno() >= 0 else 0}\n".encode())


class Server:
    def __init__(self, reuseaddr):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuseaddr))
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.pipe, other = socket.socketpair()
        self.child = os.fork()
        if self.child == 0:
            self.pipe.close()
            address = self.listener.getsockname()
            self.listener.close()
            client(other, address)
            os._exit(0)
        other.close()
        self.answers = self.pipe.makefile()
        rename("srv-end")

    def tell(self, word):
        """Lets the client do it; returns its port."""
        self.pipe.sendall(f"{word}\n".encode())
        return int(self.answers.readline())

    def play(self, word):
        if word == "refused":
            with socket.socket() as nobody:
                nobody.bind(("127.0.0.1", 0))
                port = nobody.getsockname()[1]
                return self.tell(f"refused {port}"), port
        port = self.tell("connect")
        sock = self.listener.accept()[0]
        if word == "client":
            self.tell("shutdown")
            to_the_end(sock)
            sock.close()
            self.tell("end")
            self.tell("close")
        elif word == "server":
            sock.shutdown(socket.SHUT_WR)
            self.tell("end")
            self.tell("close")
            to_the_end(sock)
            sock.close()
        elif word == "unread":
            self.tell("send")
            sock.recv(1, socket.MSG_PEEK)  # it is there
            sock.close()
            self.tell("end")
            self.tell("close")
        elif word == "half_close":
            self.tell("shutdown")
            to_the_end(sock)
            time.sleep(GOES_ON)
            sock.sendall(b"late")
            sock.close()
            self.tell("end")
            self.tell("close")
        else:
            sock.close()
            self.tell("end")
            if word == "close_wait":
                self.tell("late")
            self.tell("keep" if word == "leak" else "close")
        return port, self.listener.getsockname()[1]


def main():
    server = Server("--no-reuseaddr" not in sys.argv[1:])
    print(server.child, os.getpid(), flush=True)
    for word in sys.stdin:
        print(*server.play(word.strip()), flush=True)
    server.pipe.close()  # ends the client


if __name__ == "__main__":
    main()
