# SPDX-License-Identifier: BSD-2-Clause
"""Why a connection ended, and what it sent, in situations that people have reported: what is said is what happened,
and where the facts do not prove it, nothing is said."""

import pathlib
import socket
import struct
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import oracle
from harness import Capture, Namespace, Tracer, run_tests, wait_for

LINGER_0 = struct.pack("ii", 1, 0)

# Classic BPF for tc: drops (2 = TC_ACT_SHOT) one segment in twenty at random.
DROP_SOME = "4,32 0 0 4294963256,53 1 0 4080218930,6 0 0 4294967295,6 0 0 2"


def listener(ns, port=0, backlog=16, **options):
    def make():
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option, value in options.items():
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
        sock.bind(("127.0.0.1", port))
        sock.listen(backlog)
        return sock

    return ns.call(make)


def client_socket(ns):
    return ns.call(socket.socket)


def payload_sent(capture, end):
    """The payload bytes of this end that left for the device, each once."""
    numbers = set()
    for connection in oracle.connections(capture.packets):
        for packet in connection.packets:
            if packet.sent and packet.src == end and packet.length:
                first = packet.seq + (1 if packet.flags & 2 else 0)
                numbers.add((first, packet.length))
    covered, reach = 0, None
    for first, length in sorted(numbers):
        reach = first if reach is None else reach
        covered += max(0, first + length - max(first, reach))
        reach = max(reach, first + length)
    return covered


def exchange(ns, total, qdisc, reset_after=None, bound=None):
    """A client sends `total` bytes while qdisc() is in force; the server reads them, or resets after some."""
    server = listener(ns)
    client = client_socket(ns)
    client.connect(server.getsockname())
    accepted = server.accept()[0]
    qdisc()

    def read():
        taken = 0
        while reset_after is None or taken < reset_after:
            data = accepted.recv(65536)
            if not data:
                break
            taken += len(data)
        if reset_after is not None:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        accepted.close()

    reader = threading.Thread(target=read)
    reader.start()
    end = client.getsockname()
    try:
        client.sendall(b"x" * total)
    except OSError:
        pass
    client.close()
    reader.join()
    server.close()
    return end


def sent_bytes(checks):
    """tx_bytes is what left the host, each byte once: not what a full queue, a drop or loss made TCP try again"""
    tc = lambda ns, *args: ns.run(["tc", *args])

    def tbf(ns):
        tc(ns, *"qdisc add dev lo root tbf rate 100mbit burst 70000 limit 70000".split())

    def lossy(ns):
        tc(ns, "qdisc", "add", "dev", "lo", "clsact")
        tc(ns, "filter", "add", "dev", "lo", "egress", "bpf", "da", "bytecode", DROP_SOME)

    def lost(ns):
        tc(ns, "qdisc", "add", "dev", "lo", "clsact")
        tc(ns, "filter", "add", "dev", "lo", "ingress", "bpf", "da", "bytecode", DROP_SOME)

    # An egress limit; a drop on the way out; loss on the way; a reset in mid-stream; and nothing of the kind.
    cases = {
        "egress limit": (tbf, None),
        "output drop": (lossy, None),
        "loss": (lost, None),
        "reset in mid-stream": (tbf, 500_000),
        "nothing": (lambda ns: None, None),
    }
    for name, (qdisc, reset_after) in cases.items():
        with Namespace() as ns, Tracer(["life", "--json"], netns=ns) as tracer, Capture(ns) as capture:
            ns.ip(*"link set lo mtu 1500 gso_max_segs 1".split())
            end = exchange(ns, 2_000_000, lambda: qdisc(ns), reset_after)
            ns.settle()
            run = tracer.stop()
        [record] = [r for r in run.of("connection") if r["lport"] == end[1]]
        left = payload_sent(capture, end)
        if reset_after is None:
            checks.equal(left, 2_000_000, f"{name}: what the packets hold")
        checks.equal(record["tx_bytes"], left, f"{name}: tx_bytes", record)


if __name__ == "__main__":
    run_tests(sent_bytes)
