# SPDX-License-Identifier: BSD-2-Clause
"""Packets that come in by interrupt (RPS) interrupt the programs on their CPU. The kernel's own trace event, which
nothing interrupts, says how many transitions there were: with the second copy of the program none is missing and none is
there twice; without it some are missing, and they are counted.

TCPTRAIL_NESTED=1000000 makes as many connections, ten transitions each; without it 40,000.
"""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import Namespace, Tracer, run_tests, skip, tcpload
from trace_event import OUR_PORTS, Traceable, Untraceable, all_seen

CONNS = int(os.environ.get("TCPTRAIL_NESTED") or 40_000)


def storm(checks, *flags):
    """A storm under RPS: (summary, transitions by the trace event, those of them that are untraceable)."""
    with Namespace(net_ipv4_tcp_tw_reuse=1, **OUR_PORTS) as ns:
        ns.run(["sh", "-c", f"echo {(1 << os.cpu_count()) - 1:x} > /sys/class/net/lo/queues/rx-0/rps_cpus"])
        with Tracer(["life", "--json", "--ring-size", "64M", *flags], netns=ns) as tracer, Traceable() as others, Untraceable() as hidden:
            tcpload(ns, "storm", "--conns", CONNS, timeout=600)
            ns.settle()
            run = tracer.stop()
    if not others.count:
        skip("this kernel has no tracefs")
    checks.equal((run.code, run.summary["loss"]["ring"], run.summary["loss"]["table"]), (0, 0, 0), "exit code, other losses", run.summary)
    checks.that(others.count >= 9 * CONNS, f"the trace event saw {others.count} transitions only")
    return run.summary, others, hidden


def with_second_copy(checks):
    """with the second copy nothing is missing, nothing is there twice"""
    summary, others, hidden = storm(checks)
    made = others.count + hidden.count
    checks.that(all_seen(made, summary["transitions"], hidden), f"{summary['transitions']} transitions, not {made} (nor {others.count})", summary)
    checks.equal(summary["loss"]["nested"], 0, "nested losses", summary)
    print(f"  {made} transitions, {hidden.count} of them untraceable: {summary['transitions']} seen, {summary['incomplete']} of {summary['connections']} connections incomplete")


def without_it(checks):
    """without it some are missing, and the summary says so"""
    if os.cpu_count() == 1:
        return checks.skip("one CPU sends itself no interrupts")
    summary, others, _ = storm(checks, "--deny-feature", "second_copy")
    missing = others.count - summary["transitions"]
    checks.that(missing > 0, "nothing was nested: this machine proves nothing", summary)
    checks.that(summary["loss"]["nested"] >= missing, f"{missing} missing, {summary['loss']['nested']} told", summary)
    checks.that(summary["incomplete"] > 0, "no connection is marked", summary)
    print(f"  {others.count} transitions: {missing} missing, {summary['loss']['nested']} told, {summary['incomplete']} connections marked")


if __name__ == "__main__":
    run_tests(with_second_copy, without_it)
