# SPDX-License-Identifier: BSD-2-Clause
"""Scenario E: "Cannot assign requested address". A small range, one destination, the local side closes first: the ports
count down, the end is foretold, and the connect() that fails is explained."""

import errno
import os
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from answers import only, ports
from contract import check_shape
from harness import Namespace, Tracer, run_tests, wait_for
from scenario import KEPT, SPARE_MS, STEP_MS, Program, arrives, expiry_ms, kernel_timers
from sockets import IP_BIND_ADDRESS_NO_PORT, fresh

LOW, HIGH = 30000, 30199
SIZE = HIGH - LOW + 1
PORT, OTHER = 8080, 8081
PER_SECOND = 25


def destination(ns, port, *options):
    return ns.call(lambda: only(ports("--connect", f"127.0.0.1:{port}", *options), "destination"))


def towards(records, port):
    return [one for one in records if one["type"] == "destination" and one["rport"] == port]


def check_countdown(checks, rounds, failed_ns):
    """Each round before the failure: fewer ports, and the same end foretold."""
    # One may fall between the last port and the attempt that finds none.
    before = [one for one in rounds if one["boot_ns"] < failed_ns and one["used"] < SIZE]
    left = [one["available"] for one in before]
    checks.that(len(before) >= 6 and left == sorted(left, reverse=True), f"ports left: {left}")
    foretold = []
    for one in before:
        checks.equal((one["connect"], one["range"], one["reserved"]), ("ok", [LOW, HIGH], 0), "while ports are left", one, kind="ports left")
        checks.equal((one["used"] + one["available"], one["free_in_ms"]), (SIZE, 0), "used and available", one, kind="used and available")
        # Nothing comes back within the run: what was opened is used up.
        if SIZE // 4 <= one["used"] <= SIZE - PER_SECOND:
            if checks.that(one["exhausted_in_s"] is not None, "the end is foretold", one, kind="foretold"):
                error = one["boot_ns"] / 1e9 + one["exhausted_in_s"] - failed_ns / 1e9
                foretold.append(f"{one['available']} left: {one['exhausted_in_s']:.1f} s ({error:+.1f})")
                checks.that(abs(error) < 1 + 0.25 * one["exhausted_in_s"], f"foretold {error:+.1f} s off the failure", one, kind="when")
                checks.that(abs(one["rate_per_s"] - PER_SECOND) < 8, f"rate {one['rate_per_s']}", one, kind="rate")
    checks.that(len(foretold) >= 4, f"{len(foretold)} rounds foretell it")
    print("  " + "; ".join(foretold))


def check_refused(checks, record, client, timers):
    said = record["op"], record["error"], record["pid"], record["comm"], record["lport"], record["raddr"], record["rport"]
    checks.equal(said, ("connect", "EADDRNOTAVAIL", client.pid, "client-first", None, "127.0.0.1", PORT), "what was refused", record)
    checks.equal((record["blocker_count"], len(record["blockers"])), (SIZE, 64), "blockers", record)
    for one in record["blockers"]:
        said = one["state"], one["pid"], one["comm"], one["rport"]
        checks.equal(said, ("TIME_WAIT", client.pid, "client-first", PORT), "a blocker", record, kind="a blocker")
        expiry, cookie = timers[one["laddr"], one["lport"], one["raddr"], one["rport"]][1:]
        checks.equal(one["cookie"], cookie, "its cookie", record, kind="its cookie")
        checks.that(abs(expiry_ms(record, one) - expiry) < SPARE_MS, "its end", record, kind="its end")
    first = min(expiry for _, expiry, _ in timers.values()) - record["boot_ns"] // 1_000_000
    checks.that(-SPARE_MS < record["free_in_ms"] - first < STEP_MS + SPARE_MS, f"free in {record['free_in_ms']} ms, ss: {first}", record)
    checks.that(record["remedies"][0].startswith("net.ipv4.tcp_tw_reuse=1 (now 0)"), "the first remedy", record)
    text = " ".join(record["remedies"])
    for word in ("Another source address, destination address or destination port", f"ip_local_port_range (now {LOW} {HIGH})", "other side close first"):
        checks.that(word in text, f"remedies: {word}", record)
    checks.that("tcp_timestamps=1" not in text, "timestamps are on already", record)


def from_another_address():
    """connect() to the exhausted destination from 127.0.0.2: errno or 0."""
    client = fresh("127.0.0.1")
    client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    try:
        client.bind(("127.0.0.2", 0))
        client.connect(("127.0.0.1", PORT))
        return 0
    except OSError as error:
        return error.errno
    finally:
        client.close()


def ports_run_out(checks):
    """25 connections a second fill 200 ports; other destinations and sources still work."""
    with Namespace(net_ipv4_ip_local_port_range=f"{LOW} {HIGH}", net_ipv4_tcp_tw_reuse=0, **KEPT) as ns:
        with Tracer(["ports", "--watch", "500ms", "--json"], netns=ns) as watch:
            with Program(ns, "sink-server", PORT, OTHER) as server:
                server.says(f"127.0.0.1:{OTHER}")
                # The rate is that of the program, however long it was quiet before.
                wait_for(lambda: len({one["boot_ns"] for one in watch.records_so_far() if one["type"] == "port"}) >= 8, "8 rounds")
                with Program(ns, "client-first", PORT, 2 * SIZE, PER_SECOND) as client:
                    checks.equal(client.ends(), 1, "the client fails")
                    checks.equal(client.lines, [f"connection {SIZE + 1}:", f"[Errno {errno.EADDRNOTAVAIL}] Cannot assign requested address"], "how")
                refused = arrives(watch, "blocked")
                timers = kernel_timers(ns)
                last = arrives(watch, "destination", lambda one: not any(owner["alive"] for owner in one["owners"]), connect="blocked")
                checks.equal((last["rport"], last["used"], last["time_wait"], last["available"]), (PORT, SIZE, SIZE, 0), "no port left", last)
                checks.equal(last["exhausted_in_s"], 0, "it is so now", last)
                checks.that(0 < last["free_in_ms"] <= 60_000 + STEP_MS, "until when", last)
                checks.equal([(one["pid"], one["alive"], one["count"]) for one in last["owners"]], [(client.pid, False, SIZE)], "by whom", last)
                full, other, moved = destination(ns, PORT), destination(ns, OTHER), destination(ns, PORT, "--from", "127.0.0.2")
                checks.equal((full["connect"], full["available"]), ("blocked", 0), "ports --connect", full)
                checks.equal((other["connect"], other["available"]), ("ok", SIZE), "another destination, foretold", other)
                checks.equal((moved["connect"], moved["available"]), ("ok", SIZE), "another source, foretold", moved)
                # Slowly: as many ports come back in 60 s as go out.
                with Program(ns, "client-first", OTHER, 5, 2) as slow:
                    checks.equal((slow.ends(), slow.lines), (0, ["5 connections"]), "another destination works")
                checks.equal(ns.call(from_another_address), 0, "another source address works")
                never = arrives(watch, "destination", rport=OTHER, used=5)
        run = watch.run
    check_shape(checks, run.records)
    checks.that(never["exhausted_in_s"] is None and 0 < never["rate_per_s"] < SIZE / 60, "a rate that never fills the range", never)
    checks.equal(len(run.of("blocked")), 1, "one blocked record", *run.of("blocked"))
    check_refused(checks, refused, client, timers)
    check_countdown(checks, towards(run.records, PORT), refused["boot_ns"])


def open_connections_count_too(checks):
    """A range used up by connections that live: who holds them, and that no timer frees them."""
    with Namespace(net_ipv4_ip_local_port_range="30000 30003") as ns:
        with Tracer(["life", "--json"], netns=ns) as tracer, Program(ns, "leaky-server", PORT) as server:
            server.says("listening")

            kept = []

            def fill():
                kept.extend(fresh("127.0.0.1") for _ in range(5))
                for sock in kept[:4]:
                    sock.connect(("127.0.0.1", PORT))
                answer = only(ports("--connect", f"127.0.0.1:{PORT}"), "destination")
                return answer, kept[4].connect_ex(("127.0.0.1", PORT))

            answer, error = ns.call(fill)
            record = arrives(tracer, "blocked")
            for sock in kept:
                sock.close()
    checks.equal((answer["connect"], answer["used"], answer["time_wait"], answer["free_in_ms"], error), ("blocked", 4, 0, None, errno.EADDRNOTAVAIL), "foretold", answer)
    blockers = [(one["state"], one["pid"], one["owner_alive"], one["expires_in_ms"]) for one in record["blockers"]]
    checks.equal(blockers, [("ESTABLISHED", os.getpid(), True, None)] * 4, "blockers", record)
    checks.equal(record["free_in_ms"], None, "no timer frees a living connection", record)
    checks.that(f"(pid {os.getpid()}) holds 4 open connections" in record["remedies"][0], "who could", record)
    checks.that("tcp_tw_reuse" not in " ".join(record["remedies"]), "nothing is in TIME_WAIT", record)


if __name__ == "__main__":
    run_tests(ports_run_out, open_connections_count_too)
