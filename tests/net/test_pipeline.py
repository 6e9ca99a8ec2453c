# SPDX-License-Identifier: BSD-2-Clause
"""The tracer as a part of a pipeline: records come soon, the end is orderly whoever ends it, errors are one line."""

import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import PATIENCE, Namespace, Tracer, program, run_tests, tcpload, wait_for


def one_connection(ns):
    (line,) = tcpload(ns, "closes", "--only", "client-first")
    return line


def complete_lines(checks, text, what):
    """Every line whole and JSON, the last one the summary."""
    checks.that(text.endswith("\n"), f"{what}: the last line is cut: {text[-80:]!r}")
    lines = text.splitlines()
    for number, line in enumerate(lines):
        try:
            json.loads(line)
        except ValueError:
            checks.that(False, f"{what}: line {number} is no JSON: {line[:200]!r}", kind=what)
    checks.that(lines and '"type":"summary"' in lines[-1], f"{what}: no summary at the end")
    return lines


def errors(stderr):
    return [line for line in stderr if not line.startswith("tcptrail: ready")]


class Piped:
    """A tracer whose stdout is a pipe that this test reads."""

    def __init__(self, ns, *args):
        self.tracer = Tracer([*args], netns=ns, stdout=subprocess.PIPE)

    def __enter__(self):
        self.tracer.__enter__()
        self.stdout = self.tracer.process.stdout
        return self

    def line(self, kind, seconds=PATIENCE):
        """Reads up to the next record of a type."""
        deadline = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.stdout], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {kind} record came in {seconds} s")
            text = self.stdout.readline()
            record = json.loads(text)
            if record["type"] == kind:
                return record

    def __exit__(self, *_):
        self.stdout.close()
        self.tracer.__exit__(*_)


def soon(checks):
    """a record reaches a pipe within 500 ms of its event"""
    for command, kind in (("life", "connection"), ("trace", "transition")):
        with Namespace() as ns, Piped(ns, command, "--json") as piped:
            worst = 0.0
            piped.stdout = os.fdopen(os.dup(piped.stdout.fileno()), "rb", buffering=0)  # select() sees what there is
            for _ in range(20):
                end = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                one_connection(ns)
                while True:
                    record = piped.line(kind)
                    late = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - record["boot_ns"]
                    if record["boot_ns"] > end:
                        worst = max(worst, late / 1e6)
                    if kind == "connection" or record["new"] == "CLOSE" and record["old"] == "LISTEN":
                        break
        checks.that(worst < 500, f"{command}: a record came {worst:.0f} ms after its event")
        print(f"  {command}: {worst:.1f} ms at worst")


def reader_goes(checks):
    """`| head -1`: the end of the reader is the end of the tracer, without a word and with exit code 0"""
    for args in (["life", "--json"], ["life"], ["trace"], ["trace", "--json"]):
        with Namespace() as ns, Piped(ns, *args) as piped:
            if "--json" in args:
                piped.line("startup")
            else:
                piped.stdout.readline()
            piped.stdout.close()
            one_connection(ns)
            run = piped.tracer.wait()
        checks.equal(run.code, 0, f"{' '.join(args)} | head -1: exit code")
        checks.equal(errors(run.stderr), [], f"{' '.join(args)} | head -1: stderr")


def terminated(checks):
    """SIGTERM in the middle of a storm: complete lines and a summary"""
    for sig in (signal.SIGTERM, signal.SIGINT):
        with Namespace() as ns, Tracer(["trace", "--json"], netns=ns) as tracer:
            load = ns.start([program("tcpload"), "storm", "--conns", 200_000], stdout=subprocess.DEVNULL)
            wait_for(lambda: os.fstat(tracer._file.fileno()).st_size > 1 << 20, "a megabyte of records")
            run = tracer.stop(sig)
            load.kill()
            load.wait()
        lines = complete_lines(checks, run.stdout, sig.name)
        checks.equal(run.code, 0, f"{sig.name}: exit code", *run.stderr)
        print(f"  {sig.name}: {len(lines)} whole lines")


def timeout_to_a_file(checks):
    """`timeout 2 tcptrail life > f`: what happened before the end is in f"""
    with Namespace() as ns, tempfile.NamedTemporaryFile() as file:
        with Tracer(["life", "--json"], netns=ns, wrap=["timeout", "2"], stdout=file) as tracer:
            line = one_connection(ns)
            run = tracer.wait()
        file.seek(0)  # the tracer wrote through the same open file
        text = file.read().decode()
    complete_lines(checks, text, "timeout")
    checks.equal(run.code, 124, "exit code of timeout")
    checks.equal(text.count('"type":"connection"'), 2, "connection records", line)


def disk_full(checks):
    """a full disk: one line on stderr with the reason, exit code 1"""
    for args, named in ((["life", "--json"], "standard output"), (["life", "--json", "-o", "/dev/full"], "/dev/full")):
        with open("/dev/full", "wb") as full:
            argv = [program("tcptrail"), *args, "--for", "1s"]
            done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        lines = errors(done.stderr.splitlines())
        checks.equal(done.returncode, 1, f"{args}: exit code")
        checks.equal(len(lines), 1, f"{args}: lines on stderr", *lines)
        checks.that("No space left" in done.stderr and named in done.stderr, f"{args}: {done.stderr!r}")


def stdout_closed(checks):
    """`>&-`: an error, not records in some other descriptor"""
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" life --json --for 1s >&-', program("tcptrail")],
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    checks.equal(done.returncode, 1, "exit code", done.stderr)
    checks.equal(len(errors(done.stderr.splitlines())), 1, "lines on stderr", done.stderr)


def ends_by_itself(checks):
    """--for and --count"""
    with Namespace() as ns:
        begin = time.monotonic()
        with Tracer(["life", "--json", "--for", "700ms"], netns=ns) as tracer:
            run = tracer.wait()
        took = time.monotonic() - begin
        checks.equal(run.code, 0, "--for: exit code")
        checks.that(0.65 < run.summary["duration_us"] / 1e6 < 1.5, "--for 700ms: duration_us", run.summary)
        with Tracer(["life", "--json", "--count", "3"], netns=ns) as tracer:
            one_connection(ns)
            checks.equal(tracer.process.poll(), None, "--count 3 after two records")
            one_connection(ns)
            run = tracer.wait()
        checks.equal(run.code, 0, "--count: exit code")
        checks.equal(len(run.of("connection")), 3, "--count 3: records")
    print(f"  --for 700ms took {took:.2f} s with start and end")


def command(checks):
    """-- CMD: its exit status, and only what it and its children do"""
    with Namespace() as ns:
        for script, code in (("exit 7", 7), ("true", 0), ("kill -TERM $$", 143)):
            argv = [program("tcptrail"), "life", "--json", "--", "sh", "-c", script]
            done = ns.run(argv, check=False, stderr=subprocess.DEVNULL)
            checks.equal(done.returncode, code, f"exit status of {script!r}")
            complete_lines(checks, done.stdout, script)
        done = ns.run([program("tcptrail"), "life", "--", "/no/such/program"], check=False, stderr=subprocess.PIPE)
        checks.that(done.returncode not in (0, 3), f"a command that is not there: exit {done.returncode}")
        checks.that("/no/such/program" in done.stderr, f"it is not named: {done.stderr!r}")
        stranger = ns.start(
            [sys.executable, "-c", STRANGER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        script = f"{program('tcpload')} closes --only client-first"
        for denied in ([], ["--deny-feature", "tp_btf"]):  # the classic tier follows children too
            argv = [program("tcptrail"), "life", "--json", *denied, "-o", "/dev/stderr", "--", "sh", "-c", script]
            done = ns.run(argv, stderr=subprocess.PIPE)
            line = json.loads(done.stdout.splitlines()[0])
            records = [json.loads(text) for text in done.stderr.splitlines() if text.startswith("{")]
            pids = {record["pid"] for record in records if record["type"] == "connection"}
            wanted = {line["client"]["pid"], line["server"]["pid"]}
            checks.equal(pids, wanted, f"pids of the command's connections {denied}", *records)
        stranger.communicate("\n", PATIENCE)


# Makes connections to itself until there is something on stdin.
STRANGER = """
import select, socket, sys
server = socket.create_server(("127.0.0.1", 0))
while not select.select([sys.stdin], [], [], 0.001)[0]:
    client = socket.create_connection(server.getsockname())
    accepted = server.accept()[0]
    client.close()
    accepted.close()
"""


def slow_reader(checks):
    """a reader that stops reading holds the tracer up, and does not end it"""
    with Namespace() as ns, Piped(ns, "life", "--json") as piped:
        tcpload(ns, "storm", "--conns", 5_000)
        checks.equal(piped.tracer.process.poll(), None, "the tracer while nobody reads")
        piped.tracer.process.send_signal(signal.SIGTERM)
        text = piped.stdout.read().decode()
        run = piped.tracer.wait()
    lines = complete_lines(checks, text, "slow reader")
    summary = json.loads(lines[-1])
    checks.equal(run.code, 0, "exit code")
    checks.equal(summary["transitions"] + summary["loss"]["total"], 50_000 + 4, "transitions + lost ones", summary)
    checks.equal(text.count('"type":"connection"'), summary["connections"], "connection records", summary)


def reopened(checks):
    """-o FILE is reopened on SIGHUP, as logrotate wants it"""
    with Namespace() as ns, tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "log")
        with Tracer(["life", "--json", "-o", path], netns=ns) as tracer:
            one_connection(ns)
            wait_for(lambda: open(path).read().count('"connection"') == 2, "two records in the file")
            os.rename(path, path + ".1")
            tracer.process.send_signal(signal.SIGHUP)
            wait_for(lambda: os.path.exists(path), "a new file")
            one_connection(ns)
            run = tracer.stop()
        old, new = open(path + ".1").read(), open(path).read()
        mode = os.stat(path).st_mode & 0o777
    checks.equal(run.code, 0, "exit code")
    checks.equal(old.count('"type":"connection"'), 2, "records before SIGHUP")
    checks.equal(new.count('"type":"connection"'), 2, "records after SIGHUP")
    checks.equal(mode, 0o600, "mode of the file")


def usage(checks):
    """a mistyped word: the right one is suggested, exit code 2"""
    for args, hint in (
        (["life", "--jsn"], "--json"),
        (["life", "--closed-bye", "local"], "--closed-by"),
        (["lief"], "life"),
        (["trase"], "trace"),
        (["life", "--closed-by", "locl"], "local"),
        (["life", "--how", "fin,rst-snet"], "rst-sent"),
        (["life", "--columns", "PID,CLOSR"], "CLOSER"),
    ):
        done = subprocess.run([program("tcptrail"), *args], capture_output=True, text=True, timeout=PATIENCE)
        checks.equal(done.returncode, 2, f"{args}: exit code", done.stderr)
        checks.that(hint in done.stderr, f"{args}: {hint} is not suggested: {done.stderr!r}")
        checks.equal(done.stdout, "", f"{args}: stdout")
    for args in (["--for", "abc"], ["-p", "x"], ["-L", "80-"], ["--laddr", "10.0.0.0/33"], ["--ring-size", "5"]):
        done = subprocess.run([program("tcptrail"), "life", *args], capture_output=True, text=True, timeout=PATIENCE)
        checks.equal(done.returncode, 2, f"{args}: exit code", done.stderr)


if __name__ == "__main__":
    run_tests(
        *[soon, reader_goes, terminated, timeout_to_a_file, disk_full, stdout_closed, ends_by_itself, command],
        *[slow_reader, reopened, usage],
    )
