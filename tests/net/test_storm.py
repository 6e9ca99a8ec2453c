# SPDX-License-Identifier: BSD-2-Clause
"""60,000 connections as fast as they go: every transition is seen or counted as lost, and a loss damages only the
connections that it hit."""

import json
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import Namespace, Tracer, program, run_tests, tcpload
from trace_event import OUR_PORTS, Untraceable, all_seen

CONNECTIONS = 60_000
SLEPT_THROUGH = 2_000
LISTENERS = 2  # one for each pair of tcpload storm


def balance(checks, run, connections, untraceable, storms=1):
    """The books of a storm: nothing is missing that is not counted. Returns how many are missing."""
    summary = run.summary
    loss = summary["loss"]
    checks.equal(
        loss["total"], sum(loss[kind] for kind in ("ring", "nested", "table", "malformed")), "loss.total", summary
    )
    made = 10 * connections + 2 * LISTENERS * storms
    seen = summary["transitions"] + loss["total"]
    checks.that(all_seen(made, seen, untraceable), f"{seen} transitions seen or lost, {made} made, {untraceable.count} of them untraceable", summary)
    return loss["total"] + made - seen


def storm_life(checks):
    """life: 120,000 connection records, or fewer by what the loss counters say"""
    with Namespace(**OUR_PORTS) as ns:
        with Untraceable() as untraceable, Tracer(["life", "--json"], netns=ns) as tracer:
            (load,) = tcpload(ns, "storm", "--conns", CONNECTIONS)
        run = tracer.run
    lost = balance(checks, run, CONNECTIONS, untraceable)
    lines = run.stdout.splitlines()
    records = [line for line in lines if '"type":"connection"' in line]
    checks.equal(len(records), run.summary["connections"], "connection records and summary.connections", run.summary)
    checks.that(
        2 * CONNECTIONS - lost <= len(records) <= 2 * CONNECTIONS,
        f"{len(records)} connection records with {lost} transitions lost",
        run.summary,
    )
    incomplete = sum('"complete":false' in line for line in records)
    checks.equal(incomplete, run.summary["incomplete"], "summary.incomplete", run.summary)
    checks.that(incomplete <= lost, f"{incomplete} incomplete records, {lost} transitions lost", run.summary)
    checks.equal(run.code, 0, "exit code")
    wrong = [line for line in records if '"complete":true' in line and not orderly(json.loads(line))]
    checks.that(not wrong, f"{len(wrong)} complete records say something wrong", *wrong[:3])
    print(f"{load['rate']} connections/s; {len(records)} records, {lost} lost, {incomplete} incomplete")


def orderly(record):
    """What is true of each end of a storm: the client closes first, all of it with FINs."""
    client = record["role"] == "active"
    return (
        record["closer"] == ("local" if client else "remote")
        and record["how"] == "fin"
        and record["comm"] == ("storm-client" if client else "storm-server")
        and record["time_wait"]["side"] == ("local" if client else "remote")
        and record["tx_bytes"] == (1 if client else 0)
        and record["rx_bytes"] == (0 if client else 1)
    )


def storm_trace(checks):
    """trace: 600,000 transitions"""
    with Namespace(**OUR_PORTS) as ns:
        with Untraceable() as untraceable, Tracer(["trace", "--json"], netns=ns) as tracer:
            (load,) = tcpload(ns, "storm", "--conns", CONNECTIONS, "--server-first")
        run = tracer.run
    lost = balance(checks, run, CONNECTIONS, untraceable)
    printed = run.stdout.count('"type":"transition"')
    checks.equal(printed, run.summary["transitions"], "transition records and summary.transitions", run.summary)
    checks.equal(run.code, 0, "exit code")
    print(f"{load['rate']} connections/s; {printed} transitions, {lost} lost")


def storm_with_loss(*flags):
    """Part of the storm while the tracer cannot drain its ring, and then one while it can."""
    with Namespace(**OUR_PORTS) as ns:
        with Untraceable() as untraceable, Tracer(["life", "--json", "--ring-size", "64K", *flags], netns=ns) as tracer:
            tracer.process.send_signal(signal.SIGSTOP)
            (first,) = tcpload(ns, "storm", "--conns", SLEPT_THROUGH)
            tracer.process.send_signal(signal.SIGCONT)
            (second,) = tcpload(ns, "storm", "--conns", CONNECTIONS)
        return tracer.run, set(first["ports"] + second["ports"]), untraceable


def loss_is_counted(checks):
    """a ring far too small and a tracer that sleeps: losses are counted, lives with a gap are marked"""
    run, servers, untraceable = storm_with_loss("--fail-on-loss")
    lost = balance(checks, run, SLEPT_THROUGH + CONNECTIONS, untraceable, storms=2)
    checks.that(lost > 0, "nothing was lost: the ring was not small enough", run.summary)
    checks.equal(run.code, 3, "exit code with --fail-on-loss", *run.stderr)
    records = run.of("connection")
    wrong = [record for record in records if record["complete"] and not orderly(record)]
    checks.that(not wrong, f"{len(wrong)} complete records say something wrong", *wrong[:3])
    incomplete = sum(not record["complete"] for record in records)
    checks.that(incomplete > 0, "no record is marked incomplete", run.summary)
    checks.equal(incomplete, run.summary["incomplete"], "summary.incomplete", run.summary)
    wrong = [r for r in records if r["closer"] not in ("unknown", "remote" if r["lport"] in servers else "local")]
    checks.that(not wrong, f"{len(wrong)} records name the wrong closer", *wrong[:3])
    in_stream = run.of("loss")
    checks.that(bool(in_stream), "no loss record in the stream")
    if in_stream:
        checks.equal(sum(r["total"] for r in in_stream), run.summary["loss"]["total"], "sum of the loss records", in_stream[-1])
    print(f"{lost} lost, {len(records)} records, {incomplete} incomplete, {len(in_stream)} loss records")


def interrupted(checks):
    """packets that come in by interrupt (RPS): a program that is interrupted by one of them loses nothing uncounted"""
    with Namespace(**OUR_PORTS) as ns:
        ns.run(["sh", "-c", "echo 3 > /sys/class/net/lo/queues/rx-0/rps_cpus"])
        with Untraceable() as untraceable, Tracer(["life", "--json"], netns=ns) as tracer:
            tcpload(ns, "storm", "--conns", CONNECTIONS)
        run = tracer.run
    summary = run.summary
    balance(checks, run, CONNECTIONS, untraceable)
    records = run.of("connection")
    wrong = [record for record in records if record["complete"] and not orderly(record)]
    checks.that(not wrong, f"{len(wrong)} complete records say something wrong", *wrong[:3])
    checks.equal(summary["loss"]["nested"], 0, "loss.nested", summary)
    print(f"{untraceable.count} untraceable, {summary['loss']['total']} lost, {summary['incomplete']} incomplete")


def loss_without_the_flag(checks):
    """the same without --fail-on-loss: exit code 0"""
    run, _, untraceable = storm_with_loss()
    checks.that(balance(checks, run, SLEPT_THROUGH + CONNECTIONS, untraceable, storms=2) > 0, "nothing was lost", run.summary)
    checks.equal(run.code, 0, "exit code")


if __name__ == "__main__":
    program("tcptrail")
    run_tests(storm_life, storm_trace, interrupted, loss_is_counted, loss_without_the_flag)
