# SPDX-License-Identifier: BSD-2-Clause
"""A tracer, ours or another one, while it runs: when it is ready, and what it costs from then on."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/lib"))
from harness import program, wait_for  # noqa: E402

TRANSITIONS = 10  # of a connection of the storm, both ends
WAITING = ("ep_poll", "do_epoll_wait", "__skb_wait_for_more_packets", "netlink_recvmsg")  # where the peers wait for events


class Contender:
    """Something that may trace the storm."""

    def __init__(self, name, argv=(), ours=False, lines_per_connection=0, inside=False, before=(), stopped=False):
        self.name = name
        self.argv = list(argv)
        self.ours = ours
        self.lines_per_connection = lines_per_connection
        self.inside = inside  # it knows one network namespace only
        self.before = before  # a command that the namespace needs first
        self.stopped = stopped  # while the storm lasts: what its programs take is seen alone
        needed = [command[0] for command in (self.argv, before) if command]
        self.missing = next((f"{one} is not installed" for one in needed if shutil.which(one) is None), None)


UNTRACED = Contender("none")


def our(name, arguments=None, **options):
    """A contender: tcptrail with these arguments, or with the words of its name."""
    return Contender(name, [program("tcptrail"), *(arguments or name.split())], ours=True, **options)


def of_threads(pid, file, read):
    """The sum of what `read` makes of this file of each thread of the process."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += read((task / file).read_text())
        except OSError:  # it has ended
            pass
    return total


def cpu_ns(pid):
    """Time on a CPU, user and system. (utime and stime of /proc/PID/stat count ticks of 10 ms.)"""
    return of_threads(pid, "schedstat", lambda text: int(text.split()[0]))


def wakeups(pid):
    return of_threads(pid, "status", lambda text: int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.M)[1]))


class Tracing:
    """A contender while it traces. Afterwards `facts` says what it cost.

    stdout: "null", "file" or "pipe"; a namespace of None: all of the machine."""

    def __init__(self, contender, namespace=None, stdout="null"):
        self.contender = contender
        self.facts = {}
        filtered = contender.ours and namespace is not None
        self._argv = contender.argv + (["--netns", namespace.path] if filtered else [])
        if contender.inside:
            self._argv = namespace.command(self._argv)
        if contender.before:
            namespace.run(contender.before)
        self._stdout = stdout

    def __enter__(self):
        if not self._argv:
            return self
        self._output = tempfile.NamedTemporaryFile() if self._stdout == "file" else open(os.devnull, "wb")
        self._stderr = tempfile.TemporaryFile()
        stdout = subprocess.PIPE if self._stdout == "pipe" else self._output
        begin = time.monotonic()
        self.process = subprocess.Popen(self._argv, stdout=stdout, stderr=self._stderr)
        try:
            wait_for(self._ready, f"{self.contender.name} to be ready")
            self.facts["ready_ms"] = (time.monotonic() - begin) * 1000
            self.cpu_at_ready_ns = cpu_ns(self.pid)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.facts["rss_at_rest_mib"] = self._status("VmRSS") / 1024
        if self.contender.stopped:
            self.process.send_signal(signal.SIGSTOP)
        return self

    @property
    def pid(self):
        return self.process.pid

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.contender.name} ended: {self._errors()}")
        if self.contender.ours:
            return "tcptrail: ready" in self._errors()
        # The peers do not say when they are ready; then they wait for events.
        try:
            return pathlib.Path(f"/proc/{self.pid}/wchan").read_text() in WAITING
        except OSError:
            return False

    def _errors(self):
        return os.pread(self._stderr.fileno(), 1 << 20, 0).decode(errors="replace")

    def _status(self, field):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        return 0

    def settle(self):
        """Waits until what has happened is read and written: it spends no CPU time for longer than its batches are apart."""
        if not self._argv:
            return
        if self.contender.stopped:
            self.process.send_signal(signal.SIGCONT)
        last = [None]

        def quiet():
            time.sleep(0.03)
            last[:] = [cpu_ns(self.pid), last[0]]
            return last[0] == last[1]

        wait_for(quiet, f"{self.contender.name} to settle")
        self.facts["cpu_after_ready_s"] = (last[0] - self.cpu_at_ready_ns) / 1e9

    def __exit__(self, *_):
        if not self._argv:
            return
        # Not Popen.send_signal(): it would reap what has ended, and its usage with it.
        os.kill(self.pid, signal.SIGINT)
        os.kill(self.pid, signal.SIGCONT)  # an error may have left it stopped
        ended = []

        def reaped():
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            ended[:] = status, usage
            return pid

        try:
            wait_for(reaped, f"{self.contender.name} to end")
        except AssertionError:
            self.process.kill()
            raise
        status, usage = ended
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.facts["cpu_s"] = usage.ru_utime + usage.ru_stime
        self.facts["peak_rss_mib"] = usage.ru_maxrss / 1024

    def count_lost(self, connections):
        """Events that were lost: ours says so itself; the peers have printed so many lines too few."""
        if not self._argv:
            return
        if self.contender.ours:
            said = re.findall(r"warning: (\d+) events were lost", self._errors())
            self.facts["lost"] = max(map(int, said), default=0)
        else:
            with open(self._output.name, "rb") as file:
                lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
            self.facts["lost"] = max(0, self.contender.lines_per_connection * connections - lines)
        self._output.close()
        self._stderr.close()


def rounds_of(variants, rounds):
    """For each round the variants in an order of its own: the first one pays for cold caches."""
    for number in range(rounds):
        turn = number % len(variants)
        yield variants[turn:] + variants[:turn]
