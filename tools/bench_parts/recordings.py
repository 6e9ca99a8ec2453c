# SPDX-License-Identifier: BSD-2-Clause
"""Recordings: what --record adds to the CPU time of life, the bytes of a transition, and how fast a replay is."""

import os
import statistics
import subprocess
import tempfile

from . import storms
from .tracing import TRANSITIONS, UNTRACED, our
from harness import program

RECORDED = "life --record"
REPLAYS = (["stats"], ["life"], ["life", "--json"], ["trace", "--json"], ["explain", "--json"])


def contenders(file):
    life = ["life", "--ring-size", "64M"]
    return [UNTRACED, our("life", life), our(RECORDED, [*life, "--record", file])]


def added_cpu(runs):
    """What --record adds to the CPU time of life in each round, in percent."""
    of = {(run["round"], run["contender"]): run["cpu_after_ready_s"] for run in runs if "cpu_after_ready_s" in run}
    return [(of[number, RECORDED] / of[number, "life"] - 1) * 100 for number in sorted({run["round"] for run in runs})]


def measure_replay(file, arguments, rounds):
    """Replays a second of CPU, the best of some."""
    argv = [program("tcptrail"), "replay", file, *arguments]
    best = 0.0
    for _ in range(rounds):
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: exit code {process.returncode}")
        best = max(best, 1 / (usage.ru_utime + usage.ru_stime))
    return best


def bench(options):
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "recording")
        field = contenders(file)
        runs = storms.measure_all(field, options.rounds, options.conns, "null")
        transitions = TRANSITIONS * options.conns
        size = os.path.getsize(file)
        speeds = {" ".join(view): measure_replay(file, view, options.rounds) * transitions for view in REPLAYS}
    return {
        "connections": options.conns,
        "medians": storms.medians(field, runs),
        "added_cpu_percent": added_cpu(runs),
        "bytes_per_transition": size / transitions,
        "replayed_transitions_per_cpu_s": speeds,
        "runs": runs,
    }


def show(result):
    storms.print_table(result["medians"])
    added = result["added_cpu_percent"]
    print(f"\n--record adds {statistics.median(added):.1f} % to the CPU time of life ({min(added):.1f} to {max(added):.1f})")
    print(f"{result['bytes_per_transition']:.1f} bytes a transition on disk")
    for view, speed in result["replayed_transitions_per_cpu_s"].items():
        print(f"replay {view:16} {speed / 1e6:6.2f} million transitions a second of CPU")
