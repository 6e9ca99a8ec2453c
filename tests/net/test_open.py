# SPDX-License-Identifier: BSD-2-Clause
"""8,000 connections open at once: none is missing, whether they are older than the tracer or not."""

import contextlib
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from contract import check_shape, right_or_unknown
from harness import PATIENCE, Namespace, Tracer, program, run_tests
from trace_event import OUR_PORTS, Untraceable

COUNT = 8000


@contextlib.contextmanager
def held_open(ns, checks):
    """tcpload open, when all its connections are open."""
    with ns.start(
        [program("tcpload"), "open", "--count", COUNT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as load:
        try:
            checks.equal(load.stdout.readline(), "open\n", "first word of tcpload")
            yield load
        finally:
            load.kill()


def close_all(ns, load):
    out, _ = load.communicate("\n", PATIENCE)
    ns.settle()
    return json.loads(out)


def check_all(checks, run, load, began, untraceable):
    check_shape(checks, run.records)
    records = run.of("connection")
    checks.equal(len(records), 2 * COUNT, "connection records", run.summary)
    tuples = {(r["laddr"], r["lport"], r["raddr"], r["rport"]) for r in records}
    checks.equal(len(tuples), 2 * COUNT, "different tuples")
    # None is missing: what the kernel no longer has is reported as incomplete.
    whole = [record for record in records if record["complete"]]
    holes = len(records) - len(whole)
    checks.that(holes <= untraceable.count, f"{holes} lives have a hole, {untraceable.count} transitions were untraceable", run.summary)
    for record in records:
        if not record["complete"]:
            said = (record["closer"], record["how"])
            answer = ("remote" if record["lport"] == load["port"] else "local", "fin")
            checks.that(right_or_unknown(said, answer), f"{said} with a hole, not {answer}", record)
    for record in whole:
        server = record["lport"] == load["port"]
        checks.equal(record["began"], began, "began", record)
        checks.equal(record["closer"], "remote" if server else "local", "closer", record)
        checks.equal(record["how"], "fin", "how", record)
        checks.equal(record["pid"], load["server_pid" if server else "client_pid"], "pid", record)
        if began == "before_trace":
            checks.equal(record["role"] in ("unknown", "passive" if server else "active"), True, "role", record)
    checks.equal(run.summary["open"], 0, "summary.open", run.summary)
    checks.equal(run.summary["loss"]["total"], 0, "loss.total", run.summary)
    print(f"{len(records)} records, {holes} with a hole")


def opened_while_tracing(checks):
    """8,000 opened and closed while the tracer runs"""
    with Namespace(**OUR_PORTS) as ns, Untraceable() as untraceable, Tracer(["life", "--json"], netns=ns) as tracer:
        with held_open(ns, checks) as load:
            load = close_all(ns, load)
        run = tracer.stop()
    check_all(checks, run, load, "observed", untraceable)


def older(checks):
    """8,000 that are older than the tracer"""
    with Namespace(**OUR_PORTS) as ns, Untraceable() as untraceable, held_open(ns, checks) as load:
        with Tracer(["life", "--json"], netns=ns) as tracer:
            load = close_all(ns, load)
        run = tracer.run
    check_all(checks, run, load, "before_trace", untraceable)


def still_open(checks):
    """8,000 still open when the tracer stops: no records, counted as open"""
    with Namespace() as ns:
        with held_open(ns, checks) as load:
            with Tracer(["life", "--json"], netns=ns) as tracer:
                pass
            close_all(ns, load)
        older_ones = tracer.run
        with Tracer(["life", "--json"], netns=ns) as tracer, held_open(ns, checks) as load:
            run = tracer.stop()
            close_all(ns, load)
    for what, one in (("older", older_ones), ("observed", run)):
        checks.equal(one.summary["open"], 2 * COUNT, f"summary.open of {what}", one.summary)
        checks.equal(len(one.of("connection")), 0, f"connection records of {what}")


if __name__ == "__main__":
    program("tcptrail")
    run_tests(opened_while_tracing, older, still_open)
