# SPDX-License-Identifier: BSD-2-Clause
"""Refused bind(), listen() and connect() calls in situations that people have reported: what is in the way is what the
kernel had when it refused the call, and the advice fits it."""

import errno
import pathlib
import socket
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import Namespace, Run, Tracer, program, run_tests
from sockets import accepted, cookie_of, fresh, sysctl, to_time_wait

LOCAL = "127.0.0.1"
PORT = 12350
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


if __name__ == "__main__":
    run_tests(tried_again, there_before, listen_tried_again, connect_tried_again)
