# SPDX-License-Identifier: BSD-2-Clause
"""2,000 random connections: closer and how of every one, on both ends, are what the packets say.

Usage: test_random.py [SEED [COUNT]]"""

import collections
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import oracle
from contract import Packets, Records, check_connection, check_shape, ends, right_or_unknown
from harness import Capture, Namespace, Tracer, run_tests, tcpload
from trace_event import OUR_PORTS, Untraceable

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1_000_000)
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 2000


def random_closes(checks):
    """random: closer and how equal the capture's answer, on both ends"""
    print(f"seed {SEED}, {COUNT} connections")
    with Namespace(**OUR_PORTS) as ns:
        with Untraceable() as untraceable, Tracer(["life", "--json"], netns=ns) as tracer, Capture(ns) as capture:
            lines = tcpload(ns, "random", "--count", COUNT, "--seed", SEED, "--workers", 4)
        run = tracer.run
        packets = Packets(oracle.connections(capture.packets))
    check_shape(checks, run.records)
    records = Records(run.of("connection"), ns.inum)
    checks.equal(len(lines), COUNT, "connections made")
    found = collections.Counter()
    count = unknown = incomplete = 0
    missing = []
    for case, side, end in ends(lines):
        count += 1
        record = records.take(end)
        connection = packets.take(end)
        name = f"{case}, {side}"
        if record is None:
            missing.append(f"{name}: {end}")
            continue
        if not checks.that(connection is not None, f"{name}: no packets", end, kind="no packets"):
            continue
        answer = connection.answer((end["laddr"], end["lport"]), end["orphan"])
        got = oracle.Answer(record["closer"], record["how"])
        found[got] += 1
        checks.that(None not in answer, f"{name}: the packets say {answer}", str(connection), kind="the capture")
        incomplete += not record["complete"]
        good = got == answer if record["complete"] else right_or_unknown(got, answer)
        checks.that(good, f"{name}: {got}, the packets say {answer}", record, str(connection), kind=name)
        if record["pid"] is None:
            unknown += 1
        else:
            checks.equal(record["pid"], end["pid"], f"{name}: pid", record, end, kind=f"{name}: pid")
        if record["complete"] and record["how"] == "fin":
            checks.equal(record["tx_bytes"], end["sent"], f"{name}: tx_bytes", record, kind=f"{name}: tx_bytes")
        check_connection(checks, record)
    for record in records.left():
        checks.that(False, "a connection record that nobody made", record, kind="too many")
    checks.equal(run.summary["connections"], count - len(missing), "summary.connections", run.summary)
    checks.that(run.summary["open"] >= len(missing), "connections without a record are not open either", *missing)
    checks.equal(run.summary["loss"]["total"], 0, "loss.total", run.summary)
    holes = incomplete + len(missing)
    checks.that(holes <= untraceable.count, f"{holes} of {count} lives have a hole, {untraceable.count} transitions were untraceable", run.summary, *missing)
    checks.that(unknown * 50 < count, f"{unknown} of {count} owners unknown")
    for answer, times in sorted(found.items()):
        print(f"  {times:5} {answer.closer} {answer.how}")
    print(f"{len(lines)} connections, {count} ends, {unknown} owners unknown, {holes} with a hole")


if __name__ == "__main__":
    run_tests(random_closes)
