# SPDX-License-Identifier: BSD-2-Clause
"""How many transitions there were, by the kernel's own trace event, sock:inet_sock_set_state: nothing interrupts it, and
it runs where no BPF program does.

A trace event knows no network namespace, so the tests that count give theirs a port range of its own, OUR_PORTS."""

import contextlib
import itertools
import os
import pathlib
import subprocess
import tempfile
import threading

PORTS = range(12000, 32768)  # below those of the machine's own connections
OUR_PORTS = {"net_ipv4_ip_local_port_range": f"{PORTS.start} {PORTS.stop - 1}"}


class TraceEvent:
    """Counts the transitions of PORTS that fit the condition, in a trace instance of its own; none without a tracefs."""

    _numbers = itertools.count()

    def __init__(self, condition):
        self._ours = f"(sport >= {PORTS.start} && sport < {PORTS.stop}) || (dport >= {PORTS.start} && dport < {PORTS.stop})"
        self._condition = condition
        self._last = 0

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            root = stack.enter_context(_tracefs())
            self._path = root and root / "instances" / f"tcptrail-test-{os.getpid()}-{next(self._numbers)}"
            if root:
                self._path.mkdir()
                stack.callback(self._path.rmdir)
                (self._path / "buffer_size_kb").write_text("64")  # only the counters are read
                event = self._path / "events/sock/inet_sock_set_state"
                self._filter = event / "filter"
                self._choose()
                (event / "enable").write_text("1")
                stack.callback((event / "enable").write_text, "0")
                self._follow(stack)
            self._stack = stack.pop_all()
        return self

    def _choose(self):
        self._filter.write_text(f"protocol == 6 && ({self._ours}) && ({self._condition})")

    def _follow(self, stack):
        """Whatever changes the condition while it counts."""

    def __exit__(self, *_):
        self._last = self.count
        self._path = None
        self._stack.close()

    @property
    def count(self):
        """Until now, or until the block ended."""
        if not self._path:
            return self._last
        total = 0
        for stats in self._path.glob("per_cpu/cpu*/stats"):
            numbers = dict(line.split(": ", 1) for line in stats.read_text().splitlines())
            total += sum(int(numbers[name]) for name in ("entries", "overrun", "commit overrun", "dropped events"))
        return total


class _ByThread(TraceEvent):
    """A condition on the threads of process 1, those that it starts meanwhile included."""

    def __init__(self):
        self._threads = set(os.listdir("/proc/1/task"))
        super().__init__(self.condition(self._threads))

    def _follow(self, stack):
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,), daemon=True)
        watcher.start()
        stack.callback(watcher.join)
        stack.callback(over.set)

    def _watch(self, over):
        while not over.wait(0.01):
            threads = self._threads | set(os.listdir("/proc/1/task"))
            if threads != self._threads:
                self._threads, self._condition = threads, self.condition(threads)
                self._choose()


class Untraceable(_ByThread):
    """Counts the transitions that happen while a thread of process 1 is current.

    On some virtual machines process 1 is the hypervisor's agent, and no BPF program runs while it is current, not even
    for what a softirq does to the sockets of others then. No tracer can see those transitions. So a test measures them:
    so many may be missing, and none where process 1 does not run or is a process like any other."""

    @staticmethod
    def condition(threads):
        return " || ".join(f"common_pid == {tid}" for tid in threads)


class Traceable(_ByThread):
    """Counts all others."""

    @staticmethod
    def condition(threads):
        return " && ".join(f"common_pid != {tid}" for tid in threads)


def all_seen(made, seen, untraceable):
    """Whether a tracer has seen each of the transitions made: all of them, or all but the untraceable ones."""
    return seen in (made, made - untraceable.count)


@contextlib.contextmanager
def _tracefs():
    """Mounted for this test alone: a machine need not have it mounted. None where the kernel has none."""
    with tempfile.TemporaryDirectory() as path:
        if subprocess.run(["mount", "-t", "tracefs", "tracefs", path], stderr=subprocess.DEVNULL).returncode != 0:
            yield None
            return
        try:
            yield pathlib.Path(path)
        finally:
            subprocess.run(["umount", path], check=True)
