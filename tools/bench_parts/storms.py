# SPDX-License-Identifier: BSD-2-Clause
"""End to end: connections per second of a storm without a tracer and with each."""

import pathlib
import statistics
import sys

from .tracing import TRANSITIONS, UNTRACED, Contender, Tracing, our, rounds_of
from harness import Namespace, tcpload

ENOUGH = 60_000  # connections/s; below, a tracer's cost drowns in the storm's own
CONNTRACK = ["nft", "add table t; add chain t c { type filter hook input priority 0; }; add rule t c ct state new accept"]


def of_tracefs(name, **options):
    """A contender that attaches by tracefs; where it is not mounted, it gets a mount of its own."""
    contender = Contender(name, [name], **options)
    if not pathlib.Path("/sys/kernel/tracing/events").exists():
        contender.argv = ["unshare", "--mount", "sh", "-c", 'mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"', "sh", name]
    return contender


def contenders():
    return [
        UNTRACED,
        our("life"),
        our("life --json"),
        our("trace --json"),
        of_tracefs("tcplife", lines_per_connection=2),
        of_tracefs("tcpstates", lines_per_connection=TRANSITIONS),
        Contender("ss -E", ["ss", "-HtE"], lines_per_connection=2, inside=True),
        # One line for each connection, of both ends. Without a rule nothing is tracked.
        Contender("conntrack -E", ["conntrack", "-E", "-e", "NEW", "-p", "tcp"], lines_per_connection=1, inside=True, before=CONNTRACK),
    ]


def program_contenders():
    """The programs without the reader, in a ring that holds the whole storm; each with one more than the one before."""
    life = ["life", "--ring-size", "256M"]
    resets, accept = "send_reset,receive_reset", "accept,refused_calls"
    return [
        UNTRACED,
        our("one copy", [*life, "--deny-feature", f"{accept},{resets},second_copy"], stopped=True),
        our("second copy", [*life, "--deny-feature", f"{accept},{resets}"], stopped=True),
        our("RSTs", [*life, "--deny-feature", accept], stopped=True),
        our("accept", life, stopped=True),
        our("with the reader", life),
    ]


def measure(contender, connections, sink):
    with Namespace() as namespace:
        tracing = Tracing(contender, namespace, sink if contender.ours else "file")
        with tracing:
            (storm,) = tcpload(namespace, "storm", "--conns", str(connections))
            tracing.settle()
    tracing.count_lost(connections)
    facts = {"contender": contender.name, "rate": storm["rate"], **tracing.facts}
    for fact in ("cpu_s", "cpu_after_ready_s"):
        if fact in facts:
            facts[fact + "_per_million"] = facts[fact] / (TRANSITIONS * connections) * 1e6
    return facts


def measure_all(field, rounds, connections, sink):
    """The runs, round by round; each with its ratio to the untraced run of its round."""
    runs = []
    order = {contender.name: place for place, contender in enumerate(field)}
    for number, in_turn in enumerate(rounds_of(field, rounds), 1):
        this_round = [measure(contender, connections, sink) for contender in in_turn]
        (untraced,) = [run["rate"] for run in this_round if run["contender"] == UNTRACED.name]
        for run in this_round:
            run |= {"round": number, "ratio": run["rate"] / untraced}
        runs += this_round
        in_order = sorted(this_round, key=lambda run: order[run["contender"]])
        line = ", ".join(f"{run['contender']} {run['rate']:,.0f}" for run in in_order)
        print(f"round {number}: {line}", file=sys.stderr)
    return runs


COLUMNS = (  # of the table: fact, heading, format
    ("rate", "conn/s", "{:,.0f}"),
    ("ratio", "of untraced", "{:.2f}"),
    ("cpu_after_ready_s_per_million", "CPU s/M", "{:.2f}"),
    ("cpu_s_per_million", "with start", "{:.2f}"),
    ("lost", "lost", "{:,.0f}"),
    ("peak_rss_mib", "peak MiB", "{:.1f}"),
    ("rss_at_rest_mib", "rest MiB", "{:.1f}"),
    ("ready_ms", "ready ms", "{:.0f}"),
)


def medians(field, runs):
    """For each contender the median of each fact, and the least and greatest ratio."""
    result = {}
    for contender in field:
        own = [run for run in runs if run["contender"] == contender.name]
        facts = {fact: statistics.median(run[fact] for run in own) for fact, _, _ in COLUMNS if fact in own[0]}
        result[contender.name] = facts | {"ratio_range": [min(r["ratio"] for r in own), max(r["ratio"] for r in own)]}
    return result


def print_table(table):
    print("  ".join([f"{'median of rounds':16}"] + [f"{heading:>11}" for _, heading, _ in COLUMNS]))
    for name, facts in table.items():
        cells = [form.format(facts[fact]) if fact in facts else "-" for fact, _, form in COLUMNS]
        low, high = facts["ratio_range"]
        print("  ".join([f"{name:16}"] + [f"{cell:>11}" for cell in cells] + [f"({low:.2f}-{high:.2f})"]))


def warnings(runs):
    """What makes the figures less true."""
    rate = statistics.median(run["rate"] for run in runs if run["contender"] == UNTRACED.name)
    if rate < ENOUGH:
        yield (
            f"the untraced storm reaches {rate:,.0f} connections/s, less than {ENOUGH:,}: "
            "the machine is slow or busy, and a tracer looks cheaper than it is"
        )
    if pathlib.Path("/proc/sys/kernel/bpf_stats_enabled").read_text().strip() != "0":
        yield "kernel.bpf_stats_enabled is on and slows every BPF program; sysctl kernel.bpf_stats_enabled=0"


def bench_programs(options):
    field = program_contenders()
    runs = measure_all(field, options.rounds, options.conns, "null")
    return {"connections": options.conns, "medians": medians(field, runs), "runs": runs}


def bench(options):
    field = []
    for contender in contenders():
        if contender.missing:
            print(f"{contender.name} is left out: {contender.missing}", file=sys.stderr)
        elif not options.only or contender.name in (UNTRACED.name, *options.only.split(",")):
            field.append(contender)
    runs = measure_all(field, options.rounds, options.conns, options.sink)
    for warning in warnings(runs):
        print(f"warning: {warning}", file=sys.stderr)
    return {"connections": options.conns, "medians": medians(field, runs), "runs": runs}


def show(result):
    print_table(result["medians"])
