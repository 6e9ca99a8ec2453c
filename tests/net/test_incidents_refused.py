# SPDX-License-Identifier: BSD-2-Clause
"""Refused bind(), listen() and connect() calls in situations that people have reported: what is in the way is what the
kernel had when it refused the call, and the advice fits it."""

import errno
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import Namespace, Run, Tracer, program, run_tests, wait_for
from sockets import accepted, cookie_of, fresh, sysctl, to_time_wait

LOCAL = "127.0.0.1"
PORT = 12350
IP_LOCAL_PORT_RANGE = 51
DROP_ALL = "1,6 0 0 2"  # classic BPF for tc: TC_ACT_SHOT
LIFE = ["life", "--json", "--events", "blocked"]


def refusal(call, *args):
    """The name of the errno that the call ends in; None when it succeeds."""
    try:
        call(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def leave_time_wait(port, **options):
    """A server that is gone, its connection in TIME_WAIT. Returns the connection's cookie."""
    server = fresh(LOCAL, **options)
    server.bind((LOCAL, port))
    server.listen()
    client = socket.create_connection((LOCAL, port))
    child = accepted(server)
    cookie = cookie_of(child)
    to_time_wait(child, client)
    server.close()
    return cookie


def recorded(play, ns):
    """The blocked records of a recording of play()."""
    with tempfile.TemporaryDirectory() as directory:
        file = str(pathlib.Path(directory) / "recording")
        with Tracer(["record", "-o", file], netns=ns):
            ns.call(play)
        done = ns.run([program("tcptrail"), "replay", file, *LIFE])
        return Run(0, done.stdout, []).of("blocked")


def tried_again(checks):
    """bind() meets a TIME_WAIT and is tried again at once with SO_REUSEADDR: the TIME_WAIT was in the way, not the new socket"""

    def second_socket(port, first):
        second = fresh(LOCAL, reuseaddr=True)
        second.bind((LOCAL, port))
        return second

    def second_listens(port, first):
        second = second_socket(port, first)
        second.listen()
        return second

    def same_socket(port, first):
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind((LOCAL, port))
        return first

    def nothing(port, first):
        return first

    retries = (second_socket, second_listens, same_socket, nothing)
    cookies, sockets = {}, []

    def play():
        cookies.clear()
        for number, retry in enumerate(retries, len(sockets)):
            port = PORT + number
            cookies[port] = leave_time_wait(port, reuseaddr=True)
            first = fresh(LOCAL)
            checks.equal(refusal(first.bind, (LOCAL, port)), "EADDRINUSE", "bind()")
            sockets.append(retry(port, first))

    with Namespace() as ns:
        with Tracer(LIFE, netns=ns) as tracer:
            ns.call(play)
        for records in (tracer.run.of("blocked"), None):
            if records is None:
                records = recorded(play, ns)
            checks.equal(len(records), len(retries), "records", *records)
            for record in records:
                shown = [(b["state"], b["cookie"]) for b in record["blockers"]]
                checks.equal(shown, [("TIME_WAIT", cookies[record["lport"]])], "in the way", record)
                checks.that((record["free_in_ms"] or 0) > 50_000, "free_in_ms", record)
                checks.that(record["remedies"][0].startswith("Set SO_REUSEADDR"), "the first advice", record)


def there_before(checks):
    """A socket that was bound before the refused call is in its way, whatever it does right after it"""

    def listens(holder):
        holder.listen()

    def connects(holder):
        holder.setblocking(False)
        holder.connect_ex((LOCAL, 9))

    holders = {}

    def play():
        for port, later in ((PORT, listens), (PORT + 1, connects)):
            holder = fresh(LOCAL)
            holder.bind((LOCAL, port))
            asker = fresh(LOCAL, reuseaddr=True)
            checks.equal(refusal(asker.bind, (LOCAL, port)), "EADDRINUSE", "bind()")
            later(holder)
            holders[port] = cookie_of(holder), holder, asker

    with Namespace() as ns, Tracer(LIFE, netns=ns) as tracer:
        ns.call(play)
    for record in tracer.run.of("blocked"):
        shown = [b["cookie"] for b in record["blockers"]]
        checks.equal(shown, [holders[record["lport"]][0]], "in the way", record)
    checks.equal(len(tracer.run.of("blocked")), 2, "records")


def listen_tried_again(checks):
    """listen() meets a listener that then closes, and another socket listens: the first listener's successor was not in the way"""
    known = {}

    def play():
        server, asker = (fresh(LOCAL, reuseaddr=True) for _ in range(2))
        for one in (server, asker):
            one.bind((LOCAL, PORT))
        server.listen()
        known["server"] = cookie_of(server)
        checks.equal(refusal(asker.listen), "EADDRINUSE", "listen()")
        server.close()
        successor = fresh(LOCAL, reuseaddr=True)
        successor.bind((LOCAL, PORT))
        successor.listen()
        known["sockets"] = asker, successor

    with Namespace() as ns, Tracer(LIFE, netns=ns) as tracer:
        ns.call(play)
    [record] = tracer.run.of("blocked")
    checks.that({b["cookie"] for b in record["blockers"]} <= {known["server"]}, "in the way", record)


def connect_tried_again(checks):
    """connect() finds both ports of the range taken; one is released and taken again at once: the new connection was not in the way"""
    kept = []

    def play():
        sysctl("ip_local_port_range", "40000 40001")
        server = fresh(LOCAL)
        server.bind((LOCAL, PORT))
        server.listen()
        kept.append(server)
        for _ in range(2):
            kept.append(socket.create_connection((LOCAL, PORT)))
        last = fresh(LOCAL)
        checks.equal(refusal(last.connect, (LOCAL, PORT)), "EADDRNOTAVAIL", "connect()")
        kept.pop().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        again = socket.create_connection((LOCAL, PORT))
        kept.append(again)
        return cookie_of(kept[1]), cookie_of(again)

    with Namespace() as ns, Tracer(LIFE, netns=ns) as tracer:
        old, again = ns.call(play)
    [record] = tracer.run.of("blocked")
    shown = {b["cookie"] for b in record["blockers"]}
    checks.that(old in shown and again not in shown, "in the way", record)


def advice(record):
    return "\n".join(record["remedies"])


def one_refusal(play):
    """The blocked record of the one refusal of play()."""
    with Namespace() as ns, Tracer(LIFE, netns=ns) as tracer:
        kept = ns.call(play)
    del kept
    [record] = tracer.run.of("blocked")
    return record


def bound(address, port):
    sock = fresh(address)
    sock.bind((address, port))
    sock.listen()
    return sock


def dual_stack(checks):
    """A program listens on 0.0.0.0 and wants [::] as well: IPV6_V6ONLY is the advice, not to stop itself; beside an IPv6 listener it is not"""
    for first, helps in (("0.0.0.0", True), ("::", False)):

        def play():
            kept = [bound(first, PORT), fresh("::"), fresh("::", v6only=True)]
            checks.equal(refusal(kept[1].bind, ("::", PORT)), "EADDRINUSE", f"bind() to [::] beside {first}")
            if helps:
                checks.equal(refusal(kept[2].bind, ("::", PORT)), None, "bind() with IPV6_V6ONLY")
            return kept

        record = one_refusal(play)
        checks.equal("IPV6_V6ONLY" in advice(record), helps, "IPV6_V6ONLY is advised", record)
        checks.that("itself listens here already" in advice(record), "the caller's own listener", record)
        checks.that("Stop " not in advice(record), "stops nobody", record)


def single_addresses(checks):
    """A wildcard bind() beside a resolver on 127.0.0.53: the other addresses can be bound; beside a wildcard they cannot"""
    for holder, free in (("127.0.0.53", True), ("0.0.0.0", False)):

        def play():
            kept = [bound(holder, PORT), fresh("0.0.0.0"), fresh(LOCAL)]
            checks.equal(refusal(kept[1].bind, ("0.0.0.0", PORT)), "EADDRINUSE", "bind() to the wildcard")
            if free:
                checks.equal(refusal(kept[2].bind, (LOCAL, PORT)), None, "bind() to 127.0.0.1")
            return kept

        record = one_refusal(play)
        checks.equal("the port is taken at 127.0.0.53 only" in advice(record), free, "the other addresses", record)


def virtual_address(checks):
    """bind() to an address of another node: ip_nonlocal_bind is named, and with it bind() succeeds"""

    def play():
        kept = [fresh("192.0.2.1"), fresh("192.0.2.1")]
        checks.equal(refusal(kept[0].bind, ("192.0.2.1", PORT)), "EADDRNOTAVAIL", "bind()")
        sysctl("ip_nonlocal_bind", 1)
        checks.equal(refusal(kept[1].bind, ("192.0.2.1", PORT)), None, "bind() with ip_nonlocal_bind")
        return kept

    record = one_refusal(play)
    checks.that("net.ipv4.ip_nonlocal_bind=1" in advice(record), "the sysctl", record)


def fixed_source_port(checks):
    """A client connects twice from one local port to the same server: the pair is in use, no port is missing; without a fixed port one is"""
    for fixed in (True, False):

        def play():
            sysctl("ip_local_port_range", f"{PORT + 1} {PORT + 1}")
            kept = [bound(LOCAL, PORT)]
            for wanted in (None, "EADDRNOTAVAIL"):
                client = fresh(LOCAL, reuseaddr=True)
                if fixed:
                    client.bind((LOCAL, PORT + 1))
                checks.equal(refusal(client.connect, (LOCAL, PORT)), wanted, "connect()")
                kept.append(client)
            return kept

        with Namespace() as ns, Tracer(["explain", "--json"], netns=ns) as tracer:
            kept = ns.call(play)
        del kept
        told = [r["headline"] for r in tracer.run.records if r.get("how") == "no-port"]
        wanted = f"Local port {PORT + 1} was already in use to" if fixed else "No local port was free to connect to"
        checks.that(len(told) == 1 and told[0].startswith(wanted), "headline", *told)


def two_devices(checks):
    """Listeners on the same port of two devices: only the one on the caller's device is in its way; one without a device always is"""

    def on(device, port):
        sock = fresh("0.0.0.0")
        if device:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        sock.bind(("0.0.0.0", port))
        sock.listen()
        return sock

    known = {}

    def play():
        first, other, without = on("v0", PORT), on("w0", PORT), on(None, PORT + 1)
        known[PORT], known[PORT + 1] = cookie_of(first), cookie_of(without)
        for port in (PORT, PORT + 1):
            checks.equal(refusal(on, "v0", port), "EADDRINUSE", f"bind() on v0 to {port}")
        first.close()
        return other, without, on("v0", PORT)

    with Namespace() as ns:
        for device, peer in (("v0", "v1"), ("w0", "w1")):
            ns.ip("link", "add", device, "type", "veth", "peer", "name", peer)
        with Tracer(LIFE, netns=ns) as tracer:
            kept = ns.call(play)
        del kept
    records = tracer.run.of("blocked")
    checks.equal(len(records), 2, "records", *records)
    for record in records:
        shown = {b["cookie"] for b in record["blockers"]}
        checks.that(shown <= {known[record["lport"]]}, "in the way", record)
        checks.that(record["lport"] == PORT or shown, "the one without a device", record)


def range_of_the_socket(checks):
    """Each socket has a range of its own with two ports; the third connect() fails: those two connections hold them, and no port is said to be free"""
    low = 40000

    def client(own_range):
        sock = fresh(LOCAL)
        if own_range:
            sock.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("HH", low, low + 1))
        return sock

    def play():
        kept = [bound(LOCAL, PORT)]
        for wanted in (None, None, "EADDRNOTAVAIL"):
            kept.append(client(True))
            checks.equal(refusal(kept[-1].connect, (LOCAL, PORT)), wanted, "connect() with a range of its own")
        kept.append(client(False))
        checks.equal(refusal(kept[-1].connect, (LOCAL, PORT)), None, "connect() without one")
        return kept, {cookie_of(sock) for sock in kept[1:3]}

    with Namespace() as ns, Tracer(LIFE, netns=ns) as tracer:
        kept, holders = ns.call(play)
        # The sockets stay as they are until the record has been written.
        wait_for(lambda: any(r["type"] == "blocked" for r in tracer.records_so_far()), "the record")
    del kept
    [record] = tracer.run.of("blocked")
    checks.equal({b["cookie"] for b in record["blockers"]}, holders, "in the way", record)
    checks.equal(record["free_in_ms"], None, "free_in_ms", record)
    checks.that("try again" not in advice(record), "no advice to try again", record)
    checks.that(f"IP_LOCAL_PORT_RANGE, now {low} {low + 1}" in advice(record), "its range", record)


def orphans(checks):
    """A port held by a closed socket that a silent peer keeps in FIN_WAIT1: the kernel gives it up; a listener has no timer"""
    for orphan in (True, False):

        def play():
            server = fresh(LOCAL)
            server.bind((LOCAL, PORT))
            server.listen()
            client = socket.create_connection((LOCAL, PORT))
            child = accepted(server)
            if orphan:
                server.close()
                ns.run(["tc", "qdisc", "add", "dev", "lo", "clsact"])
                ns.run(["tc", "filter", "add", "dev", "lo", "ingress", "bpf", "da", "bytecode", DROP_ALL])
                child.close()
            asker = fresh(LOCAL)
            checks.equal(refusal(asker.bind, (LOCAL, PORT)), "EADDRINUSE", "bind()")
            states = ns.run(["ss", "-Htan", f"sport = :{PORT}"]).stdout
            checks.equal("FIN-WAIT-1" in states, orphan, f"state: {states}")
            return server, client, child, asker

        with Namespace() as ns, Tracer(["explain", "--json"], netns=ns) as tracer:
            kept = ns.call(play)
            wait_for(lambda: any(r.get("subject") == "blocked" for r in tracer.records_so_far()), "the record")
            text = ns.run([program("tcptrail"), "ports", "--bind", f"{LOCAL}:{PORT}"]).stdout
        del kept
        [told] = [r["findings"][0]["text"] for r in tracer.run.records if r.get("subject") == "blocked"]
        for one in (told, text):
            checks.equal("tcp_orphan_retries" in one, orphan, "the kernel gives it up", one)
            checks.equal("No timer will free it" in one, not orphan, "no timer", one)


def no_route(checks):
    """connect() to ::1 with IPv6 switched off: no port is missing, and another source address cannot help; with IPv6 it succeeds"""
    for off in (True, False):
        with Namespace() as ns:
            if off:
                ns.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
            kept = ns.call(lambda: None if off else bound("::1", PORT))
            wanted = "EADDRNOTAVAIL" if off else None
            checks.equal(ns.call(lambda: refusal(fresh("::1").connect, ("::1", PORT))), wanted, "connect()")
            asked = [program("tcptrail"), "ports", "--connect", f"[::1]:{PORT}"]
            done = ns.run(asked, check=False, stderr=subprocess.PIPE)
            checks.equal(done.returncode, 1 if off else 0, "exit code", done.stderr)
            checks.equal("no route, or no source address" in done.stderr, off, "the cause", done.stderr)
            checks.that("--from" not in done.stderr, "no advice that cannot help", done.stderr)
            del kept


if __name__ == "__main__":
    run_tests(
        tried_again,
        there_before,
        listen_tried_again,
        connect_tried_again,
        dual_stack,
        single_addresses,
        virtual_address,
        fixed_source_port,
        two_devices,
        range_of_the_socket,
        orphans,
        no_route,
    )
