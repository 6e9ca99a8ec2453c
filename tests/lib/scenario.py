# SPDX-License-Identifier: BSD-2-Clause
"""What the scenario tests share: programs that run on their own, the kernel's timers, and records that are waited for."""

import pathlib
import re
import subprocess
import sys
import threading
import time

from harness import wait_for

PROGRAMS = pathlib.Path(__file__).with_name("scenario_programs.py")
SPARE_MS = 1500  # `ss` shows whole seconds, and takes its time on a busy machine
STEP_MS = 5200  # by which the timer wheel may fire late (docs/kernels.md)


# Of a namespace whose TIME_WAITs must live to their end. Where the machine was away for some milliseconds, the last FIN
# is sent again, the late answer to it meets a socket that is gone, and its RST would take the TIME_WAIT away (RFC 1337).
KEPT = {"net_ipv4_tcp_rfc1337": 1}


class Program:
    """One of scenario_programs.py, in a namespace; killed when the block ends."""

    def __init__(self, namespace, *arguments):
        self.process = namespace.start(
            [sys.executable, PROGRAMS, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.pid = self.process.pid
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, text):
        """Waits for a line with this text and returns it."""
        return wait_for(lambda: next((line for line in self.lines if text in line), None), f"{text!r} from {self.process.args}")

    def signal(self, number):
        self.process.send_signal(number)
        return self.ends()

    def end_of_input(self):
        self.process.stdin.close()
        return self.ends()

    def ends(self):
        """Waits for its end and returns the exit code."""
        wait_for(lambda: self.process.poll() is not None, f"the end of {self.process.args}")
        self._reader.join()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        if not self.process.stdin.closed:
            self.process.stdin.close()


def arrives(tracer, kind, where=lambda record: True, **fields):
    """The first record of a running tracer that is like this."""

    def look():
        for record in tracer.records_so_far():
            if record["type"] == kind and all(record[name] == value for name, value in fields.items()) and where(record):
                return record
        return None

    return wait_for(look, f"a record {kind} {fields}")


def ends_of(record):
    return record["laddr"], record["lport"], record["raddr"], record["rport"]


def boot_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def expiry_ms(record, blocker=None):
    """When the kernel's timer ends it by a record, ms of CLOCK_BOOTTIME."""
    return record["boot_ns"] // 1_000_000 + (blocker or record)["expires_in_ms"]


def kernel_timers(namespace):
    """What `ss` shows of each minisocket: {(laddr, lport, raddr, rport): (state, expiry as above, cookie)}."""
    found = {}
    now = boot_ms()
    for line in namespace.run(["ss", "-Htane"], stderr=subprocess.DEVNULL).stdout.splitlines():
        timer = re.search(r"timer:\(timewait,(?:(\d+)min)?(?:(\d+)sec)?(?:(\d+)ms)?", line)
        if not timer:
            continue
        state, _, _, local, remote = line.split()[:5]
        minutes, seconds, ms = (int(part or 0) for part in timer.groups())
        (laddr, _, lport), (raddr, _, rport) = local.rpartition(":"), remote.rpartition(":")
        cookie = re.search(r"sk:([0-9a-f]+)", line)
        found[laddr.strip("[]"), int(lport), raddr.strip("[]"), int(rport)] = (
            state,
            now + (minutes * 60 + seconds) * 1000 + ms,
            cookie[1] if cookie else None,
        )
    return found
