# SPDX-License-Identifier: BSD-2-Clause
"""`ports --watch` with 100,000 sockets in TIME_WAIT: what it shows is what `ss` counts, and what it costs."""

import os
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import Namespace, Tracer, cpu_seconds, run_tests, tcpload, wait_for

COUNT = 100_000
LOOKS = 10
MOST = 0.10  # of one core
LOOK_S = 0.5  # CPU time of a look; a busy machine makes it dearer, and then it is taken less often
MEMORY_MIB = 150


def waiting(ns):
    return len(ns.run(["ss", "-Htan", "state", "time-wait"]).stdout.splitlines())


def many(checks):
    """100,000 TIME_WAIT sockets, looked at again and again: less than a tenth of a core."""
    sysctls = {"net_ipv4_ip_local_port_range": "1025 65535", "net_ipv4_tcp_max_tw_buckets": 2_000_000, "net_ipv4_tcp_tw_reuse": 0}
    with Namespace(**sysctls) as ns:
        tcpload(ns, "storm", "--pairs", 2, "--conns", COUNT)
        with Tracer(["ports", "--watch"], netns=ns) as tracer:

            def text():
                return os.pread(tracer._file.fileno(), 1 << 20, 0).decode()

            def looks():
                return text().count(" blocked endpoints, ")

            wait_for(lambda: looks() >= 2, "the first looks")
            before, seen, began = cpu_seconds(tracer.pid), looks(), time.monotonic()
            wait_for(lambda: looks() >= seen + LOOKS, f"{LOOKS} looks")
            spent, seconds, done = cpu_seconds(tracer.pid) - before, time.monotonic() - began, looks() - seen
            counted = waiting(ns)
            shown = text()
            with open(f"/proc/{tracer.pid}/status") as file:
                mib = int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) / 1024
    checks.that(spent / seconds < MOST, f"{spent / seconds * 100:.1f} % of a core")
    checks.that(spent / done < LOOK_S, f"a look takes {spent / done * 1000:.0f} ms of CPU time")
    checks.that(mib < MEMORY_MIB, f"{mib:.0f} MiB")
    checks.equal(counted, COUNT, "ss: TIME_WAIT")
    last = shown.split(" blocked endpoints, ")[-2]
    group = re.search(r"^127\.0\.0\.1:(\d+)-(\d+)\s+(\d+) ports, (\d+) TIME_WAIT", last, re.M)
    if checks.that(group is not None, "the ports of the client are one line", last[:400]):
        checks.equal(int(group[4]), counted, "what it shows is what ss counts")
    used = [int(row.split()[4]) for row in last.splitlines() if re.match(r"127\.0\.0\.1 +127\.", row)]
    checks.equal(sum(used), counted, "the destinations' TIME_WAIT")
    checks.that(all(len(line) <= 100 for line in shown.splitlines()), "100 columns")
    print(f"  {spent / seconds * 100:.1f} % of a core: {spent / done * 1000:.0f} ms for a look at {counted} sockets, one each {seconds / done:.2f} s; {mib:.0f} MiB")


if __name__ == "__main__":
    run_tests(many)
