# SPDX-License-Identifier: BSD-2-Clause
"""Scenario F: leaks. CLOSE_WAIT that a program forgets to close, FIN_WAIT2 that was only shut down; ss is the oracle."""

import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from contract import check_shape
from harness import Namespace, Tracer, run_tests, wait_for
from scenario import Program

PORT, OTHER = 8080, 8081
COUNT, PER_SECOND = 30, 5
HALF = 3
YOUNG_S = 3  # every connection is in CLOSE_WAIT for a moment: a leak is older


def leaks(records, state, pid):
    return [one for one in records if one["type"] == "leak" and (one["state"], one["pid"]) == (state, pid)]


def in_state(ns, state):
    return len(ns.run(["ss", "-Htan", "state", state]).stdout.splitlines())


def forgotten_connections(checks):
    """A server that never closes: pid, comm, count, age and growth of its CLOSE_WAIT sockets."""
    with Namespace(net_ipv4_tcp_fin_timeout=1) as ns:
        with Tracer(["ports", "--watch", "500ms", "--json"], netns=ns) as watch:
            with Program(ns, "leaky-server", PORT) as server, Program(ns, "leaky-server", OTHER) as other:
                server.says("listening")
                other.says("listening")
                with Program(ns, "leaky-client", PORT, COUNT, PER_SECOND) as client, Program(ns, "half-client", OTHER, HALF) as half:
                    half.says("none closed")
                    checks.equal(client.ends(), 0, "the client")
                    wait_for(lambda: any(one["count"] == COUNT for one in leaks(watch.records_so_far(), "CLOSE_WAIT", server.pid)), "all of them to be leaks")
                    # Those that were closed are gone after tcp_fin_timeout; what was only shut down stays.
                    wait_for(lambda: in_state(ns, "fin-wait-2") == HALF, "the minisockets to be gone")
                    checks.equal(in_state(ns, "close-wait"), COUNT + HALF, "ss: CLOSE_WAIT")
                    seen = len(watch.records_so_far())
                    wait_for(lambda: len(leaks(watch.records_so_far()[seen:], "FIN_WAIT2", half.pid)) >= 2, "two more rounds")
                half_pid = half.pid
        run = watch.run
    check_shape(checks, run.records)
    found = leaks(run.records, "CLOSE_WAIT", server.pid)
    counts = [one["count"] for one in found]
    checks.that(counts == sorted(counts) and counts[-1] == COUNT, f"counts: {counts}")
    while_growing = [one["growth_per_s"] for one in found if COUNT // 3 <= one["count"] < COUNT]
    checks.that(len(while_growing) >= 3 and all(abs(one - PER_SECOND) < 2 for one in while_growing), f"growth: {while_growing}")
    for one in found:
        checks.equal((one["comm"], one["alive"]), ("leaky-server", True), "who", one, kind="who")
        checks.that(one["oldest_us"] >= YOUNG_S * 1e6, "a leak is no moment", one, kind="oldest")
        checks.that(f"leaky-server (pid {server.pid}) must close()" in one["remedy"], "what would end them", one, kind="remedy")
    ages = [(one["boot_ns"] / 1000 - one["oldest_us"]) / 1e6 for one in found]
    checks.that(max(ages) - min(ages) < 0.01, f"the oldest is the same all the time: since {min(ages):.3f} to {max(ages):.3f}")
    waiting = leaks(run.records, "FIN_WAIT2", half_pid)
    checks.equal({(one["count"], one["comm"], one["alive"]) for one in waiting}, {(HALF, "half-client", True)}, "FIN_WAIT2 that was only shut down", *waiting)
    checks.that("no timer ends FIN_WAIT2" in waiting[-1]["remedy"], "what would end it", waiting[-1])
    checks.equal([one["count"] for one in leaks(run.records, "CLOSE_WAIT", other.pid)][-1:], [HALF], "the other end of it")
    print(f"  count and growth: {[(one['count'], one['growth_per_s']) for one in found]}")
    whose = collections.Counter((one["state"], one["pid"]) for one in run.of("leak"))
    wanted = {("CLOSE_WAIT", server.pid), ("CLOSE_WAIT", other.pid), ("FIN_WAIT2", half_pid)}
    checks.equal(set(whose), wanted, "nobody else leaks")


def older_than_the_trace(checks):
    """A leak that began before the trace has no age, and its holder all the same."""
    with Namespace() as ns, Program(ns, "leaky-server", PORT) as server:
        server.says("listening")
        with Program(ns, "leaky-client", PORT, 2, 100) as client:
            checks.equal(client.ends(), 0, "the client")
        wait_for(lambda: in_state(ns, "close-wait") == 2, "CLOSE_WAIT")
        with Tracer(["ports", "--watch", "500ms", "--json"], netns=ns) as watch:
            found = wait_for(lambda: leaks(watch.records_so_far(), "CLOSE_WAIT", server.pid), "a leak")
        checks.equal((found[0]["count"], found[0]["oldest_us"], found[0]["comm"]), (2, None, "leaky-server"), "what is known", *found)


if __name__ == "__main__":
    run_tests(forgotten_connections, older_than_the_trace)
