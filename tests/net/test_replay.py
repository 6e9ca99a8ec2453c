# SPDX-License-Identifier: BSD-2-Clause
"""A live view and the replay of its recording print the same bytes, but for startup and summary: 60,000 connections in
each view, and a run that loses events."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import Namespace, Tracer, program, run_tests, tcpload, wait_for
from sockdiag import boot_ns
from trace_event import OUR_PORTS, Untraceable

CONNECTIONS = 60_000
SLEPT_THROUGH = 2_000
LARGE = ("--ring-size", "64M")
SAME_IN_SUMMARY = ("events", "transitions", "connections", "open", "incomplete", "loss")


def ends_and_middle(path):
    """(startup, summary), and the lines between them."""
    first, *lines, last = path.read_bytes().splitlines(keepends=True)
    return (json.loads(first), json.loads(last)), lines


def check_same(checks, view, live, replayed):
    """Every byte of the records, and the counts of the summary; returns the live summary and the lines."""
    ends, lines = ends_and_middle(live)
    ends_again, again = ends_and_middle(replayed)
    checks.equal(len(again), len(lines), f"{view}: number of records")
    differ = next(((str(one), str(other)) for one, other in zip(lines, again) if one != other), ())
    checks.that(not differ, f"{view}: a record is not the same", *differ)
    for startup, summary in (ends, ends_again):
        checks.equal((startup["type"], summary["type"]), ("startup", "summary"), f"{view}: first and last record")
    for name in SAME_IN_SUMMARY:
        checks.equal(ends_again[1][name], ends[1][name], f"{view}: summary.{name}", ends[1], ends_again[1])
    return ends[1], lines


def round_trip(checks, view, load, *flags):
    """Records a run of `view` with the load of load(namespace, tracer), and replays it."""
    with tempfile.TemporaryDirectory() as folder:
        live, recording, replayed = (pathlib.Path(folder) / name for name in ("live", "recording", "replayed"))
        with Namespace(**OUR_PORTS) as ns, live.open("wb") as out, Untraceable() as untraceable:
            with Tracer([*view, "--json", "--record", recording, *flags], netns=ns, stdout=out) as tracer:
                load(ns, tracer)
        checks.equal(tracer.run.code, 0, f"{view}: exit code", *tracer.run.stderr)
        with replayed.open("wb") as out:
            argv = [program("tcptrail"), "replay", recording, view[0], "--json"]
            done = subprocess.run(argv, stdout=out, stderr=subprocess.PIPE, timeout=60)
        checks.equal((done.returncode, done.stderr), (0, b""), f"{view}: replay")
        summary, lines = check_same(checks, " ".join(view), live, replayed)
        size = recording.stat().st_size
    print(f"  {len(lines)} records, {sum(map(len, lines)) / 1e6:.0f} MB of JSON, {size / 1e6:.1f} MB recorded: "
          f"{size / max(1, summary['transitions']):.1f} bytes a transition")
    return summary, lines, untraceable


def storm(namespace, _tracer):
    tcpload(namespace, "storm", "--conns", CONNECTIONS)


def enough(checks, wanted, summary, lines, untraceable):
    # A transition that is not seen can cost two records: its own, and that of the TIME_WAIT which it begins.
    missing = summary["loss"]["total"] + 2 * untraceable.count
    checks.that(len(lines) >= wanted - missing, f"{len(lines)} records of {wanted}, {untraceable.count} transitions untraceable", summary)


def last_records(file):
    """The whole records among the last bytes of a stream that is still written."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
    return [json.loads(line) for line in file.read().splitlines(keepends=True)[1:] if line.endswith(b"\n")]


def life(checks):
    """life: 120,000 connection records"""
    enough(checks, 2 * CONNECTIONS, *round_trip(checks, ["life"], storm, *LARGE))


def trace(checks):
    """trace: 600,000 transitions, and the beginning of each TIME_WAIT"""
    enough(checks, 11 * CONNECTIONS, *round_trip(checks, ["trace"], storm, *LARGE))


def ports_watch(checks):
    """ports --watch: rounds while 60,000 TIME_WAIT sockets pile up, and one with all of them"""

    def and_a_round_later(namespace, tracer):
        storm(namespace, tracer)
        end = boot_ns()
        with open(f"/proc/{tracer.pid}/fd/1", "rb") as output:
            wait_for(lambda: any(one["type"] == "port" and one["boot_ns"] > end for one in last_records(output)), "a round")

    _, lines, _ = round_trip(checks, ["ports", "--watch"], and_a_round_later, *LARGE)
    for kind in (b"port", b"destination", b"time_wait"):
        count = sum(b'"type":"%b"' % kind in line for line in lines)
        checks.that(count > 0, f"no {kind} record")
        print(f"  {count} {kind.decode()} records")


def loss(checks):
    """a ring far too small and a tracer that sleeps: what was lost, and when, is the same too"""

    def faster_than_it_reads(namespace, tracer):
        tracer.process.send_signal(signal.SIGSTOP)
        tcpload(namespace, "storm", "--conns", SLEPT_THROUGH)
        tracer.process.send_signal(signal.SIGCONT)
        tcpload(namespace, "storm", "--conns", SLEPT_THROUGH)

    for view in (["life"], ["trace"], ["ports", "--watch"]):
        summary, lines, _ = round_trip(checks, view, faster_than_it_reads, "--ring-size", "64K")
        told = sum(json.loads(line)["total"] for line in lines if b'"type":"loss"' in line)
        checks.that(told > 0, f"{view}: nothing was lost: the ring was not small enough", summary)
        checks.equal(told, summary["loss"]["total"], f"{view}: the loss records and the summary", summary)


if __name__ == "__main__":
    run_tests(life, trace, ports_watch, loss)
