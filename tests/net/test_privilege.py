# SPDX-License-Identifier: BSD-2-Clause
"""Too little privilege or an older kernel: it works, or it says what is missing, why, and how to get it."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from answers import features
from contract import check_connection, check_shape
from harness import PATIENCE, Namespace, Tracer, program, run_tests, tcpload
from privilege import Copy, as_nobody

def refused(checks, argv, *words):
    """It ends with 1, and says what failed, why, and what to do about it."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
    name = " ".join(argv[:-4])
    checks.equal(done.returncode, 1, f"{name}: exit code", done.stderr)
    checks.equal(done.stdout, "", f"{name}: stdout")
    lines = done.stderr.splitlines()
    for number, start in enumerate(("tcptrail: error: ", "  why: ", "  fix: ")):
        good = len(lines) > number and lines[number].startswith(start) and len(lines[number]) > len(start)
        checks.that(good, f"{name}: line {number + 1} of stderr is no {start.strip()!r}", *lines)
    for word in words:
        checks.that(word in done.stderr, f"{name}: {word!r} is not in the message", *lines)
    for noise in ("libbpf", "memlock", "MEMLOCK", "error: -"):
        checks.that(noise not in done.stderr, f"{name}: {noise!r} is in the message", *lines)
    print(f"  {lines[0] if lines else done}")


def unprivileged(checks):
    """without capabilities, with one of the two, as root of a user namespace, without BTF: a message of three lines"""
    with Copy() as tracer:
        life = [tracer, "life", "--for", "1s"]
        refused(checks, as_nobody() + life, "CAP_BPF", "CAP_PERFMON")
        refused(checks, as_nobody("bpf") + life, "CAP_PERFMON")
        refused(checks, as_nobody("perfmon") + life, "CAP_BPF")
        refused(checks, ["unshare", "--user", "--map-root-user", *life], "namespace")
        hidden = 'mount -t tmpfs none /sys/kernel/btf && exec "$@"'
        refused(checks, ["unshare", "--mount", "sh", "-c", hidden, "sh", *life], "BTF", "CONFIG_DEBUG_INFO_BTF")


def two_capabilities(checks):
    """CAP_BPF and CAP_PERFMON are enough"""
    with Copy() as tracer, Namespace() as ns:
        os.environ["TCPTRAIL"], before = tracer, os.environ.get("TCPTRAIL")
        try:
            with Tracer(["life", "--json"], netns=ns, wrap=as_nobody("bpf", "perfmon")) as running:
                (line,) = tcpload(ns, "closes", "--only", "client-first")
        finally:
            if before is None:
                del os.environ["TCPTRAIL"]
            else:
                os.environ["TCPTRAIL"] = before
    run = running.run
    checks.equal(run.code, 0, "exit code", *run.stderr)
    found = {(r["lport"], r["pid"], r["closer"], r["how"]) for r in run.of("connection")}
    wanted = {(line[s]["lport"], line[s]["pid"], line[s]["expect"]["closer"], "fin") for s in ("client", "server")}
    checks.equal(found, wanted, "records", *run.stderr)
    print(f"  features: {run.records[0]['features']}")


def little_is_left(checks):
    """after the start only what is still needed is left: capabilities, system calls"""
    dac_read_search, sys_ptrace, sys_admin, bpf = 1 << 2, 1 << 19, 1 << 21, 1 << 39
    with Namespace() as ns:
        for arguments, allowed in [
            (["life"], dac_read_search | sys_ptrace | sys_admin),
            (["trace", "--json"], sys_ptrace | sys_admin),
            (["life", "--no-snapshot"], dac_read_search),
            (["trace", "--netns", str(os.getpid())], 0),
        ]:
            with Tracer(arguments, netns=None if "--netns" in arguments else ns) as tracer:
                with open(f"/proc/{tracer.pid}/status") as status:
                    state = dict(line.split(":", 1) for line in status)
                for name in ("CapEff", "CapPrm"):
                    kept = int(state[name], 16)
                    checks.equal(kept & ~(allowed | bpf), 0, f"{' '.join(arguments)}: {name} {kept:#x}")
                checks.equal(state["NoNewPrivs"].strip(), "1", "no_new_privs")
                checks.equal(state["Seccomp"].strip(), "2", "a filter of system calls")


def inside_a_namespace(checks):
    """under `ip netns exec`, which hides tracefs"""
    with Namespace() as ns, Tracer(["life", "--json"], netns=ns, inside=True) as tracer:
        (line,) = tcpload(ns, "closes", "--only", "server-first")
        run = tracer.stop()
    mine = [record for record in run.of("connection") if record["netns"] == line["netns"]]
    found = {(r["role"], r["closer"]) for r in mine}
    checks.equal(found, {("active", "remote"), ("passive", "local")}, "records", *mine)


# What may become unknown without a feature. Wrong it may not become.
CASES = (
    *("client-first", "server-first", "both-at-once", "client-aborts", "refused", "data-after-close"),
    "data-in-fin-wait1",
)


def each_feature_denied(checks):
    """without any one feature: what is said is right, or unknown"""
    every, _ = features()
    print(f"  features: {' '.join(every)}")
    for name in every:
        without, text = features([name])
        checks.that(without.get(name) != "on", f"{name}: doctor says it is on although it is denied", text)
    for deny in [(name,) for name in every] + [tuple(every)]:
        said, unknown = with_denied(checks, deny)
        if said is not None:
            print(f"  without {','.join(deny) if len(deny) == 1 else 'any'}: {said} facts right, {unknown} unknown")


def with_denied(checks, deny):
    name = f"without {','.join(deny)}"
    said = unknown = 0
    with Namespace() as ns:
        try:
            with Tracer(["life", "--json", "--deny-feature", ",".join(deny)], netns=ns) as tracer:
                lines = [line for case in CASES for line in tcpload(ns, "closes", "--only", case)]
        except AssertionError as refusal:  # not ready: then there must be a reason
            checks.that("why:" in str(refusal), f"{name}: {refusal}")
            print(f"  {name}: refused")
            return None, None
    run = tracer.run
    checks.equal(run.code, 0, f"{name}: exit code", *run.stderr)
    checks.that(not any(run.records[0]["features"].get(one) for one in deny), f"{name}: startup", run.records[0])
    check_shape(checks, run.records)
    by_tuple = {(r["laddr"], r["lport"], r["rport"]): r for r in run.of("connection")}
    for line in lines:
        for side in ("client", "server"):
            end = line[side]
            if end is None:
                continue
            record = by_tuple.get((end["laddr"], end["lport"], end["rport"]))
            if not checks.that(record is not None, f"{name}: {line['case']}, {side}: no record", end):
                continue
            check_connection(checks, record)
            facts = [(field, record[field], end["expect"].get(field)) for field in ("closer", "how")]
            facts.append(("pid", record["pid"], end["pid"]))
            facts.append(("time_wait.side", record["time_wait"]["side"], end["expect"].get("timewait")))
            for field, got, wanted in facts:
                if got in (None, "unknown"):
                    unknown += 1
                elif wanted is not None:
                    said += checks.equal(got, wanted, f"{name}: {line['case']}, {side}: {field}", record)
    return said, unknown


def unknown_feature(checks):
    """--deny-feature with a name that there is not"""
    done = subprocess.run(
        [program("tcptrail"), "life", "--deny-feature", "tp_btff"], capture_output=True, text=True, timeout=PATIENCE
    )
    checks.equal(done.returncode, 2, "exit code", done.stderr)
    checks.that("tp_btf" in done.stderr, "no suggestion", done.stderr)


if __name__ == "__main__":
    run_tests(
        *[unprivileged, two_capabilities, little_is_left, inside_a_namespace, each_feature_denied],
        unknown_feature,
    )
