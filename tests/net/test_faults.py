# SPDX-License-Identifier: BSD-2-Clause
"""Every system call that the tracer needs fails in turn: it says what, why and how to fix it, or goes on with less;
it never hangs, is never ended by a signal, and leaves nothing behind."""

import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import PATIENCE, Namespace, program, run_tests, skip, wait_for

# What a full, broken or forbidding machine says. The first fits everywhere.
ERRORS = {
    "bpf:MAP_CREATE": ("EPERM", "ENOMEM"),
    "bpf:PROG_LOAD": ("EPERM", "EINVAL", "ENOMEM"),
    "bpf:LINK_CREATE": ("EPERM", "ENOMEM"),
    "bpf:RAW_TRACEPOINT_OPEN": ("EPERM", "EMFILE"),
    "bpf:ITER_CREATE": ("EMFILE", "EPERM"),
    "bpf:OBJ_GET_INFO_BY_FD": ("EPERM", "EINVAL"),
    "bpf:BTF_LOAD": ("EPERM", "EINVAL"),
    "perf_event_open": ("EPERM", "EMFILE"),
    "mmap:shared": ("EPERM", "ENOMEM"),
    "mmap:private": ("ENOMEM",),
    "write": ("ENOSPC", "EIO"),
    "write:stdout": ("ENOSPC", "EIO"),
    "clone": ("EAGAIN",),
    "getdents64": ("EIO",),
    "prctl": ("EINVAL",),
    "seccomp": ("EINVAL",),
    "epoll_ctl": ("ENOMEM",),
    "signalfd4": ("EMFILE",),
    "setns": ("EPERM", "ENOMEM"),
}
LEFT_ALONE = ("read", "mmap:private@start")  # read: thousands; tested below where it matters
NOISE = ("libbpf:", "Failed to load", "memlock", "MEMLOCK", "error: -", "processed ", "terminate called", "what():")


def faults(*flags):
    return [program("faults"), *flags, "--"]


def run(argv, name, checks):
    """Its exit code, stdout and stderr; a hang is a failed check."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        checks.that(False, f"{name}: hangs", stderr)
        return None, stdout, stderr
    return process.returncode, stdout, stderr


def judge(checks, name, code, stdout, stderr):
    """Ended well, or with a message; True if it ended with an error."""
    if code is None:
        return True
    lines = [line for line in stderr.splitlines() if not line.startswith("tcptrail: ready")]
    checks.that(code < 124, f"{name}: exit code {code}: a signal, or a crash", *lines)
    for noise in NOISE:
        checks.that(noise not in stderr, f"{name}: {noise!r} is on stderr", *lines)
    for number, line in enumerate(lines):
        known = line.startswith(("tcptrail: ", "  why: ", "  fix: ", "       "))
        checks.that(known, f"{name}: not one of our messages: {line!r}", *lines, kind="a line on stderr that is no message")
        if line.startswith("tcptrail: error: ") and "cannot write to" not in line:
            followed = [text[:7] for text in lines[number + 1 : number + 3]]
            checks.equal(followed, ["  why: ", "  fix: "], f"{name}: what follows {line!r}", *lines, kind="why and fix")
    errors = [line for line in lines if line.startswith("tcptrail: error: ")]
    if code == 1:
        checks.equal(len(errors), 1, f"{name}: errors on stderr", *lines)
    elif code != 2 or not errors or "network namespace" not in errors[0]:  # --netns names what cannot be looked at
        checks.equal((code, errors), (0, []), f"{name}: exit code and errors", *lines)
    for line in stdout.splitlines():
        checks.that(is_json(line), f"{name}: a line on stdout is no record: {line[:100]!r}", kind="cut line")
    return code != 0


def is_json(line):
    try:
        json.loads(line)
        return True
    except ValueError:
        return False


def each_in_turn(checks, command, only=None):
    with tempfile.NamedTemporaryFile("r") as report:
        code, stdout, stderr = run(faults("-r", report.name) + command, "nothing fails", checks)
        if code == 77:
            skip(stderr.strip())
        checks.equal(code, 0, "exit code when nothing fails", stderr)
        counts = collections.Counter(tuple(line.split(" ", 1)) for line in report.read().splitlines())
    runs = ended = 0
    for (phase, key), count in sorted(counts.items()):
        if key in LEFT_ALONE or f"{key}@{phase}" in LEFT_ALONE or (only and not key.startswith(only)):
            continue
        default = ("EACCES", "EMFILE") if key.startswith("openat:") else ("EMFILE",)
        for error in ERRORS.get(key, default):
            first = error == ERRORS.get(key, default)[0]
            for flags in ([["-n", str(n)] for n in sorted({1, count})] + [["-a"]] * (count > 1))[: None if first else 1]:
                name = f"{phase} {key} {' '.join(flags)} {error}"
                result = run(faults("-p", phase, "-k", key, "-e", error, *flags) + command, name, checks)
                if judge(checks, name, *result):
                    ended += 1
                runs += 1
    checks.that(runs > 0, "nothing was made to fail")
    print(f"  {runs} runs with a fault: {ended} ended with an error, {runs - ended} went on")
    return runs


def life(checks):
    """life: each call of its start and of its run"""
    with Namespace() as ns:
        each_in_turn(checks, [program("tcptrail"), "life", "--json", "--netns", ns.path, "--for", "100ms"])


def classic(checks):
    """the classic tracepoint: each call that typed programs do without"""
    with Namespace() as ns:
        argv = [program("tcptrail"), "life", "--json", "--netns", ns.path, "--deny-feature", "tp_btf", "--for", "100ms"]
        each_in_turn(checks, argv, ("perf_event_open", "ioctl", "bpf:LINK_CREATE", "openat:/sys/kernel/tracing"))


def command(checks):
    """-- CMD: what it takes to start and to watch a process"""
    with Namespace() as ns:
        argv = [program("tcptrail"), "life", "--json", "--netns", ns.path, "--", "true"]
        each_in_turn(checks, argv, ("pipe2", "clone", "pidfd_open", "epoll", "signalfd", "bpf:MAP_UPDATE", "bpf:PROG_LOAD"))


def ports(checks):
    """ports and its questions: the netlink socket, the files of the namespace, the iterators"""
    with Namespace() as ns:
        for question in (["--bind", "127.0.0.1:80"], ["--connect", "127.0.0.1:80"], []):
            each_in_turn(checks, [program("tcptrail"), "ports", "--json", "--netns", ns.path, *question])


def nothing_left(checks):
    """no program, link, process or file outlives the runs that failed"""
    if not shutil.which("bpftool"):
        skip("no bpftool")

    # The kernel keeps 15 bytes of a name.
    doctor = subprocess.run([program("tcptrail"), "doctor"], capture_output=True, text=True, timeout=PATIENCE).stdout
    loaded = doctor.split("\nprogram ")[1].splitlines()[1:]
    names = {line.split()[0][:15] for line in loaded if not line.startswith("less true")}
    checks.that("set_state" in names, "doctor names the programs", doctor)

    def ids():
        left = set()
        for kind in ("prog", "link"):
            done = subprocess.run(["bpftool", "-j", kind, "show"], capture_output=True, text=True, timeout=PATIENCE)
            for entry in json.loads(done.stdout or "[]"):
                pids = [holder["pid"] for holder in entry.get("pids", [])]
                if (entry.get("name") in names or kind == "link" and not pids and entry.get("type") in ("tracing", "iter")) and not pids:
                    left.add((kind, entry["id"]))
        return left

    # Where bpftool cannot name processes, these are also those of tests that run beside this one: they go with them.
    found = ids()
    wait_for(lambda: not found & ids(), "programs and links of ended tracers to go", 600)
    checks.equal(found & ids(), set(), "programs and links that are left")
    pinned = [str(path) for path, _, files in os.walk("/sys/fs/bpf") for name in files if "tcptrail" in name]
    checks.equal(pinned, [], "pinned objects")


if __name__ == "__main__":
    run_tests(life, classic, command, ports, nothing_left)
