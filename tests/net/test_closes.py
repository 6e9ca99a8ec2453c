# SPDX-License-Identifier: BSD-2-Clause
"""Every way of closing, once each (tcpload closes): what `life` says about each end is what had to happen, and what
the packets say; what `trace` shows is the same life, step by step."""

import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import oracle
from contract import LEGAL, Packets, Records, check_connection, check_end, check_shape, ends
from harness import Capture, Namespace, Tracer, run_tests, tcpload
from trace_event import OUR_PORTS, Untraceable

def life(checks):
    """life: closer, how, error, owner and TIME_WAIT of both ends of each case"""
    with Namespace(**OUR_PORTS) as ns:
        with Untraceable() as untraceable, Tracer(["life", "--json"], netns=ns) as tracer, Capture(ns) as capture:
            lines = tcpload(ns, "closes")
        run = tracer.run
        packets = Packets(oracle.connections(capture.packets))
    checks.equal(run.code, 0, "exit code")
    check_shape(checks, run.records)
    records = Records(run.of("connection"), ns.inum)
    count = 0
    checks.that(run.summary["incomplete"] <= untraceable.count, f"lives with a hole, {untraceable.count} transitions untraceable", run.summary)
    for case, side, end in ends(lines):
        count += 1
        record = records.take(end)
        if checks.that(record is not None, f"{case}, {side}: no connection record", end):
            check_end(checks, case, side, end, record, packets.take(end))
            check_connection(checks, record)
    for record in records.left():
        checks.that(False, "a connection record that nobody made", record)
    checks.equal(run.summary["loss"]["total"], 0, "loss.total", run.summary)
    checks.equal(run.summary["connections"], count, "summary.connections", run.summary)
    print(f"{len(lines)} connections, {count} ends, {len(run.of('connection'))} connection records")


def trace(checks):
    """trace: each end's transitions are one unbroken chain of legal steps from the first to CLOSE"""
    with Namespace() as ns:
        with Tracer(["trace", "--json"], netns=ns) as tracer:
            lines = tcpload(ns, "closes", "--quick")
        run = tracer.run
    check_shape(checks, run.records)
    chains = collections.defaultdict(list)
    for record in run.of("transition"):
        chains[(record["cookie"], record["generation"])].append(record)
    by_tuple = {}
    for chain in chains.values():
        for old, new in zip(chain, chain[1:]):
            checks.that(old["new"] == new["old"], "a gap in a chain", old, new)
            checks.that(old["boot_ns"] <= new["boot_ns"], "a chain out of order", old, new)
        for record in chain:
            checks.that(record["new"] in LEGAL[record["old"]], "an illegal pair", record)
        last = chain[-1]
        by_tuple.setdefault((last["laddr"], last["lport"], last["raddr"], last["rport"]), []).append(chain)
    count = 0
    for case, side, end in ends(lines):
        found = by_tuple.get((end["laddr"], end["lport"], end["raddr"], end["rport"]), [])
        count += 1
        if not checks.that(bool(found), f"{case}, {side}: no transitions", end):
            continue
        chain = found.pop(0)
        first = (chain[0]["old"], chain[0]["new"])
        wanted = ("CLOSE", "SYN_SENT") if end["expect"]["role"] == "active" else ("LISTEN", "SYN_RECV")
        checks.equal(first, wanted, f"{case}, {side}: first transition", *chain)
        checks.equal(chain[-1]["new"], "CLOSE", f"{case}, {side}: last state", *chain)
        wrong = [one for one in chain if one["pid"] not in (end["pid"], None)]
        checks.that(not wrong, f"{case}, {side}: owned by a process that never had it", end, *wrong)
    checks.equal(run.summary["transitions"], len(run.of("transition")), "summary.transitions", run.summary)
    print(f"{count} ends, {len(run.of('transition'))} transitions")


def time_wait_is_entered(checks):
    """trace: an end that leaves a TIME_WAIT or FIN_WAIT2 minisocket behind has a time_wait record that says so"""
    with Namespace() as ns:
        with Tracer(["trace", "--json"], netns=ns) as tracer:
            lines = tcpload(ns, "closes", "--quick")
        run = tracer.run
    entered = {(r["laddr"], r["lport"], r["raddr"], r["rport"]) for r in run.of("time_wait", event="enter")}
    count = 0
    for case, side, end in ends(lines):
        holds = end["expect"].get("timewait") in ("local", "both")
        count += holds
        if holds:
            there = (end["laddr"], end["lport"], end["raddr"], end["rport"]) in entered
            checks.that(there, f"{case}, {side}: no time_wait record", end, kind="no time_wait record")
    print(f"{count} ends that leave a minisocket, {len(entered)} time_wait records")


if __name__ == "__main__":
    run_tests(life, trace, time_wait_is_entered)
