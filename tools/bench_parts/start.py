# SPDX-License-Identifier: BSD-2-Clause
"""From the start to the ready line, and what each part of it takes: what is saved when it is left out."""

import statistics
import subprocess
import sys
import time

from .tracing import Tracing, our, rounds_of
from harness import program

WHOLE = "ready"
ALL_PARTS = "none of these"
PARTS = {
    "second copy": ["--deny-feature", "second_copy"],
    "accept, refused calls": ["--deny-feature", "accept,refused_calls"],
    "RSTs": ["--deny-feature", "send_reset,receive_reset"],
    "snapshot": ["--no-snapshot"],
    ALL_PARTS: ["--no-snapshot", "--deny-feature", "second_copy,accept,refused_calls,send_reset,receive_reset,iter_tcp,iter_task_file"],
}


def ready_ms(arguments):
    with Tracing(our("life", ["life", *arguments])) as tracing:
        return {"wall": tracing.facts["ready_ms"], "cpu": tracing.cpu_at_ready_ns / 1e6}


# In a process of its own: memory that is touched for the first time is half of it.
READ_BTF = """
import ctypes, time
libbpf = ctypes.CDLL("libbpf.so.1")
begin = time.monotonic()
libbpf.btf__load_vmlinux_btf()
print((time.monotonic() - begin) * 1000)
"""


def btf_ms():
    """What libbpf needs to read and parse the kernel's types."""
    return float(subprocess.run([sys.executable, "-c", READ_BTF], capture_output=True, check=True, text=True).stdout)


def empty_run_ms():
    """Nothing but to load the program and its libraries."""
    begin = time.monotonic()
    subprocess.run([program("tcptrail"), "--version"], stdout=subprocess.DEVNULL, check=True)
    return (time.monotonic() - begin) * 1000


def bench(options):
    rounds = max(9, options.rounds)
    samples = {name: [] for name in (WHOLE, *PARTS)}
    btf, empty = [], []
    for in_turn in rounds_of(list(samples), rounds):
        for name in in_turn:
            samples[name].append(ready_ms(PARTS.get(name, [])))
        btf.append(btf_ms())
        empty.append(empty_run_ms())

    def median(name, fact):
        return statistics.median(sample[fact] for sample in samples[name])

    def saved(name):  # differences inside a round, because a machine's speed drifts
        return statistics.median(whole["wall"] - without["wall"] for whole, without in zip(samples[WHOLE], samples[name]))

    return {
        "ready_ms": median(WHOLE, "wall"),
        "ready_cpu_ms": median(WHOLE, "cpu"),
        "without_all_ms": median(ALL_PARTS, "wall"),
        "saved_ms": {name: saved(name) for name in PARTS},
        "libbpf_reads_btf_ms": statistics.median(btf),
        "empty_run_ms": statistics.median(empty),
    }


def show(result):
    print(f"start to ready {result['ready_ms']:.0f} ms ({result['ready_cpu_ms']:.0f} of CPU); less without (medians of differences):")
    for name, ms in result["saved_ms"].items():
        print(f"  {name:24} {ms:5.1f} ms")
    print(f"  leaves {result['without_all_ms']:.0f} ms; libbpf reads the kernel's BTF in {result['libbpf_reads_btf_ms']:.0f}, `--version` takes {result['empty_run_ms']:.0f}")
