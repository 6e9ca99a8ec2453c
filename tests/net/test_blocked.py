# SPDX-License-Identifier: BSD-2-Clause
"""`blocked`: one record for each bind(), listen() and connect() that the kernel refuses for want of a port, with what is in
the way. The sockets are known here, sock_diag says what else they are, and whether a blocker is one shows when it is closed.

Environment: SEED and COMBINATIONS repeat or extend a run.
"""

import collections
import contextlib
import errno
import os
import pathlib
import random
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import contract
import sockdiag
from harness import PATIENCE, Namespace, Tracer, cpu_seconds, run_tests, wait_for
from privilege import NOBODY
from random_sockets import V4, V6, Sockets
from scenario import STEP_MS
from sockdiag import boot_ns, tuple_of
from sockets import cookie_of, fresh, sysctl
from stream import streaming

SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))
COMBINATIONS = int(os.environ.get("COMBINATIONS") or 150)
LATEST_MS = 500
ARGS = ["trace", "--json", "--events", "blocked"]


def plain(address):
    return address.removeprefix("::ffff:")


def family_of(address):
    return "ipv6" if ":" in address and not address.startswith("::ffff:") else "ipv4"


class Refused(Exception):
    """A call that failed as it was to, with what the record has to say of it."""

    def __init__(self, op, error, address, port, peer=None):
        super().__init__(op, errno.errorcode[error.errno])
        self.errno = error.errno
        self.facts = {"op": op, "error": errno.errorcode[error.errno], "pid": os.getpid(), "comm": "python3"}
        remote = (plain(peer[0]), peer[1]) if peer else ("::" if family_of(address) == "ipv6" else "0.0.0.0", None)
        self.facts |= {"family": family_of(address), "laddr": plain(address), "lport": port or None, "raddr": remote[0], "rport": remote[1]}


REFUSALS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)


def bind(sock, address, port):
    try:
        sock.bind((address, port))
    except OSError as error:
        raise Refused("bind", error, address, port) from error


def listen(sock):
    address, port = sock.getsockname()[:2]
    try:
        sock.listen()
    except OSError as error:
        raise Refused("listen", error, address, port) from error


def connect(sock, address, port, source=None):
    """source: where an unbound socket's connection would come from."""
    local = sock.getsockname()[:2]
    try:
        sock.connect((address, port))
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        raise Refused("connect", error, local[0] if local[1] else source or address, local[1], (address, port)) from error


def refused(call, *args):
    """The Refused that the call ends in."""
    try:
        call(*args)
    except Refused as what:
        return what
    raise AssertionError(f"{call.__name__}{args[1:]} was not refused")


class Attempts:
    """Takes the records of a stream one by one."""

    def __init__(self, checks, stream, netns):
        self.checks, self.stream, self.netns, self.taken = checks, stream, netns, 0
        self.late = []

    def next(self, what, context=""):
        """The record of a refusal that just happened; there must be no other."""
        wait_for(lambda: len(self.stream.of("blocked")) > self.taken, f"the record of {what.facts} {context}")
        records = self.stream.of("blocked")
        record = records[self.taken]
        self.taken += 1
        self.checks.equal(len(records), self.taken, f"{context}: records of one refusal", *records[self.taken - 1 :])
        self.check(record, what, context)
        return record

    def check(self, record, what, context=""):
        got = {name: record[name] for name in what.facts}
        self.checks.equal(got, what.facts, f"{context}: what was refused", record, kind="what was refused")
        self.checks.equal((record["netns"], record["count"]), (self.netns, 1), "netns and count", record)
        self.checks.that(bool(record["remedies"]), "remedies", record)
        arrived = self.stream.arrived[next(i for i, one in enumerate(self.stream.records) if one is record)]
        self.late.append((arrived - record["boot_ns"]) / 1e6)

    def punctual(self):
        """Records come in time, but for what a busy machine holds up. Returns a text about it."""
        late = sorted(self.late)
        worst = late[max(0, len(late) * 98 // 100 - 1)]
        self.checks.that(worst <= LATEST_MS, f"98 % are told {worst:.0f} ms after the attempt, the last one {late[-1]:.0f} ms")
        return f"told {late[len(late) // 2]:.0f} ms after the attempt, {late[-1]:.0f} ms at most"

    def skip(self, count):
        """Passes over the records of refusals that nobody asks about."""
        self.taken += count
        wait_for(lambda: len(self.stream.of("blocked")) >= self.taken, f"{count} records")

    def silent(self, context):
        """No record has come, and none comes: the one of another refusal is the next."""
        marker = socket.socket()
        bind(marker, "127.0.0.1", 0)
        second = socket.socket()
        self.next(refused(bind, second, "127.0.0.1", marker.getsockname()[1]), f"after {context}")


def check_blockers(checks, record, kernel, owner, context):
    """Each blocker is a socket of the kernel's, with the facts that sock_diag has."""
    ends = []
    for blocker in record["blockers"]:
        one = kernel.get(blocker["cookie"])
        if not checks.that(one is not None, f"{context}: a blocker that the kernel does not have", blocker, record, kind="unknown blocker"):
            continue
        checks.equal(blocker["state"], one.state, f"{context}: state", blocker, str(one), kind="state")
        # A connect() that failed leaves the peer's address in the socket.
        nobody = "::" if ":" in one.laddr else "0.0.0.0"
        wanted = (one.laddr, one.lport, one.raddr if one.rport else nobody, one.rport or None)
        checks.equal(tuple_of(blocker), wanted, f"{context}: tuple of a blocker", blocker, str(one), kind="tuple of a blocker")
        # What waits for accept() is nobody's yet.
        wanted = (owner, True) if one.inode or one.mini else (None, None)
        checks.equal((blocker["pid"], blocker["owner_alive"]), wanted, f"{context}: owner", blocker, str(one), kind="owner of a blocker")
        if one.mini:
            off = sockdiag.timer_off_ms(one, record, blocker["expires_in_ms"])
            checks.that(off <= 60, f"{context}: the timer is {off:.0f} ms from the kernel's", blocker, str(one), kind="expires")
            ends.append(blocker["expires_in_ms"])
        else:
            checks.equal(blocker["expires_in_ms"], None, f"{context}: expires", blocker, kind="expires of a socket")
    return ends


# --- bind() and listen(), random sockets --------------------------------------------------------------------------------


def take_away(one, sockets):
    """The socket goes: closed with a RST, or destroyed where no descriptor is left."""
    for sock in sockets.open:
        if sock.fileno() >= 0 and cookie_of(sock) == one.cookie:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
            return
    with contextlib.suppress(FileNotFoundError):  # what waits for accept() has gone with its listener
        sockdiag.destroy(one)


def check_free(checks, record, ends, context):
    """free_in_ms is null while a blocker has no timer, else when the last one has gone for certain."""
    free = record["free_in_ms"]
    if len(ends) < len(record["blockers"]):
        checks.equal(free, None, f"{context}: free_in_ms", record, kind="free_in_ms of a socket")
    else:
        checks.that(free is not None and max(ends) <= free <= max(ends) + STEP_MS, f"{context}: free_in_ms {free}, {ends}", record, kind="free_in_ms")


class Combination:
    """Random sockets on a port, and one that wants it. What is in its way goes one by one, until it is let in."""

    def __init__(self, checks, rng, attempts, number, counts):
        self.checks, self.rng, self.attempts, self.counts = checks, rng, attempts, counts
        self.sockets = Sockets(rng, 2000 + number * 40)
        self.number = number

    def play(self):
        rng = self.rng
        for _ in range(rng.choice([1, 2, 2, 3, 4])):
            self.sockets.add()
        self.attempts.skip(self.sockets.no_port)  # what could not be set up was refused in sight of the tracer
        self.address = rng.choice([*V4, *V6])
        self.options = {"reuseaddr": rng.random() < 0.4, "reuseport": rng.random() < 0.3, "uid": rng.choice([0, 0, NOBODY])}
        if self.address == "::":
            self.options["v6only"] = rng.random() < 0.3
        self.context = f"combination {self.number}: {self.sockets.made}; {self.address} {self.options}"
        self.last = None  # (op, cookies of what is left in the way)
        for _ in range(20):
            asked = fresh(self.address, **self.options)
            try:
                bind(asked, self.address, self.sockets.port)
                listen(asked)
                self.counts["ok at once" if self.last is None else "ok in the end"] += 1
                return
            except Refused as what:
                if not self.meet(what, asked):
                    return
            finally:
                asked.close()
        self.checks.that(False, f"{self.context}: still refused")

    def meet(self, what, asked):
        """Checks the record of a refusal, and takes one blocker away. False when there is none."""
        op = what.facts["op"]
        self.counts[op] += 1
        kernel = {one.cookie: one for one in sockdiag.sockets()}
        record = self.attempts.next(what, self.context)
        blockers = {blocker["cookie"] for blocker in record["blockers"]}
        self.checks.equal(record["blocker_count"], len(record["blockers"]), f"{self.context}: blocker_count", record)
        check_free(self.checks, record, check_blockers(self.checks, record, kernel, os.getpid(), self.context), self.context)
        if self.last is None:
            # Whoever is no blocker is not needed for it.
            for cookie, one in kernel.items():
                if one.lport == self.sockets.port and cookie not in blockers | {cookie_of(asked)}:
                    take_away(one, self.sockets)
                    self.counts["bystander"] += 1
        elif self.last[0] == op:
            self.checks.equal(blockers, self.last[1], f"{self.context}: blockers of the next attempt", record, kind="blockers of the next attempt")
        if not self.checks.that(bool(blockers), f"{self.context}: nothing is in the way", record, kind="nothing is in the way"):
            return False
        gone = kernel[self.rng.choice(sorted(blockers))]
        take_away(gone, self.sockets)
        self.counts[gone.state + " minisocket" * gone.mini] += 1
        self.last = op, blockers - {gone.cookie}
        return True


def named(attempts, call, *args, context="", **facts):
    """The record of a call that is refused. facts: what else it has to say."""
    what = refused(call, *args)
    what.facts |= facts
    kernel = {one.cookie: one for one in sockdiag.sockets()}
    record = attempts.next(what, context or f"{call.__name__}{args[1:]}")
    ends = check_blockers(attempts.checks, record, kernel, os.getpid(), context)
    return record, [kernel[blocker["cookie"]] for blocker in record["blockers"] if blocker["cookie"] in kernel], ends


def server(address, port=0):
    sock = fresh(address, reuseaddr=True)
    sock.bind((address, port))
    sock.listen(256)
    return sock, sock.getsockname()[1]


# --- single facts -----------------------------------------------------------------------------------------------------


def in_namespace(function):
    """A test whose work is done in a namespace of its own, in sight of a tracer."""

    def test(checks):
        with Namespace() as ns, streaming(ARGS, netns=ns) as (stream, _):
            ns.ip("address", "add", "10.77.0.1/32", "dev", "lo")
            ns.ip("address", "add", "fd00::1/128", "dev", "lo", "nodad")
            attempts = Attempts(checks, stream, ns.inum)
            ns.call(lambda: function(checks, attempts))
        contract.check_shape(checks, stream.records)
        checks.equal(sum(one["count"] for one in stream.of("blocked")), attempts.taken, "no record too many")

    test.__doc__, test.__name__ = function.__doc__, function.__name__
    return test


@in_namespace
def addresses(checks, attempts):
    """the address that was asked for: of both families, mapped, wildcards, dual stack and IPv6 only, and of nobody here"""
    for held, asked, v6only in (
        ("127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "0.0.0.0", False),
        ("127.0.0.1", "::ffff:127.0.0.1", False),
        ("127.0.0.1", "::", False),
        ("::ffff:127.0.0.1", "127.0.0.1", False),
        ("0.0.0.0", "127.0.0.1", False),
        ("::", "127.0.0.1", False),
        ("::", "::1", False),
        ("::1", "::", True),
        ("::1", "::1", False),
        ("fd00::1", "::", False),
    ):
        listener, port = server(held)
        sock = fresh(asked, v6only=v6only)
        record, (blocker,), _ = named(attempts, bind, sock, asked, port)
        checks.equal((blocker.cookie, record["free_in_ms"]), (cookie_of(listener), None), f"{held} in the way of {asked}", record)
        sock.close()
        listener.close()
    for away in ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"):
        record, blockers, _ = named(attempts, bind, fresh(away), away, 80)
        checks.equal((blockers, record["blocker_count"], record["free_in_ms"]), ([], 0, None), "an address of nobody here", record)
        record, _, _ = named(attempts, bind, fresh(away), away, 0)
        checks.equal(record["lport"], None, "no port was asked for", record)


@in_namespace
def a_listener_beside(checks, attempts):
    """listen() on a port that another socket has begun to listen on"""
    for address in ("127.0.0.1", "::"):
        first, second = fresh(address, reuseaddr=True), fresh(address, reuseaddr=True)
        first.bind((address, 0))
        port = first.getsockname()[1]
        second.bind((address, port))
        first.listen()
        record, (blocker,), _ = named(attempts, listen, second)
        checks.equal((blocker.cookie, record["lport"]), (cookie_of(first), port), "the listener is in the way", record)
        first.close()
        second.listen()


@in_namespace
def a_full_range(checks, attempts):
    """no port left: connect() to one destination, bind() to port 0, listen() on a socket without a port"""
    for address, source in (("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::ffff:127.0.0.1", "::ffff:127.0.0.1"), ("10.77.0.1", "127.0.0.3")):
        sysctl("tcp_tw_reuse", 0)
        listener, port = server("::" if ":" in address else "0.0.0.0")
        other, other_port = server("::" if ":" in address else "0.0.0.0")
        sysctl("ip_local_port_range", "2000 2003")
        held = []
        from_source = source != address

        def client(to=port):
            sock = fresh(address)
            if from_source:
                sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
                sock.bind((source, 0))
            connect(sock, address, to, source)
            return sock

        for i in range(4):
            sock = client()
            child = listener.accept()[0]
            if i % 2:
                sock.shutdown(socket.SHUT_WR)
                child.recv(1)
                child.close()
                sock.recv(1)
                sock.close()
            else:
                held += [sock, child]
        record, blockers, ends = named(attempts, client)
        used = {one.cookie for one in sockdiag.sockets() if 2000 <= one.lport <= 2003 and one.rport == port}
        checks.equal({one.cookie for one in blockers}, used, "the sockets on the ports of the range", record)
        checks.equal((record["lport"], record["blocker_count"], len(ends)), (None, 4, 2), "connect()", record)
        checks.that(min(ends) <= record["free_in_ms"] <= min(ends) + STEP_MS, f"the first TIME_WAIT ends after {ends}", record)
        held.append(client(other_port))  # another destination has all of them
        record, blockers, ends = named(attempts, bind, fresh(source), source, 0, error="EADDRINUSE")
        checks.equal({one.lport for one in blockers}, {2000, 2001, 2002, 2003}, "bind() to port 0", record)
        for sock in (*held, listener, other):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        for one in sockdiag.minisockets().values():
            sockdiag.destroy(one)
        sysctl("ip_local_port_range", "32768 60999")


@in_namespace
def a_held_tuple(checks, attempts):
    """connect() of a socket with a port: another one has this port to this destination"""
    sysctl("tcp_timestamps", 0)
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        listener, port = server(address)

        def client(own):
            sock = fresh(address, reuseaddr=True)
            sock.bind((address, own))
            connect(sock, address, port)
            return sock

        first = client(3000)
        child = listener.accept()[0]
        record, (blocker,), ends = named(attempts, client, 3000)
        checks.equal((blocker.cookie, blocker.state, record["free_in_ms"]), (cookie_of(first), "ESTABLISHED", None), "a living connection", record)
        cookie = cookie_of(first)
        first.shutdown(socket.SHUT_WR)
        child.recv(1)
        wait_for(lambda: first.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 5, "FIN_WAIT2")
        record, (blocker,), _ = named(attempts, client, 3000)
        checks.equal((blocker.cookie, blocker.state, record["free_in_ms"]), (cookie, "FIN_WAIT2", None), "one that is shut down", record)
        first.close()
        wait_for(lambda: cookie in sockdiag.minisockets(), "the minisocket")
        for state in ("FIN_WAIT2", "TIME_WAIT"):
            record, (blocker,), ends = named(attempts, client, 3000)
            checks.equal((blocker.cookie, blocker.state), (cookie, state), "what it left behind", record)
            checks.that(ends and ends[0] <= record["free_in_ms"] <= ends[0] + STEP_MS, f"it ends after {ends}", record)
            if state == "FIN_WAIT2":
                child.close()
                wait_for(lambda: sockdiag.minisockets()[cookie].state == "TIME_WAIT", "the late FIN")
        listener.close()


@in_namespace
def silence(checks, attempts):
    """no record of what succeeds, of what fails for another reason, and of what is not TCP"""
    listener, port = server("127.0.0.1")

    def fails(error, call, *args):
        try:
            call(*args)
        except OSError as what:
            checks.equal(what.errno, error, f"{call}{args}")
            return
        checks.that(False, f"{call}{args} did not fail")

    bound = fresh("127.0.0.1")
    bound.bind(("127.0.0.1", 0))
    fails(errno.EINVAL, bound.bind, ("127.0.0.1", port))
    attempts.silent("EINVAL of bind()")
    fails(errno.EINVAL, fresh("::ffff:127.0.0.1", v6only=True).bind, ("::ffff:127.0.0.1", port))
    attempts.silent("EINVAL of an IPv6-only socket")
    connected = fresh("127.0.0.1")
    connected.connect(("127.0.0.1", port))
    fails(errno.EINVAL, connected.listen)
    attempts.silent("EINVAL of listen()")
    nobody = bound.getsockname()[1]
    fails(errno.ECONNREFUSED, fresh("127.0.0.1").connect, ("127.0.0.1", nobody))
    attempts.silent("ECONNREFUSED")
    fails(errno.ENETUNREACH, fresh("127.0.0.1").connect, ("192.0.2.1", 80))
    attempts.silent("ENETUNREACH")
    low = "import socket\ntry:\n socket.socket().bind(('127.0.0.1', 80))\nexcept PermissionError:\n exit(3)"
    done = subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", sys.executable, "-c", low])
    checks.equal(done.returncode, 3, "EACCES of a low port")
    attempts.silent("EACCES")
    udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    udp[0].bind(("127.0.0.1", port))
    fails(errno.EADDRINUSE, udp[1].bind, ("127.0.0.1", port))
    fails(errno.EADDRNOTAVAIL, udp[1].bind, ("192.0.2.1", port))
    attempts.silent("UDP")
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        fails(errno.EADDRNOTAVAIL, raw.bind, ("192.0.2.1", 0))
    attempts.silent("a raw socket")
    names = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    names[0].bind("\0tcptrail-test")
    fails(errno.EADDRINUSE, names[1].bind, "\0tcptrail-test")
    attempts.silent("AF_UNIX")


def random_sockets(checks):
    """bind() and listen() on a port with random sockets: those named are in the way, all of them, and nobody else"""
    print(f"seed {SEED}")
    counts, rng = collections.Counter(), random.Random(SEED)
    with Namespace() as ns, streaming(ARGS, netns=ns) as (stream, _):
        ns.ip("address", "add", "fd00::1/128", "dev", "lo", "nodad")
        attempts = Attempts(checks, stream, ns.inum)
        for number in range(COMBINATIONS):
            combination = Combination(checks, rng, attempts, number, counts)
            try:
                ns.call(combination.play)
            finally:
                ns.call(combination.sockets.close)
    contract.check_shape(checks, stream.records)
    print(f"{dict(counts)}; {attempts.punctual()}")


# --- callers ----------------------------------------------------------------------------------------------------------

CALLER = """
import ctypes, os, socket, sys, threading
name, kind, address, port, times = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
def attempt():
    for _ in range(times):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            sock.bind((address, port))
        except OSError:
            continue
        os._exit(1)
if kind == "thread":
    def work():
        ctypes.CDLL(None).prctl(15, b"a-thread", 0, 0, 0)
        attempt()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads: one.start()
    for one in threads: one.join()
elif kind == "child":
    if os.fork() == 0:
        attempt()
        os._exit(0)
    os.wait()
else:
    attempt()
"""


def start_caller(ns, name, kind, port, times=5, address="127.0.0.1", wrap=()):
    return ns.start([*wrap, sys.executable, "-c", CALLER, name, kind, address, port, times])


def finish(*callers):
    for caller in callers:
        if caller.wait(PATIENCE) != 0:
            raise AssertionError(f"{caller.args} ended with {caller.returncode}")


def callers(checks):
    """threads, children and users, in several network namespaces at once: each with its own name and blockers"""
    with contextlib.ExitStack() as stack:
        spaces = [stack.enter_context(Namespace()) for _ in range(3)]
        held = [ns.call(lambda: server("127.0.0.1")) for ns in spaces]
        stream, _ = stack.enter_context(streaming(ARGS))
        running = {}
        for i, ns in enumerate(spaces):
            for kind in ("plain", "thread", "child"):
                running[i, kind] = start_caller(ns, f"{kind}-{i}", kind, held[i][1])
            user = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
            running[i, "user"] = start_caller(ns, f"user-{i}", "plain", held[i][1], wrap=user)
        finish(*running.values())
        wanted = len(spaces) * (5 + 20 + 5 + 5)
        mine = {ns.inum: i for i, ns in enumerate(spaces)}
        blocked = lambda: [one for one in stream.of("blocked") if one["netns"] in mine]
        wait_for(lambda: sum(one["count"] for one in blocked()) >= wanted, "every record")
        seen = collections.Counter()
        for record in blocked():
            i = mine[record["netns"]]
            kind = record["comm"].removesuffix(f"-{i}")
            caller = running.get((i, kind))
            if not checks.that(caller is not None, f"nobody here is called {record['comm']}", record):
                continue
            own_pid = record["pid"] == caller.pid
            checks.that(own_pid != (kind == "child"), f"{kind} {caller.pid}", record, kind="pid")
            checks.equal([one["cookie"] for one in record["blockers"]], [cookie_of(held[i][0])], "the blocker", record)
            seen[i, kind] += record["count"]
        checks.equal(dict(seen), {(i, kind): 20 if kind == "thread" else 5 for i, kind in running}, "records of each caller")
    print(f"{sum(seen.values())} attempts of {len(running)} processes in {len(spaces)} namespaces")


def filtered(checks):
    """-p, --comm, -L, --uid, -4, -6, --netns, --how, --errors and -- CMD choose attempts as they choose connections"""
    with Namespace() as ns, Namespace() as elsewhere, contextlib.ExitStack() as stack:
        (listener, port), (other, other_port) = ns.call(lambda: server("127.0.0.1")), ns.call(lambda: server("::1"))
        away, away_port = elsewhere.call(lambda: server("127.0.0.1"))
        me = os.getpid()
        attempts = {  # caller: (namespace, name, address, port, uid)
            "first": (ns, "first", "127.0.0.1", port, 0),
            "second": (ns, "second", "::1", other_port, 0),
            "user": (ns, "user", "127.0.0.1", port, NOBODY),
            "away": (elsewhere, "away", "127.0.0.1", away_port, 0),
        }
        inside = {"first", "second", "user", "me"}
        chosen = {
            ("--netns", ns.path): inside,
            ("--netns", ns.path, "-p", me): {"me"},
            ("--netns", ns.path, "--comm", "fir*"): {"first"},
            ("--netns", ns.path, "-L", port): {"first", "user", "me"},
            ("--netns", ns.path, "-D", port): set(),
            ("--netns", ns.path, "--uid", NOBODY): {"user"},
            ("--netns", ns.path, "-4"): {"first", "user", "me"},
            ("--netns", ns.path, "-6"): {"second"},
            ("--netns", ns.path, "--laddr", "::1/128"): {"second"},
            ("--netns", ns.path, "--errors"): inside,
            ("--netns", ns.path, "--how", "no-port"): inside,
            ("--netns", ns.path, "--how", "fin"): set(),
            ("--netns", ns.path, "--closed-by", "local"): set(),
            ("--netns", elsewhere.path): {"away"},
        }
        streams = {flags: stack.enter_context(streaming([*ARGS, *flags]))[0] for flags in chosen}
        for where, name, address, its_port, uid in attempts.values():
            wrap = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"] if uid else []
            finish(start_caller(where, name, "plain", its_port, 1, address, wrap))
        ns.call(lambda: refused(bind, fresh("127.0.0.1"), "127.0.0.1", port))
        for flags, wanted in chosen.items():
            names = {"python3" if name == "me" else name for name in wanted}
            wait_for(lambda: len(streams[flags].of("blocked")) >= len(names), f"{flags}: {names}")
        for flags, wanted in chosen.items():
            names = sorted("python3" if name == "me" else name for name in wanted)
            checks.equal(sorted(one["comm"] for one in streams[flags].of("blocked")), names, f"{flags}")
        # A command, its child, and somebody else.
        command = ["--", sys.executable, "-c", CALLER, "command", "child", "127.0.0.1", str(port), "2"]
        with streaming([*ARGS, *command], inside=True, netns=ns) as (stream, tracer):
            finish(start_caller(ns, "first", "plain", port, 1))
            tracer.wait()
        checks.equal([one["comm"] for one in stream.of("blocked")], ["command", "command"], "-- CMD")


def right_before_the_stop(checks):
    """the last thing that happens before a stop signal is told with what was in its way"""
    with Namespace() as ns:
        listener, port = ns.call(lambda: server("127.0.0.1"))
        for _ in range(5):
            with Tracer(ARGS, netns=ns) as tracer:
                ns.call(lambda: refused(bind, fresh("127.0.0.1"), "127.0.0.1", port))
            found = [[one["cookie"] for one in record["blockers"]] for record in tracer.run.of("blocked")]
            checks.equal(found, [[cookie_of(listener)]], "the one refusal and what was in its way")
        listener.close()


# --- floods -----------------------------------------------------------------------------------------------------------

FLOOD = """
import socket, sys, time
kind, port, rate, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
sock = socket.socket()
call = {"bind": sock.bind, "connect": sock.connect}[kind]
began, made = time.monotonic(), 0
while (spent := time.monotonic() - began) < seconds:
    if made < spent * rate:
        try:
            call(("127.0.0.1", port))
            sys.exit("it succeeded")
        except OSError as error:
            if error.errno not in (98, 99):
                raise
        made += 1
    else:
        time.sleep(0.001)
print(made)
"""
RATE, SECONDS = 10_000, 3


def flood(checks):
    """10,000 refused calls a second: counted together, none lost, and everything else is still told in time"""
    for kind in ("connect", "bind"):
        for args in (["life", "--json"], ARGS):
            flood_of(checks, kind, args)


def flood_of(checks, kind, args):
    with Namespace(net_ipv4_tcp_tw_reuse=0) as ns, streaming(args, netns=ns) as (stream, tracer), contextlib.ExitStack() as stack:
        listener, port = ns.call(lambda: server("127.0.0.1", 1500))
        calm, calm_port = ns.call(lambda: server("127.0.0.1", 1501))
        stack.callback(listener.close)
        stack.callback(calm.close)
        ns.sysctl("net_ipv4_ip_local_port_range", "2000 2099")
        held = [ns.call(lambda: socket.create_connection(("127.0.0.1", port))) for _ in range(100)]
        before = cpu_seconds(tracer.pid)
        process = ns.start([sys.executable, "-c", FLOOD, kind, port, RATE, SECONDS], stdout=subprocess.PIPE)
        ended = []
        while process.poll() is None:
            # Somebody else's connection, and somebody else's refusal, on ports of their own.
            client = ns.call(lambda: socket.create_connection(("127.0.0.1", calm_port), source_address=("127.0.0.1", 3000 + len(ended))))
            child = calm.accept()[0]
            client.close()
            child.recv(1)
            child.close()
            ns.call(lambda: refused(bind, fresh("127.0.0.1"), "127.0.0.1", calm_port))
            ended.append(boot_ns())
            process_ends = time.monotonic() + 0.05
            wait_for(lambda: time.monotonic() > process_ends, "the pace of the calm ones")
        made = int(process.communicate()[0])
        spent = cpu_seconds(tracer.pid) - before
        for sock in held:
            sock.close()
        blocked = lambda: [one for one in stream.of("blocked") if one["pid"] == process.pid]
        wait_for(lambda: sum(one["count"] for one in blocked()) >= made, f"{made} attempts")
        calm_records = lambda: [one for one in stream.of("blocked") if one["lport"] == calm_port]
        wait_for(lambda: sum(one["count"] for one in calm_records()) >= len(ended), "the calm ones")
    checks.equal(process.returncode, 0, "the flood")
    records = blocked()
    checks.equal(sum(one["count"] for one in records), made, f"{kind}: attempts counted")
    checks.equal(sum(one["count"] for one in calm_records()), len(ended), "refusals of somebody else")
    checks.that(len(records) <= 250 * SECONDS + 250, f"{len(records)} records for {made} attempts")
    for record in records:
        facts = (record["op"], record["comm"], record["lport"] if kind == "bind" else record["rport"])
        checks.equal(facts, (kind, "python3", port), "what the flood was refused", record, kind="flood")
        checks.that(record["blocker_count"] == (101 if kind == "bind" else 100), "blockers", record, kind="flood: blockers")
    summary = stream.records[-1]
    checks.equal((summary["loss"]["total"], summary["loss"]["other"]), (0, 0), "loss", summary)
    late = []
    places = {id(one): at for at, one in enumerate(stream.records)}
    for one in calm_records() + [one for one in stream.of("connection") if calm_port in (one["lport"], one["rport"])]:
        late.append((stream.arrived[places[id(one)]] - one["boot_ns"]) / 1e6)
    worst = sorted(late)[max(0, len(late) * 98 // 100 - 1)]
    checks.that(worst <= LATEST_MS, f"98 % of the others are told {worst:.0f} ms late, the last {max(late):.0f} ms")
    if args[0] == "life":
        connections = [one for one in stream.of("connection") if calm_port in (one["lport"], one["rport"])]
        checks.equal(len(connections), 2 * len(ended), "connections of somebody else")
        refusals = [one for one in stream.of("connection", how="no-port") if one["pid"] == process.pid]
        checks.equal(len(refusals), made if kind == "connect" else 0, "connection records of connect() without a port")
    print(
        f"{kind}, {args[0]}: {made} refused in {SECONDS} s, {len(records)} records; others {sorted(late)[len(late) // 2]:.0f} ms late, "
        f"{max(late):.0f} at most; tracer {spent / SECONDS * 100:.0f} % of a core"
    )


if __name__ == "__main__":
    run_tests(addresses, a_listener_beside, a_full_range, a_held_tuple, silence, random_sockets, callers, filtered, right_before_the_stop, flood)
