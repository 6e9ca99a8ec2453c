# SPDX-License-Identifier: BSD-2-Clause
"""Without traffic, and with little: wakeups a second, and how long a line takes from its event to its reader."""

import json
import os
import socket
import statistics
import threading
import time

from .tracing import Tracing, cpu_ns, our, wakeups
from harness import Namespace, tcpload

IDLE_S = 5.0
IDLE = ("life", "trace --json", "stats --interval 3600")
CONNECTIONS = 200
PERIOD_S = 0.05


def bench_idle(_):
    """All of them at once: none of them is to do anything."""
    result = {}
    with Namespace() as namespace:
        all_tracing = [Tracing(our(name), namespace) for name in IDLE]
        for tracing in all_tracing:
            tracing.__enter__()
        try:
            for tracing in all_tracing:
                tracing.settle()
            before = [(wakeups(tracing.pid), cpu_ns(tracing.pid)) for tracing in all_tracing]
            time.sleep(IDLE_S)
            for tracing, (woken, cpu) in zip(all_tracing, before):
                result[tracing.contender.name] = {
                    "wakeups_per_s": (wakeups(tracing.pid) - woken) / IDLE_S,
                    "cpu_ms_per_s": (cpu_ns(tracing.pid) - cpu) / 1e6 / IDLE_S,
                }
        finally:
            for tracing in all_tracing:
                tracing.__exit__()
    return result


def show_idle(result):
    for name, facts in result.items():
        print(f"idle {name:24} {facts['wakeups_per_s']:.1f} wakeups a second, {facts['cpu_ms_per_s']:.3f} ms of CPU")


class LineClock(threading.Thread):
    """Reads a pipe of JSON lines; of each piece that a read() returns, the age of its first whole line at that moment."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self._fd = pipe.fileno()
        self.ages_ms = []

    def run(self):
        cut = False  # the last piece ended inside a line
        while piece := os.read(self._fd, 1 << 16):
            now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            begin = piece.find(b"\n") + 1 if cut else 0
            end = piece.find(b"\n", begin)
            cut = not piece.endswith(b"\n")
            if end < 0:
                continue
            record = json.loads(piece[begin:end])
            if record["type"] == "connection":
                self.ages_ms.append((now - record["boot_ns"]) / 1e6)


def one_by_one(open_s):
    """20 connections a second, of which each is open for so long."""

    def load(namespace):
        with namespace.call(lambda: socket.create_server(("127.0.0.1", 0))) as server:
            for _ in range(CONNECTIONS):
                client = namespace.call(lambda: socket.create_connection(server.getsockname()))
                accepted, _ = server.accept()
                time.sleep(open_s)
                client.close()
                accepted.close()
                time.sleep(PERIOD_S - open_s)

    return load


def ages(load):
    with Namespace() as namespace:
        tracing = Tracing(our("life --json"), namespace, "pipe")
        with tracing:
            clock = LineClock(tracing.process.stdout)
            clock.start()
            load(namespace)
            tracing.settle()
        clock.join(10)
    return sorted(clock.ages_ms)


def bench_latency(options):
    found = {
        "20 a second, open for 25 ms": ages(one_by_one(PERIOD_S / 2)),
        "20 a second, closed at once": ages(one_by_one(0)),
        "storm": ages(lambda namespace: tcpload(namespace, "storm", "--conns", str(options.conns))),
    }
    return {
        load: {
            "lines": len(ms),
            "p50_ms": statistics.median(ms),
            "p90_ms": ms[len(ms) * 90 // 100],
            "p99_ms": ms[len(ms) * 99 // 100],
            "longest_ms": ms[-1],
        }
        for load, ms in found.items()
    }


def show_latency(result):
    for load, facts in result.items():
        print(
            f"event to reader, {load:27} p50 {facts['p50_ms']:.2f} ms, p90 {facts['p90_ms']:.2f}, p99 {facts['p99_ms']:.2f}, "
            f"longest of {facts['lines']} {facts['longest_ms']:.2f}"
        )
