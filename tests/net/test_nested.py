# SPDX-License-Identifier: BSD-2-Clause
"""Packets that come in by interrupt (RPS) interrupt the programs on their CPU. The kernel's own trace event, which
nothing interrupts, says how many transitions there were: with the second copy of the program none is missing and none is
there twice; without it some are missing, and they are counted.

TCPTRAIL_NESTED=1000000 makes as many connections, ten transitions each; without it 40,000.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import Namespace, Tracer, run_tests, skip, tcpload

CONNS = int(os.environ.get("TCPTRAIL_NESTED") or 40_000)
PORTS = range(20000, 32000)  # outside the range of this machine's own connections


class TraceEvent:
    """Counts sock:inet_sock_set_state in a trace instance of its own, by a filter that the kernel applies."""

    def __init__(self, tracefs, name, condition):
        self._path = tracefs / "instances" / f"tcptrail-test-{os.getpid()}-{name}"
        ours = f"(sport >= {PORTS.start} && sport < {PORTS.stop}) || (dport >= {PORTS.start} && dport < {PORTS.stop})"
        self._filter = f"protocol == 6 && ({ours}) && ({condition})"

    def __enter__(self):
        self._path.mkdir()
        (self._path / "buffer_size_kb").write_text("64")  # only the counters are looked at
        event = self._path / "events/sock/inet_sock_set_state"
        (event / "filter").write_text(self._filter)
        (event / "enable").write_text("1")
        return self

    def __exit__(self, *_):
        (self._path / "events/sock/inet_sock_set_state/enable").write_text("0")
        self._path.rmdir()

    def count(self):
        total = 0
        for stats in self._path.glob("per_cpu/cpu*/stats"):
            numbers = dict(line.split(": ", 1) for line in stats.read_text().splitlines())
            total += sum(int(numbers[name]) for name in ("entries", "overrun", "commit overrun", "dropped events"))
        return total


@contextlib.contextmanager
def tracefs():
    """Mounted for us alone: a machine need not have it."""
    with tempfile.TemporaryDirectory() as path:
        if subprocess.run(["mount", "-t", "tracefs", "tracefs", path]).returncode != 0:
            skip("this kernel has no tracefs")
        try:
            yield pathlib.Path(path)
        finally:
            subprocess.run(["umount", path], check=True)


def storm(checks, *flags):
    """A storm under RPS: (summary, what the trace event says, of that under PID 1: see harness.UNTRACEABLE)."""
    threads = os.listdir("/proc/1/task")
    init = " || ".join(f"common_pid == {tid}" for tid in threads)
    others = " && ".join(f"common_pid != {tid}" for tid in threads)
    with Namespace(net_ipv4_ip_local_port_range=f"{PORTS.start} {PORTS.stop - 1}", net_ipv4_tcp_tw_reuse=1) as ns:
        ns.run(["sh", "-c", f"echo {(1 << os.cpu_count()) - 1:x} > /sys/class/net/lo/queues/rx-0/rps_cpus"])
        with contextlib.ExitStack() as stack:
            events = stack.enter_context(tracefs())
            tracer = stack.enter_context(Tracer(["life", "--json", "--ring-size", "64M", *flags], netns=ns))
            seen, hidden = stack.enter_context(TraceEvent(events, "others", others)), stack.enter_context(TraceEvent(events, "init", init))
            tcpload(ns, "storm", "--conns", CONNS, timeout=600)
            ns.settle()
            counts = seen.count(), hidden.count()
            run = tracer.stop()
    checks.equal((run.code, run.summary["loss"]["ring"], run.summary["loss"]["table"]), (0, 0, 0), "exit code, other losses", run.summary)
    checks.that(counts[0] >= 9 * CONNS, f"the trace event saw {counts[0]} transitions only")
    return run.summary, *counts


def with_second_copy(checks):
    """with the second copy nothing is missing, nothing is there twice"""
    summary, others, hidden = storm(checks)
    checks.that(summary["transitions"] in (others, others + hidden), f"{summary['transitions']} transitions, not {others} (nor {others + hidden})", summary)
    checks.equal(summary["loss"]["nested"], 0, "nested losses", summary)
    print(f"  {others + hidden} transitions, {hidden} of them under PID 1: {summary['transitions']} seen, {summary['incomplete']} of {summary['connections']} connections incomplete")


def without_it(checks):
    """without it some are missing, and the summary says so"""
    if os.cpu_count() == 1:
        return checks.skip("one CPU sends itself no interrupts")
    summary, others, hidden = storm(checks, "--deny-feature", "second_copy")
    missing = others - summary["transitions"]
    checks.that(missing > 0, "nothing was nested: this machine proves nothing", summary)
    checks.that(summary["loss"]["nested"] >= missing, f"{missing} missing, {summary['loss']['nested']} told", summary)
    checks.that(summary["incomplete"] > 0, "no connection is marked", summary)
    print(f"  {others} transitions: {missing} missing, {summary['loss']['nested']} told, {summary['incomplete']} connections marked")


if __name__ == "__main__":
    run_tests(with_second_copy, without_it)
