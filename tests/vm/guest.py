#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs inside the guest that tests/vm/run boots: as PID 1 it sets the machine up, starts itself once more, and powers off;
as that second process it checks what holds on this kernel, with the functions of tests/net.

Each result is one JSON line on the second serial port: {"row", "cell", "good", "seconds", "log"}. A cell never holds a
number that another run would find differently: docs/kernels.md is compared with it."""

import contextlib
import ctypes
import errno
import io
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve()
RESULTS = "/dev/ttyS1"
RESERVED_PORT = 7000


# --- as PID 1 -----------------------------------------------------------------------------------------------------


def mount(kind, target, options=""):
    os.makedirs(target, exist_ok=True)
    ctypes.CDLL(None, use_errno=True).mount(kind.encode(), target.encode(), kind.encode(), 0, options.encode())


def boot():
    os.environ |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8"}
    os.environ |= {"SEED": "1", "COMBINATIONS": "8", "SLOWNESS": "4"}
    os.environ |= {name: f"/tcptrail/{name.lower()}" for name in ("TCPTRAIL", "TCPLOAD", "BPF_TESTS")}
    for kind, target in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/run"), ("tmpfs", "/tmp")]:
        mount(kind, target)
    for kind, target in [("devpts", "/dev/pts"), ("tmpfs", "/dev/shm"), ("bpf", "/sys/fs/bpf"), ("cgroup2", "/sys/fs/cgroup")]:
        mount(kind, target)
    mount("tracefs", "/sys/kernel/tracing")
    mount("securityfs", "/sys/kernel/security")
    for module in sorted(pathlib.Path("/modules").glob("*.ko")):
        with open(module, "rb") as file:
            if ctypes.CDLL(None, use_errno=True).syscall(313, file.fileno(), b"", 0) != 0:  # finit_module
                print(f"{module.name}: {os.strerror(ctypes.get_errno())}", flush=True)
    subprocess.run(["ip", "link", "set", "lo", "up"])
    status = subprocess.run([sys.executable, "-B", str(HERE), "checks"], stdin=subprocess.DEVNULL).returncode
    report("end", f"status {status}", status == 0)
    ctypes.CDLL(None).reboot(0x4321FEDC)  # RB_POWER_OFF


def report(row, cell, good, seconds=0.0, log=""):
    line = json.dumps({"row": row, "cell": cell, "good": good, "seconds": round(seconds, 1), "log": log})
    fd = os.open(RESULTS, os.O_WRONLY | os.O_NOCTTY)
    try:
        data = line.encode() + b"\n"
        while data:
            data = data[os.write(fd, data) :]
    finally:
        ctypes.CDLL(None).tcdrain(fd)
        os.close(fd)


# --- the checks ---------------------------------------------------------------------------------------------------


def serial_is_raw():
    import termios

    fd = os.open(RESULTS, os.O_RDWR | os.O_NOCTTY)
    settings = termios.tcgetattr(fd)
    settings[1] &= ~termios.OPOST
    settings[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(fd, termios.TCSANOW, settings)
    os.close(fd)


class Guest:
    """The rows of the table, each a function of a Checks that returns its cell."""

    def __init__(self):
        import answers
        import contract
        import harness
        import oracle
        import sockets

        self.contract, self.harness, self.oracle, self.sockets = contract, harness, oracle, sockets
        self.features, self.doctor = answers.features()

    def off(self, *names):
        return [name for name in names if self.features[name] == "off"]

    @property
    def infers(self):
        """Nothing is read about a minisocket: TIME_WAIT follows from the states."""
        return self.off("timewait_walk") and self.off("timewait_hooks")

    def row_features(self, checks):
        """doctor: it can trace; what is off, and why"""
        print(self.doctor)
        checks.that("tracing   yes" in self.doctor, "doctor says that it cannot trace", self.doctor)
        checks.that("          but: " not in self.doctor, "a program that was expected to attach did not", self.doctor)
        return ", ".join(name for name in self.features if self.features[name] == "off") or "none"

    def row_load(self, checks):
        """every program, every plan, with each feature denied, and every filter: loaded and attached"""
        self.bpf_tests(checks, "Load.*")
        return "yes"

    def bpf_tests(self, checks, pattern):
        """Those of tests/bpf; one that is skipped for want of a feature says so in the log."""
        done = subprocess.run([os.environ["BPF_TESTS"], f"--gtest_filter={pattern}"], capture_output=True, text=True, timeout=300)
        checks.equal(done.returncode, 0, "bpf_tests", done.stdout[-4000:] + done.stderr[-2000:])
        checks.that("[  PASSED  ] 0 tests" not in done.stdout, "nothing was run", done.stdout[-4000:])
        skipped = re.findall(r"Skipped\n(.*\n)\s*\[  SKIPPED \] (\S+) \(", done.stdout)
        print(*[f"SKIPPED: {name}: {reason.strip()}" for reason, name in skipped], sep="\n")

    def row_minisockets(self, checks):
        """the programs at minisockets: each birth and each end, with its cause"""
        if self.off("timewait_hooks"):
            self.bpf_tests(checks, "Scan.*-*FiltersOfTheTuple*")
            return "by looking again"
        self.bpf_tests(checks, "TimeWaitHooks.*:BirthHook.*:Scan.*-*Filters*")
        return "at the moment, with its cause"

    def row_ledger(self, checks):
        """trace and ports --watch: TIME_WAIT is the kernel's own list, cookie by cookie"""
        import test_ledger

        test_ledger.CONNECTIONS, test_ledger.KEPT = 40, 10
        test_ledger.TIMER_MS = 60_000  # a guest's time is no measure
        if self.off("cookie"):
            return "not compared: no cookies"
        test_ledger.equals_the_kernels_list(checks)
        return "the kernel's list"

    def row_ends(self, checks):
        """life: every way of closing that takes no long wait, against what was done and what the packets say"""
        harness, contract = self.harness, self.contract
        with harness.Namespace() as ns:
            with harness.Tracer(["life", "--json"], netns=ns) as tracer, harness.Capture(ns, 32 << 20) as capture:
                lines = harness.tcpload(ns, "closes", "--quick")
            run = tracer.run
            packets = contract.Packets(self.oracle.connections(capture.packets))
        contract.check_shape(checks, run.records)
        records = contract.Records(run.of("connection"), ns.inum)
        unknown = {"closer": 0, "how": 0, "pid": 0, "timewait": 0}
        self.ends = 0
        for case, side, end in contract.ends(lines):
            self.ends += 1
            record, connection = records.take(end), packets.take(end)
            name, expect = f"{case}, {side}", end["expect"]
            if not checks.that(record is not None, f"{name}: no connection record", end):
                continue
            contract.check_connection(checks, record)
            checks.that(record["complete"], f"{name}: not complete", record)
            said = {"pid": record["pid"], "timewait": record["time_wait"]["side"]}
            if case == "time-wait-overflow" and self.infers:
                del said["timewait"]  # the states are those of an end that holds it: only the walk can tell
            said |= {field: record[field] for field in ("closer", "how", "error", "role", "closer_pid")}
            for field, value in said.items():
                wanted = end["pid"] if field == "pid" else expect.get(field, value)
                if value != wanted and value in (None, "unknown") and field in unknown:
                    unknown[field] += 1
                elif not (value is None and field == "closer_pid" and self.off("accept")):
                    checks.equal(value, wanted, f"{name}: {field}", record)
            if connection and expect.get("how") not in ("timeout", "aborted", "no-port"):
                answer = connection.answer((end["laddr"], end["lport"]), end["orphan"])
                got = self.oracle.Answer(record["closer"], record["how"])
                checks.that(got == answer, f"{name}: {got}, the packets say {answer}", record, str(connection))
        checks.that(not records.left(), "connection records that nobody made", *records.left())
        checks.that(self.ends > 60, f"only {self.ends} ends")
        checks.equal(run.summary["loss"]["total"], 0, "loss.total", run.summary)
        print(f"{self.ends} ends; unknown: {unknown}")
        checks.equal(unknown["closer"] + unknown["how"], 0, "closer or how unknown")
        if not self.infers:
            checks.equal(unknown["timewait"], 0, "which side holds TIME_WAIT")
        if not self.off("accept"):
            checks.equal(unknown["pid"], 0, "owners unknown")
        self.unknown = unknown
        return "all right"

    def row_owners(self, checks):
        """owners of these ends, and who is told to have accepted: by the hook and by the tracepoints"""
        self.bpf_tests(checks, "Without/Accept.*:SocketHooks*")
        return "all right" if not self.unknown["pid"] else f"{self.unknown['pid']} of {self.ends} unknown, none wrong"

    def row_time_wait(self, checks):
        """trace: who enters TIME_WAIT (or FIN_WAIT2 without a descriptor), by the walk at CLOSE"""
        harness, contract = self.harness, self.contract
        with harness.Namespace() as ns:
            with harness.Tracer(["trace", "--json"], netns=ns) as tracer:
                lines = harness.tcpload(ns, "closes", "--quick")
            run = tracer.run
        contract.check_shape(checks, run.records)
        entered = {(r["laddr"], r["lport"], r["raddr"], r["rport"]): r for r in run.of("time_wait", event="enter")}
        for case, side, end in contract.ends(lines):
            holds = end["expect"].get("timewait") in ("local", "both")
            record = entered.get((end["laddr"], end["lport"], end["raddr"], end["rport"]))
            if record is None and self.infers:
                continue  # a FIN_WAIT2 without a descriptor, as far as the states tell
            if holds and checks.that(record is not None, f"{case}, {side}: no time_wait record", end):
                if record["expires_in_ms"] is not None and record["phase"] == "time_wait":
                    checks.that(50_000 < record["expires_in_ms"] <= 60_000, f"{case}, {side}: expires_in_ms", record)
        checks.equal(run.summary["transitions"], len(run.of("transition")), "summary.transitions", run.summary)
        if self.infers:
            checks.that(len(entered) > 15, f"only {len(entered)} entered", *entered.values())
            return "inferred, expiry unknown"
        blind = [record for record in entered.values() if record["expires_in_ms"] is None]
        checks.that(not blind, "expires_in_ms of those that entered", *blind)
        return "told by the hook at its birth" if self.off("timewait_walk") else "read at CLOSE"

    def row_leaves(self, checks):
        """trace: when a TIME_WAIT or FIN_WAIT2 minisocket went, and why"""
        harness = self.harness
        moments = {}  # {port: (before, after)} of the call that ended it

        def pair(port):
            """A connection whose client had bound a port with SO_REUSEADDR."""
            server = self.sockets.fresh("127.0.0.1", reuseaddr=True)
            server.bind(("127.0.0.1", port))
            server.listen()
            client = client_at(port + 1000)
            client.connect(("127.0.0.1", port))
            return server, client, server.accept()[0]

        def client_at(port):
            client = self.sockets.fresh("127.0.0.1", reuseaddr=True)
            client.bind(("127.0.0.1", port))
            return client

        def ends(port, call, *arguments):
            before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            call(*arguments)
            moments[port] = before, time.clock_gettime_ns(time.CLOCK_BOOTTIME)

        def scenario():
            # The port's own client comes back: connect() takes the TIME_WAIT over.
            server, client, child = pair(6001)
            self.sockets.to_time_wait(client, child)
            again = client_at(7001)
            ends(7001, again.connect, ("127.0.0.1", 6001))
            # The server holds it, and a new SYN replaces it.
            server2, client2, child2 = pair(6002)
            self.sockets.to_time_wait(child2, client2)
            back = client_at(7002)
            ends(6002, back.connect, ("127.0.0.1", 6002))
            # FIN_WAIT2 without a descriptor: over after tcp_fin_timeout.
            server3, client3, child3 = pair(6003)
            client3.shutdown(socket.SHUT_WR)
            self.sockets.reach(self.sockets.TCP_FIN_WAIT2, client3)
            client3.close()
            # ss -K, where it can (6.1).
            server4, client4, child4 = pair(6004)
            self.sockets.to_time_wait(client4, child4)
            ends(7004, lambda: subprocess.run(["ss", "-K", "-tn", "state", "time-wait", "sport = :7004"], capture_output=True))
            return [server, again, server2, back, server3, child3, server4]

        words = {7001: "reused_by_connect", 6002: "reused_by_syn", 7003: "expired", 7004: "killed"}
        with harness.Namespace(net_ipv4_tcp_fin_timeout=1) as ns:
            with harness.Tracer(["trace", "--json", "--events", "time_wait"], netns=ns) as tracer:
                kept = ns.call(scenario)
                if ns.run(["ss", "-Htan", "state", "time-wait", "sport = :7004"]).stdout.strip():
                    del words[7004]  # it is still there

                def leaves():
                    return {r["lport"]: r for r in tracer.records_so_far() if r["type"] == "time_wait" and r["event"] == "leave"}

                harness.wait_for(lambda: set(words) <= set(leaves()), "the leaves")
                tracer.stop()
                for sock in kept:
                    sock.close()
        found = {r["lport"]: r for r in tracer.run.of("time_wait", event="leave")}
        checks.equal(set(found), set(words), "those that left", *found.values())
        exact = not self.off("timewait_hooks")
        for port, word in words.items():
            record = found[port]
            checks.that(record["reason"] in ((word,) if exact else (word, "unknown")), f"{word}: said to be {record['reason']}", record)
            if exact and port in moments:
                before, after = moments[port]
                checks.that(before <= record["boot_ns"] <= after, f"{word}: not within the call, {before} to {after}", record)
        return ", ".join(word for port, word in words.items() if found[port]["reason"] == word)

    def row_refused(self, checks):
        """life: bind(), listen() and connect() that are refused"""
        harness = self.harness
        fresh = self.sockets.fresh

        def refuse(call, error):
            try:
                call()
            except OSError as refusal:
                checks.equal(refusal.errno, error, "the refusal itself")
            else:
                checks.that(False, "the call was not refused")

        def scenario():
            taken = fresh("127.0.0.1", reuseaddr=True)
            taken.bind(("127.0.0.1", 6100))
            late = fresh("127.0.0.1", reuseaddr=True)
            late.bind(("127.0.0.1", 6100))
            taken.listen()
            refuse(lambda: fresh("127.0.0.1").bind(("127.0.0.1", 6100)), errno.EADDRINUSE)
            refuse(late.listen, errno.EADDRINUSE)
            refuse(lambda: fresh("127.0.0.1").connect(("127.0.0.1", 6100)), errno.EADDRNOTAVAIL)
            return taken, late

        sysctls = {"net_ipv4_ip_local_port_range": f"{RESERVED_PORT} {RESERVED_PORT + 1}"}
        sysctls["net_ipv4_ip_local_reserved_ports"] = f"{RESERVED_PORT}-{RESERVED_PORT + 1}"
        with harness.Namespace(**sysctls) as ns:
            with harness.Tracer(["life", "--json"], netns=ns) as tracer:
                kept = ns.call(scenario)

                def all_seen():
                    seen = {record["op"] for record in tracer.records_so_far() if record["type"] == "blocked"}
                    return {"connect"} <= seen if self.off("refused_calls") else {"bind", "listen", "connect"} <= seen

                harness.wait_for(all_seen, "the records of refused calls")
                for sock in kept:
                    sock.close()
        if not self.off("refused_calls"):
            self.bpf_tests(checks, "Without/Refused.*/nothing:Without/Refused.*/socket_hooks:RefusedInTree.*-*Filters*")
        found = {record["op"]: record for record in tracer.run.of("blocked")}
        self.contract.check_shape(checks, tracer.run.records)
        checks.equal(len(found), len(tracer.run.of("blocked")), "one record a call", *tracer.run.of("blocked"))
        for op, error in (("bind", "EADDRINUSE"), ("listen", "EADDRINUSE"), ("connect", "EADDRNOTAVAIL")):
            if op not in found:
                checks.that(op != "connect" and self.off("refused_calls"), f"{op}: no record", *tracer.run.records)
                continue
            record = found[op]
            checks.equal(record["error"], error, f"{op}: error", record)
            checks.equal(record["pid"], os.getpid(), f"{op}: pid", record)
            if op != "connect":
                checks.equal((record["laddr"], record["lport"]), ("127.0.0.1", 6100), f"{op}: where", record)
                checks.that(record["blocker_count"] >= 1, f"{op}: blockers", record)
            checks.that(bool(record["remedies"]), f"{op}: remedies", record)
        return ", ".join(op for op in ("bind", "listen", "connect") if op in found)

    def row_ports(self, checks):
        """ports --bind against bind() and listen() on random sets of sockets, and a connect()"""
        import random_sockets
        import test_ports as tests

        if self.off("iter_task_file"):
            random_sockets.KINDS.remove("BOUND")
        else:
            tests.test_bound_only_is_seen(checks)
        tests.test_bind(checks)
        tests.test_connect(checks)  # only where tcp_tw_reuse_delay is (after 6.12)
        return "as predicted; only bound: not seen" if self.off("iter_task_file") else "as predicted"

    def row_quiet(self, checks):
        """the kernel itself: no warning, no oops, no lockup"""
        tainted = int(pathlib.Path("/proc/sys/kernel/tainted").read_text())
        bits = tainted & (1 << 7 | 1 << 9 | 1 << 14)
        checks.equal(bits, 0, "tainted", subprocess.run(["dmesg"], capture_output=True, text=True).stdout[-4000:] if bits else "")
        return "yes"


ROWS = ["features", "load", "ends", "owners", "time_wait", "minisockets", "leaves", "ledger", "refused", "ports", "quiet"]


def asked_rows():
    """All of them, or those that the kernel's command line names."""
    for word in pathlib.Path("/proc/cmdline").read_text().split():
        if word.startswith("tcptrail.rows="):
            return word.partition("=")[2].split(",")
    return ROWS


def run_checks():
    serial_is_raw()
    tests = HERE.parents[1]
    sys.path[:0] = [str(tests / "net"), str(tests / "lib")]
    began = time.monotonic()
    guest = Guest()
    report("kernel", os.uname().release, True, time.monotonic() - began)
    failed = 0
    for row in asked_rows():
        checks = guest.harness.Checks()
        log = io.StringIO()
        began = time.monotonic()
        cell = "broke off"
        with contextlib.redirect_stdout(log):
            try:
                cell = getattr(guest, f"row_{row}")(checks)
            except BaseException:  # noqa: BLE001 - a test that breaks off has failed, and the next one is run
                checks.failed += 1
                traceback.print_exc(file=sys.stdout)
        failed += bool(checks.failed)
        print(f"{checks.passed} checks passed, {checks.failed} failed", file=log)
        report(row, cell, not checks.failed, time.monotonic() - began, log.getvalue()[-6000:])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    run_checks() if sys.argv[1:] == ["checks"] else boot()
