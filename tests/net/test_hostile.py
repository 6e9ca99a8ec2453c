# SPDX-License-Identifier: BSD-2-Clause
"""What strangers can do to a tracer: names that drive terminals, floods, more connections than it follows,
namespaces that vanish, a second tracer, a tracer that sleeps. Nothing is lost without being counted."""

import contextlib
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import PATIENCE, Namespace, Tracer, program, run_tests, tcpload
from privilege import Copy, as_nobody
from trace_event import OUR_PORTS, Untraceable, all_seen

NAMES = [
    b"\x1b[2Jevil\n\rx",
    b"q\"u,o't\\e;`$",
    b"\xff\xfe\xc3(bad\x80",
    "\u202eb\u2028i\u2066".encode(),
    b"\xc2\x9b31m\x7f\x07",
    b" =1+1|cmd",
]

# One connection to itself, under the name that stands (in hexadecimal) in argv.
ONE = """
import ctypes, os, socket, sys
name = bytes.fromhex(sys.argv[1])
ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
other = server.accept()[0]
client.close(); other.recv(1); other.close()
"""

HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffd\udc80-\udcff]")


def bytes_of(escaped):
    """What \\xHH and \\\\ stand for."""
    plain = re.sub(rb"\\(x[0-9a-f]{2}|\\)", lambda m: b"\\" if m[1] == b"\\" else bytes.fromhex(m[1][1:].decode()), escaped.encode(), flags=re.I)
    return plain


def join_cgroup(path):
    with open(os.path.join(path, b"cgroup.procs"), "w") as file:
        file.write(str(os.getpid()))


def names(checks):
    """comm and cgroup full of escapes, quotes, newlines and broken UTF-8: no sink lets them through, none loses them"""
    mount = next((l.split()[1] for l in open("/proc/self/mounts") if l.split()[2] == "cgroup2"), None)
    groups = []
    try:
        if mount:
            for name in (b"tt\x1b[31m\xff\"q'\\", "tt\u202ert\u2028".encode()):
                groups.append(os.path.join(os.fsencode(mount), name))
                os.mkdir(groups[-1])
        for args in (["life", "--json"], ["life"], ["life", "-s", "--columns", "+CGROUP"], ["trace", "--json"], ["trace"], ["explain"]):
            with Namespace() as ns:
                with Tracer(args, netns=ns) as tracer:
                    for number, name in enumerate(NAMES):
                        # Before `ip netns exec`, which hides the cgroup file system.
                        join = lambda at=number: groups and join_cgroup(groups[at % len(groups)])  # noqa: E731
                        ns.run([sys.executable, "-c", ONE, name.hex()], preexec_fn=join)
                run = tracer.run
            text = " ".join(args)
            harm = HARMFUL.findall(run.stdout.replace("\r\n", "\n"))
            checks.equal(harm, [], f"{text}: characters that drive a terminal", kind="harmful characters")
            checks.equal((run.code, run.stdout[-1:]), (0, "\n"), f"{text}: exit code and end")
            if args == ["life", "--json"]:
                records = run.of("connection")
                checks.equal({bytes_of(r["comm"]) for r in records}, {n[:15] for n in NAMES}, "names", *records)
                checks.equal(len(records), 2 * len(NAMES), "records")
                if groups:
                    seen = {bytes_of(r["cgroup"]) for r in records if r["cgroup"]}
                    checks.equal(seen, {b"/" + os.path.basename(g) for g in groups}, "cgroups", *records)
            elif args == ["life"]:
                checks.equal(len(run.stdout.splitlines()), 2 * len(NAMES) + 1, "lines of life", *run.stdout.splitlines())
            elif args == ["trace"]:
                checks.equal(len(re.findall(r"^\S+ .*(?:->|CLOSE)", run.stdout, re.M)) > 0, True, "rows of trace")
        for glob, wanted in (("*evil*", 2), ("q\"u*", 2), ("*bad*", 2), ("nothing*", 0)):
            with Namespace() as ns:
                with Tracer(["life", "--json", "--comm", glob], netns=ns) as tracer:
                    for name in NAMES:
                        ns.run([sys.executable, "-c", ONE, name.hex()])
                checks.equal(len(tracer.run.of("connection")), wanted, f"--comm {glob}: records", *tracer.run.records)
    finally:
        for group in groups:
            with contextlib.suppress(OSError):
                os.rmdir(group)


def rss_kb(pid):
    return next((int(l.split()[1]) for l in open(f"/proc/{pid}/status") if l.startswith("VmRSS:")), 0)


def flood(checks):
    """a flood from an unprivileged process: the connections of others are reported or accounted, memory is bounded"""
    conns, mine = 60_000, 0
    with Copy() as copy, Namespace(**OUR_PORTS) as ns, Untraceable() as untraceable:
        load = shutil.copy(program("tcpload"), os.path.dirname(copy))
        os.chmod(load, 0o755)
        with Tracer(["life", "--json"], netns=ns) as tracer:
            before = rss_kb(tracer.pid)
            with open(os.devnull, "w") as null:
                stranger = ns.start([*as_nobody(), load, "storm", "--conns", conns], stdout=null)
                most = before
                while stranger.poll() is None:
                    ns.run([sys.executable, "-c", ONE, b"honest".hex()])
                    mine += 1
                    most = max(most, rss_kb(tracer.pid))
            checks.equal(stranger.returncode, 0, "the flood's exit code")
        run = tracer.run
    summary = run.summary
    made = 10 * conns + 2 * 2 + mine * (10 + 2)
    seen = summary["transitions"] + summary["loss"]["total"]
    checks.that(all_seen(made, seen, untraceable), f"{seen} transitions seen or lost, {made} made, {untraceable.count} untraceable", summary)
    honest = run.stdout.count('"comm":"honest"')
    least = 0 if summary["loss"]["total"] else 2 * mine - untraceable.count
    checks.that(least <= honest <= 2 * mine, f"{honest} of {2 * mine} honest records", summary)
    checks.that(most < 128 << 10, f"RSS rose from {before} to {most} KiB")
    print(f"  {conns} connections of nobody, {honest} of {2 * mine} honest records, {summary['loss']['total']} lost; RSS {before} -> {most} KiB")


def terminal(checks):
    """a terminal gets a bounded number of rows, and is told how many were left out and how to see them"""
    conns = 20_000
    for view in ("life", "trace"):
        with Namespace() as ns:
            ours, theirs = pty.openpty()
            argv = [program("tcptrail"), view, "--netns", ns.path]
            tracer = subprocess.Popen(argv, stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
            os.close(theirs)
            while not tracer.stderr.readline().startswith(b"tcptrail: ready"):
                pass
            begin = time.monotonic()
            load = ns.start([program("tcpload"), "storm", "--conns", conns], stdout=subprocess.DEVNULL)
            text = b""
            deadline = begin + PATIENCE
            stopped = False
            while time.monotonic() < deadline:
                if not stopped and load.poll() is not None:
                    ns.settle()
                    took = time.monotonic() - begin
                    tracer.send_signal(signal.SIGINT)
                    stopped = True
                if select.select([ours], [], [], 0.05)[0]:
                    try:
                        chunk = os.read(ours, 1 << 16)
                    except OSError:
                        break
                    if not chunk:
                        break
                    text += chunk
            code = tracer.wait(PATIENCE)
            os.close(ours)
        lines = text.decode().splitlines()
        left_out = [int(m[1]) for m in (re.match(r"\.\.\. (\d+) more not shown: .*-o FILE", line) for line in lines) if m]
        rows = [line for line in lines if "storm-" in line or "127.0.0.1" in line]
        checks.equal(code, 0, f"{view}: exit code")
        checks.that(left_out, f"{view}: nothing was left out", *lines[-3:])
        checks.that(len(rows) <= 2_000 * (int(took) + 2), f"{view}: {len(rows)} rows in {took:.1f} s")
        if view == "life":
            lost = b"lost" in tracer.stderr.read()
            checks.that(lost or len(rows) + sum(left_out) == 2 * conns, f"{len(rows)} rows + {sum(left_out)} left out, not {2 * conns}")
        print(f"  {view}: {len(rows)} rows and {sum(left_out)} left out in {took:.1f} s")


def full_table(checks):
    """more connections than --max-connections, and two tracers at once: both books give the same sum"""
    with Namespace() as ns:
        with Tracer(["life", "--json"], netns=ns) as other, Tracer(["life", "--json", "--max-connections", "1000", "--fail-on-loss"], netns=ns) as small, Tracer(
            ["trace", "--json", "--max-connections", "1000"], netns=ns
        ) as trace:
            for _ in range(2):
                ns.run([program("tcpload"), "open", "--count", 3000, "--hold", "0.5"])
            tcpload(ns, "storm", "--conns", 500)
            ns.settle()
            runs = [tracer.stop() for tracer in (other, small, trace)]
    whole, part, printed = (run.summary for run in runs)
    checks.equal(whole["loss"]["total"], 0, "the other tracer lost", whole)
    for name, summary in (("life", part), ("trace", printed)):
        checks.equal(summary["transitions"] + summary["loss"]["total"], whole["transitions"], f"{name}: the books", summary, whole)
    checks.that(part["loss"]["table"] > 0, "nothing was pushed out", part)
    checks.equal(part["loss"]["table"], part["loss"]["total"], "loss by cause", part)
    checks.equal(runs[1].code, 3, "exit code with --fail-on-loss")
    checks.that(runs[1].of("loss"), "no loss record")
    checks.equal(runs[2].stdout.count('"type":"transition"'), printed["transitions"], "printed by trace", printed)
    checks.equal(runs[1].stdout.count('"type":"connection"'), part["connections"], "connection records", part)
    print(f"  {whole['transitions']} transitions: life saw {part['transitions']} and lost {part['loss']['table']}, trace {printed['transitions']} and {printed['loss']['table']}")


def asleep(checks):
    """ten seconds of SIGSTOP under load: what did not fit is counted, and the books hold"""
    with Namespace(**OUR_PORTS) as ns, Untraceable() as untraceable:
        with Tracer(["life", "--json"], netns=ns) as tracer:
            load = ns.start([program("tcpload"), "storm", "--conns", 60_000], stdout=subprocess.DEVNULL)
            tracer.process.send_signal(signal.SIGSTOP)
            time.sleep(10)
            tracer.process.send_signal(signal.SIGCONT)
            checks.equal(load.wait(PATIENCE), 0, "the load's exit code")
            tcpload(ns, "storm", "--conns", 1_000)
            ns.settle()
        run = tracer.run
    made = 10 * 61_000 + 8
    seen = run.summary["transitions"] + run.summary["loss"]["total"]
    checks.that(all_seen(made, seen, untraceable), f"{seen} transitions seen or lost, {made} made, {untraceable.count} untraceable", run.summary)
    checks.that(run.summary["loss"]["ring"] > 0, "nothing was lost in ten seconds of sleep", run.summary)
    print(f"  {made} made, {run.summary['transitions']} seen, {run.summary['loss']['total']} lost, {run.summary['incomplete']} incomplete")


def vanishing(checks):
    """namespaces that come and go and pids that exit while they are read: no word, no wrong end"""
    with Namespace() as ns:
        with Tracer(["trace", "--json", "--events", "all"]) as tracer, Tracer(["ports", "--watch", "100ms", "--json"], netns=ns) as watch:
            deadline = time.monotonic() + 6
            rounds = 0
            while time.monotonic() < deadline:
                with Namespace() as short:
                    short.run([sys.executable, "-c", ONE, b"short".hex()])
                rounds += 1
            checks.equal((tracer.process.poll(), watch.process.poll()), (None, None), "both still run")
            runs = [tracer.stop(), watch.stop()]
    for run in runs:
        checks.equal(run.code, 0, "exit code", *run.stderr)
        words = [line for line in run.stderr if "error" in line or "could not be read" in line]
        checks.equal(words, [], "stderr")
    wrong = [r for r in runs[0].of("connection", comm="short") if r["complete"] and r["closer"] == "unknown"]
    checks.equal(wrong, [], "complete records without a closer")
    checks.equal(len(runs[0].of("connection", comm="short")), 2 * rounds, "records of namespaces that are gone")
    print(f"  {rounds} namespaces came and went")


def never_elsewhere(checks):
    """a look into other namespaces leaves the process in its own: `ip netns pids` is what scripts kill"""
    home = os.readlink("/proc/self/ns/net")
    with Namespace() as ns:
        tcpload(ns, "storm", "--conns", 5000)
        with Tracer(["ports", "--watch", "100ms", "--json"], netns=ns) as tracer:
            seen = set()
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                seen.add(os.readlink(f"/proc/{tracer.pid}/ns/net"))
    checks.equal(seen, {home}, "namespaces of the process")
    checks.that(tracer.run.of("port"), "it never looked", *tracer.run.stderr)


def without_file_systems(checks):
    """without tracefs, debugfs and bpffs: all the same"""
    hide = "umount -l /sys/kernel/tracing 2>/dev/null; umount -l /sys/kernel/debug 2>/dev/null; umount -l /sys/fs/bpf 2>/dev/null; exec \"$@\""
    with Namespace() as ns:
        with Tracer(["life", "--json"], netns=ns, wrap=["unshare", "--mount", "sh", "-c", hide, "sh"]) as tracer:
            tcpload(ns, "closes", "--only", "client-first")
        run = tracer.run
    checks.equal(len(run.of("connection")), 2, "records", *run.stderr)
    checks.equal([line for line in run.stderr if "error" in line], [], "errors")


def time_namespace(checks):
    """in a time namespace with another boot clock: times are right, and it stops in time"""
    probe = subprocess.run(["unshare", "--time", "--boottime", "100000", "true"], capture_output=True)
    if probe.returncode != 0:
        return checks.skip("no time namespaces here")
    with Namespace() as ns:
        with Tracer(["life", "--json", "--for", "3s"], netns=ns, wrap=["unshare", "--time", "--boottime", "100000"]) as tracer:
            now = time.time()
            tcpload(ns, "closes", "--only", "client-first")
            run = tracer.wait()
    import datetime

    checks.equal(len(run.of("connection")), 2, "records", *run.stderr)
    for record in run.of("connection"):
        at = datetime.datetime.fromisoformat(record["time"][:26] + "+00:00").timestamp()
        checks.that(abs(at - now) < 5, f"time is {at - now:.1f} s off", record)
    checks.that(2.9 < run.summary["duration_us"] / 1e6 < 6, "duration", run.summary)


def fewer_cpus(checks):
    """a CPU that goes away and comes back: only where TCPTRAIL_TEST_CPU_OFFLINE is set, because it is the machine's"""
    switch = pathlib.Path("/sys/devices/system/cpu/cpu1/online")
    if not switch.exists() or "TCPTRAIL_TEST_CPU_OFFLINE" not in os.environ:
        return checks.skip("TCPTRAIL_TEST_CPU_OFFLINE is not set" if switch.exists() else f"no {switch}")
    with Namespace() as ns, Tracer(["life", "--json"], netns=ns) as tracer:
        try:
            switch.write_text("0")
            tcpload(ns, "storm", "--conns", 5_000)
        finally:
            switch.write_text("1")
        tcpload(ns, "storm", "--conns", 5_000)
        run = tracer.stop()
    seen = run.summary["transitions"] + run.summary["loss"]["total"]
    checks.that(seen >= 100_000 * 0.999, f"{seen} transitions seen or lost", run.summary)


if __name__ == "__main__":
    run_tests(names, flood, terminal, full_table, asleep, vanishing, never_elsewhere, without_file_systems, time_namespace, fewer_cpus)
