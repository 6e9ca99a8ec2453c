# SPDX-License-Identifier: BSD-2-Clause
"""Four ways to lose a file, and what happens to the others: each story in a sentence, its nearest harmless neighbour beside it."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import PATIENCE, Namespace, Tracer, program, run_tests, tcpload, wait_for
from test_record import MEGABYTE, Folder, replay, storm

PRECIOUS = "the only copy\n"
NOBODY = 65534
CAP_DAC_OVERRIDE = 1 << 1


def tracer_run(*arguments, wrap=(), cwd=None, shell_append=None):
    argv = [*map(str, wrap), program("tcptrail"), *map(str, arguments)]
    stdout = open(shell_append, "ab") if shell_append else subprocess.PIPE
    with contextlib.closing(stdout) if shell_append else contextlib.nullcontext():
        return subprocess.run(argv, stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=PATIENCE, cwd=cwd)


def one(ns):
    (line,) = tcpload(ns, "closes", "--only", "client-first")
    return line


def start_that_fails(checks):
    """Yesterday's log is in the file, and today the kernel refuses the programs: the log must still be there."""
    unprivileged = ["unshare", "--user", "--map-root-user"]
    refused = [program("faults"), "-k", "bpf:PROG_LOAD", "-e", "EPERM", "-a", "--"]
    for what, wrap, more in (
        ("no privilege", unprivileged, []),
        ("BPF refused", refused, []),
        ("a filter that names nothing", [], ["--netns", "no-such-namespace"]),
        ("a command that is not there", [], ["--", "/no/such/command"]),
    ):
        for view in (["life", "-o"], ["life", "--json", "--record"], ["record", "-o"]):
            with Folder() as folder:
                old, new = folder / "old", folder / "new"
                old.write_text(PRECIOUS)
                force = [] if view == ["life", "-o"] else ["--force"]
                for file in (old, new):
                    done = tracer_run(*view, file, *force, *more, wrap=wrap)
                    checks.that(done.returncode in (1, 2), f"{what}: {view}: exit code {done.returncode}", done.stderr.decode())
                checks.equal(old.read_text(), PRECIOUS, f"{what}: {view}: what the file held")
                checks.equal(os.listdir(folder), ["old"], f"{what}: {view}: the files")


def start_that_works(checks):
    """The neighbour: the run starts, and -o replaces the file, also when nothing happens in it."""
    with Folder() as folder, Namespace() as ns:
        file = folder / "f"
        file.write_text(PRECIOUS * 1000)
        with Tracer(["life", "--json", "-o", file], netns=ns) as tracer:
            run = tracer.stop()
        lines = file.read_text().splitlines()
        checks.equal((run.code, len(lines)), (0, 2), "startup and summary, and nothing else", *lines[:5])


def output_is_the_input(checks):
    """`replay q -o q` under whatever name, or `>> q`: the recording is not read and overwritten at a time."""
    with Folder() as folder, Namespace() as ns:
        file = folder / "q"
        with Tracer(["record", "-o", file], netns=ns):
            one(ns)
        content = file.read_bytes()
        os.link(file, folder / "hard")
        (folder / "soft").symlink_to("q")
        (folder / "here").symlink_to(".")
        for source, output in (("q", "q"), ("q", "./q"), ("q", "hard"), ("soft", "q"), ("q", "here/q")):
            done = tracer_run("replay", source, "-o", output, cwd=folder)
            checks.equal(done.returncode, 2, f"replay {source} -o {output}: exit code", done.stderr.decode())
            checks.that(b"is the recording itself" in done.stderr, "the message", done.stderr.decode())
        done = tracer_run("replay", file, "--json", shell_append=file)
        checks.equal(done.returncode, 2, "replay q >> q: exit code", done.stderr.decode())
        checks.equal(file.read_bytes(), content, "the recording")
        shutil.copy(file, folder / "copy")
        done = tracer_run("replay", file, "--json", "-o", folder / "copy")
        checks.equal((done.returncode, done.stderr), (0, b""), "the neighbour: a copy of it is replaced")
        checks.equal((folder / "copy").read_text().count('"type":"connection"'), 2, "its records")


def two_outputs_in_one_file(checks):
    """`life -o f --record ./f`: one is text, the other a recording, and one file cannot hold both."""
    with Folder() as folder, Namespace() as ns:
        file = folder / "f"
        file.write_text(PRECIOUS)
        os.link(file, folder / "hard")
        for recording, more in (("./f", []), ("hard", []), ("base", ["--max-size", "1M", "--rotate", "2"])):
            output = "base.1" if more else "f"
            done = tracer_run("life", "-o", output, "--record", recording, "--force", *more, "--for", "1s", cwd=folder)
            checks.equal(done.returncode, 2, f"-o {output} --record {recording}: exit code", done.stderr.decode())
            checks.that(b"are the same file" in done.stderr, "the message", done.stderr.decode())
        checks.equal((sorted(os.listdir(folder)), file.read_text()), (["f", "hard"], PRECIOUS), "the files")
        with Tracer(["life", "--json", "-o", folder / "g", "--record", folder / "r"], netns=ns):
            one(ns)
        counts = [text.count('"type":"connection"') for text in ((folder / "g").read_text(), replay(folder / "r").stdout)]
        checks.equal(counts, [2, 2], "the neighbour: two files")


def recording_over_a_file(checks):
    """`record -o report.txt`, a slip of the fingers: a file that holds something is not recorded over."""
    with Folder() as folder, Namespace() as ns:
        file = folder / "f"
        for view in (["record", "-o"], ["life", "--record"]):
            file.write_text(PRECIOUS)
            done = tracer_run(*view, file, "--for", "100ms")
            checks.equal((done.returncode, file.read_text()), (2, PRECIOUS), f"{view}: exit code and file", done.stderr.decode())
            checks.that(b" exists\n" in done.stderr and b"--force" in done.stderr, "the message", done.stderr.decode())
            with Tracer([*view, file, "--force"], netns=ns):
                one(ns)
            checks.equal(len(replay(file).of("connection")), 2, f"{view} --force: connections")
        rotating = ["record", "-o", folder / "r", "--max-size", "1M", "--rotate", "2"]
        for number in (1, 2, 3):
            with Tracer(rotating, netns=ns):
                one(ns)
            names = sorted(name for name in os.listdir(folder) if name != "f")
            checks.equal(names, ["r", "r.1", "r.2"][:number], "the neighbour: a service that starts again goes on rotating")
        for name in names:
            checks.equal(len(replay(folder / name).of("connection")), 2, f"{name}: connections")


def kept(tracer):
    status = pathlib.Path(f"/proc/{tracer.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("CapEff")).split()[1], 16)


def folder_of_another_user(checks):
    """The files are in a user's home: root may still rotate and reopen them when an hour has gone by."""
    for owner in (NOBODY, 0):
        with Folder() as folder, Namespace() as ns:
            os.chown(folder, owner, owner)
            folder.chmod(0o755)
            file, log = folder / "f", folder / "log"
            with Tracer(["record", "-o", file, "--max-size", "1M", "--rotate", "1"], netns=ns) as tracer:
                checks.equal(kept(tracer) & CAP_DAC_OVERRIDE != 0, owner != 0, f"owner {owner}: record keeps CAP_DAC_OVERRIDE")
                # Large snapshots are not divided: the part ends when the run does, at the latest.
                wait_for(lambda: storm(ns, 5_000) or file.stat().st_size > MEGABYTE or (folder / "f.1").exists(), "a full part")
                run = tracer.stop() if tracer.process.poll() is None else tracer.wait()
            checks.equal((run.code, run.stderr[1:]), (0, []), f"owner {owner}: exit code and stderr")
            checks.equal(sorted(os.listdir(folder)), ["f", "f.1"], f"owner {owner}: the parts")
            with Tracer(["trace", "--json", "-o", log], netns=ns) as tracer:
                checks.equal(kept(tracer) & CAP_DAC_OVERRIDE != 0, owner != 0, f"owner {owner}: trace keeps CAP_DAC_OVERRIDE")
                log.rename(folder / "log.1")
                tracer.process.send_signal(signal.SIGHUP)
                wait_for(lambda: log.exists() or len(tracer.stderr) > 1, "a new file")
                one(ns)
                run = tracer.stop()
            checks.equal((run.code, run.stderr[1:]), (0, []), f"owner {owner}: SIGHUP: exit code and stderr")
            checks.that('"new":"ESTABLISHED"' in log.read_text(), f"owner {owner}: records in the new file")
    with Namespace() as ns, Tracer(["life", "--record", "/dev/null"], netns=ns) as tracer:
        checks.equal(kept(tracer) & CAP_DAC_OVERRIDE, 0, "without a file that is opened again")


def csv_after_logrotate(checks):
    """logrotate renames the CSV every night: each file has its header, and the same file has it once."""
    with Folder() as folder, Namespace() as ns:
        log = folder / "log"
        with Tracer(["life", "--csv", "-o", log], netns=ns) as tracer:
            one(ns)
            tracer.process.send_signal(signal.SIGHUP)
            wait_for(lambda: log.read_text().count("\n") == 3, "two rows")
            log.rename(folder / "log.1")
            tracer.process.send_signal(signal.SIGHUP)
            wait_for(log.exists, "a new file")
            one(ns)
        for file in (folder / "log.1", log):
            heads = [line.startswith("PID,COMM,") for line in file.read_text().splitlines()]
            checks.equal(heads, [True, False, False], f"{file.name}: a header and two rows", file.read_text())


def command_without_a_pidfd(checks):
    """A sandbox without pidfd_open(2): the command still has its two seconds to end after SIGTERM."""
    words = "trap 'echo whole > {}; exit 0' TERM; while :; do :; done"
    for wrap in ([program("faults"), "-k", "pidfd_open", "-e", "ENOSYS", "-a", "--"], []):
        with Folder() as folder:
            done = tracer_run("life", "--for", "500ms", "--", "sh", "-c", words.format(folder / "f"), wrap=wrap)
            checks.equal(os.listdir(folder), ["f"], "the command has tidied up", done.stderr.decode())


def watch_that_cannot_keep_up(checks):
    """`ports --watch 1ms` in a namespace without a socket: it is slower, and no crowd of sockets is made responsible."""
    with Namespace() as ns:
        with Tracer(["ports", "--watch", "1ms", "--json"], netns=ns) as tracer:
            wait_for(lambda: len(tracer.stderr) > 3, "the warning")
        text = " ".join(tracer.stderr)
        checks.that("the view is refreshed every" in text and "every open file of the machine" in text, "the warning", *tracer.stderr)
        checks.that("this many sockets" not in text and " -L" not in text, "it blames nobody and advises nothing that is of no use", *tracer.stderr)
        with Tracer(["ports", "--watch", "10s", "--json"], netns=ns) as tracer:
            one(ns)
        checks.equal(tracer.run.stderr, ["tcptrail: ready"], "the neighbour: an interval that can be kept")


if __name__ == "__main__":
    run_tests(
        *[start_that_fails, start_that_works, output_is_the_input, two_outputs_in_one_file, recording_over_a_file],
        *[folder_of_another_user, csv_after_logrotate, command_without_a_pidfd, watch_that_cannot_keep_up],
    )
