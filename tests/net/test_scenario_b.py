# SPDX-License-Identifier: BSD-2-Clause
"""Scenario B: an echo server and its client, closed in every order; each is a process of its own."""

import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from answers import only, ports
from contract import check_connection, check_shape
from harness import Namespace, Tracer, run_tests, wait_for
from scenario import SPARE_MS, STEP_MS, Program, arrives, ends_of, expiry_ms, kernel_timers

PORT = 19999
ENDPOINT = f"127.0.0.1:{PORT}"


def session(ns, *options):
    """An echo server and its client, who sits in a read."""
    server = Program(ns, "echo-server", PORT, *options)
    server.says("listening")
    client = Program(ns, "echo-client", PORT)
    client.says("hello")
    return server, client


def question(ns):
    return ns.call(lambda: only(ports("--bind", ENDPOINT), "port"))


def verdicts(answer):
    return answer["bind_plain"], answer["bind_reuseaddr"], answer["bind_reuseport"]


def restart(checks, ns, tracer, name, *options, works):
    """A server is started again; returns its blocked record when it is refused."""
    with Program(ns, "echo-server", PORT, *options) as again:
        if works:
            again.says("listening")
            again.signal(signal.SIGINT)
            checks.equal([one for one in tracer.records_so_far() if one["type"] == "blocked" and one["pid"] == again.pid], [], f"{name}: refused")
            return None
        checks.equal(again.ends(), 1, f"{name}: the restarted server's exit code")
        checks.that("Address already in use" in " ".join(again.lines), f"{name}: its message", str(again.lines))
        record = arrives(tracer, "blocked", pid=again.pid)
    said = record["op"], record["error"], record["comm"], record["laddr"], record["lport"], record["raddr"], record["rport"]
    checks.equal(said, ("bind", "EADDRINUSE", "echo-server", "127.0.0.1", PORT, "0.0.0.0", None), f"{name}: what was refused", record)
    return record


def check_blocker(checks, name, record, state, server, ns):
    """The one minisocket that the server left behind, as ss sees it too."""
    timers = kernel_timers(ns)
    checks.equal(record["blocker_count"], 1, f"{name}: blocker_count", record)
    one = record["blockers"][0]
    said = one["state"], one["laddr"], one["lport"], one["pid"], one["comm"], one["owner_alive"]
    checks.equal(said, (state, "127.0.0.1", PORT, server.pid, "echo-server", False), f"{name}: blocker", record)
    kernel_state, expiry, cookie = timers[one["laddr"], one["lport"], one["raddr"], one["rport"]]
    checks.equal((kernel_state.replace("-", "_").replace("FIN_WAIT_2", "FIN_WAIT2"), cookie), (state, one["cookie"]), f"{name}: ss agrees", record)
    late = expiry - expiry_ms(record, one)
    checks.that(abs(late) < SPARE_MS, f"{name}: ss says {late} ms later", record)
    checks.that(0 < record["free_in_ms"] - one["expires_in_ms"] <= STEP_MS, f"{name}: free_in_ms", record)


def the_client_closes(checks, name, end):
    """Cases 1 and 3: TIME_WAIT stays with the client, the server's port is free."""
    with Namespace() as ns, Tracer(["trace", "--json", "--events", "all"], netns=ns) as tracer:
        server, client = session(ns)
        with server, client:
            end(client)
            checks.equal((server.ends(), server.lines[-1]), (0, "the client has finished"), f"{name}: the server")
            ns.settle()
            checks.equal(verdicts(question(ns)), ("ok", "ok", "ok"), f"{name}: the server's port")
            restart(checks, ns, tracer, name, works=True)
            timers = kernel_timers(ns)
        run = tracer.stop()
    check_shape(checks, run.records)
    by_role = {one["role"]: one for one in run.of("connection")}
    for role, program, side in (("active", client, "local"), ("passive", server, "remote")):
        one = by_role[role]
        check_connection(checks, one)
        said = one["pid"], one["closer"], one["how"], one["time_wait"]["side"], one["closer_pid"]
        checks.equal(said, (program.pid, side, "fin", side, client.pid), f"{name}: {role}", one)
    entered = run.of("time_wait", event="enter")
    checks.equal([ends_of(one) for one in entered], [ends_of(by_role["active"])], f"{name}: TIME_WAIT", *entered)
    checks.equal(list(timers), [ends_of(by_role["active"])], f"{name}: TIME_WAIT as ss sees it")
    checks.equal(run.of("blocked"), [], f"{name}: nothing is refused")


def client_ends_first(checks):
    """B1, B3: the client ends the session, or is interrupted; the server's port is free at once."""
    the_client_closes(checks, "B1", lambda client: client.end_of_input())
    the_client_closes(checks, "B3", lambda client: client.signal(signal.SIGINT))


def server_interrupted(checks):
    """B2, B4: the server is interrupted while the client sits in a read; then the client ends too."""
    with Namespace() as ns:
        with Tracer(["trace", "--json", "--events", "all"], netns=ns) as tracer:
            server, client = session(ns)
            with server, client:
                checks.equal(server.signal(signal.SIGINT), 130, "B2: the interrupted server")
                first = arrives(tracer, "time_wait", event="enter", phase="fin_wait2")
                checks.equal((first["pid"], first["lport"]), (server.pid, PORT), "B2: FIN_WAIT2 is the server's", first)
                checks.equal(verdicts(question(ns)), ("blocked",) * 3, "B2: foretold")
                record = restart(checks, ns, tracer, "B2", works=False)
                check_blocker(checks, "B2", record, "FIN_WAIT2", server, ns)
                checks.that(
                    f"echo-client (pid {client.pid}) has not closed the other end (CLOSE_WAIT for " in record["remedies"][0],
                    "B2: the cause", record,
                )
                checks.that("tcp_fin_timeout does not" not in " ".join(record["remedies"]), "B2: it does shorten FIN_WAIT2", record)

                client.end_of_input()
                second = arrives(tracer, "time_wait", event="enter", phase="time_wait")
                checks.equal((second["cookie"], second["pid"]), (first["cookie"], server.pid), "B4: FIN_WAIT2 becomes TIME_WAIT", first, second)
                answer = question(ns)
                checks.equal(verdicts(answer), ("blocked",) * 3, "B4: foretold", answer)
                record = restart(checks, ns, tracer, "B4", works=False)
                check_blocker(checks, "B4", record, "TIME_WAIT", server, ns)
                closed = next(one for one in tracer.records_so_far() if one["type"] == "transition" and one["old"] == "CLOSE_WAIT")
                rest = expiry_ms(record, record["blockers"][0]) - closed["boot_ns"] // 1_000_000
                checks.that(abs(rest - 60_000) < 100, f"B4: it ends {rest} ms after the client's FIN", closed, record)
                apart = (answer["boot_ns"] - record["boot_ns"]) // 1_000_000 + answer["free_in_ms"] - record["free_in_ms"]
                checks.that(abs(apart) < 100, f"B4: ports --bind says {apart} ms later", answer, record)
                checks.that(record["remedies"][0].startswith("Wait "), "B4: until when", record)

                # SO_REUSEADDR on the restarted listener alone: said beforehand, and so it is.
                record = restart(checks, ns, tracer, "B4 with SO_REUSEADDR", "--reuseaddr", works=False)
                text = " ".join(record["remedies"])
                checks.that("SO_REUSEADDR on the new socket" not in text, "B4: no advice that is followed already", record)
                checks.that("from the first start on" in text, "B4: which socket needs it", record)
        run = tracer.run
    check_shape(checks, run.records)
    by_role = {one["role"]: one for one in run.of("connection")}
    checks.equal([by_role[role]["closer"] for role in ("active", "passive")], ["remote", "local"], "B4: who closed first", *by_role.values())
    checks.equal(by_role["passive"]["time_wait"]["phase"], "fin_wait2", "B2: what the server's end left behind", by_role["passive"])
    waited = next(one["us"] for one in by_role["active"]["states"] if one["state"] == "CLOSE_WAIT")
    checks.that(waited > 10_000, f"B2: the client was in CLOSE_WAIT for {waited} us", by_role["active"])
    checks.equal(len(run.of("blocked")), 3, "one blocked record for each refusal", *run.of("blocked"))


def fin_wait2_times_out(checks):
    """B2 with tcp_fin_timeout=2: the bind works again while the client still is in CLOSE_WAIT."""
    with Namespace(net_ipv4_tcp_fin_timeout=2) as ns:
        with Tracer(["trace", "--json", "--events", "all"], netns=ns) as tracer, \
                Tracer(["ports", "--watch", "500ms", "--json"], netns=ns) as watch:
            server, client = session(ns)
            with server, client:
                server.signal(signal.SIGINT)
                entered = arrives(tracer, "time_wait", event="enter")
                checks.that(1900 <= entered["expires_in_ms"] <= 2100, "expires_in_ms", entered)
                record = restart(checks, ns, tracer, "B2", works=False)
                checks.that(record["free_in_ms"] <= 2100 + STEP_MS, "free_in_ms", record)
                wait_for(lambda: verdicts(question(ns))[0] == "ok", "the port to be free")
                restart(checks, ns, tracer, "after tcp_fin_timeout", works=True)
                left = arrives(tracer, "time_wait", event="leave")
                checks.equal((left["cookie"], left["reason"], left["phase"]), (entered["cookie"], "expired", "fin_wait2"), "leave", left)
                checks.that(1_900_000 <= left["held_us"] <= 2_100_000 + STEP_MS * 1000, f"held {left['held_us']} us", left)
                leak = arrives(watch, "leak")
                said = leak["state"], leak["pid"], leak["comm"], leak["alive"], leak["count"]
                checks.equal(said, ("CLOSE_WAIT", client.pid, "echo-client", True, 1), "who holds CLOSE_WAIT", leak)
                checks.that(3_000_000 <= leak["oldest_us"] <= 30_000_000, f"since {leak['oldest_us']} us", leak)
                checks.equal(client.process.poll(), None, "the client still sits in its read")
        run = watch.run
    check_shape(checks, run.records)
    blocked = run.of("blocked")
    checks.equal([one["pid"] for one in blocked], [record["pid"]], "ports --watch shows the refusal too", *blocked)


def reuseaddr_on_both(checks):
    """A server that had SO_REUSEADDR from its first start comes back at once, with the option and only with it."""
    with Namespace() as ns:
        with Tracer(["life", "--json"], netns=ns) as tracer:
            server, client = session(ns, "--reuseaddr")
            with server, client:
                server.signal(signal.SIGINT)
                client.end_of_input()
                ns.settle()
                answer = question(ns)
                checks.equal(verdicts(answer), ("blocked", "ok", "blocked"), "foretold", answer)
                checks.that(answer["remedies"][0].startswith("Set SO_REUSEADDR on the new socket"), "the remedy", answer)
                record = restart(checks, ns, tracer, "without the option", works=False)
                check_blocker(checks, "without the option", record, "TIME_WAIT", server, ns)
                checks.equal(record["blockers"][0]["reuseaddr"], True, "the blocker has it", record)
                checks.that(record["remedies"][0].startswith("Set SO_REUSEADDR on the new socket"), "the same remedy", record)
                checks.that("from the first start on" not in " ".join(record["remedies"]), "no advice that is followed already", record)
                restart(checks, ns, tracer, "with the option", "--reuseaddr", works=True)
        run = tracer.run
    checks.equal(len(run.of("blocked")), 1, "one blocked record", *run.of("blocked"))


if __name__ == "__main__":
    run_tests(client_ends_first, server_interrupted, fin_wait2_times_out, reuseaddr_on_both)
