# SPDX-License-Identifier: BSD-2-Clause
"""Scenario D, reserved ports: a client that binds ports below 1024 by itself and closes first uses them all up."""

import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from answers import only, ports
from contract import check_shape
from harness import Namespace, Tracer, run_tests, wait_for
from scenario import KEPT, STEP_MS, Program, arrives, ends_of

SHELL = 514
LOW, HIGH = 1000, 1010


def reserved_ports_run_out(checks):
    """The rsh pattern: every port below 1024 that the client takes ends in TIME_WAIT, until none is left."""
    with Namespace(**KEPT) as ns:
        with Tracer(["trace", "--json", "--events", "time_wait,blocked"], netns=ns) as tracer, \
                Tracer(["ports", "--watch", "500ms", "--json", "-L", f"{LOW}-{HIGH}"], netns=ns) as watch:
            with Program(ns, "sink-server", SHELL) as server:
                server.says("listening")
                pids = []
                for port in range(LOW, HIGH + 1):
                    with Program(ns, "rsh-client", SHELL, LOW, HIGH) as client:
                        checks.equal((client.ends(), client.lines[-1]), (0, f"connected from 127.0.0.1:{port}"), "a client that finds a port")
                        pids.append(client.pid)
                with Program(ns, "rsh-client", SHELL, LOW, HIGH) as client:
                    checks.equal((client.ends(), client.lines[-1]), (1, f"no port left in {LOW}-{HIGH}"), "a client that finds none")
                    last = client.pid
                full = wait_for(lambda: next((r for r in rounds(watch) if over(r, len(pids))), None), "a round in which all of them are over")
                arrives(tracer, "blocked", pid=last, lport=HIGH)
            # The remote side closes first: one port is enough for any number of connections.
            with Program(ns, "date-server", SHELL + 1) as server:
                server.says("listening")
                for _ in range(3):
                    with Program(ns, "rsh-client", SHELL + 1, HIGH + 1, HIGH + 1, "--read") as client:
                        checks.equal((client.ends(), client.lines), (0, [f"connected from 127.0.0.1:{HIGH + 1}"]), "the remote side closes first")
        run = tracer.run
    check_shape(checks, watch.run.records)
    for record in full:
        checks.equal(record["states"], {"TIME_WAIT": 1}, "what blocks a reserved port", record)
        owners = [(one["pid"], one["comm"], one["alive"]) for one in record["owners"]]
        checks.equal(owners, [(pids[record["lport"] - LOW], "rsh-client", False)], "by whom", record)
        text = " ".join(record["remedies"])
        checks.that("let the other side close first" in text, "what would free it", record)
        checks.that("Wait " in record["remedies"][0] and 0 < record["free_in_ms"] <= 60_000 + STEP_MS, "until when", record)
    blocked = [one for one in run.of("blocked") if one["pid"] == last]
    checks.equal([one["lport"] for one in blocked], list(range(LOW, HIGH + 1)), "the last client was refused on each")
    checks.equal(len(run.of("blocked")), sum(range(len(pids) + 1)), "one record for each bind() that failed")
    print(f"  {len(pids)} clients, then none; {len(run.of('blocked'))} blocked records")


def over(records, count):
    """Whether a round shows them all, and no process of them any more."""
    return len(records) == count and not any(owner["alive"] for one in records for owner in one["owners"])


def rounds(watch):
    """The port records of each round, by their time."""
    found = collections.defaultdict(list)
    for record in watch.records_so_far():
        if record["type"] == "port":
            found[record["boot_ns"]].append(record)
    return found.values()


def the_last_peer_again(checks):
    """With SO_REUSEADDR the bind works; to the last peer only with timestamps, and then by taking the TIME_WAIT over."""
    for timestamps in (0, 1):
        with Namespace(net_ipv4_tcp_timestamps=timestamps, **KEPT) as ns:
            with Tracer(["trace", "--json", "--events", "time_wait,blocked"], netns=ns) as tracer:
                with Program(ns, "sink-server", SHELL, SHELL + 1) as server:
                    server.says(f"listening on 127.0.0.1:{SHELL + 1}")
                    with Program(ns, "rsh-client", SHELL, LOW, LOW, "--reuseaddr") as client:
                        checks.equal(client.ends(), 0, "the first")
                        first = client.pid
                    entered = arrives(tracer, "time_wait", event="enter")
                    answer = ns.call(lambda: only(ports("--bind", f"127.0.0.1:{LOW}"), "port"))
                    checks.equal((answer["bind_plain"], answer["bind_reuseaddr"]), ("blocked", "ok"), "the bind, foretold", answer)
                    with Program(ns, "rsh-client", SHELL, LOW, LOW, "--reuseaddr") as client:
                        checks.equal(client.ends(), 0 if timestamps else 1, f"timestamps {timestamps}: the second", str(client.lines))
                        second = client.pid
                    with Program(ns, "rsh-client", SHELL + 1, LOW, LOW, "--reuseaddr") as client:
                        checks.equal(client.ends(), 0, "to another peer")
            run = tracer.run
        leaves, blocked = run.of("time_wait", event="leave"), run.of("blocked")
        if timestamps:
            checks.equal([(one["cookie"], one["reason"]) for one in leaves], [(entered["cookie"], "reused_by_connect")], "taken over", *leaves)
            checks.equal(blocked, [], "nothing is refused")
            continue
        checks.equal(leaves, [], "nothing is taken over")
        if not checks.equal(len(blocked), 1, "blocked records", *blocked):
            continue
        record = blocked[0]
        said = record["op"], record["error"], record["pid"], *ends_of(record)
        checks.equal(said, ("connect", "EADDRNOTAVAIL", second, "127.0.0.1", LOW, "127.0.0.1", SHELL), "what was refused", record)
        one = record["blockers"][0]
        checks.equal((record["blocker_count"], one["cookie"], one["pid"], one["owner_alive"]), (1, entered["cookie"], first, False), "the one blocker", record)
        text = " ".join(record["remedies"])
        checks.that("net.ipv4.tcp_timestamps=1" in text and "another local port" in text, "what helps", record)


if __name__ == "__main__":
    run_tests(reserved_ports_run_out, the_last_peer_again)
