# SPDX-License-Identifier: BSD-2-Clause
"""Scenario A: a TIME_WAIT port that is used again. Why Linux lets a third connection through two ports, and when not."""

import errno
import os
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from answers import only, ports
from contract import check_connection, check_shape
from harness import Namespace, Tracer, run_tests, wait_for
from scenario import KEPT, SPARE_MS, STEP_MS, Program, arrives, ends_of, expiry_ms, kernel_timers

TWO_PORTS = "40000 40001"
SERVER = 19999


def third_connection(checks, timestamps):
    with Namespace(net_ipv4_ip_local_port_range=TWO_PORTS, net_ipv4_tcp_timestamps=timestamps, **KEPT) as ns:
        with Tracer(["trace", "--json", "--events", "all"], netns=ns) as tracer:
            with Program(ns, "date-server", SERVER) as server:
                server.says("listening")
                with Program(ns, "date-client", SERVER, 3) as client:
                    client.says("connection 2 ")
                    # Both are closed by now or soon: the server's side of each port is in TIME_WAIT.
                    wait_for(lambda: len(kernel_timers(ns)) == 2, "two TIME_WAIT sockets")
                    between = kernel_timers(ns)
                    client.says("connection 3 ")
                    checks.equal(client.ends(), 0, "the client")
            ns.settle()
        run = tracer.run
    check_shape(checks, run.records)
    name = f"timestamps {timestamps}"
    checks.equal({key[:2] for key in between}, {("127.0.0.1", SERVER)}, f"{name}: who holds TIME_WAIT", str(between))

    records = sorted(run.of("connection"), key=lambda one: one["start"])
    clients = [one for one in records if one["role"] == "active"]
    servers = [one for one in records if one["role"] == "passive"]
    checks.equal((len(clients), len(servers)), (3, 3), f"{name}: connections", *records)
    for one in records:
        check_connection(checks, one)
        side = "remote" if one["role"] == "active" else "local"
        checks.equal((one["closer"], one["time_wait"]["side"], one["closer_pid"]), (side, side, server.pid), f"{name}: who closed", one)
        checks.equal(one["pid"], client.pid if one["role"] == "active" else server.pid, f"{name}: owner", one)
    checks.equal({one["lport"] for one in clients[:2]}, {40000, 40001}, f"{name}: both ports are used", *clients)
    checks.that(clients[2]["connect_us"] < 500_000, f"{name}: the third connect() waited", clients[2])

    # The third takes over one of the two, as the SYN arrives; the other two stay.
    leaves = run.of("time_wait", event="leave")
    entered = {one["cookie"]: one for one in run.of("time_wait", event="enter", phase="time_wait")}
    checks.equal(len(entered), 3, f"{name}: TIME_WAIT entered", *entered.values())
    if not checks.equal(len(leaves), 1, f"{name}: TIME_WAIT left", *leaves):
        return
    leave = leaves[0]
    checks.equal(leave["reason"], "reused_by_syn", f"{name}: reason", leave)
    checks.equal(ends_of(leave), ends_of(servers[2]), f"{name}: the tuple of the third", leave, servers[2])
    checks.that(leave["cookie"] in {one["cookie"] for one in servers[:2]}, f"{name}: it was one of the first two", leave)
    checks.equal(leave["pid"], server.pid, f"{name}: left behind by the server", leave)
    checks.that(leave["boot_ns"] <= servers[2]["boot_ns"], f"{name}: it left before the third ended", leave)
    begun = entered[leave["cookie"]]["boot_ns"]
    held_us = (leave["boot_ns"] - begun) / 1000
    checks.that(abs(held_us - leave["held_us"]) <= 1, f"{name}: held_us is the time between the records", leave)
    checks.that(990_000 < held_us < 20_000_000, f"{name}: held {held_us / 1e6:.2f} s", leave)
    for key, (state, expiry, cookie) in between.items():
        record = entered.get(cookie)
        checks.that(record is not None and ends_of(record) == key, f"{name}: ss and the ledger have the same cookie", str(key), record)
        checks.equal(state, "TIME-WAIT", f"{name}: state")
        if record:
            checks.that(59_900 < record["expires_in_ms"] <= 60_000, f"{name}: expires_in_ms", record)
            checks.that(abs(expiry_ms(record) - expiry) < SPARE_MS, f"{name}: ss says {expiry - expiry_ms(record)} ms later", record)
    print(f"  {name}: ports {[one['lport'] for one in clients]}, TIME_WAIT held {held_us / 1e6:.2f} s until the third SYN")


def a_third_connection_gets_through(checks):
    """The server closes first; the third connection takes over a tuple that is in TIME_WAIT."""
    for timestamps in (1, 0):
        third_connection(checks, timestamps)


# --- the mirror case: the client closes first -----------------------------------------------------------------------


class Exchange:
    """A listener and clients of this process, in the namespace of the calling thread."""

    def __init__(self, port, address="127.0.0.1"):
        self.address = address
        self.server = socket.create_server((address, port))
        self.server.settimeout(5)

    def connect(self):
        client = socket.socket()
        client.settimeout(5)
        try:
            client.connect(self.server.getsockname())
        except OSError:
            client.close()
            raise
        return client, self.server.accept()[0]

    def client_first(self):
        client, child = self.connect()
        client.close()
        child.recv(1)
        child.close()

    def close(self):
        self.server.close()


def try_third(port, age_s, address):
    """(prediction, errno or 0, seconds since the last close) of a third connect() at this age."""
    exchange = Exchange(port, address)
    try:
        for _ in range(2):
            exchange.client_first()
        closed = time.monotonic()
        wait_for(lambda: time.monotonic() - closed > age_s, "the age of the TIME_WAIT sockets")
        prediction = only(ports("--connect", f"{address}:{port}"), "destination") if age_s else None
        try:
            client, child = exchange.connect()
            error = 0
        except OSError as failure:
            error = failure.errno
        took = time.monotonic() - closed
        if not error:
            child.close()
            client.close()
        return prediction, error, took
    finally:
        exchange.close()


def expected(reuse, timestamps, age_s, address):
    applies = reuse == 1 or (reuse == 2 and address.startswith("127."))
    return 0 if applies and timestamps and age_s > 1 else errno.EADDRNOTAVAIL


def check_blocked(checks, name, record, case, timers, entered):
    reuse, timestamps, age_s, address = case
    applies = reuse == 1 or (reuse == 2 and address.startswith("127."))
    checks.equal((record["op"], record["error"], record["pid"]), ("connect", "EADDRNOTAVAIL", os.getpid()), f"{name}: what and who", record)
    checks.equal((record["lport"], record["raddr"]), (None, address), f"{name}: from where to where", record)
    blockers = record["blockers"]
    checks.equal(sorted((one["lport"], one["state"]) for one in blockers), [(40000, "TIME_WAIT"), (40001, "TIME_WAIT")], f"{name}: blockers", record)
    checks.equal(record["blocker_count"], 2, f"{name}: blocker_count", record)
    for one in blockers:
        tuple_ = one["laddr"], one["lport"], one["raddr"], one["rport"]
        checks.equal(one["cookie"], entered[tuple_]["cookie"], f"{name}: the blocker is the one that entered TIME_WAIT", record, entered[tuple_])
        checks.equal((one["pid"], one["owner_alive"]), (os.getpid(), True), f"{name}: who left it behind", record)
        _, expiry, cookie = timers[tuple_]
        checks.equal(one["cookie"], cookie, f"{name}: the same cookie as ss", record)
        checks.that(abs(expiry_ms(record, one) - expiry) < SPARE_MS, f"{name}: ss says {expiry - expiry_ms(record, one)} ms later", record)
    first = min(one["expires_in_ms"] for one in blockers)
    text = " ".join(record["remedies"])
    if applies and timestamps:
        checks.that(0 < record["free_in_ms"] <= 1010, f"{name}: free in {record['free_in_ms']}", record)
        checks.that("Wait" in record["remedies"][0] and "tcp_tw_reuse" in record["remedies"][0], f"{name}: first remedy", record)
    else:
        checks.that(0 < record["free_in_ms"] - first <= STEP_MS, f"{name}: free in {record['free_in_ms']}, first timer {first}", record)
    # Only what would change something is advised, and all that has to change.
    checks.equal("tcp_tw_reuse=1" in text, not applies, f"{name}: advice on tcp_tw_reuse", record)
    checks.equal("tcp_timestamps=1" in text, not timestamps, f"{name}: advice on tcp_timestamps", record)
    checks.that("Another source address, destination address or destination port" in text, f"{name}: other destinations", record)
    checks.that("ip_local_port_range" in text, f"{name}: the range", record)


def the_client_closes_first(checks):
    """The mirror case: the client's ports are in TIME_WAIT, and tcp_tw_reuse, timestamps and age decide."""
    cases = [(reuse, timestamps, age, "127.0.0.1") for reuse in (0, 1, 2) for timestamps in (1, 0) for age in (0, 1.2)]
    cases += [(reuse, 1, 1.2, "10.77.0.2") for reuse in (1, 2)]
    outcomes = {}
    with Namespace(net_ipv4_ip_local_port_range=TWO_PORTS, **KEPT) as ns:
        ns.ip("address", "add", "10.77.0.2/32", "dev", "lo")
        with Tracer(["trace", "--json", "--events", "all"], netns=ns) as tracer:
            for number, case in enumerate(cases):
                reuse, timestamps, age_s, address = case
                ns.sysctl("net_ipv4_tcp_tw_reuse", reuse)
                ns.sysctl("net_ipv4_tcp_timestamps", timestamps)
                port = SERVER + number
                outcomes[port] = case, *ns.call(lambda: try_third(port, age_s, address)), kernel_timers(ns)
                if outcomes[port][2]:  # the record tells the sysctls of its time: it comes before the next case sets them
                    arrives(tracer, "blocked", rport=port)
        run = tracer.run
    check_shape(checks, run.records)
    blocked = {record["rport"]: record for record in run.of("blocked")}
    counts = {"ok": 0, "EADDRNOTAVAIL": 0}
    for port, (case, prediction, error, took, timers) in outcomes.items():
        reuse, timestamps, age_s, address = case
        name = f"tcp_tw_reuse {reuse}, timestamps {timestamps}, age {age_s or 'young'}, {address}"
        if not age_s and took > 0.9:
            print(f"  {name}: took {took:.2f} s, too slow to be young; not judged")
            continue
        counts["EADDRNOTAVAIL" if error else "ok"] += 1
        checks.equal(error, expected(*case), f"{name}: the third connect()")
        if prediction:
            checks.equal(prediction["connect"], "blocked" if error else "ok", f"{name}: ports --connect", prediction)
        entered = {ends_of(one): one for one in run.of("time_wait", event="enter") if one["rport"] == port}
        leaves = [one for one in run.of("time_wait", event="leave") if one["rport"] == port]
        if error:
            checks.equal(leaves, [], f"{name}: nothing left TIME_WAIT")
            if checks.that(port in blocked, f"{name}: a blocked record"):
                check_blocked(checks, name, blocked.pop(port), case, timers, entered)
            continue
        checks.that(port not in blocked, f"{name}: nothing was refused", blocked.get(port))
        if checks.equal([one["reason"] for one in leaves], ["reused_by_connect"], f"{name}: reasons", *leaves):
            checks.that(1_000_000 <= leaves[0]["held_us"] <= 30_000_000, f"{name}: held {leaves[0]['held_us']} us", leaves[0])
    print(f"  {len(outcomes)} cases: {counts}")


if __name__ == "__main__":
    run_tests(a_third_connection_gets_through, the_client_closes_first)
