# SPDX-License-Identifier: BSD-2-Clause
"""Filters: what matches is shown from its first transition to its last, and nothing else is shown."""

import collections
import contextlib
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import PATIENCE, Namespace, Tracer, run_tests

EXCHANGE = pathlib.Path(__file__).with_name("exchange.py")
CGROUPS = "/sys/fs/cgroup/unified" if os.path.isdir("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"


class Exchange:
    """exchange.py running in a namespace."""

    def __init__(self, ns, *args, cgroup=None):
        def join():  # before it makes a socket; inside the namespace the cgroup tree is hidden
            if cgroup:
                pathlib.Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))

        self.process = ns.start(
            [sys.executable, EXCHANGE, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=join
        )
        if self._line() != "ready":
            raise AssertionError("exchange.py did not start")
        self.pid = self.process.pid

    def _line(self):
        return self.process.stdout.readline().strip()

    def connect(self, how="client"):
        """Makes a connection; returns the ports of its ends, the client's first."""
        self.process.stdin.write(how + "\n")
        self.process.stdin.flush()
        return tuple(int(port) for port in self._line().split())

    def close(self):
        self.process.communicate(timeout=PATIENCE)


@contextlib.contextmanager
def exchanges(ns, *all_args, cgroup=None):
    """One for each argument list; with a cgroup, one more in it."""
    made = []
    try:
        for args in all_args:
            made.append(Exchange(ns, *args))
        if cgroup:
            made.append(Exchange(ns, cgroup=cgroup))
        yield made
    finally:
        for one in made:
            one.process.kill()
            one.process.communicate()


@contextlib.contextmanager
def cgroup():
    path = os.path.join(CGROUPS, f"tcptrail-test-{os.getpid()}")
    os.mkdir(path)
    try:
        yield path
    finally:
        os.rmdir(path)


CLIENT, SERVER = "client", "server"


def whole(checks, name, run, wanted):
    """The transitions are whole lives of these ends ((local port, remote port)), and of no other connection."""
    chains = collections.defaultdict(list)
    for record in run.of("transition"):
        chains[record["cookie"], record["generation"]].append(record)
    found = collections.Counter()
    for chain in chains.values():
        last = chain[-1]
        if last["rport"] in (0, None):
            continue  # a listener
        end = last["lport"], last["rport"]
        found[end] += 1
        if not checks.that(end in wanted, f"trace {name}: {end} does not match", *chain[:2], kind=f"trace {name}"):
            continue
        checks.that(
            chain[0]["old"] in ("CLOSE", "LISTEN") and last["new"] == "CLOSE",
            f"trace {name}: {end} is shown from {chain[0]['old']} to {last['new']}",
            *chain,
        )
        for old, new in zip(chain, chain[1:]):
            checks.that(old["new"] == new["old"], f"trace {name}: {end} has a gap", old, new)
    for end in wanted:
        checks.equal(found[end], 1, f"trace {name}: lives shown of {end}")


def records(checks, name, run, wanted):
    """The connection records are those of these ends."""
    found = collections.Counter((r["lport"], r["rport"]) for r in run.of("connection"))
    checks.equal(found, collections.Counter(wanted), f"life {name}: ends", *run.of("connection")[:4])


def check_filter(checks, flags, made, wanted):
    """Runs life and trace with the flags while every exchange makes a connection.
    wanted: for each exchange, which of its ends match."""
    name = " ".join(map(str, flags))
    for command, check in (("life", records), ("trace", whole)):
        with Tracer([command, "--json", *flags]) as tracer:
            ends = []
            for exchange, sides in zip(made, wanted):
                client, server = exchange.connect()
                ends += [(client, server)] if CLIENT in sides else []
                ends += [(server, client)] if SERVER in sides else []
        checks.equal(tracer.run.code, 0, f"{name}: exit code", *tracer.run.stderr)
        check(checks, name, tracer.run, ends)


BOTH = (CLIENT, SERVER)


def by_owner(checks):
    """-p, --comm, --uid, --cgroup"""
    with cgroup() as group, Namespace() as ns:
        with exchanges(ns, (), ("--name", "picked"), ("--uid", "65534"), cgroup=group) as made:
            plain, named, user, grouped = made
            check_filter(checks, ["-p", plain.pid], made, [BOTH, (), (), ()])
            check_filter(checks, ["-p", f"{named.pid},{user.pid}"], made, [(), BOTH, BOTH, ()])
            check_filter(checks, ["--netns", ns.name, "--comm", "pick*"], made, [(), BOTH, (), ()])
            check_filter(checks, ["--netns", ns.name, "--uid", "65534"], made, [(), (), BOTH, ()])
            check_filter(checks, ["--cgroup", group], made, [(), (), (), BOTH])
            check_filter(checks, ["--cgroup", group, "-p", plain.pid], made, [(), (), (), ()])


def by_tuple(checks):
    """-L, -D, -4, -6, --laddr, --raddr"""
    with Namespace() as ns:
        # An ephemeral port that a -L can name: it is not known yet when the client's first transition happens.
        ns.sysctl("net_ipv4_ip_local_port_range", "6000 6063")
        here = ["--netns", ns.name]
        args = (
            ("--port", "7001"),
            ("--port", "7002", "--family", "6"),
            ("--port", "7003", "--family", "mapped"),
            ("--port", "7004", "--listen", "127.0.1.1"),
        )
        with exchanges(ns, *args) as made:
            for flags, wanted in (
                (["-L", "7001"], [(SERVER,), (), (), ()]),
                (["-L", "7002-7003"], [(), (SERVER,), (SERVER,), ()]),
                (["-L", "6000-6063"], [(CLIENT,)] * 4),
                (["-D", "7001,7004"], [(CLIENT,), (), (), (CLIENT,)]),
                (["-D", "6000-6063"], [(SERVER,)] * 4),
                (["-4"], [BOTH, (), BOTH, BOTH]),
                (["-6"], [(), BOTH, (), ()]),
                (["--laddr", "127.0.1.0/24"], [(), (), (), (SERVER,)]),
                (["--raddr", "127.0.1.1"], [(), (), (), (CLIENT,)]),
                (["--laddr", "::1"], [(), BOTH, (), ()]),
                (["--raddr", "127.0.0.0/8"], [BOTH, (), BOTH, BOTH]),
                (["-L", "7001-7004", "-4", "--laddr", "127.0.0.1/32"], [(SERVER,), (), (SERVER,), ()]),
            ):
                check_filter(checks, flags + here, made, wanted)


def by_end(checks):
    """--closed-by, --how, --min-ms, --errors"""
    ways = ("client", "server", "abort", "refused", "slow")
    with Namespace() as ns, exchanges(ns, ()) as (made,):
        for flags, wanted in (
            (["--closed-by", "local"], {"client": CLIENT, "server": SERVER, "abort": CLIENT, "slow": CLIENT}),
            (["--closed-by", "remote"], {"client": SERVER, "server": CLIENT, "abort": SERVER, "slow": SERVER}),
            (["--closed-by", "none"], {"refused": CLIENT}),
            (["--how", "fin"], {"client": BOTH, "server": BOTH, "slow": BOTH}),
            (["--how", "rst-sent,rst-received"], {"abort": BOTH}),
            (["--how", "refused"], {"refused": CLIENT}),
            (["--min-ms", "100"], {"slow": BOTH}),
            (["--errors"], {"abort": BOTH, "refused": CLIENT}),
        ):
            name = " ".join(flags)
            for command in ("life", "trace"):
                tracer = Tracer([command, "--json", *flags], netns=ns)
                try:
                    with tracer:
                        ports = {way: made.connect(way) for way in ways}
                except AssertionError:
                    # To refuse is as good as to filter: a life is shown as it goes on, its end is not known yet.
                    if command == "trace" and tracer.run.code == 2:
                        print(f"  trace {name} is refused")
                        continue
                    raise
                ends = []
                for way, sides in wanted.items():
                    client, server = ports[way]
                    ends += [(client, server)] if CLIENT in sides else []
                    ends += [(server, client)] if SERVER in sides else []
                (records if command == "life" else whole)(checks, name, tracer.run, ends)


def counted_in_the_summary(checks):
    """what is filtered out is not counted either"""
    with Namespace() as ns, exchanges(ns, (), ()) as (one, other):
        with Tracer(["life", "--json", "-p", one.pid], netns=ns) as tracer:
            for _ in range(5):
                one.connect()
                other.connect()
        summary = tracer.run.summary
    checks.equal(summary["connections"], 10, "summary.connections", summary)
    checks.equal(summary["transitions"], 50, "summary.transitions", summary)


if __name__ == "__main__":
    run_tests(by_owner, by_tuple, by_end, counted_in_the_summary)
