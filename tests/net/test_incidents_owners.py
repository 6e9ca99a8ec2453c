# SPDX-License-Identifier: BSD-2-Clause
"""Whose a connection was, in situations that people have reported: a process is named where the facts prove it, and
nobody where they do not."""

import contextlib
import json
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import Namespace, Tracer, program, run_tests

PROGRAM = pathlib.Path(__file__).with_name("queue_worker.py")
PORT = 8161


class Worker:
    """A process in the namespace: worker.listen(address="127.0.0.1") and so on (queue_worker.py)."""

    def __init__(self, ns, name, wrap=()):
        self.name = name
        pipe = subprocess.PIPE
        self.process = ns.start([*wrap, sys.executable, PROGRAM, name], stdin=pipe, stdout=pipe)
        self.pid = self.process.pid

    def __getattr__(self, method):
        def call(**arguments):
            self.process.stdin.write(json.dumps([method, arguments]) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
            assert line, f"{self.name} ended in {method}()"
            return json.loads(line)

        return call


@contextlib.contextmanager
def workers(ns, *names):
    made = [Worker(ns, name) for name in names]
    try:
        yield made
    finally:
        for worker in made:
            worker.process.kill()
            worker.process.wait()
            worker.process.stdin.close()
            worker.process.stdout.close()


def server_ends(run, port=PORT):
    return [record for record in run.of("connection") if record["lport"] == port]


def config_test(checks):
    """A config test listens beside the server (SO_REUSEPORT), is given connections and closes: it is named for what it reset, alone"""
    with Namespace() as ns, workers(ns, "server", "config-test", "client") as (server, test, client):
        with Tracer(["life", "--json"], netns=ns) as tracer:
            shared = dict(address="127.0.0.1", port=PORT, reuseport=True)
            listener = server.listen(**shared)[0]
            tested = test.listen(**shared)[0]
            clients = dict(reversed(client.connect(address="127.0.0.1", port=PORT)) for _ in range(16))
            test.close(sock=tested)
            reset = {port for port, sock in clients.items() if client.is_reset(sock=sock)}
            for _ in range(16 - len(reset)):
                server.close(sock=server.accept(listener=listener)[0])
            for sock in clients.values():
                client.close(sock=sock)
            ns.settle()
            run = tracer.stop()
        records = server_ends(run)
        checks.equal(len(records), 16, "server ends")
        checks.that(reset, "the config test had connections")
        for record in records:
            if record["rport"] in reset:
                wanted = [test.pid, "listen", test.pid, "rst-sent"]
            else:
                wanted = [server.pid, "close", server.pid, "fin"]
            got = [record["pid"], record["owner_source"], record["closer_pid"], record["how"]]
            checks.equal(got, wanted, "owner, source, closer, how", record)


def first_of_three(checks):
    """The only listener has two connections in its queue; others begin to listen, it closes: it is the owner, not they"""
    with Namespace() as ns, workers(ns, "worker-1", "worker-2", "worker-3", "client") as (one, two, three, client):
        with Tracer(["life", "--json"], netns=ns) as tracer:
            shared = dict(address="127.0.0.1", port=PORT, reuseport=True)
            listener = one.listen(**shared)[0]
            for _ in range(2):
                client.connect(address="127.0.0.1", port=PORT)
            two.listen(**shared)
            three.listen(**shared)
            one.close(sock=listener)
            run = tracer.stop()
        records = server_ends(run)
        checks.equal(len(records), 2, "server ends")
        for record in records:
            checks.equal([record["pid"], record["closer_pid"]], [one.pid, one.pid], "owner, closer", record)


def left_in_a_queue(checks):
    """A client resets what nobody has accepted: the listener is the owner, one of a SO_REUSEPORT pair is not known"""
    for count in (1, 2):
        with Namespace() as ns, workers(ns, "worker-1", "worker-2", "client") as (*servers, client):
            with Tracer(["life", "--json"], netns=ns) as tracer:
                for server in servers[:count]:
                    server.listen(address="127.0.0.1", port=PORT, reuseport=True)
                sock = client.connect(address="127.0.0.1", port=PORT)[0]
                client.abort(sock=sock)
                ns.settle()
                run = tracer.stop()
            [record] = server_ends(run)
            wanted = [servers[0].pid, "listen"] if count == 1 else [None, "unknown"]
            checks.equal([record["pid"], record["owner_source"]], wanted, f"{count} listeners: owner", record)
            checks.equal(record["closer"], "remote", "closer", record)


def filters_keep_the_queue(checks):
    """-p, --comm, --uid and -- CMD keep connections that were never accepted, and drop those of another listener"""
    with Namespace() as ns, workers(ns, "server", "other", "client") as (server, other, client):
        asked = {"-p": server.pid, "--comm": "server", "--uid": 0}
        with contextlib.ExitStack() as stack:
            tracers = {
                flag: stack.enter_context(Tracer(["life", "--json", flag, value], netns=ns))
                for flag, value in asked.items()
            }
            for worker, port in ((server, PORT), (other, PORT + 1)):
                listener = worker.listen(address="127.0.0.1", port=port)[0]
                for _ in range(3):
                    client.connect(address="127.0.0.1", port=port)
                worker.close(sock=listener)
            ns.settle()
            runs = {flag: tracer.stop() for flag, tracer in tracers.items()}
        for flag, run in runs.items():
            checks.equal(len(server_ends(run)), 3, f"{flag}: connections of the server")
            others = 3 if flag == "--uid" else 0
            checks.equal(len(server_ends(run, PORT + 1)), others, f"{flag}: connections of the other")
        command = [sys.executable, "-c", QUEUE_OF_ITS_OWN, client.pid]
        with Tracer(["life", "--json", "--", *ns.command(command)]) as tracer:
            run = tracer.wait()
        checks.equal(len([r for r in server_ends(run) if r["role"] == "passive"]), 3, "-- CMD: connections in its queue")


IPPROTO_MPTCP = 262


def mptcp(checks):
    """A server listens with IPPROTO_MPTCP, as Go does: whoever closes first, its connections and its port are its own"""
    for older in (False, True):
        with Namespace(net_mptcp_enabled=1) as ns, workers(ns, "go-server", "client") as (server, client):
            asked = dict(address="127.0.0.1", port=PORT, protocol=IPPROTO_MPTCP)
            listener = server.listen(**asked)[0] if older else None
            with Tracer(["life", "--json"], netns=ns) as every, Tracer(["life", "--json", "-p", server.pid], netns=ns) as own:
                if not older:
                    listener = server.listen(**asked)[0]
                for protocol in (0, IPPROTO_MPTCP):
                    for server_first in (True, False):
                        near = client.connect(address="127.0.0.1", port=PORT, protocol=protocol)[0]
                        far = server.accept(listener=listener)[0]
                        ends = [(server, far), (client, near)]
                        for worker, sock in ends if server_first else ends[::-1]:
                            worker.close(sock=sock)
                        ns.settle()
                [port] = [
                    record
                    for record in map(json.loads, ns.run([program("tcptrail"), "ports", "--json"]).stdout.splitlines())
                    if record["type"] == "port" and record["lport"] == PORT
                ]
                says = ns.run(["ss", "-Htlnp", "sport", "=", f":{PORT}"]).stdout
                # Nobody accepts this one: its listener's close() ends it.
                client.connect(address="127.0.0.1", port=PORT, protocol=IPPROTO_MPTCP)
                server.close(sock=listener)
                ns.settle()
                runs = every.stop(), own.stop()
        checks.that(f"pid={server.pid}," in says, "ss: whose listener", says)
        checks.that(str(server.pid) in json.dumps(port), "ports: whose listener", port)
        for run in runs:
            records = server_ends(run)
            checks.equal(len(records), 5, "server ends")
            checks.equal({record["pid"] for record in records}, {server.pid}, "owners of the server ends")
            waited = [record for record in records if record["owner_source"] == "listen"]
            checks.equal(len(waited), 1, "server ends that nobody accepted", *waited)


def kernel_listener(checks):
    """The kernel's path manager listens: no process is told to be stopped, none is said to hide; beside it, one is"""
    with Namespace(net_mptcp_enabled=1) as ns, workers(ns, "server") as (server,):
        limits = "mptcp limits set add_addr_accepted 2 subflows 2".split()
        endpoint = f"mptcp endpoint add 127.0.0.1 port {PORT} signal".split()
        ns.run(["ip", *limits])
        ns.run(["ip", *endpoint])
        server.listen(address="127.0.0.1", port=PORT + 1)
        remedies = {}
        for port in (PORT, PORT + 1):
            done = ns.run([program("tcptrail"), "ports", "--json", "--bind", f"127.0.0.1:{port}"], check=False)
            [answer] = [record for record in map(json.loads, done.stdout.splitlines()) if record["type"] == "port"]
            remedies[port] = " ".join(answer["remedies"])
        checks.that("belongs to the kernel" in remedies[PORT], "the kernel's listener", remedies[PORT])
        checks.that("stop" not in remedies[PORT].lower(), "nobody to be stopped", remedies[PORT])
        checks.that(f"Stop server (pid {server.pid})" in remedies[PORT + 1], "the server's", remedies[PORT + 1])


QUEUE_OF_ITS_OWN = f"""
import socket
server = socket.create_server(("127.0.0.1", {PORT}))
clients = [socket.create_connection(server.getsockname()) for _ in range(3)]
server.close()
"""


def any_queue(checks):
    """Random accept queues of SO_REUSEPORT, dual stack, IPV6_V6ONLY, addresses and devices: no wrong owner, no wrong closer"""
    seed = time.time_ns()
    dice = random.Random(seed)
    with Namespace() as ns, workers(ns, "worker-1", "worker-2", "worker-3", "client") as (*servers, client):
        with Tracer(["life", "--json"], netns=ns) as tracer:
            truth = {}  # (address, port, the client's port): (its listener's process, whether that closed it)
            end = time.monotonic() + 15
            for port in range(10_000, 30_000):
                if time.monotonic() > end:
                    break
                play_queues(dice, servers, client, port, truth)
            ns.settle()
            run = tracer.stop()
    counts = dict.fromkeys(("left in a queue", "owner known", "closed with a listener", "closer known"), 0)
    for record in run.of("connection"):
        ends = (record["laddr"], record["lport"], record["rport"])
        if record["role"] != "passive" or ends not in truth:
            continue
        pid, closed = truth.pop(ends)
        counts["left in a queue"] += 1
        counts["owner known"] += record["pid"] == pid
        checks.that(record["pid"] in (pid, None), f"owner {record['pid']}, not {pid}", record, kind="owner")
        if closed:
            counts["closed with a listener"] += 1
            counts["closer known"] += record["closer_pid"] == pid
            checks.that(record["closer_pid"] in (pid, None), f"closer, not {pid}", record, kind="closer")
    print(f"  seed {seed}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    checks.that(not truth, f"{len(truth)} connections without a record")
    checks.that(counts["closer known"] * 100 >= counts["closed with a listener"] * 98, "closers that are known")
    checks.that(counts["owner known"] * 2 > counts["left in a queue"], "owners that are known")


def play_queues(dice, servers, client, port, truth):
    """Some listeners of one port. One connection is reset by its client; others wait until the listeners are closed."""
    listeners = []
    for server in servers[: dice.randint(1, 3)]:
        address = dice.choice(("0.0.0.0", "127.0.0.1", "::", "::1", "::ffff:127.0.0.1"))
        options = {"v6only": address == "::1" or (address == "::" and dice.random() < 0.5)}
        if dice.random() < 0.2:
            options["device"] = "lo"
        listeners.append((server, server.listen(address=address, port=port, reuseport=True, **options)[0]))

    def connect():
        """The server's and the client's end, and the client's socket; None where nobody listens."""
        address = dice.choice(("127.0.0.1", "127.0.0.2", "::1"))
        made = client.connect(address=address, port=port)
        return made and ((address, port, made[1]), made[0])

    if made := connect():
        client.abort(sock=made[1])
        [pid] = [server.pid for server, listener in listeners if server.take(listener=listener)]
        truth[made[0]] = (pid, False)
    waiting = dict(made for made in (connect() for _ in range(4)) if made)
    dice.shuffle(listeners)
    for server, listener in listeners:
        server.close(sock=listener)
        for ends, sock in list(waiting.items()):
            if client.is_reset(sock=sock):
                truth[ends] = (server.pid, True)
                client.close(sock=waiting.pop(ends))
    assert not waiting, "a connection outlived every listener"


if __name__ == "__main__":
    run_tests(config_test, first_of_three, left_in_a_queue, filters_keep_the_queue, mptcp, kernel_listener, any_queue)
