# SPDX-License-Identifier: BSD-2-Clause
"""Owners, with junk on every CPU: no wrong pid, and less than 2 % unknown, whichever way a socket went."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from contract import Records, check_shape
from harness import PATIENCE, Namespace, Tracer, run_tests
from owner_programs import KINDS

PROGRAMS = pathlib.Path(__file__).with_name("owner_programs.py")
COUNT = 100


@contextlib.contextmanager
def junk():
    """A busy process on each CPU: what the tracer would name if it trusted whoever is running."""
    processes = []
    try:
        for cpu in os.sched_getaffinity(0):
            busy = ["nice", "taskset", "-c", str(cpu), sys.executable, "-c", "while True: pass"]
            processes.append(subprocess.Popen(busy))
        yield {busy.pid for busy in processes}
    finally:
        for busy in processes:
            busy.kill()
            busy.wait()


def check_owners(checks, kind, lines, run, netns):
    records = Records(run.of("connection"), netns)
    unknown = 0
    for end in lines:
        record = records.take(end)
        if not checks.that(record is not None, f"{kind}: no connection record", end, kind=f"{kind}: missing"):
            continue
        if record["pid"] is None:
            unknown += 1
            continue
        pid = record["pid"]
        checks.that(pid in end["pids"], f"{kind}: pid {pid} is none of {end['pids']}", record, kind=kind)
        if pid == end["pids"][0]:
            checks.that(
                record["comm"] in end["comm"],
                f"{kind}: comm {record['comm']!r} is none of {end['comm']}",
                record,
                kind=f"{kind}: comm",
            )
        closer = record["closer_pid"]
        if record["closer"] == "local" and closer is not None:
            checks.that(closer in end["pids"], f"{kind}: closer_pid {closer} is none of {end['pids']}", record)
    checks.that(unknown * 50 < max(1, len(lines)), f"{kind}: {unknown} of {len(lines)} owners unknown")
    for record in records.left():
        checks.that(False, f"{kind}: a record of a connection that nobody made", record, kind=f"{kind}: too many")
    print(f"  {kind}: {len(lines)} ends, {unknown} unknown")


def owners(checks):
    """owners: prefork, fork after accept, descriptor passing, exec, renamed threads"""
    for kind in KINDS:
        if kind == "older":
            continue
        with Namespace() as ns, junk():
            with Tracer(["life", "--json"], netns=ns) as tracer:
                done = ns.run([sys.executable, PROGRAMS, kind, COUNT])
            run = tracer.run
        check_shape(checks, run.records)
        check_owners(checks, kind, [json.loads(line) for line in done.stdout.splitlines()], run, ns.inum)


def older_than_the_tracer(checks):
    """owners of connections and listeners that are older than the tracer"""
    with Namespace() as ns, junk():
        with ns.start([sys.executable, PROGRAMS, "older", COUNT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as old:
            try:
                checks.equal(old.stdout.readline(), "open\n", "first word of the old programs")
                with Tracer(["life", "--json"], netns=ns) as tracer:
                    out, _ = old.communicate("g", PATIENCE)
                run = tracer.run
            finally:
                old.kill()
    lines = [json.loads(line) for line in out.splitlines()]
    checks.equal(len(lines), 4 * COUNT, "ends of the old programs")
    check_owners(checks, "older", lines, run, ns.inum)
    began = [record["began"] for record in run.of("connection")]
    checks.equal(began.count("before_trace"), 2 * COUNT, "connections that began before the trace")


def trace_shows_no_stranger(checks):
    """trace: a process that never had the socket is not in any transition"""
    with Namespace() as ns, junk() as strangers:
        with Tracer(["trace", "--json"], netns=ns) as tracer:
            ns.run([sys.executable, PROGRAMS, "prefork", COUNT])
        run = tracer.run
    transitions = run.of("transition")
    checks.that(len(transitions) >= 6 * COUNT, f"{len(transitions)} transitions for {COUNT} connections")
    for record in transitions:
        checks.that(record["pid"] not in strangers | {tracer.pid, 0}, "a stranger", record, kind="a stranger")
    unknown = sum(record["pid"] is None for record in transitions)
    print(f"  {len(transitions)} transitions, {unknown} without an owner")


if __name__ == "__main__":
    run_tests(owners, older_than_the_tracer, trace_shows_no_stranger)
