# SPDX-License-Identifier: BSD-2-Clause
"""What an older kernel has, tier by tier, on this one: every way of closing gives the same connections, with the same
closers, endings, errors, owners and TIME_WAIT, as far as the tier can know them (docs/kernels.md, "Tiers")."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import oracle
from contract import Packets, Records, check_connection, check_end, check_shape, ends
from harness import Capture, Namespace, Tracer, run_tests, tcpload

# What is denied, and how many of the ends may have no word on whether TIME_WAIT follows.
TIERS = {
    "typed, as Linux 5.10": (["cookie", "task_btf", "iter_task_file"], False),
    "typed, no walk, no hooks": (["timewait_walk", "timewait_hooks"], True),
    "classic": (["tp_btf"], False),
    "classic, no walk": (["tp_btf", "timewait_walk"], True),
}
# Cases whose expected TIME_WAIT only the walk can tell: the states are those of an end that holds one.
NEEDS_WALK = {"time-wait-overflow"}


def tier(checks, name):
    denied, infers = TIERS[name]
    with Namespace() as ns:
        with Tracer(["life", "--json", "--deny-feature", ",".join(denied)], netns=ns) as tracer, Capture(ns) as capture:
            lines = tcpload(ns, "closes", "--quick")
        run = tracer.run
        packets = Packets(oracle.connections(capture.packets))
    checks.equal(run.code, 0, f"{name}: exit code", *run.stderr)
    check_shape(checks, run.records)
    checks.that(not any(run.records[0]["features"][one] for one in denied), f"{name}: startup", run.records[0])
    records = Records(run.of("connection"), ns.inum)
    count = inferred = 0
    for case, side, end in ends(lines):
        record = records.take(end)
        connection = packets.take(end)
        if not checks.that(record is not None, f"{name}: {case}, {side}: no connection record", end):
            continue
        count += 1
        if infers and (case in NEEDS_WALK or record["time_wait"]["side"] == "unknown"):
            inferred += 1
            end["expect"].pop("timewait", None)
        check_end(checks, f"{name}: {case}", side, end, record, connection)
        check_connection(checks, record)
        if "tp_btf" in denied or "cookie" in denied:
            checks.equal((record["cookie"], record["peer_cookie"]), (None, None), f"{name}: an address is no cookie", record)
    for record in records.left():
        checks.that(False, f"{name}: a connection record that nobody made", record)
    checks.that(count > 60, f"{name}: only {count} ends")
    checks.equal(run.summary["loss"]["total"], 0, f"{name}: loss.total", run.summary)
    print(f"  {name}: {count} ends, {inferred} without a word on TIME_WAIT")


def each_tier(checks):
    """life, in each tier: connections, closers, endings, errors, owners and TIME_WAIT of both ends of each case"""
    for name in TIERS:
        tier(checks, name)


if __name__ == "__main__":
    run_tests(each_tier)
