# SPDX-License-Identifier: BSD-2-Clause
"""Servers and clients that hand sockets around, each in its own way: owner_programs.py KIND COUNT.

Each process prints a JSON line for every connection end before it is closed: the tuple, `pids` (who may be named as the
owner: the process that closes it; when a RST of the peer ends it, whoever accepted or holds it) and `comm`, the name of
that process."""

import array
import ctypes
import json
import os
import signal
import socket
import struct
import sys
import threading

PR_SET_NAME, PR_SET_PDEATHSIG = 15, 1
SERVER_FIRST, CLIENT_FIRST, CLIENT_ABORTS = b"s", b"c", b"a"
ORDERS = (SERVER_FIRST, CLIENT_FIRST, CLIENT_ABORTS)
_libc = ctypes.CDLL(None)
name = "?"


def rename(new):
    """Names the calling thread; in the main thread that is the name of the process."""
    _libc.prctl(PR_SET_NAME, new.encode(), 0, 0, 0)


def process(new_name, work, *args):
    """Runs work in a child process of that name."""
    pid = os.fork()
    if pid:
        return pid
    global name
    name = new_name
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    rename(new_name)
    code = 1
    try:
        work(*args)
        code = 0
    except BaseException as error:  # noqa: BLE001 - a child must end here
        os.write(2, f"{new_name}: {error!r}\n".encode())
    os._exit(code)


def say(sock, *others, pid=None, comm=None):
    local, remote = sock.getsockname(), sock.getpeername()
    line = {"laddr": local[0], "lport": local[1], "raddr": remote[0], "rport": remote[1]}
    line |= {"pids": [pid or os.getpid(), *others], "comm": [comm or name]}
    os.write(1, (json.dumps(line) + "\n").encode())


def listener():
    sock = socket.create_server(("127.0.0.1", 0), backlog=256)
    return sock, sock.getsockname()[1]


def abort(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Gate:
    """Closed until the other process, which still had a descriptor, has closed it: whoever is last is the closer."""

    def __init__(self):
        self._ours, self._theirs = socket.socketpair()

    def open(self):
        self._ours.sendall(b"o")

    def wait(self):
        self._theirs.recv(1)


def serve_after(gate, sock, accepted_by):
    gate.wait()
    serve(sock, accepted_by)


def serve(sock, *accepted_by):
    """Ends one accepted connection in the order that the client asks for, and says who the owner is."""
    with sock:
        order = sock.recv(1)
        if order == CLIENT_ABORTS:
            say(sock, *accepted_by)  # the RST finds nobody closing: whoever accepted it is as good as who holds it
            sock.sendall(b"!")
            try:
                sock.recv(1)
            except ConnectionResetError:
                pass
            return
        say(sock)
        sock.sendall(b"!")
        if order == CLIENT_FIRST:
            sock.recv(1)


def ask(port, order):
    """The client's side of serve()."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(order)
    sock.recv(1)
    say(sock)
    if order == CLIENT_ABORTS:
        abort(sock)
        return
    if order == SERVER_FIRST:
        sock.recv(1)
    sock.close()


def clients(port, count):
    for i in range(count):
        ask(port, ORDERS[i % 3])


def wait_all(*pids):
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    if any(codes):
        sys.exit(f"children ended with {codes}")


def prefork(count):
    """Workers that were forked from the listener's process before it accepted anything."""
    sock, port = listener()

    def work():
        while True:
            serve(sock.accept()[0])

    workers = [process("own-worker", work) for _ in range(4)]
    wait_all(process("own-client", clients, port, count))
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def fork_after_accept(count):
    """A process for each connection; the parent accepts and closes its copy at once."""
    sock, port = listener()

    def work():
        gate = Gate()
        for _ in range(count):
            connection = sock.accept()[0]
            child = process("own-child", serve_after, gate, connection, os.getpid())
            connection.close()
            gate.open()
            os.waitpid(child, 0)

    wait_all(process("own-parent", work), process("own-client", clients, port, count))


def passing(count):
    """One process accepts, another gets the descriptor over a Unix socket."""
    sock, port = listener()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gate = Gate()

    def acceptor():
        for _ in range(count):
            connection = sock.accept()[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connection.fileno()]))]
            ours.sendmsg([struct.pack("i", os.getpid())], rights)
            connection.close()
            gate.open()

    def worker():
        for _ in range(count):
            message, ancillary, _, _ = theirs.recvmsg(16, socket.CMSG_SPACE(4))
            descriptor = array.array("i", ancillary[0][2])[0]
            serve_after(gate, socket.socket(fileno=descriptor), struct.unpack("i", message)[0])

    wait_all(
        process("own-acceptor", acceptor), process("own-receiver", worker), process("own-client", clients, port, count)
    )


def exec_after_accept(count):
    """inetd's way: a fork, the socket as stdin and stdout, and another program."""
    sock, port = listener()

    def work():
        gate = Gate()
        for _ in range(count):
            connection = sock.accept()[0]
            child = os.fork()
            if child == 0:
                gate.wait()
                os.dup2(connection.fileno(), 0)
                os.dup2(connection.fileno(), 1)
                os.execvp("cat", ["cat"])
            say(connection, pid=child, comm="cat")
            connection.close()
            gate.open()
            os.waitpid(child, 0)

    def client():
        for _ in range(count):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"x")
                connection.recv(1)
                say(connection)

    wait_all(process("own-inetd", work), process("own-client", client))


def threads(count):
    """Threads that have names of their own; the process has another."""
    sock, port = listener()

    def work(number, share):
        rename(f"thread-{number}")
        for _ in range(share):
            serve(sock.accept()[0])

    def ask_from_thread(number, share):
        rename(f"asker-{number}")
        for i in range(share):
            ask(port, ORDERS[i % 3])

    def crowd(what):
        all_of_them = [threading.Thread(target=what, args=(n, count // 4)) for n in range(4)]
        for thread in all_of_them:
            thread.start()
        for thread in all_of_them:
            thread.join()

    wait_all(process("own-threads", crowd, work), process("own-askers", crowd, ask_from_thread))


def older(count):
    """Connections opened, and a listener made, before the word on stdin; ended, and used, after it."""
    sock, port = listener()
    rooms = [socket.socketpair() for _ in range(3)]  # the starts of: server, client, latecomer

    def wait_for_start(index):
        rooms[index][1].recv(1)

    def server():
        held = [sock.accept()[0] for _ in range(count)]
        rooms[0][1].sendall(b"o")
        wait_for_start(0)
        for connection in held:
            serve(connection)
        for _ in range(count):
            serve(sock.accept()[0])

    def client():
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        rooms[1][1].sendall(b"o")
        wait_for_start(1)
        for i, connection in enumerate(held):
            order = ORDERS[i % 3]
            connection.sendall(order)
            connection.recv(1)
            say(connection)
            if order == CLIENT_ABORTS:
                abort(connection)
                continue
            if order == SERVER_FIRST:
                connection.recv(1)
            connection.close()
        clients(port, count)

    pids = process("own-old-server", server), process("own-old-client", client)
    for room in rooms[:2]:
        room[0].recv(1)
    os.write(1, b"open\n")
    os.read(0, 1)
    for room in rooms[:2]:
        room[0].sendall(b"g")
    wait_all(*pids)


KINDS = {one.__name__: one for one in (prefork, fork_after_accept, passing, exec_after_accept, threads, older)}

if __name__ == "__main__":
    KINDS[sys.argv[1]](int(sys.argv[2]))
