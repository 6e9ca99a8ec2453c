# SPDX-License-Identifier: BSD-2-Clause
"""record and replay: however a recording ends, what was written before is shown, and what is missing is said."""

import datetime
import json
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import PATIENCE, Namespace, Run, Tracer, program, run_tests, tcpload, wait_for
from privilege import Copy, as_nobody
from sockdiag import boot_ns

MEGABYTE = 1 << 20


class Folder:
    """A folder for recordings; with a size, a file system of its own."""

    def __init__(self, size=None):
        self._size = size

    def __enter__(self):
        self._path = pathlib.Path(tempfile.mkdtemp())
        if self._size:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self._size}", "none", self._path], check=True)
        return self._path

    def __exit__(self, *_):
        if self._size:
            subprocess.run(["umount", self._path], check=True)
        shutil.rmtree(self._path)


def replay(file, *arguments, argv=None):
    argv = [*(argv or [program("tcptrail")]), "replay", file, *(arguments or ["life"]), "--json"]
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=PATIENCE)
    return Run(done.returncode, done.stdout, done.stderr.splitlines())


def one(ns, word="client-first"):
    (line,) = tcpload(ns, "closes", "--only", word)
    return line


def storm(ns, connections):
    tcpload(ns, "storm", "--conns", connections)


def check_damaged(checks, name, run, reason, file):
    """Exit code 1, and one message that says where and what."""
    checks.equal(run.code, 1, f"{name}: exit code", *run.stderr)
    found = re.match(rf"tcptrail: error: {re.escape(str(file))}: damaged at byte (\d+): {reason}", run.stderr[0] if run.stderr else "")
    if checks.that(found, f"{name}: the message", *run.stderr):
        checks.that(int(found[1]) <= file.stat().st_size, f"{name}: the byte", *run.stderr)
    checks.equal([line[:7] for line in run.stderr[1:]], ["  why: ", "  fix: "], f"{name}: why and fix", *run.stderr)


def whole(checks, name, run):
    checks.equal((run.code, run.stderr), (0, []), f"{name}: exit code and stderr")


def killed(checks):
    """kill -9 in mid-record: every block that was written is shown, and the end is said to be missing"""
    with Folder() as folder, Namespace() as ns:
        file = folder / "f"
        with Tracer(["record", "-o", file], netns=ns) as tracer:
            line = one(ns)
            # A block is written at most a second after its first item.
            wait_for(lambda: replay(file).of("connection"), "the first connection in the file", seconds=3)
            load = ns.start([program("tcpload"), "storm", "--conns", 100_000], stdout=subprocess.DEVNULL)
            wait_for(lambda: file.stat().st_size > MEGABYTE, "a megabyte")
            before = replay(file)
            tracer.stop(signal.SIGKILL)
            load.kill()
            load.wait()
        run = replay(file)
        check_damaged(checks, "kill -9", run, "(the end mark is missing|it ends within a block)", file)
    records = run.of("connection")
    seen = before.of("connection")
    checks.that(len(seen) > 1000, f"{len(seen)} connections in the file that was still written", before.summary)
    checks.equal(records[: len(seen)], seen, "what was shown of the file that was still written is shown again")
    first = {(r["lport"], r["pid"], r["closer"]) for r in records[:2]}
    wanted = {(line[side]["lport"], line[side]["pid"], line[side]["expect"]["closer"]) for side in ("client", "server")}
    checks.equal(first, wanted, "the first connection", *records[:2])
    print(f"  {len(records)} connections; {run.stderr[0]}")


def full_disk(checks):
    """a disk that fills up: one message, exit code 1, and all whole blocks readable; a view beside goes on"""
    for command in (["record", "-o"], ["life", "--json", "--record"]):
        name = command[0]
        with Folder(size="1M") as folder, Namespace() as ns:
            file = folder / "f"
            with Tracer([*command, file], netns=ns) as tracer:
                line = one(ns)
                storm(ns, 30_000)
                if name == "record":
                    run = tracer.wait()
                else:
                    wait_for(lambda: len(tracer.stderr) > 1, "the message")
                    last = one(ns)
            run = tracer.run
            checks.equal(run.code, 1, f"{name}: exit code", *run.stderr)
            errors = [text for text in run.stderr if text.startswith("tcptrail: error")]
            checks.that(len(errors) == 1 and f"cannot write to {file}: No space left on device" in errors[0], f"{name}: the message", *run.stderr)
            back = replay(file)
            check_damaged(checks, name, back, "", file)
            records = back.of("connection")
            checks.that(len(records) > 1000, f"{name}: {len(records)} connections", back.summary)
            checks.equal({r["pid"] for r in records[:2]}, {line["client"]["pid"], line["server"]["pid"]}, f"{name}: the first", *records[:2])
            if name != "record":
                live = run.of("connection")
                checks.equal(live[: len(records)], records, "the recording is the beginning of what was shown live")
                ports = {r["lport"] for r in live[-2:]}
                checks.equal(ports, {last["client"]["lport"], last["server"]["lport"]}, "the view goes on behind the full disk")
    for command in (["record", "-o"], ["life", "--record"]):
        done = subprocess.run([program("tcptrail"), *command, "/dev/full"], capture_output=True, text=True, timeout=PATIENCE)
        checks.equal((done.returncode, done.stdout), (1, ""), f"{command[0]} to /dev/full", done.stderr)
        checks.that(done.stderr.startswith("tcptrail: error: cannot write to /dev/full: No space left on device\n"), "/dev/full: the message", done.stderr)


def size_limit(checks):
    """--max-size: the run ends by itself, says so, and the file is whole and no larger"""
    with Folder() as folder, Namespace() as ns:
        file = folder / "f"
        with Tracer(["record", "-o", file, "--max-size", "1M"], netns=ns) as tracer:
            load = ns.start([program("tcpload"), "storm", "--conns", 200_000], stdout=subprocess.DEVNULL)
            run = tracer.wait()
            load.kill()
            load.wait()
        checks.equal(run.code, 0, "exit code", *run.stderr)
        checks.equal(run.stderr[1:], [f"tcptrail: note: {file} has the size that --max-size allows"], "the note")
        size = file.stat().st_size
        checks.that(MEGABYTE / 4 < size <= MEGABYTE, f"{size} bytes")
        back = replay(file)
    whole(checks, "the recording", back)
    checks.that(len(back.of("connection")) > 1000, "connections", back.summary)


def rotation(checks):
    """--rotate: parts of a size, but for a look that is larger than the one before; each readable alone"""
    with Folder() as folder, Namespace() as ns:
        file = folder / "f"
        with Tracer(["record", "-o", file, "--max-size", "1M", "--rotate", "2"], netns=ns) as tracer:
            wait_for(lambda: storm(ns, 20_000) or file.with_name("f.2").exists(), "two older parts")
            line = one(ns)
            run = tracer.stop()
        checks.equal((run.code, run.stderr[1:]), (0, []), "exit code and stderr")
        parts = sorted(path.name for path in folder.iterdir())
        checks.equal(parts, ["f", "f.1", "f.2"], "the files")
        found = []
        for name in parts:
            part = folder / name
            checks.that(part.stat().st_size <= 2 * MEGABYTE, f"{name}: {part.stat().st_size} bytes")
            back = replay(part)
            goes_on = [] if name == "f" else ["tcptrail: note: the recording goes on in another file (--rotate)"]
            checks.equal((back.code, back.stderr), (0, goes_on), f"{name}: exit code and stderr")
            checks.that(back.summary["events"] > 0, f"{name}: events", back.summary)
            print(f"  {name}: {part.stat().st_size} bytes, {back.summary['connections']} connections")
            found += back.of("connection", pid=line["server"]["pid"])
        checks.equal([r["closer"] for r in found], ["remote"], "the last connection is in one of them", *found)


def stopped(checks):
    """SIGINT, SIGTERM and --for: a whole file with everything that happened before"""
    for how in (signal.SIGINT, signal.SIGTERM, "--for"):
        with Folder() as folder, Namespace() as ns:
            file = folder / "f"
            with Tracer(["record", "-o", file, *(["--for", "2s"] if how == "--for" else [])], netns=ns) as tracer:
                line = one(ns)
                run = tracer.wait() if how == "--for" else tracer.stop(how)
            checks.equal((run.code, run.stdout, run.stderr), (0, "", ["tcptrail: ready"]), f"{how}: exit code, stdout, stderr")
            back = replay(file)
        whole(checks, f"{how}", back)
        found = {r["pid"] for r in back.of("connection")}
        checks.equal(found, {line["client"]["pid"], line["server"]["pid"]}, f"{how}: both ends", *back.stdout.splitlines())


def recorded_command(checks):
    """record -- CMD: its exit status, and its connections only"""
    with Folder() as folder, Namespace() as ns:
        file = folder / "f"
        code = "import socket; s = socket.socket(); raise SystemExit(7 if s.connect_ex(('127.0.0.1', 9)) else 0)"
        done = ns.run([program("tcptrail"), "record", "-o", file, "--", "python3", "-c", code], check=False, stderr=subprocess.PIPE)
        back = replay(file)
    checks.equal((done.returncode, done.stdout), (7, ""), "exit status and stdout", done.stderr)
    checks.equal([(r["how"], r["raddr"], r["rport"]) for r in back.of("connection")], [("refused", "127.0.0.1", 9)], "connections")


def anyone_may_replay(checks):
    """replay needs no privilege, and no kernel: nobody, in a user namespace, reads from a pipe"""
    with Folder() as folder, Namespace() as ns, Copy() as tracer:
        folder.chmod(0o755)
        file = folder / "f"
        with Tracer(["record", "-o", file], netns=ns):
            one(ns)
        mode = file.stat().st_mode & 0o777
        checks.equal(mode, 0o600, "the mode of a recording")
        as_root = replay(file)
        done = subprocess.run([*as_nobody(), tracer, "replay", file], capture_output=True, text=True)
        checks.equal(done.returncode, 1, "a stranger's recording", done.stderr)
        checks.that(f"cannot open {file}: Permission denied" in done.stderr, "its message", done.stderr)
        file.chmod(0o644)
        for view in ("life", "trace", "ports", "explain", "stats"):
            run = replay(file, view, argv=[*as_nobody(), "unshare", "--user", "--net", tracer])
            whole(checks, view, run)
            checks.that(len(run.records) > 2, f"{view}: {len(run.records)} records")
            if view == "life":
                checks.equal(run.of("connection"), as_root.of("connection"), "nobody sees what root sees")
        with file.open("rb") as stdin:
            argv = [*as_nobody(), tracer, "replay", "-", "life", "--json"]
            done = subprocess.run(argv, stdin=stdin, capture_output=True, text=True)
        checks.equal(done.stdout, as_root.stdout, "from standard input", done.stderr)


def not_for_this_machine(checks):
    """a recording of the other byte order, of a later version, and what is no recording: refused by name"""
    with Folder() as folder, Namespace() as ns:
        file = folder / "f"
        with Tracer(["record", "-o", file], netns=ns):
            one(ns)
        good = file.read_bytes()
        magic, order = good[:8], struct.unpack_from("=I", good, 8)[0]
        swapped = magic + struct.pack(">I" if struct.pack("=I", order) == struct.pack("<I", order) else "<I", order) + good[12:]
        cases = {
            "byte order": (swapped, "endian"),
            "text": (b"PID COMM LADDR\n" * 10, "this is not how a recording begins"),
            "empty": (b"", "it is empty"),
        }
        for name, (content, words) in cases.items():
            file.write_bytes(content)
            run = replay(file)
            checks.equal((run.code, run.stdout), (1, ""), f"{name}: exit code and stdout", *run.stderr)
            checks.that(run.stderr[:1] and run.stderr[0].startswith(f"tcptrail: error: {file}") and words in run.stderr[0], f"{name}: the message", *run.stderr)
            checks.equal([text[:7] for text in run.stderr[1:]], ["  why: ", "  fix: "], f"{name}: why and fix", *run.stderr)
        missing = replay(folder / "none")
        checks.equal(missing.code, 1, "a file that is not there", *missing.stderr)


PORT_FACTS = ("laddr", "lport", "states", "bind_plain", "bind_reuseaddr", "bind_reuseport", "blocker_count")


def facts_of(records):
    return sorted(tuple(str(record[key]) for key in PORT_FACTS) for record in records if record["type"] == "port")


def at_a_moment(checks):
    """replay ports --at: what a look at the machine showed then; where the recorder had not just looked, it says so"""
    with Folder() as folder, Namespace() as ns:
        file = folder / "f"
        seen = []
        with Tracer(["ports", "--watch", "200ms", "--json", "--record", file], netns=ns) as tracer:

            def look():
                now = boot_ns()
                wait_for(lambda: any(r["boot_ns"] > now for r in tracer.records_so_far() if r["type"] == "port"), "a round")
                done = ns.run([program("tcptrail"), "ports", "--json"])
                seen.append((boot_ns(), facts_of(map(json.loads, done.stdout.splitlines()))))

            for word in ("server-first", "client-first", "server-first"):
                one(ns, word)
                look()
        startup = replay(file).records[0]
        for number, (at, facts) in enumerate(seen):
            for when in (f"{(at - startup['boot_ns']) // 1_000_000}ms", clock_time(startup, at)):
                run = replay(file, "ports", "--at", when)
                whole(checks, f"--at {when}", run)
                checks.equal((facts_of(run.records), len(facts)), (facts, number + 1), f"--at {when}: the ports")
        run = replay(file, "ports", "--at", "1h")
        checks.that(run.code == 0 and re.match(r"tcptrail: note: these are the sockets of 60 min before that|tcptrail: note: these are the sockets of 3[56]\d\d s", run.stderr[0]),
                    "--at after the end", *run.stderr)
        checks.equal(run.of("port"), [], "after an hour no port is blocked")


def clock_time(startup, at_boot_ns):
    """The time of day at a boot time, with nanoseconds."""
    began = datetime.datetime.fromisoformat(startup["time"][:19] + "+00:00")
    ns = int(startup["time"][20:29]) + at_boot_ns - startup["boot_ns"]
    return f"{began + datetime.timedelta(seconds=ns // 10**9):%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09}Z"


if __name__ == "__main__":
    run_tests(killed, full_disk, size_limit, rotation, stopped, recorded_command, anyone_may_replay, not_for_this_machine, at_a_moment)
