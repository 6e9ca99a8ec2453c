# SPDX-License-Identifier: BSD-2-Clause
"""`explain` and `stats` on real connections: each narrative says the facts of how its connection was really closed,
and the sums of stats are the counts that were made."""

import collections
import json
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from contract import Records
from harness import Namespace, Tracer, program, run_tests, wait_for

TWO_ENDS = pathlib.Path(__file__).with_name("two_ends.py")
COLUMNS = 100


class Ends:
    """The two processes of two_ends.py; play() makes one connection and returns its two ends as tuples."""

    def __init__(self, namespace, *options):
        argv = [sys.executable, TWO_ENDS, *options]
        self._process = namespace.start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.client, self.server = map(int, self._process.stdout.readline().split())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()

    def play(self, word):
        print(word, file=self._process.stdin, flush=True)
        client, server = map(int, self._process.stdout.readline().split())
        ends = [{"laddr": "127.0.0.1", "lport": client, "raddr": "127.0.0.1", "rport": server}]
        return ends + [{"laddr": "127.0.0.1", "lport": server, "raddr": "127.0.0.1", "rport": client}]


def finding(checks, record, kind):
    found = [one for one in record["findings"] if one["kind"] == kind]
    if checks.that(len(found) == 1, f"{kind}: {len(found)} findings", record):
        return found[0]
    return {"kind": kind, "severity": None, "text": "", "advice": [], "facts": collections.Counter()}


def says(checks, text, *parts):
    for part in parts:
        checks.that(part in text, f"does not say {part!r}", text)


def states(record):
    return [step["state"] for step in record["timeline"]]


def check_keys(checks, records):
    """Every record has exactly the keys of `tcptrail schema`, in its order."""
    schema = json.loads(subprocess.run([program("tcptrail"), "schema"], capture_output=True, check=True).stdout)
    for record in records:
        wanted = [key for key in schema["$defs"][record["type"]]["properties"] if key != "labels"]
        checks.equal(list(record), wanted, f"keys of {record['type']}", kind="keys")


def explain(checks):
    """explain: what was done is what is told, by both ends"""
    words = ["server", "client", "unread", "refused", "close_wait", "half_close"]
    with Namespace() as ns:
        with Tracer(["explain", "--json"], netns=ns) as tracer, Ends(ns) as two:
            ends = {word: two.play(word) for word in words}
            ns.settle()
            run = tracer.stop()
    check_keys(checks, run.records)
    told = Records(run.of("explanation", subject="connection"))
    cli, srv = f"cli-end (pid {two.client})", f"srv-end (pid {two.server})"
    pairs = {word: [told.take(end) for end in pair] for word, pair in ends.items()}
    for word, (client, server) in pairs.items():
        if not checks.that(client is not None and (server is not None) == (word != "refused"), f"{word}: not explained"):
            return
        checks.equal(client["pid"], two.client, f"{word}: pid", client)
    for record in told.left():
        checks.that(False, "an explanation of what nobody made", record)
    checks.equal(run.summary["connections"], 2 * len(words) - 1, "summary.connections")

    # The server closes first: it holds TIME_WAIT for 60 s, and the client knows that for a fact.
    client, server = pairs["server"]
    says(checks, server["headline"], f"{srv} closed first", "TIME_WAIT is on this end until ")
    checks.equal(states(server), ["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"], "states", server)
    time_wait = finding(checks, server, "time_wait")
    says(checks, time_wait["text"], "does not disturb a listener that runs", "sets SO_REUSEADDR binds at once")
    left = time_wait["facts"]["expected_end_boot_ns"] - server["boot_ns"]
    checks.that(abs(left / 1e9 - 60) < 1, f"TIME_WAIT of {left / 1e9} s", server)
    says(checks, client["headline"], f"{srv} closed first")
    says(checks, finding(checks, client, "time_wait_remote")["text"], f"of {srv} until", "as its own record says")
    checks.equal((client["closer"], client["closer_pid"]), ("remote", two.server), "closer", client)

    # The client closes first: only its own pair of endpoints is blocked.
    client, server = pairs["client"]
    says(checks, client["headline"], f"{cli} closed first")
    port = client["lport"]
    text = finding(checks, client, "time_wait")["text"]
    says(checks, text, f"this pair of endpoints and bind() of port {port}", "for any other destination")
    says(checks, finding(checks, server, "time_wait_remote")["text"], "Nothing is left here that blocks")
    says(checks, finding(checks, client, "no_data")["text"], "Not a byte")

    # Unread data at close(): the RST has a reason at one end, and a culprit at the other.
    client, server = pairs["unread"]
    says(checks, server["headline"], f"{srv} reset the connection", "closed with unread data")
    checks.equal(server["findings"][0]["kind"], "unread_data", "the worst first", server)
    checks.equal(server["findings"][0]["severity"], "problem", "severity", server)
    says(checks, client["headline"], f"{srv} reset the connection")
    says(checks, finding(checks, client, "reset_received")["text"], "its own record says: closed with unread data")

    client, _ = pairs["refused"]
    checks.equal((client["closer"], client["how"], client["error"]), ("none", "refused", "ECONNREFUSED"), "refused", client)
    says(checks, finding(checks, client, "refused")["advice"][0], f"ss -ltn sport = :{client['rport']}")

    # The client keeps its end for a second: the server's end names it, and so does its own.
    client, server = pairs["close_wait"]
    kept = finding(checks, client, "close_wait")
    checks.that(1e6 <= kept["facts"]["us"] < 1.5e6, f"CLOSE_WAIT for {kept['facts']['us']} us", client)
    checks.equal(kept["facts"]["pid"], two.client, "the process that did not close", client)
    says(checks, kept["text"], f"{cli} kept the connection open 1.")
    says(checks, server["headline"], f"{cli} has not closed yet")
    says(checks, finding(checks, server, "fin_wait2_left")["text"], f"{cli} has not closed yet (CLOSE_WAIT since ")
    checks.equal(states(server)[-1], "CLOSE", "the last state of a FIN_WAIT2 socket", server)

    # Half-close: the one waits on purpose, and the other is not blamed.
    client, server = pairs["half_close"]
    half = finding(checks, client, "half_close")
    checks.that(0.55e6 <= half["facts"]["us"] < 1e6, f"half-closed for {half['facts']['us']} us", client)
    kept = finding(checks, server, "close_wait")
    says(checks, kept["text"], "half-close", "may be meant")
    checks.equal(kept["severity"], "info", "severity", server)


def restart_is_told_beforehand(checks):
    """explain: a listener without SO_REUSEADDR is told that a restart fails, before it is tried; and it does fail"""
    with Namespace() as ns:
        with Tracer(["explain", "--json"], netns=ns) as tracer, Ends(ns, "--no-reuseaddr") as two:
            _, server = two.play("server")
            ns.settle()
            run = tracer.stop()
        (record,) = [one for one in run.of("explanation", lport=server["lport"]) if one["pid"] == two.server]
        wait = finding(checks, record, "time_wait")
        says(checks, wait["text"], "gets EADDRINUSE until then, even if it sets SO_REUSEADDR")
        checks.equal(wait["severity"], "notice", "severity", record)
        restart = (
            "import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1);"
            f" s.bind(('127.0.0.1', {server['lport']}))"
        )
        done = ns.run([sys.executable, "-c", restart], check=False, stderr=subprocess.PIPE)
        says(checks, done.stderr, "Address already in use")


def text(checks):
    """explain: the text has the same sentences, at most 100 columns wide, and names what is left open"""
    with Namespace() as ns:
        with Tracer(["explain"], netns=ns) as tracer, Ends(ns) as two:
            for word in ("server", "unread", "leak"):
                two.play(word)
            two.play("half_close")  # takes 600 ms, and then the leak is old enough to be one
            run = tracer.stop()
    lines = run.stdout.splitlines()
    checks.that(len(lines) > 40, f"{len(lines)} lines")
    for line in lines:
        checks.that(len(line) <= COLUMNS, "a line of more than 100 columns", line)
    says(checks, run.stdout, "Closed first: this end, srv-end", "  ! ", "      > ")
    says(checks, run.stdout, f"cli-end (pid {two.client}) still holds 1 connection in CLOSE_WAIT, the oldest for ")


COUNTS = {"server": 7, "client": 5, "unread": 3, "refused": 4}
# (comm, closer, how) of each end.
BOTH = {
    "server": [("cli-end", "remote", "fin"), ("srv-end", "local", "fin")],
    "client": [("cli-end", "local", "fin"), ("srv-end", "remote", "fin")],
    "unread": [("cli-end", "remote", "rst-received"), ("srv-end", "local", "rst-sent")],
    "refused": [("cli-end", "none", "refused")],
}


def made():
    wanted = collections.Counter()
    for word, count in COUNTS.items():
        for end in BOTH[word]:
            wanted[end] += count
    return wanted


def play_counts(two):
    for word, count in COUNTS.items():
        for _ in range(count):
            two.play(word)


def counted(rollups):
    got = collections.Counter()
    for record in rollups:
        got[(record["comm"], record["closer"], record["how"])] += record["connections"]
    return got


def stats(checks):
    """stats --json: rollups by name, closer and ending are the counts that were made"""
    with Namespace() as ns:
        with Tracer(["stats", "--json"], netns=ns) as tracer, Ends(ns) as two:
            play_counts(two)
            ns.settle()
            run = tracer.stop()
    check_keys(checks, run.records)
    rollups = run.of("rollup")
    checks.equal(counted(rollups), made(), "connections", *rollups)
    total = sum(made().values())
    (period,) = run.of("period")
    checks.equal(period["connections"], total, "period.connections", period)
    checks.equal(run.summary["connections"], total, "summary.connections")
    checks.equal(period["failed"], COUNTS["refused"], "failed", period)
    checks.equal(period["bad"], COUNTS["refused"] + 2 * COUNTS["unread"], "bad", period)
    edges = {(one["from"], one["to"]): one["count"] for one in period["edges"]}
    opened = total - COUNTS["refused"]
    checks.equal(edges["SYN_SENT", "ESTABLISHED"], opened // 2, "edge SYN_SENT to ESTABLISHED", period)
    checks.equal(edges["SYN_SENT", "CLOSE"], COUNTS["refused"], "edge SYN_SENT to CLOSE", period)
    checks.equal(edges["ESTABLISHED", "CLOSE"], 2 * COUNTS["unread"], "edge ESTABLISHED to CLOSE", period)
    checks.equal(sum(one["tx_bytes"] for one in rollups), 1000 * COUNTS["unread"], "tx_bytes", *rollups)
    first = sum(one["time_wait"]["local"] + one["time_wait"]["fin_wait2"] for one in rollups)
    checks.equal(first, COUNTS["server"] + COUNTS["client"], "minisockets left", *rollups)


def intervals(checks):
    """stats --interval: an interval is written when it ends, though nothing happens any more; together they are all"""
    with Namespace() as ns:
        with Tracer(["stats", "--interval", 1, "--json", "--label", "site=here"], netns=ns) as tracer, Ends(ns) as two:
            play_counts(two)
            ns.settle()
            whole = sum(made().values())

            def all_written():
                rollups = [one for one in tracer.records_so_far() if one["type"] == "rollup"]
                return sum(one["connections"] for one in rollups) == whole

            wait_for(all_written, "the interval to end without a record")
            run = tracer.stop()
    checks.equal(counted(run.of("rollup")), made(), "connections")
    for record in run.of("rollup"):
        checks.equal(record["boot_ns"] % 10**9, 0, "an interval ends at a full second of its time", record)
        checks.equal(record["interval_s"], 1, "interval_s", record)
        checks.equal(record["labels"], {"site": "here"}, "labels", record)
    print(f"{len(run.of('period'))} intervals, {len(run.of('rollup'))} rollups")


def report_and_diagram(checks):
    """stats: the report and the diagram show the counts"""
    with Namespace() as ns:
        with Tracer(["stats"], netns=ns) as report, Tracer(["stats", "--diagram"], netns=ns) as diagram:
            with Ends(ns) as two:
                play_counts(two)
                ns.settle()
                lines = report.stop().stdout.splitlines()
                picture = diagram.stop().stdout
    for line in lines + picture.splitlines():
        checks.that(len(line) <= COLUMNS, "a line of more than 100 columns", line)
    total = sum(made().values())
    says(checks, lines[0], f"{total} connections ended")
    opened = COUNTS["server"] + COUNTS["client"] + COUNTS["unread"]
    (server,) = [line for line in lines if line.startswith("srv-end:")][:1]
    checks.equal(server.split()[1:3], ["passive", str(opened)], "the server's row", server)
    (refused,) = [line for line in lines if line.startswith("refused (ECONNREFUSED)")]
    says(checks, refused, f" {COUNTS['refused']}  cli-end->:")
    says(checks, picture, f"{total} connections that ended")
    checks.that(re.search(rf"\| {opened} +a client", picture), "the count of LISTEN to SYN_RECV", picture)
    checks.that(re.search(rf"\| {opened + COUNTS['refused']} +connect\(\)", picture), "the count of CLOSED to SYN_SENT", picture)


def a_command(checks):
    """explain -- CMD: only the command's connections, and its exit status"""
    with Namespace() as ns:
        code = "import socket; s = socket.socket(); raise SystemExit(7 if s.connect_ex(('127.0.0.1', 9)) else 0)"
        done = ns.run([program("tcptrail"), "explain", "--", sys.executable, "-c", code], check=False, stderr=subprocess.PIPE)
    checks.equal(done.returncode, 7, "exit status", done.stderr)
    says(checks, done.stdout, "127.0.0.1:9 refused the connection.")
    checks.equal(done.stdout.count("Closed first:"), 1, "one explanation", done.stdout)


if __name__ == "__main__":
    run_tests(explain, restart_is_told_beforehand, text, stats, intervals, report_and_diagram, a_command)
