# SPDX-License-Identifier: BSD-2-Clause
"""Scenario D: "Address already in use". For each line of the bind table what `ports --bind` foretells, what bind() and
listen() then do, and what the live trace says of it are one and the same."""

import collections
import errno
import os
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from answers import endpoint, only, ports
from contract import check_shape
from harness import Namespace, Tracer, run_tests
from privilege import NOBODY
from scenario import KEPT, STEP_MS
from sockets import TCP_FIN_WAIT2, accepted, fresh, reach, to_time_wait

OPTIONS = {"none": (False, False), "P": (False, True), "R": (True, False), "RP": (True, True)}  # SO_REUSEADDR, SO_REUSEPORT
ASKED = {"none": "bind_plain", "P": "bind_reuseport", "R": "bind_reuseaddr"}

# What is there ("tw", or "fw2": a FIN_WAIT2 minisocket), the connection's address, the listener's, its options;
# who binds: address, options; and whether bind() and listen() succeed.
Line = collections.namedtuple("Line", "there at listener has binds wants ok uid v6only", defaults=(0, False))


def table():
    lines = []
    succeeds = {("P", "P"), ("P", "RP"), ("R", "R"), ("R", "RP"), ("RP", "P"), ("RP", "R"), ("RP", "RP")}
    for there in ("tw", "fw2"):
        for has in OPTIONS:
            for wants in OPTIONS:
                lines.append(Line(there, "127.0.0.1", "127.0.0.1", has, "127.0.0.1", wants, (has, wants) in succeeds))
    # Which addresses meet.
    for binds, ok in [("127.0.0.1", False), ("0.0.0.0", False), ("::", False), ("::ffff:127.0.0.1", False),
                      ("127.0.0.2", True), ("::1", True), ("::ffff:127.0.0.2", True)]:
        lines.append(Line("tw", "127.0.0.1", "127.0.0.1", "none", binds, "none", ok))
    lines.append(Line("tw", "127.0.0.1", "127.0.0.1", "none", "::", "none", True, v6only=True))
    # A TIME_WAIT has the address of its connection, whatever its listener was bound to.
    lines += [Line("tw", "127.0.0.1", "0.0.0.0", "none", binds, "none", ok) for binds, ok in [("127.0.0.2", True), ("0.0.0.0", False)]]
    lines += [Line("tw", "::1", "::1", "none", binds, "none", True) for binds in ("0.0.0.0", "127.0.0.1")]
    lines += [Line("tw", "::1", "::1", "none", "::", "none", False, v6only=v6only) for v6only in (False, True)]
    # A dual-stack listener.
    lines += [Line("tw", "::ffff:127.0.0.1", "::", "none", binds, "none", False) for binds in ("127.0.0.1", "0.0.0.0", "::")]
    lines += [Line("tw", "::ffff:127.0.0.1", "::", "none", binds, "none", True) for binds in ("127.0.0.2", "::1")]
    lines.append(Line("tw", "::ffff:127.0.0.1", "::", "none", "::", "none", True, v6only=True))
    lines.append(Line("tw", "::ffff:127.0.0.1", "::", "R", "0.0.0.0", "R", True))
    # Another user.
    lines += [Line("tw", "127.0.0.1", "127.0.0.1", "P", "127.0.0.1", "P", True, uid=NOBODY),
              Line("tw", "127.0.0.1", "127.0.0.1", "R", "127.0.0.1", "R", True, uid=NOBODY),
              Line("tw", "127.0.0.1", "127.0.0.1", "none", "127.0.0.1", "R", False, uid=NOBODY)]
    return lines


def leave_behind(line, port, keep):
    """A server's connection that ends in TIME_WAIT or FIN_WAIT2 at the port; its listener is gone."""
    reuseaddr, reuseport = OPTIONS[line.has]
    listener = fresh(line.listener, reuseaddr, reuseport)
    listener.bind((line.listener, port))
    listener.listen()
    client = fresh(line.at)
    client.connect((line.at, port))
    child = accepted(listener)
    listener.close()
    if line.there == "tw":
        to_time_wait(child, client)
        return
    keep.append(client)
    child.shutdown(socket.SHUT_WR)
    reach(TCP_FIN_WAIT2, child)
    child.close()


def attempt(address, port, wants, v6only=False, uid=0):
    """(the call that failed, errno); ("", 0) = bind() and listen() succeed."""
    sock = fresh(address, *OPTIONS[wants], v6only=v6only, uid=uid)
    call = "bind"
    try:
        sock.bind((address, port))
        call = "listen"
        sock.listen()
        return "", 0
    except OSError as error:
        return call, error.errno
    finally:
        sock.close()


def ask(address, port, v6only=False, uid=0):
    return only(ports("--bind", endpoint(address, port), "--uid", uid, *(["--v6only"] if v6only else [])), "port")


def check_remedies(checks, name, record, line):
    """What is advised would work, and is not done already."""
    text = " ".join(record["remedies"])
    of_option = {"R": "Set SO_REUSEADDR on the new socket", "P": "Set SO_REUSEPORT on the new socket"}
    for option, advice in of_option.items():
        helps = option not in line.wants and line.has != "none" and option in line.has and line.uid == 0
        checks.equal(advice in text, helps, f"{name}: {advice}", record)
    checks.equal("from the first start on" in text, "R" not in line.has, f"{name}: the option for next time", record)
    checks.that(text.count("Wait ") == 1 and "ss -K" in text, f"{name}: waiting", record)


def the_table(checks):
    """Each line of the bind table: foretold by `ports --bind`, done by bind(), told by the live trace."""
    lines = table()
    keep, foretold, done = [], {}, {}
    with Namespace(**KEPT) as ns:

        def look():
            for number, line in enumerate(lines):
                port = 20000 + number
                leave_behind(line, port, keep)
                if line.wants in ASKED:
                    foretold[port] = ask(line.binds, port, line.v6only, line.uid)
                done[port] = attempt(line.binds, port, line.wants, line.v6only, line.uid)

        with Tracer(["trace", "--json", "--events", "blocked"], netns=ns) as tracer:
            ns.call(look)
        run = tracer.run
        for sock in keep:
            sock.close()
    check_shape(checks, run.records)
    told = collections.defaultdict(list)
    for record in run.of("blocked"):
        told[record["lport"]].append(record)
    counts = collections.Counter()
    for number, line in enumerate(lines):
        port = 20000 + number
        name = f"{line}"
        call, error = done[port]
        checks.equal((call, error), ("", 0) if line.ok else ("bind", errno.EADDRINUSE), f"{name}: the kernel")
        verdict = "blocked" if error else "ok"
        counts[verdict] += 1
        if line.wants in ASKED:
            checks.equal(foretold[port][ASKED[line.wants]], verdict, f"{name}: foretold", foretold[port])
        records = told.pop(port, [])
        if not checks.equal(len(records), 1 if error else 0, f"{name}: blocked records", *records) or not error:
            continue
        record = records[0]
        said = record["op"], record["error"], record["pid"], record["laddr"], record["rport"]
        checks.equal(said, ("bind", "EADDRINUSE", os.getpid(), line.binds.removeprefix("::ffff:"), None), f"{name}: what was refused", record)
        checks.equal(record["blocker_count"], 1, f"{name}: blocker_count", record)
        one = record["blockers"][0]
        state = "TIME_WAIT" if line.there == "tw" else "FIN_WAIT2"
        said = one["state"], one["laddr"], one["lport"], one["pid"], one["owner_alive"], one["reuseaddr"], one["reuseport"]
        wanted = state, line.at.removeprefix("::ffff:"), port, os.getpid(), True, *OPTIONS[line.has]
        checks.equal(said, wanted, f"{name}: the blocker", record)
        checks.that(0 < record["free_in_ms"] - one["expires_in_ms"] <= STEP_MS, f"{name}: free_in_ms", record)
        if line.wants in ASKED and foretold[port]["blockers"]:
            checks.equal(foretold[port]["blockers"][0]["cookie"], one["cookie"], f"{name}: the same blocker", record, foretold[port])
        if line.there == "tw" and line.at == line.binds:
            check_remedies(checks, name, record, line)
    checks.equal(dict(told), {}, "blocked records of attempts that nobody made")
    print(f"  {len(lines)} lines, {len(foretold)} foretold: {dict(counts)}; {len(run.of('blocked'))} blocked records")


def others_in_the_way(checks):
    """Clients, listeners, sockets that are only bound, and a range that is full."""
    with Namespace(net_ipv4_ip_local_port_range="30000 30001", net_ipv4_tcp_tw_reuse=0, **KEPT) as ns:
        outcome = {}

        def look():
            server = socket.create_server(("127.0.0.1", 21000))

            def connection(**options):
                client = fresh("127.0.0.1", **options)
                client.connect(("127.0.0.1", 21000))
                return client, accepted(server)

            # bind() to a port that an outgoing connection has left in TIME_WAIT.
            client, child = connection()
            outgoing = client.getsockname()[1]
            to_time_wait(client, child)
            outcome["client"] = outgoing, ask("127.0.0.1", outgoing), attempt("127.0.0.1", outgoing, "R")
            # The listener that lives, and the same port with its children in TIME_WAIT.
            outcome["listener"] = 21000, ask("127.0.0.1", 21000), attempt("127.0.0.1", 21000, "R")
            outcome["other user"] = 21000, ask("127.0.0.1", 21000, uid=NOBODY), attempt("127.0.0.1", 21000, "P", uid=NOBODY)
            # Both are bound with SO_REUSEADDR; the first to listen wins.
            first, second = fresh("127.0.0.1", reuseaddr=True), fresh("127.0.0.1", reuseaddr=True)
            first.bind(("127.0.0.1", 21001))
            second.bind(("127.0.0.1", 21001))
            first.listen()
            try:
                second.listen()
                outcome["listen"] = 21001, None, ("", 0)
            except OSError as error:
                outcome["listen"] = 21001, None, ("listen", error.errno)
            # Every port of the range is in use.
            client, child = connection()
            outcome["no port"] = None, ask("127.0.0.1", 0), attempt("127.0.0.1", 0, "none")
            for sock in (first, second, client, child, server):
                sock.close()

        with Tracer(["trace", "--json", "--events", "blocked"], netns=ns) as tracer:
            ns.call(look)
        run = tracer.run
    records = run.of("blocked")
    if not checks.equal(len(records), 5, "blocked records", *records):
        return
    for record, (name, (port, answer, (call, error))) in zip(records, outcome.items()):
        checks.equal((call, error), ("listen" if name == "listen" else "bind", errno.EADDRINUSE), f"{name}: the kernel")
        checks.equal((record["op"], record["error"], record["lport"]), (call, "EADDRINUSE", port), f"{name}: told", record)
        if answer:
            checks.equal(answer["bind_plain"], "blocked", f"{name}: foretold", answer)
    client, listener, other, listen, none = records
    checks.equal([one["state"] for one in client["blockers"]], ["TIME_WAIT"], "client: blockers", client)
    checks.that("ip_local_reserved_ports" in " ".join(client["remedies"]), "client: how to keep the port", client)
    checks.equal([(one["state"], one["pid"]) for one in listener["blockers"]][:1], [("LISTEN", os.getpid())], "listener: blockers", listener)
    checks.that(listener["remedies"][0].startswith(f"python3 (pid {os.getpid()}) itself listens here already"), "listener: remedy", listener)
    checks.equal(listener["free_in_ms"], None, "listener: no timer frees it", listener)
    checks.equal([(one["state"], one["reuseport"]) for one in other["blockers"]][:1], [("LISTEN", False)], "other user", other)
    checks.equal([one["state"] for one in listen["blockers"]], ["LISTEN"], "listen: blockers", listen)
    checks.equal({one["lport"] for one in none["blockers"]}, {30000, 30001}, "no port: blockers", none)
    checks.that("net.ipv4.ip_local_port_range (30000 30001)" in none["remedies"][0], "no port: remedy", none)


if __name__ == "__main__":
    run_tests(the_table, others_in_the_way)
