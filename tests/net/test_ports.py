# SPDX-License-Identifier: BSD-2-Clause
"""`ports --bind` and `ports --connect` against what bind(), listen() and connect() then really do.

The kernel is the oracle: random sockets on a port, a question to tcptrail, then the call itself with the same options.
Environment: SEED and COMBINATIONS repeat or extend a run, TIMEWAITS sets the size of the load.
"""

import errno
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import contract
from answers import endpoint, only, ports
from harness import Namespace, program, run_tests, tcpload, wait_for
from privilege import NOBODY
from random_sockets import QUEUED_S, REFUSED, V4, V6, Sockets
from sockets import IP_BIND_ADDRESS_NO_PORT, LINGER_0, TCP_FIN_WAIT2, accepted, fresh, reach, sysctl, to_time_wait

SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))
COMBINATIONS = int(os.environ.get("COMBINATIONS") or 520)
TIMEWAITS = int(os.environ.get("TIMEWAITS") or 100_000)

ASKED = [*V4, "127.0.0.6", *V6, "::ffff:0.0.0.0", "::ffff:127.0.0.2"]


def really_bind(address, port, options, v6only, uid):
    sock = fresh(address, *options, v6only=v6only, uid=uid)
    try:
        sock.bind((address, port))
        sock.listen()
        return "ok"
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EINVAL):
            raise
        return "blocked"
    finally:
        sock.close()


def bind_combinations(checks, rng):
    counts = {"ok": 0, "blocked": 0}
    sockets_made = refused = 0
    for number in range(COMBINATIONS):
        port = 2000 + number * 40 % 30000 + number * 40 // 30000
        sockets = Sockets(rng, port)
        try:
            for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4])):
                sockets.add()
            sockets_made += len(sockets.made)
            refused += sockets.refused
            address, uid = rng.choice(ASKED), rng.choice([0, 0, NOBODY])
            v6only = address == "::" and rng.random() < 0.3
            question = ["--bind", endpoint(address, port), "--uid", uid, *(["--v6only"] if v6only else [])]
            requests = [("bind_plain", (False, False)), ("bind_reuseaddr", (True, False)), ("bind_reuseport", (False, True))]
            rng.shuffle(requests)
            for name, options in requests:
                # A bind that succeeded changes what the port remembers, so each has an answer of its own.
                record = only(ports(*question), "port")
                truth = really_bind(address, port, options, v6only, uid)
                counts[truth] += 1
                context = f"combination {number}: {sockets.made}; asked {question} {name}"
                checks.equal(record[name], truth, context, record, kind=f"{name} of a random combination")
                checks.that(
                    (record["bind_plain"] == "ok") == (record["blocker_count"] == 0 and not record["blockers"]),
                    f"{context}: blockers and verdict", record, kind="blockers and verdict",
                )
                checks.equal(sum(record["states"].values()), record["blocker_count"], context, record, kind="states")
                checks.that(bool(record["remedies"]) == (record["bind_plain"] == "blocked"), context, record, kind="remedies")
                checks.that(record["free_in_ms"] == 0 or record["bind_plain"] == "blocked", context, record, kind="free_in_ms of a free port")
        finally:
            sockets.close()
    print(f"bind: {COMBINATIONS} combinations of {sockets_made} sockets ({refused} more were refused), "
          f"{sum(counts.values())} calls: {counts['ok']} ok, {counts['blocked']} blocked")


def test_bind(checks):
    """bind() and listen() on random combinations of sockets do what was predicted."""
    print(f"seed {SEED}")
    with Namespace() as ns:
        ns.ip("address", "add", "fd00::1/128", "dev", "lo", "nodad")
        ns.call(lambda: bind_combinations(checks, random.Random(SEED)))


# --- connect --------------------------------------------------------------------------------------------------------

DESTINATIONS = ["127.0.0.1", "127.0.0.2", "::1", "10.77.0.2", "::ffff:127.0.0.1"]
SERVER_PORTS = [1500, 1501]
FROM = {"127.0.0.1": ["127.0.0.1", "127.0.0.3"], "127.0.0.2": ["127.0.0.1"], "::1": ["::1"], "10.77.0.2": ["10.77.0.1", "10.77.0.2"],
        "::ffff:127.0.0.1": ["::ffff:127.0.0.1"]}
# Where an unbound socket's connection comes from: on this host from the address itself, but for 127.0.0.0/8.
UNBOUND = {"127.0.0.1": "127.0.0.1", "127.0.0.2": "127.0.0.1", "::1": "::1", "10.77.0.2": "10.77.0.2", "::ffff:127.0.0.1": "::ffff:127.0.0.1"}


class Range:
    """Random users of the ports of a small ip_local_port_range."""

    def __init__(self, rng, low, high, servers):
        self.rng, self.low, self.high, self.servers = rng, low, high, servers
        self.open, self.made = [], []

    def client(self, address, port, source, bound_port=0, **options):
        """A connection; the port is connect()'s choice unless it is given."""
        sock = fresh(address, **options)
        self.open.append(sock)
        if not bound_port:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, bound_port))
        sock.connect((address, port))
        peer = accepted(self.servers[port])
        self.open.append(peer)
        return sock, peer

    def add(self):
        rng = self.rng
        what = rng.choice(["open", "open", "TIME_WAIT", "TIME_WAIT", "TIME_WAIT", "FIN_WAIT2 minisocket", "explicit bind",
                           "explicit bind TIME_WAIT", "listener", "bound", "server TIME_WAIT"])
        address, port = rng.choice(DESTINATIONS), rng.choice(SERVER_PORTS)
        source = rng.choice(FROM[address])
        local = rng.randint(self.low, self.high)
        options = {"reuseaddr": rng.random() < 0.4, "reuseport": rng.random() < 0.2}
        try:
            if what in ("listener", "bound", "server TIME_WAIT"):
                sock = fresh(source, **options)
                self.open.append(sock)
                sock.bind((source, local))
                if what != "bound":
                    sock.listen()
                if what == "server TIME_WAIT":
                    client = fresh(source)
                    self.open.append(client)
                    client.bind((source, rng.randint(40000, 60000)))  # not one of the range
                    client.connect((source, local))
                    sock.settimeout(QUEUED_S)  # another listener of the port may have got it
                    self.time_wait(sock.accept()[0], client)
                    sock.close()
            else:
                ours, theirs = self.client(address, port, source, local if "explicit" in what else 0, **options)
                if what.endswith("TIME_WAIT"):
                    self.time_wait(ours, theirs)
                elif what == "FIN_WAIT2 minisocket":
                    ours.shutdown(socket.SHUT_WR)
                    reach(TCP_FIN_WAIT2, ours)
                    ours.close()
        except OSError as error:
            if not isinstance(error, TimeoutError) and error.errno not in REFUSED:
                raise
            return
        self.made.append(f"{what} {source} > {address}:{port}")

    def time_wait(self, ours, theirs):
        self.open += [ours, theirs]
        to_time_wait(ours, theirs)

    def close(self):
        for sock in self.open:
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
                sock.close()


def ss_ports(low, high, source, address, port, state=None):
    """Local ports of the range that ss shows towards the destination."""
    plain = [text.removeprefix("::ffff:") for text in (source, address)]
    lines = subprocess.run(["ss", "-Htan", *(["state", state] if state else [])], capture_output=True, text=True, check=True).stdout
    found = set()
    for line in lines.splitlines():
        ends = re.findall(r"\[?([0-9a-f:.]+?)\]?:(\d+)(?=\s|$)", line)
        if len(ends) != 2:
            continue
        (laddr, lport), (raddr, rport) = ends
        if [laddr.removeprefix("::ffff:"), raddr.removeprefix("::ffff:"), int(rport)] == [*plain, port] and low <= int(lport) <= high:
            found.add(int(lport))
    return found


def connect_combinations(checks, rng):
    servers = {}
    for port in SERVER_PORTS:
        servers[port] = fresh("::")
        servers[port].bind(("::", port))
        servers[port].listen(4096)
    counts = {"ok": 0, "blocked": 0}
    connected = 0
    low = 2000
    for number in range(COMBINATIONS):
        size = rng.choice([1, 2, 2, 4, 4, 6])
        low += 16
        high = low + size - 1
        sysctl("ip_local_reserved_ports", "")
        sysctl("ip_local_port_range", f"{low} {high}")
        sysctl("tcp_timestamps", int(rng.random() < 0.75))
        # Users of the range are made without waiting for, or because of, TIME_WAIT reuse.
        sysctl("tcp_tw_reuse", 0)
        users = Range(rng, low, high, servers)
        try:
            for _ in range(rng.choice([0, 1, 2, 3, 5, 8])):
                users.add()
            reserved = sorted(rng.sample(range(low, high + 1), rng.choice([0, 0, 0, 1, min(2, size)])))
            sysctl("ip_local_reserved_ports", ",".join(map(str, reserved)))
            reuse = rng.choice([0, 1, 2])
            sysctl("tcp_tw_reuse", reuse)
            delay = rng.choice([1, 1, 60_000])  # long ago, or just now
            sysctl("tcp_tw_reuse_delay", delay)
            address, port = rng.choice(DESTINATIONS), rng.choice(SERVER_PORTS)
            source = rng.choice(FROM[address])
            question = ["--connect", endpoint(address, port)]
            if rng.random() < 0.6 or source != UNBOUND[address]:
                question += ["--from", source]
            newest = time.monotonic()
            wait_for(lambda: time.monotonic() - newest > 0.003, "the reuse delay of 1 ms to pass")
            record = only(ports(*question), "destination")
            context = f"combination {number}: {users.made}; range {low}-{high}, reserved {reserved}, tw_reuse {reuse}, delay {delay}; asked {question}"
            used = ss_ports(low, high, source, address, port)
            waiting = ss_ports(low, high, source, address, port, "time-wait")
            checks.equal(record["used"], len(used), context, record, kind="used")
            checks.equal(record["time_wait"], len(waiting), context, record, kind="time_wait")
            checks.equal(record["range"], [low, high], context, record, kind="range")
            checks.equal(record["reserved"], len(reserved), context, record, kind="reserved")
            checks.equal(record["laddr"], source.removeprefix("::ffff:"), context, record, kind="laddr")
            successes = 0
            for _ in range(size + 1):
                sock = fresh(address)
                users.open.append(sock)
                try:
                    if "--from" in question:
                        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                        sock.bind((source, 0))
                    sock.connect((address, port))
                    users.open.append(accepted(servers[port]))
                    successes += 1
                except OSError as error:
                    if error.errno != errno.EADDRNOTAVAIL:
                        raise
                    break
            truth = "ok" if successes else "blocked"
            counts[truth] += 1
            connected += successes
            checks.equal(record["connect"], truth, context, record, kind="connect")
            checks.equal(record["available"], successes, context, record, kind="available")
        finally:
            users.close()
    print(f"connect: {COMBINATIONS} combinations: {counts['ok']} ok, {counts['blocked']} blocked; {connected} connections filled the ranges")


def test_connect(checks):
    """connect() without bind() finds as many ports as was predicted, and fails after the last."""
    print(f"seed {SEED}")
    with Namespace() as ns:
        ns.ip("address", "add", "10.77.0.1/32", "dev", "lo")
        ns.ip("address", "add", "10.77.0.2/32", "dev", "lo")
        if not ns.call(lambda: os.path.exists("/proc/sys/net/ipv4/tcp_tw_reuse_delay")):
            print("SKIPPED: no tcp_tw_reuse_delay here, and the test does not wait a second for each combination")
            return
        ns.call(lambda: connect_combinations(checks, random.Random(SEED)))


# --- single facts -----------------------------------------------------------------------------------------------------


def test_when_it_ends(checks):
    """expires_in_ms and free_in_ms frame the kernel's own timer, and the blockers are those of ss."""
    with Namespace() as ns:

        def look():
            sockets = Sockets(random.Random(1), 8080)
            listener = fresh("127.0.0.1")
            listener.bind(("127.0.0.1", 8080))
            listener.listen()
            client = fresh("127.0.0.1")
            client.connect(("127.0.0.1", 8080))
            child = listener.accept()[0]
            listener.close()
            sockets._end(child, client, "TIME_WAIT")
            record = only(ports("--bind", "127.0.0.1:8080"), "port")
            line = subprocess.run(["ss", "-Htane", "sport", "= :8080"], capture_output=True, text=True, check=True).stdout
            return record, line

        record, line = ns.call(look)
        timer = re.search(r"timer:\(timewait,(\d+)(sec|ms)", line)
        checks.that(timer is not None, f"ss shows a timewait timer: {line!r}")
        left = int(timer[1]) * (1000 if timer[2] == "sec" else 1)
        blocker = record["blockers"][0]
        checks.that(abs(blocker["expires_in_ms"] - left) <= 1500, f"expires {blocker['expires_in_ms']} ms, ss says {left}", record)
        checks.that(0 < record["free_in_ms"] - blocker["expires_in_ms"] <= 5200, "free_in_ms is one timer-wheel step later", record)
        checks.equal(record["states"], {"TIME_WAIT": 1}, "states", record)
        checks.that("SO_REUSEADDR" in " ".join(record["remedies"]), "the remedy for the next time", record)
        checks.that("Wait" in record["remedies"][0], "the first remedy", record)


def test_when_it_really_ends(checks):
    """A short FIN_WAIT2 is over between expires_in_ms and free_in_ms."""
    with Namespace(net_ipv4_tcp_fin_timeout=1) as ns:

        def look():
            sockets = Sockets(random.Random(1), 8080)
            listener = fresh("127.0.0.1")
            listener.bind(("127.0.0.1", 8080))
            listener.listen()
            client = fresh("127.0.0.1")
            client.connect(("127.0.0.1", 8080))
            child = listener.accept()[0]
            listener.close()
            sockets._end(child, client, "FIN_WAIT2 minisocket")
            record = only(ports("--bind", "127.0.0.1:8080"), "port")
            start = record["boot_ns"]
            wait_for(lambda: really_bind("127.0.0.1", 8080, (False, False), False, 0) == "ok", "the port to be free")
            return record, (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - start) / 1e6

        record, took_ms = ns.call(look)
        checks.equal(record["states"], {"FIN_WAIT2": 1}, "states", record)
        expires = record["blockers"][0]["expires_in_ms"]
        checks.that(expires <= took_ms, f"it ended after {took_ms:.0f} ms, not before {expires}", record)
        checks.that(took_ms <= record["free_in_ms"] + 100, f"it ended after {took_ms:.0f} ms, at most {record['free_in_ms']}", record)
        print(f"expires_in_ms {expires}, ended after {took_ms:.0f} ms, free_in_ms {record['free_in_ms']}")


def test_report(checks):
    """One record per blocked endpoint and destination; owners; what hurts most first; text within 100 columns."""
    with Namespace() as ns:

        def look():
            living = fresh("::", reuseaddr=True)
            living.bind(("::", 9000))
            living.listen()
            dead = Sockets(random.Random(2), 8080)
            listener = fresh("127.0.0.1")
            listener.bind(("127.0.0.1", 8080))
            listener.listen()
            for _ in range(3):
                client = fresh("127.0.0.1")
                client.connect(("127.0.0.1", 8080))
                dead._end(listener.accept()[0], client, "TIME_WAIT")
            client = fresh("127.0.0.1")
            client.connect(("127.0.0.1", 9000))
            child = living.accept()[0]
            listener.close()
            records = ports()
            text = subprocess.run([program("tcptrail"), "ports"], capture_output=True, text=True, check=True).stdout
            chosen = ports("-L", "9000", "--events", "blocked")
            return records, text, chosen, client.getsockname()[1], child

        records, text, chosen, client_port, _ = ns.call(look)
        contract.check_shape(checks, records)
        kinds = [record["type"] for record in records]
        checks.that(kinds[0] == "startup" and kinds[-1] == "summary", f"{kinds}")
        checks.equal(kinds[1:-1], sorted(kinds[1:-1], key=["port", "destination", "time_wait"].index), "the order of records")
        by_endpoint = {(r["laddr"], r["lport"]): r for r in records if r["type"] == "port"}
        checks.equal(set(by_endpoint), {("127.0.0.1", 8080), ("::", 9000), ("127.0.0.1", 9000), ("127.0.0.1", client_port)}, "endpoints")
        first = next(r for r in records if r["type"] == "port")
        checks.equal((first["laddr"], first["lport"], first["states"]), ("127.0.0.1", 8080, {"TIME_WAIT": 3}), "what hurts most", first)
        listening = by_endpoint["::", 9000]
        checks.equal([(o["pid"], o["alive"]) for o in listening["owners"]], [(os.getpid(), True)], "the owner", listening)
        checks.that(str(os.getpid()) in listening["remedies"][0], "the owner is in the remedy", listening)
        checks.equal(listening["free_in_ms"], None, "no timer frees a listener", listening)
        destinations = [r for r in records if r["type"] == "destination"]
        checks.equal([(r["raddr"], r["rport"], r["used"], r["connect"]) for r in destinations], [("127.0.0.1", 9000, 1, "ok")], "destinations", *destinations)
        checks.equal(sum(r["type"] == "time_wait" for r in records), 3, "time_wait records")
        checks.equal({(r["laddr"], r["lport"]) for r in chosen if r["type"] == "port"}, {("::", 9000), ("127.0.0.1", 9000)}, "-L")
        checks.that(all(r["type"] != "time_wait" for r in chosen), "--events blocked hides time_wait")
        longest = max(text.splitlines(), key=len)
        checks.that(len(longest) <= 100, f"{len(longest)} columns: {longest}")
        for endpoint_text in ("127.0.0.1:8080", "[::]:9000"):
            checks.that(endpoint_text in text, f"{endpoint_text} is in the text", text)


def test_usage(checks):
    """Questions that cannot be answered are refused with a reason."""
    with Namespace() as ns:

        def refused(*args):
            done = subprocess.run([program("tcptrail"), "ports", *args], capture_output=True, text=True)
            return done.returncode, done.stdout, done.stderr

        def look():
            return [refused(*args) for args in (["--bind", "127.0.0.1:http"], ["--bind", "::1:80"], ["--connect", "127.0.0.1:0"],
                                                ["--bind", "127.0.0.1:80", "--v6only"], ["--bind", "80", "--connect", "80"],
                                                ["--csv"], ["--connect", "127.0.0.1:80", "--from", "192.0.2.1"])]

        for code, stdout, stderr in ns.call(look):
            checks.that(code == 2 and not stdout and stderr.startswith("tcptrail: error: "), f"{code} {stdout!r} {stderr!r}")
        away = ns.call(lambda: only(ports("--bind", "192.0.2.1:80"), "port"))
        checks.equal((away["bind_plain"], away["blockers"], away["free_in_ms"]), ("blocked", [], None), "an address that is not local", away)
        low = ns.call(lambda: only(ports("--bind", "127.0.0.1:80", "--uid", NOBODY), "port"))
        checks.that(low["bind_plain"] == "blocked" and "CAP_NET_BIND_SERVICE" in low["remedies"][0], "a low port of another user", low)
        denied = ns.call(lambda: refused("--deny-feature", "iter_tcp"))
        checks.that(denied[0] == 1 and "iter_tcp" in denied[2], f"without iter_tcp: {denied}")


def test_bound_only_is_seen(checks):
    """A socket that is only bound is in no list of the kernel's, and still blocks."""
    with Namespace() as ns:

        def look():
            holder = fresh("127.0.0.1")
            holder.bind(("127.0.0.1", 8080))
            # A connect() that failed leaves the address of a peer behind.
            tried = fresh("::", v6only=True)
            tried.bind(("::", 8081))
            try:
                tried.connect(("::ffff:127.0.0.1", 8080))
            except OSError as error:
                assert error.errno == errno.ENETUNREACH
            return only(ports("--bind", "0.0.0.0:8080"), "port"), only(ports("--bind", "127.0.0.1:0"), "port"), only(ports("--bind", "[::1]:8081"), "port")

        record, chosen, tried = ns.call(look)
        checks.equal([(b["laddr"], b["raddr"], b["rport"]) for b in tried["blockers"]], [("::", "::", None)], "after a failed connect()", tried)
        checks.equal(record["states"], {"BOUND": 1}, "states", record)
        checks.equal(record["blockers"][0]["pid"], os.getpid(), "its owner", record)
        checks.equal((chosen["bind_plain"], chosen["lport"]), ("ok", None), "bind() to port 0", chosen)


def test_many(checks):
    """100,000 TIME_WAIT sockets are read and reported at once."""
    with Namespace(net_ipv4_ip_local_port_range="1025 65535", net_ipv4_tcp_max_tw_buckets=2_000_000, net_ipv4_tcp_tw_reuse=0) as ns:

        def ask():
            out = {}
            for name, args in (("ports --json", ["--json"]), ("ports --bind", ["--json", "--bind", "*:8080"]),
                               ("ports --connect", ["--json", "--connect", "127.0.0.1:8080"]), ("ports (text)", [])):
                # Not kept in memory: what this process has counts into the child's ru_maxrss.
                file = tempfile.TemporaryFile()
                before = time.monotonic()
                process = subprocess.Popen([program("tcptrail"), "ports", *args], stdout=file)
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                out[name] = (time.monotonic() - before, usage.ru_maxrss / 1024, process.returncode, file)
            return out

        tcpload(ns, "storm", "--pairs", 2, "--conns", TIMEWAITS)
        results = ns.call(ask)
        for name, (seconds, mib, code, file) in results.items():
            print(f"{name}: {seconds * 1000:.0f} ms, {mib:.0f} MiB, {file.tell() / 1e6:.1f} MB out")
            checks.equal(code, 0, f"{name}: exit code")
            checks.that(mib < 100, f"{name}: {mib:.0f} MiB")
        file = results["ports --json"][3]
        file.seek(0)
        waiting = sum(line.startswith(b'{"type":"time_wait"') for line in file)
        checks.that(waiting >= TIMEWAITS * 0.99, f"{waiting} time_wait records for {TIMEWAITS} connections")


if __name__ == "__main__":
    run_tests(test_bound_only_is_seen, test_when_it_ends, test_when_it_really_ends, test_report, test_usage, test_bind, test_connect, test_many)
