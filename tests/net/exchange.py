# SPDX-License-Identifier: BSD-2-Clause
"""A process that is both ends of its connections: exchange.py [--family 4|6|mapped] [--port P] [--listen ADDR]
[--name COMM] [--uid UID].

Prints "ready", then for each word on stdin makes one connection, ends it in that way, and prints its two ports:
  client, server   that side closes first
  abort            the client closes with a RST
  refused          to a port where nobody listens
  slow             client first, after 150 ms"""

import argparse
import ctypes
import os
import socket
import struct
import sys
import time

LOOPBACK = {"4": "127.0.0.1", "6": "::1", "mapped": "::ffff:127.0.0.1"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--family", default="4")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--listen")
    parser.add_argument("--name")
    parser.add_argument("--uid", type=int)
    options = parser.parse_args()
    if options.uid is not None:
        os.setuid(options.uid)
    if options.name:
        ctypes.CDLL(None).prctl(15, options.name.encode(), 0, 0, 0)  # PR_SET_NAME

    family = socket.AF_INET if options.family == "4" else socket.AF_INET6
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind((options.listen or LOOPBACK[options.family], options.port))
    server.listen()
    print("ready", flush=True)
    for word in sys.stdin:
        print(*connect(family, server, word.strip()), flush=True)


def connect(family, server, how):
    client = socket.socket(family)
    if how == "refused":
        with socket.socket(family) as nobody:
            nobody.bind((server.getsockname()[0], 0))
            port = nobody.getsockname()[1]
        client.bind((LOOPBACK["4"] if family == socket.AF_INET else server.getsockname()[0], 0))
        own = client.getsockname()[1]
        client.connect_ex((server.getsockname()[0], port))
        client.close()
        return own, port
    client.connect(server.getsockname())
    accepted = server.accept()[0]
    ports = client.getsockname()[1], server.getsockname()[1]
    if how == "slow":
        time.sleep(0.15)  # the length of the connection is what is tested, not waited for
    if how == "abort":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    first, second = (accepted, client) if how == "server" else (client, accepted)
    first.close()
    try:
        second.recv(1)
    except ConnectionResetError:
        pass
    second.close()
    return ports


if __name__ == "__main__":
    main()
