# SPDX-License-Identifier: BSD-2-Clause
"""What schema.json promises about every record, checked on real ones; and the pairing of records with known ends."""

import collections
import datetime
import json
import pathlib

import oracle

SCHEMA = json.loads((pathlib.Path(__file__).resolve().parents[2] / "src/output/schema.json").read_text())["$defs"]

# The pairs of states that a socket of protocol 6 can pass through.
LEGAL = {
    "CLOSE": {"LISTEN", "SYN_SENT", "CLOSE"},
    "LISTEN": {"CLOSE", "SYN_RECV"},
    "SYN_SENT": {"ESTABLISHED", "SYN_RECV", "CLOSE"},
    "SYN_RECV": {"ESTABLISHED", "FIN_WAIT1", "CLOSE_WAIT", "CLOSE"},
    "ESTABLISHED": {"FIN_WAIT1", "CLOSE_WAIT", "CLOSE"},
    "FIN_WAIT1": {"FIN_WAIT2", "CLOSING", "CLOSE", "FIN_WAIT1"},
    "FIN_WAIT2": {"CLOSE", "FIN_WAIT2"},
    "CLOSING": {"CLOSE", "CLOSING"},
    "CLOSE_WAIT": {"LAST_ACK", "CLOSE"},
    "LAST_ACK": {"CLOSE", "LAST_ACK"},
}


def words(rule):
    """The words that a value may be; None = anything."""
    return SCHEMA[rule["$ref"].removeprefix("#/$defs/")].get("enum") if "$ref" in rule else rule.get("enum")


def check_shape(checks, records):
    """Keys, their order, and the values that only some words may have."""
    for record in records:
        kind = record["type"]
        wanted = SCHEMA[kind]["required"]
        got = list(record)
        if not checks.that(got[: len(wanted)] == wanted, f"{kind}: keys {got}, not {wanted}", kind=f"keys of {kind}"):
            continue
        for name, rule in SCHEMA[kind]["properties"].items():
            allowed = words(rule)
            if allowed is not None and name in record:
                checks.that(record[name] in allowed, f"{kind}.{name} is {record[name]!r}", record, kind=f"{kind}.{name}")


def nanoseconds(rfc3339):
    """Nanoseconds since 1970 of a `time`."""
    text, _, fraction = rfc3339.removesuffix("Z").partition(".")
    whole = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
    return int(whole.timestamp()) * 10**9 + int((fraction + "0" * 9)[:9])


def check_connection(checks, record):
    """What a connection record says must agree with itself."""
    name = f"{record['laddr']}:{record['lport']} > {record['raddr']}:{record['rport']}"
    path = record["path"]
    states = record["states"]
    for old, new in zip(path, path[1:]):
        legal = LEGAL.get(old, set()) | ({"TIME_WAIT"} if old in ("FIN_WAIT1", "FIN_WAIT2", "CLOSING") else set())
        checks.that(new in legal, f"{name}: {old} to {new} in the path", record, kind="illegal path")
    checks.that(
        (path[-1] == "TIME_WAIT") == (record["time_wait"]["phase"] == "time_wait"),
        f"{name}: path ends with {path[-1]}, time_wait is {record['time_wait']}",
        record,
        kind="path and time_wait",
    )
    if record["complete"] and record["began"] == "observed":
        spent = sum(one["us"] or 0 for one in states)
        checks.that(
            abs(spent - record["duration_us"]) <= len(states) + 1,
            f"{name}: states last {spent} us, the connection {record['duration_us']} us",
            record,
            kind="states and duration",
        )
    if record["end"] is None:  # nobody saw it
        checks.equal(record["complete"], False, f"{name}: complete without an end", record)
        return
    took = nanoseconds(record["end"]) - nanoseconds(record["start"])
    checks.that(
        abs(took / 1000 - record["duration_us"]) <= 2,
        f"{name}: {took} ns from start to end, duration_us {record['duration_us']}",
        record,
        kind="start, end and duration",
    )
    port = {"active": record["rport"], "passive": record["lport"], "unknown": None}[record["role"]]
    checks.equal(record["service_port"], port, "service_port", record)
    checks.that(bool(record["evidence"]), f"{name}: no evidence", record, kind="evidence")


class Records:
    """Connection records by tuple, oldest first, to be taken one by one."""

    def __init__(self, records, netns=None):
        self._by_tuple = collections.defaultdict(collections.deque)
        for record in sorted(records, key=lambda one: one["boot_ns"]):
            if netns is None or record["netns"] == netns:
                self._by_tuple[self._key(record)].append(record)

    @staticmethod
    def _key(end):
        return end["laddr"], end["lport"], end["raddr"], end["rport"]

    def take(self, end):
        """The next record of this end ({laddr, lport, raddr, rport}), or None."""
        found = self._by_tuple.get(self._key(end))
        return found.popleft() if found else None

    def left(self):
        return [record for found in self._by_tuple.values() for record in found]


class Packets:
    """The connections of a capture by the tuple of an end, oldest first."""

    def __init__(self, found):
        self._by_tuple = collections.defaultdict(collections.deque)
        for connection in found:
            for local, remote in {(connection.a, connection.b), (connection.b, connection.a)}:
                self._by_tuple[(*local, *remote)].append(connection)

    def take(self, end):
        found = self._by_tuple.get(Records._key(end))
        return found.popleft() if found else None


def right_or_unknown(got, answer):
    """True when a life with a hole says nothing wrong: each of closer and how is the answer, or unknown."""
    return all(said in (true, "unknown", None) for said, true in zip(got, answer))


def ends(lines):
    """(case, side, end) of every end that tcpload names."""
    for line in lines:
        for side in ("client", "server"):
            if line[side]:
                yield line["case"], side, line[side]


# Endings of which the packets know nothing, or not all.
BEYOND_PACKETS = {"timeout", "aborted", "no-port"}


def check_end(checks, case, side, end, record, connection):
    name = f"{case}, {side}"
    expect = end["expect"]
    if not record["complete"]:  # untraceable (trace_event.py); the test counts them
        said = [record[field] for field in ("closer", "how") if field in expect]
        known = [expect[field] for field in ("closer", "how") if field in expect]
        checks.that(right_or_unknown(said, known), f"{name}: {said} with a hole, not {known}", record)
        return
    checks.equal(record["pid"], end["pid"], f"{name}: pid", record)
    checks.equal(record["generation"], end["generation"], f"{name}: generation", record)
    for field in ("closer", "how", "error", "role", "closer_pid"):
        if field in expect:
            checks.equal(record[field], expect[field], f"{name}: {field}", record)
    if "timewait" in expect:
        checks.equal(record["time_wait"]["side"], expect["timewait"], f"{name}: time_wait.side", record)
    if record["how"] == "fin" and case != "mptcp":
        checks.equal(record["tx_bytes"], end["sent"], f"{name}: tx_bytes", record)
    if connection and expect.get("how") not in BEYOND_PACKETS:
        answer = connection.answer((end["laddr"], end["lport"]), end["orphan"])
        got = oracle.Answer(record["closer"], record["how"])
        checks.that(got == answer, f"{name}: {got}, the packets say {answer}", record, str(connection))
