# SPDX-License-Identifier: BSD-2-Clause
"""Several network namespaces at once: equal tuples are not confused, --netns takes a name in every form, and the two
ends of a connection between namespaces find each other."""

import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from contract import check_connection
from harness import Namespace, Tracer, run_tests

# A connection with fixed ports at both ends, opened at once and closed by the side that argv names first. It says when
# it is open, and waits for a word, so that several of them can be open at the same time.
FIXED = """
import socket, sys
server = socket.create_server(("127.0.0.1", 7000))
client = socket.socket()
client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
client.bind(("127.0.0.1", 7001))
client.connect(("127.0.0.1", 7000))
accepted = server.accept()[0]
print("open", flush=True)
sys.stdin.readline()
first, second = (client, accepted) if sys.argv[1] == "client" else (accepted, client)
first.close()
second.recv(1)
second.close()
"""


def start_fixed(ns, first):
    process = ns.start([sys.executable, "-c", FIXED, first], stdin=-1, stdout=-1)
    if process.stdout.readline() != "open\n":
        raise AssertionError("the connection did not open")
    return process


def equal_tuples(checks):
    """the same tuple in two namespaces at the same time"""
    with Namespace() as one, Namespace() as two, Tracer(["life", "--json"]) as tracer:
        processes = [start_fixed(one, "client"), start_fixed(two, "server")]
        for process in processes:
            process.communicate("\n")
        run = tracer.stop()
    for ns, closers, process in ((one, ("local", "remote"), processes[0]), (two, ("remote", "local"), processes[1])):
        records = run.of("connection", netns=ns.inum)
        checks.equal(len(records), 2, "records of a namespace", *records)
        for record in records:
            check_connection(checks, record)
            client = record["lport"] == 7001
            checks.equal(record["closer"], closers[0] if client else closers[1], "closer", record)
            checks.equal(record["pid"], process.pid, "pid", record)
            (peer,) = [other for other in records if other is not record]
            checks.equal(record["peer_cookie"], peer["cookie"], "peer_cookie", record, peer)


def filters(checks):
    """--netns by name, path, number and pid"""
    with Namespace() as wanted, Namespace() as other:
        holder = start_fixed(wanted, "client")
        for form in (wanted.name, wanted.path, str(wanted.inum), str(holder.pid)):
            with Tracer(["trace", "--json", "--netns", form]) as tracer:
                for ns in (wanted, other):
                    ns.call(one_connection)
            transitions = tracer.run.of("transition")
            strangers = [record for record in transitions if record["netns"] != wanted.inum]
            checks.equal(len(strangers), 0, f"--netns {form}: transitions of other namespaces", *strangers[:3])
            checks.equal(len(transitions), 12, f"--netns {form}: transitions", *transitions)
        holder.communicate("\n")


def one_connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted = server.accept()[0]
        client.close()
        accepted.recv(1)
        accepted.close()


def across_a_veth(checks):
    """a connection from one namespace to another: each end names the other"""
    with Namespace() as one, Namespace() as two:
        one.ip("link", "add", "left", "type", "veth", "peer", "name", "right", "netns", two.name)
        for ns, device, address in ((one, "left", "198.18.1.1/24"), (two, "right", "198.18.1.2/24")):
            ns.ip("addr", "add", address, "dev", device)
            ns.ip("link", "set", device, "up")
        with Tracer(["life", "--json"]) as tracer:
            server = two.call(lambda: socket.create_server(("198.18.1.2", 0)))
            address = server.getsockname()
            client = one.call(lambda: socket.create_connection(address, timeout=10))
            accepted = server.accept()[0]
            accepted.close()
            client.recv(1)
            client.close()
            server.close()
        ours = [r for r in tracer.run.of("connection") if r["netns"] in (one.inum, two.inum)]
        records = {record["netns"]: record for record in ours}
    checks.equal(set(records), {one.inum, two.inum}, "namespaces of the two ends", *records.values())
    if len(records) == 2:
        at_client, at_server = records[one.inum], records[two.inum]
        checks.equal(at_client["peer_cookie"], at_server["cookie"], "peer_cookie of the client", at_client)
        checks.equal(at_server["peer_cookie"], at_client["cookie"], "peer_cookie of the server", at_server)
        checks.equal((at_client["closer"], at_server["closer"]), ("remote", "local"), "closers", at_client, at_server)
        checks.equal(at_client["closer_pid"], at_server["pid"], "closer_pid of the client's end", at_client)


if __name__ == "__main__":
    run_tests(equal_tuples, filters, across_a_veth)
