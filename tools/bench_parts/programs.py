# SPDX-License-Identifier: BSD-2-Clause
"""What a run of each BPF program takes, by the kernel's own statistics, with one and with two CPUs busy.

An empty program runs at the same tracepoint beside ours: what it takes is the statistics. `net` is what ours takes
beyond it."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import statistics
import subprocess

from .tracing import Tracing, our, rounds_of
from harness import Namespace, tcpload

STATISTICS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
EMPTY = "empty"
VARIANTS = {  # name -> arguments, whether the namespace of the storm is the one that is traced
    "all": ([], True),
    "other --netns": ([], False),
    "other --lport": (["--lport", "1"], True),
    "other --laddr": (["--laddr", "192.0.2.1"], True),
}


@contextlib.contextmanager
def statistics_on():
    before = STATISTICS.read_text()
    STATISTICS.write_text("1")
    try:
        yield
    finally:
        STATISTICS.write_text(before)


@contextlib.contextmanager
def empty_program():
    """A program of `return 0` at inet_sock_set_state; yields its descriptor."""
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    return_0 = bytes.fromhex("b700000000000000" "9500000000000000")  # mov r0, 0; exit
    raw_tracepoint = 17  # BPF_PROG_TYPE_RAW_TRACEPOINT
    program = libbpf.bpf_prog_load(raw_tracepoint, b"bench_empty", b"GPL", return_0, ctypes.c_size_t(2), None)
    if program < 0:
        raise OSError(-program, "cannot load an empty program")
    link = libbpf.bpf_raw_tracepoint_open(b"inet_sock_set_state", program)
    if link < 0:
        os.close(program)
        raise OSError(-link, "cannot attach an empty program")
    try:
        yield program
    finally:
        os.close(link)
        os.close(program)


def counted(pid, fd):
    """(id, (ns, runs)) of the program that is this descriptor; None where it is something else."""
    text = pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
    found = dict(re.findall(r"^(prog_id|run_time_ns|run_cnt):\s*(\d+)$", text, re.M))
    return (int(found["prog_id"]), (int(found["run_time_ns"]), int(found["run_cnt"]))) if len(found) == 3 else None


def programs_of(pid):
    """id -> (ns, runs) so far, of each program that the process holds."""
    return dict(filter(None, (counted(pid, fd) for fd in os.listdir(f"/proc/{pid}/fd"))))


def names():
    shown = subprocess.run(["bpftool", "prog", "show", "-j"], capture_output=True, check=True).stdout
    return {program["id"]: program.get("name", "?") for program in json.loads(shown)}


def measure(variant, pairs, connections):
    """name -> (ns a run, runs) of each program that ran."""
    arguments, traced = VARIANTS[variant]
    with Namespace() as namespace, Namespace() as other, empty_program() as empty:
        with Tracing(our("life", ["life", *arguments]), namespace if traced else other) as tracing:

            def now():
                _, of_empty = counted(os.getpid(), empty)
                return programs_of(tracing.pid) | {EMPTY: of_empty}

            name_of = names() | {EMPTY: EMPTY}
            before = now()
            tcpload(namespace, "storm", "--pairs", str(pairs), "--conns", str(connections))
            result = {}
            for program, (ns, runs) in now().items():
                ns, runs = ns - before[program][0], runs - before[program][1]
                if runs >= connections // 2:
                    result[name_of[program]] = (ns / runs, runs)
            return result


def bench(options):
    connections = min(options.conns, 40_000)
    cases = [(variant, pairs) for variant in VARIANTS for pairs in (1, 2)]
    samples = {}
    with statistics_on():
        for in_turn in rounds_of(cases, max(3, options.rounds // 2 + 1)):
            for variant, pairs in in_turn:
                for name, (ns, _) in (found := measure(variant, pairs, connections)).items():
                    facts = samples.setdefault((variant, pairs, name), {"ns": [], "net": []})
                    facts["ns"].append(ns)
                    facts["net"].append(ns - found[EMPTY][0])
    return [
        {
            "filter": variant,
            "cpus_busy": pairs,
            "program": name,
            "ns": statistics.median(facts["ns"]),
            "net_ns": statistics.median(facts["net"]),
            "net_range": [min(facts["net"]), max(facts["net"])],
        }
        for (variant, pairs, name), facts in sorted(samples.items())
    ]


def show(result):
    print(f"{'ns a run':16}{'program':20}{'CPUs busy':>10}{'ns':>8}{'net':>8}")
    for row in result:
        low, high = row["net_range"]
        print(f"{row['filter']:16}{row['program']:20}{row['cpus_busy']:10}{row['ns']:8.0f}{row['net_ns']:8.0f}  ({low:.0f} to {high:.0f})")
