# SPDX-License-Identifier: BSD-2-Clause
"""The programs of docs/scenarios.md, each as an engineer meets them: scenario_programs.py PROGRAM ARGS.

  echo-server PORT [--reuseaddr]     serves one session: echoes until the client has finished, then exits
  echo-client PORT                   says hello, then sits in a read of its terminal; ends with it
  date-server PORT                   answers each connection and closes it first
  date-client PORT COUNT             opens COUNT connections, one a second, and asks on two at a time
  client-first PORT COUNT PER_SECOND connects, and closes first; stops at the first failure
  rsh-client PORT LOW HIGH [--reuseaddr] [--read]
                                     connects from the first port of LOW to HIGH that it can have, bound by itself;
                                     closes first, with --read when the server has
  sink-server PORT...                accepts, closes when the client has
  leaky-server PORT                  accepts, never closes
  leaky-client PORT COUNT PER_SECOND opens connections and finishes them
  half-client PORT COUNT             shuts its side down, keeps the descriptor, and waits

All of them talk over 127.0.0.1. What goes wrong is printed as the system says it, and ends the program with 1."""

import argparse
import ctypes
import selectors
import signal
import socket
import sys
import time

HOST = "127.0.0.1"


def listener(port, reuseaddr=False, backlog=1024):
    sock = socket.socket()
    if reuseaddr:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HOST, port))
    sock.listen(backlog)
    print(f"listening on {HOST}:{port}", flush=True)
    return sock


def echo_server(port, reuseaddr):
    server = listener(port, reuseaddr)
    session, _ = server.accept()
    while data := session.recv(4096):
        session.sendall(data)
    print("the client has finished", flush=True)


def echo_client(port):
    client = socket.create_connection((HOST, port))
    client.sendall(b"hello\n")
    print(client.recv(4096).decode(), end="", flush=True)
    for line in sys.stdin:
        client.sendall(line.encode())
        print(client.recv(4096).decode(), end="", flush=True)


def date_server(port):
    server = listener(port)
    while True:
        session, _ = server.accept()
        session.recv(4096)
        session.sendall(time.strftime("%c\n").encode())
        session.close()


def date_client(port, count):
    waiting = []
    for number in range(count):
        time.sleep(1 if number else 0)  # one a second is what is asked for
        waiting.append(socket.create_connection((HOST, port)))
        print(f"connection {number + 1} from port {waiting[-1].getsockname()[1]}", flush=True)
        if len(waiting) == 2 or number == count - 1:
            for client in waiting:
                client.sendall(b"what time is it?\n")
                while client.recv(4096):
                    pass
                client.close()
            waiting = []


def client_first(port, count, per_second):
    begin = time.monotonic()
    for number in range(count):
        time.sleep(max(0, begin + number / per_second - time.monotonic()))
        client = socket.socket()
        try:
            client.connect((HOST, port))
        except OSError:
            print(f"connection {number + 1}:", flush=True)
            raise
        client.close()
    print(f"{count} connections", flush=True)


def rsh_client(port, low, high, reuseaddr, read):
    for own in range(low, high + 1):
        client = socket.socket()
        if reuseaddr:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            client.bind((HOST, own))
        except OSError as error:
            print(f"bind {HOST}:{own}: {error}", flush=True)
            continue
        try:
            client.connect((HOST, port))
        except OSError as error:
            print(f"connect {HOST}:{own} to {HOST}:{port}: {error}", flush=True)
            continue
        print(f"connected from {HOST}:{own}", flush=True)
        if read:
            client.sendall(b"?")
            while client.recv(4096):
                pass
        client.close()
        return
    sys.exit(f"no port left in {low}-{high}")


def sink_server(ports):
    selector = selectors.DefaultSelector()
    for port in ports:
        selector.register(listener(port), selectors.EVENT_READ, "listener")
    while True:
        for key, _ in selector.select():
            if key.data == "listener":
                selector.register(key.fileobj.accept()[0], selectors.EVENT_READ, "session")
            elif not key.fileobj.recv(4096):
                selector.unregister(key.fileobj)
                key.fileobj.close()


def leaky_server(port):
    server = listener(port)
    forgotten = []
    while True:
        forgotten.append(server.accept())


def leaky_client(port, count, per_second):
    client_first(port, count, per_second)


def half_client(port, count):
    kept = [socket.create_connection((HOST, port)) for _ in range(count)]
    for client in kept:
        client.shutdown(socket.SHUT_WR)
    print(f"{count} connections shut down, none closed", flush=True)
    signal.pause()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    programs = parser.add_subparsers(required=True)

    def program(function, *arguments):
        added = programs.add_parser(function.__name__.replace("_", "-"))
        added.set_defaults(function=function)
        for name, options in arguments:
            added.add_argument(name, **options)

    port, number, flag = ("port", {"type": int}), {"type": int}, ("--reuseaddr", {"action": "store_true"})
    program(echo_server, port, flag)
    program(echo_client, port)
    program(date_server, port)
    program(date_client, port, ("count", number))
    program(client_first, port, ("count", number), ("per_second", {"type": float}))
    program(rsh_client, port, ("low", number), ("high", number), flag, ("--read", {"action": "store_true"}))
    program(sink_server, ("ports", {"type": int, "nargs": "+"}))
    program(leaky_server, port)
    program(leaky_client, port, ("count", number), ("per_second", {"type": float}))
    program(half_client, port, ("count", number))
    options = vars(parser.parse_args())
    function = options.pop("function")
    ctypes.CDLL(None).prctl(15, function.__name__.replace("_", "-").encode(), 0, 0, 0)  # PR_SET_NAME
    try:
        function(**options)
    except OSError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
