# SPDX-License-Identifier: BSD-2-Clause
"""The ledger of TIME_WAIT and FIN_WAIT2 minisockets: at a quiet moment it is the kernel's own list, cookie by cookie, with
the timers of the kernel and the owners that are known here; what leaves it leaves in time, and for no wrong reason.

`trace --events time_wait` is read as a ledger (enters minus leaves), `ports --watch` lists it (event present).
Environment: CONNECTIONS per process pair."""

import collections
import contextlib
import errno
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import contract
import sockdiag
from harness import PATIENCE, Namespace, run_tests, wait_for
from sockdiag import boot_ns, tuple_of
from sockets import LINGER_0, sysctl
from stream import streaming

PROGRAMS = pathlib.Path(__file__).with_name("ledger_programs.py")
CONNECTIONS = int(os.environ.get("CONNECTIONS") or 400)
KEPT = 100
LIFE_NS = 60 * 10**9  # of TIME_WAIT, and of FIN_WAIT2 by tcp_fin_timeout
TIMER_MS = 60  # how exactly the timer is known: ticks of both clocks


class Ledger:
    """What is there, from enter and leave records: by cookie, or by tuple where cookies are not printed."""

    def __init__(self, checks):
        self.checks = checks
        self.present = {}  # its last enter
        self.left = []  # (leave, arrived)
        self.gone = set()

    def __call__(self, record, arrived):
        if record["type"] != "time_wait":
            return
        cookie, event = record["cookie"] or tuple_of(record), record["event"]
        if event == "enter":
            known = self.present.get(cookie)
            good = known is None or (known["phase"], record["phase"]) == ("fin_wait2", "time_wait")
            self.checks.that(good and record["cookie"] not in self.gone, f"{cookie} enters twice", record, known, kind="enters twice")
            self.present[cookie] = record
        elif event == "leave":
            self.checks.that(record["cookie"] not in self.gone, f"{cookie} leaves twice", record, kind="leaves twice")
            entered = self.present.pop(cookie, None)
            self.checks.that(entered or record["held_us"] is None, "held_us of one that never entered", record)
            self.gone.update([record["cookie"]] if record["cookie"] else [])
            self.left.append((record, arrived))
        else:
            self.checks.that(False, f"event {event} in trace", record)

    def reasons(self):
        return collections.Counter(record["reason"] for record, _ in self.left)


def settled():
    """Nothing of the calling thread's namespace is on its way into a minisocket."""
    return not [one for one in sockdiag.sockets("FIN_WAIT1", "FIN_WAIT2", "LAST_ACK", "CLOSING", "SYN_RECV") if not one.mini]


class Load:
    """ledger_programs.py in a namespace, step by step."""

    def __init__(self, ns, count, kept):
        self.ns = ns
        self.ends = {}  # by tuple: who closed it
        self.process = ns.start([sys.executable, PROGRAMS, count, kept], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def until(self, word):
        for line in self.process.stdout:
            if line == word + "\n":
                # A segment that loopback drops is sent again after longer and longer waits.
                wait_for(lambda: self.ns.call(settled), f"{self.ns.name}'s connections to be closed", 2 * PATIENCE)
                return
            end = json.loads(line)
            self.ends[tuple_of(end)] = end
        raise AssertionError(f"the programs ended before {word}")

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def same_timers(checks, records, kernel, what):
    """Each record's timer is that of the kernel's list."""
    worst = 0
    for cookie, record in records.items():
        off = sockdiag.timer_off_ms(kernel[cookie], record, record["expires_in_ms"])
        worst = max(worst, off)
        checks.that(off <= TIMER_MS, f"{what}: the timer is {off:.0f} ms from the kernel's", record, str(kernel[cookie]), kind=f"{what}: timer")
    return worst


def same_facts(checks, record, kernel, what):
    checks.equal(tuple_of(record), tuple_of(kernel), f"{what}: tuple", record)
    checks.equal((record["family"], record["phase"]), (kernel.family, kernel.state.lower()), f"{what}: family, phase", record, kind=f"{what}: family, phase")


def equals_the_kernels_list(checks):
    """several thousand minisockets of six processes, some older than the tracer: the kernel's list, cookie by cookie"""
    # Loopback reorders segments now and then: an old ACK in TIME_WAIT is answered, and the answer provokes a RST.
    with Namespace(net_ipv4_tcp_rfc1337=1) as ns, Load(ns, CONNECTIONS, KEPT) as load:
        load.until("open")
        older = ns.call(sockdiag.minisockets)
        ledger = Ledger(checks)
        with streaming(["trace", "--json", "--events", "time_wait"], ledger, netns=ns) as (stream, tracer), \
             streaming(["ports", "--watch", "0.5", "--json"], netns=ns) as (watch, _):
            load.go()
            load.until("done")
            kernel = what_it_leaves(checks, ns, load)
            shown_between(checks, ns, kernel, ns.call(sockdiag.ss_cookies), "ss")
            same_list(checks, ledger, agreed_list(ns, ledger, older), load)
            kernel = ns.call(sockdiag.minisockets)
            present = next_round(watch)
            shown_between(checks, ns, kernel, set(present), "ports --watch")
            worst = same_timers(checks, present, kernel, "ports --watch")
            for cookie, record in present.items():
                same_facts(checks, record, kernel[cookie], "ports --watch")
                end = load.ends[tuple_of(record)]
                owner = (None, None) if cookie in older else (end["pid"], end["comm"])
                checks.equal((record["pid"], record["comm"]), owner, "ports --watch: owner", record, kind="ports --watch: owner")
            for record, _ in ledger.left:
                checks.that(may_have_expired(load.ends[tuple_of(record)], record["boot_ns"]), "one left before its time", record)
    contract.check_shape(checks, stream.records)
    # What both copies of a program missed was found by the scans.
    loss = stream.records[-1]["loss"]
    checks.equal(loss["total"] - loss["nested"], 0, "loss", stream.records[-1])
    print(f"ports --watch shows {len(present)} minisockets, {len(set(older) & set(present))} of them older than the tracer, and differs from sock_diag by {worst:.0f} ms at most")


def may_have_expired(end, at_ns):
    """Whether a minisocket of this end can have lived its 60 s, which is soon on a slow machine."""
    return at_ns - end["boot_ns"] >= LIFE_NS


def what_it_leaves(checks, ns, load):
    """The kernel's list: each end that was closed, unless its time is over."""
    kernel = ns.call(sockdiag.minisockets)
    now = boot_ns()
    there = {tuple_of(one) for one in kernel.values()}
    checks.equal(there - set(load.ends), set(), "minisockets of nobody")
    gone = [end for one, end in load.ends.items() if one not in there]
    early = [end for end in gone if not may_have_expired(end, now)]
    checks.that(not early, f"{len(early)} of {len(load.ends)} minisockets are not in the kernel", *early)
    print(f"{len(kernel)} minisockets in the kernel, {len(gone)} expired already")
    return kernel


def shown_between(checks, ns, before, shown, what):
    """What was shown since the kernel had the list `before` is that list, but for those that have expired meanwhile."""
    after = set(ns.call(sockdiag.minisockets))
    checks.equal(after - set(before), set(), "the moment was quiet")
    checks.equal(shown - set(before), set(), f"{what}: shown, and not in the kernel")
    checks.equal(after - shown, set(), f"{what}: in the kernel, and not shown")


def agreed_list(ns, ledger, older):
    """The kernel's list without the older ones, at a moment at which the ledger is the same. An ACK of the FIN that comes
    before the peer's own FIN makes it FIN_WAIT2 first: the next scan says when not any more."""

    def same():
        kernel = {cookie: one for cookie, one in ns.call(sockdiag.minisockets).items() if cookie not in older}
        entered = {(cookie, record["phase"]) for cookie, record in list(ledger.present.items())}
        difference.clear()
        difference.update(entered ^ {(cookie, one.state.lower()) for cookie, one in kernel.items()})
        return kernel if not difference else None

    difference = set()
    try:
        return wait_for(same, "the ledger to be the kernel's list")
    except AssertionError as error:
        raise AssertionError(f"{error}: difference {difference}") from None


def same_list(checks, ledger, kernel, load):
    counts = collections.Counter()
    entered = {cookie: record for cookie, record in list(ledger.present.items()) if cookie in kernel}
    for cookie, record in entered.items():
        one, end = kernel[cookie], load.ends[tuple_of(kernel[cookie])]
        same_facts(checks, record, one, "trace")
        checks.equal(record["phase"], end["phase"], "phase", record)
        checks.equal((record["pid"], record["comm"]), (end["pid"], end["comm"]), "the process that closed it", record, kind="owner")
        counts[end["comm"]] += 1
    checks.equal(len(counts), 6, f"owners: {counts}")
    worst = same_timers(checks, entered, kernel, "trace")
    print(f"trace: {len(entered)} entered, {dict(counts)}; timers differ by {worst:.0f} ms at most")


def next_round(watch):
    """The present records of a round that began from now on."""
    began = boot_ns()

    def whole_round():
        rounds = collections.defaultdict(dict)
        for one in watch.of("time_wait", event="present"):
            rounds[one["boot_ns"]][one["cookie"]] = one
        later = sorted(at for at in rounds if at > began)
        return rounds[later[1]] if len(later) > 2 else None  # one after it has begun

    return wait_for(whole_round, "two more rounds")


# --- how they end -----------------------------------------------------------------------------------------------------

LATEST_MS = 1500  # after the death
# The kernel takes a namespace apart in a workqueue, after several grace periods of RCU, and nobody outside sees when.
TAKING_APART_MS = 1000
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, SEND_QUEUE = 19, 20, 21, 2


class Deaths(threading.Thread):
    """Watches the kernel's list: for each minisocket that went, when it was there last."""

    def __init__(self, ns):
        super().__init__(daemon=True)
        self.seen, self.gone, self.tuples, self.stop = {}, {}, {}, threading.Event()
        self.held_up_ms = 0  # the longest time between two looks: how long the machine holds up a thread that has work
        self._ns = ns

    def run(self):
        self._ns.call(self._watch)

    def _watch(self):
        last = boot_ns()
        while not self.stop.wait(0.005):
            known = set(self.seen) - set(self.gone)
            began = boot_ns()
            self.held_up_ms = max(self.held_up_ms, (began - last) / 1e6)
            last = began
            now = sockdiag.minisockets()
            for cookie, one in now.items():
                self.seen[cookie] = began
                self.tuples[cookie] = tuple_of(one)
            for cookie in known - set(now):
                self.gone[cookie] = self.seen[cookie]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join()


class Maker:
    """Minisockets of known tuples, in the namespace of the calling thread."""

    def __init__(self, address="127.0.0.1", backlog=128):
        self.address = address
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.server = self.socket()
        self.server.bind((address, 0))
        self.server.listen(backlog)
        self.port = self.server.getsockname()[1]
        self.open = [self.server]

    def socket(self):
        sock = socket.socket(self.family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(10)
        return sock

    def connect(self, port=0):
        """(client, accepted); port 0: connect() chooses."""
        client = self.socket()
        if port:
            client.bind((self.address, port))
        client.connect((self.address, self.port))
        child = self.server.accept()[0]
        child.settimeout(10)
        return client, child

    def leave(self, first, second, phase="TIME_WAIT"):
        """Closes both in this order; the Socket that first leaves behind. FIN_WAIT2: second stays open."""
        (laddr, lport), (raddr, rport) = first.getsockname()[:2], first.getpeername()[:2]
        tuple_here = laddr.removeprefix("::ffff:"), lport, raddr.removeprefix("::ffff:"), rport
        first.shutdown(socket.SHUT_WR)
        second.recv(1)
        if phase == "TIME_WAIT":
            second.close()
            first.recv(1)
        else:
            # A FIN that nothing has acknowledged yet may be answered by FIN and ACK at once.
            wait_for(lambda: first.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 5, "FIN_WAIT2")
            self.open.append(second)
        first.close()
        return wait_for(lambda: self.find(tuple_here, phase), f"{phase} of {tuple_here}")

    @staticmethod
    def find(tuple_here, phase):
        return next((one for one in sockdiag.minisockets().values() if tuple_of(one) == tuple_here and one.state == phase), None)

    def close(self):
        for sock in self.open:
            sock.close()


def send_sequence(sock):
    """The next sequence number that the socket will send."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, SEND_QUEUE)
    sequence = sock.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)  # off, without a window probe
    return sequence & 0xFFFFFFFF


def send_reset(address, sport, dport, sequence):
    """A RST that nobody's socket sends."""
    address = address.removeprefix("::ffff:")
    header = struct.pack("!HHIIBBHHH", sport, dport, sequence, 0, 5 << 4, 4, 0, 0, 0)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    plain = socket.inet_pton(family, address)
    pseudo = plain + plain + struct.pack("!HH" if family == socket.AF_INET else "!II", 6, len(header))
    total = sum(struct.unpack(f"!{(len(pseudo) + len(header)) // 2}H", pseudo + header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.sendto(header[:16] + struct.pack("!H", ~total & 0xFFFF) + header[18:], (address, 0))


class Story:
    """What was done to whom: for each tuple the reasons that are right. No tuple comes twice."""

    def __init__(self, deaths):
        self.deaths = deaths
        self.right = {}  # tuple: (Socket, reasons)
        self.late_fins = []
        self.stay = []

    def expect(self, mini, *reasons):
        self.right[tuple_of(mini)] = mini, reasons
        self.deaths.seen.setdefault(mini.cookie, mini.at_ns)  # it may be gone before the next look
        return mini


def reused(story, maker):
    """by a SYN and by a connect() that is bound to the port"""
    for i in range(20):
        client, child = maker.connect(2100 + i)
        story.expect(maker.leave(child, client), "reused_by_syn")
        client, child = maker.connect(2100 + i)
        story.expect(maker.leave(client, child), "reused_by_connect")
        maker.open += maker.connect(2100 + i)


def reused_fin_wait2(story, maker):
    """FIN_WAIT2, by a connect() that is bound to the port; its SYN meets the peer's old socket and is not accepted"""
    for i in range(5):
        client, child = maker.connect(2200 + i)
        story.expect(maker.leave(client, child, "FIN_WAIT2"), "reused_by_connect")
    for i in range(5):
        again = maker.socket()
        again.bind((maker.address, 2200 + i))
        again.setblocking(False)
        again.connect_ex((maker.address, maker.port))
        maker.open.append(again)


def reused_by_choice(story, maker):
    """by a connect() that finds no other port"""
    sysctl("ip_local_port_range", "2300 2303")
    sysctl("tcp_tw_reuse_delay", 1)
    for _ in range(4):
        story.expect(maker.leave(*maker.connect()), "reused_by_connect")
    sysctl("tcp_tw_reuse", 1)
    newest = time.monotonic()
    wait_for(lambda: time.monotonic() - newest > 0.005, "the reuse delay of 1 ms to pass")
    for _ in range(4):
        maker.open += maker.connect()
    sysctl("tcp_tw_reuse", 0)
    sysctl("ip_local_port_range", "32768 60999")


def refused_and_kept(story, maker):
    """a bound connect() that the kernel refuses the tuple takes nothing over; one that the peer refuses has"""
    sysctl("tcp_timestamps", 0)
    kept = maker.leave(*maker.connect(2400))
    again = maker.socket()
    again.bind((maker.address, 2400))
    maker.open.append(again)
    if again.connect_ex((maker.address, maker.port)) != errno.EADDRNOTAVAIL:
        raise AssertionError("connect() over a TIME_WAIT without timestamps")
    story.stay.append(kept)
    sysctl("tcp_timestamps", 1)
    other = Maker(maker.address)
    story.expect(other.leave(*other.connect(2401)), "reused_by_connect")
    other.server.close()
    again = maker.socket()
    again.bind((maker.address, 2401))
    if again.connect_ex((maker.address, other.port)) != errno.ECONNREFUSED:
        raise AssertionError("connect() to nobody")
    again.close()


def killed(story, maker):
    """by ss -K"""
    for phase, port in [("TIME_WAIT", 2500 + i) for i in range(5)] + [("FIN_WAIT2", 2510 + i) for i in range(3)]:
        client, child = maker.connect(port)
        story.expect(maker.leave(client, child, phase), "killed", "unknown")
        subprocess.run(["ss", "-KHta", "sport", f"= :{port}", "and", "dport", f"= :{maker.port}"], check=True, stdout=subprocess.DEVNULL)


def assassinated(story, maker):
    """by a RST (RFC 1337)"""
    for i in range(5):
        client, child = maker.connect(2600 + i)
        sequence = send_sequence(client) + 1  # after its FIN
        mini = story.expect(maker.leave(child, client), "reset", "unknown")
        sysctl("tcp_rfc1337", 0)
        send_reset(maker.address, 2600 + i, maker.port, sequence)
        wait_for(lambda: mini.cookie not in sockdiag.minisockets(), "the RST to be taken")
        sysctl("tcp_rfc1337", 1)


def reset(story, maker):
    """FIN_WAIT2, by the peer's RST, by data that nobody can read any more"""
    for i in range(5):
        client, child = maker.connect(2700 + i)
        story.expect(maker.leave(client, child, "FIN_WAIT2"), "reset", "unknown")
        if i % 2:
            child.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
            child.close()
        else:
            child.send(b"x")


def expired(story, maker):
    """FIN_WAIT2 after tcp_fin_timeout"""
    for seconds in (1, 2):
        sysctl("tcp_fin_timeout", seconds)
        for i in range(10):
            client, child = maker.connect(2800 + seconds * 20 + i)
            story.expect(maker.leave(client, child, "FIN_WAIT2"), "expired")
    sysctl("tcp_fin_timeout", 60)


def late_fin(story, maker):
    """FIN_WAIT2 whose peer closes after all"""
    for i in range(5):
        client, child = maker.connect(2900 + i)
        story.late_fins.append(maker.leave(client, child, "FIN_WAIT2"))
        child.close()


STORIES = (reused, reused_fin_wait2, reused_by_choice, refused_and_kept, killed, assassinated, reset, expired, late_fin)


ADDRESSES = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


def every_end(checks):
    """each way in which a minisocket ends: the reason, and how late it is told"""
    lateness, told, late_fins = play(checks, addresses=ADDRESSES)
    checks.equal(told, len(lateness), "ends that are told")
    checks.equal(late_fins, 5 * len(ADDRESSES), "second enters after a late FIN")


def without_cookies(checks):
    """--deny-feature cookie: the same, by tuple"""
    lateness, told, late_fins = play(checks, "cookie")
    checks.equal(told, len(lateness), "ends that are told")
    checks.equal(late_fins, 5, "second enters after a late FIN")


def without_the_second_copy(checks):
    """--deny-feature second_copy: what is missed is found by the scans"""
    lateness, told, _ = play(checks, "second_copy")
    checks.that(told >= 0.95 * len(lateness), f"{told} of {len(lateness)} ends are told")


def without_the_walk(checks):
    """--deny-feature timewait_walk: FIN_WAIT2 enters with the second scan, if it is there so long, without an owner"""
    lateness, told, _ = play(checks, "timewait_walk")
    checks.that(told >= 0.5 * len(lateness), f"{told} of {len(lateness)} ends are told")


def without_scans(checks):
    """--deny-feature iter_tcp: only what takes a tuple over tells of an end"""
    play(checks, "iter_tcp", scans=False)


def play(checks, deny=None, addresses=("127.0.0.1",), scans=True):
    """All stories. Returns the expected ends with the latenesses (None: not told), how many were told, and late FINs."""
    ledger = Ledger(checks)
    args = ["trace", "--json", "--events", "time_wait", *(["--deny-feature", deny] if deny else [])]
    with Namespace(net_ipv4_tcp_tw_reuse=0, net_ipv4_tcp_rfc1337=1) as ns, streaming(args, ledger, netns=ns) as (stream, _), Deaths(ns) as deaths:
        story, makers = Story(deaths), []
        for tell in STORIES:
            for address in addresses:
                makers.append(ns.call(lambda address=address: Maker(address)))
                ns.call(lambda tell=tell: tell(story, makers[-1]))
        cookies = {mini.cookie for mini, _ in story.right.values()}
        wait_for(lambda: cookies <= set(deaths.gone), "every one of them to die")
        last = max(deaths.gone.values())
        wait_for(lambda: boot_ns() > last + (LATEST_MS + deaths.held_up_ms) * 1_000_000, "the time that they have to be told")
        checks.equal({one.cookie for one in story.stay} & set(deaths.gone), set(), "those that were to stay")
        present = {tuple_of(one): one for one in ledger.present.values()}
        late_fins = check_late_fins(checks, story, present)
        there = {tuple_of(one) for one in ns.call(sockdiag.minisockets).values()}
        if scans:
            checks.that(set(present) <= there, f"in the ledger and not in the kernel: {set(present) - there}")
        for maker in makers:
            maker.close()
    contract.check_shape(checks, stream.records)
    loss = stream.records[-1]["loss"]
    checks.equal(loss["total"] - loss["nested"], 0, "loss", stream.records[-1])
    lateness = check_reasons(checks, story, ledger, deaths, deny != "timewait_walk")
    told = sorted(late for late in lateness if late is not None)
    print(f"{len(lateness)} ends, {len(told)} told: {dict(ledger.reasons())}; {told[len(told) // 2]:.0f} ms after the death, {told[-1]:.0f} ms at most")
    return lateness, len(told), late_fins


def check_late_fins(checks, story, present):
    count = 0
    for mini in story.late_fins:
        record = present.get(tuple_of(mini), {"phase": None})
        count += record["phase"] == "time_wait"
        if record["phase"] == "time_wait" and record["expires_in_ms"] is not None:
            checks.that(58_000 <= record["expires_in_ms"] <= 60_000, "what is left after the late FIN", record)
    return count


def check_reasons(checks, story, ledger, deaths, walk):
    lateness = []
    left = collections.defaultdict(list)
    for record, arrived in ledger.left:
        left[tuple_of(record)].append((record, arrived))
    for one, (mini, reasons) in story.right.items():
        found = left.pop(one, [])
        checks.that(len(found) <= 1, f"{len(found)} leaves", *[record for record, _ in found])
        if not found:
            lateness.append(None)
            continue
        record, arrived = found[0]
        died = deaths.gone[mini.cookie]
        checks.that(record["reason"] in reasons, f"reason {record['reason']}, not {reasons}", record, kind=f"not {reasons}")
        found_by_scan = mini.state == "FIN_WAIT2" and not walk
        checks.that(record["pid"] == os.getpid() or found_by_scan, "the process that closed it", record)
        checks.that(record["boot_ns"] >= died - 20_000_000, f"its time is {(died - record['boot_ns']) / 1e6:.0f} ms before its death", record, kind="time")
        late = (arrived - died) / 1e6
        lateness.append(late)
        checks.that(late <= LATEST_MS + deaths.held_up_ms, f"told {late:.0f} ms after its death", record, kind="late")
    gone = {one for cookie, one in deaths.tuples.items() if cookie in deaths.gone}
    for one, found in left.items():
        checks.that(one in gone, "a leave of one that is there", found[0][0])
    return lateness


def with_their_namespace(checks):
    """a network namespace that is deleted takes its minisockets along"""
    ledger = Ledger(checks)
    with Namespace() as other, streaming(["trace", "--json", "--events", "time_wait"], ledger) as (stream, _):
        with Namespace() as ns:
            maker = ns.call(Maker)
            minis = [ns.call(lambda i=i: maker.leave(*maker.connect(2000 + i))) for i in range(20)]
            maker.close()
            elsewhere = other.call(lambda: Maker("::1"))
            kept = other.call(lambda: elsewhere.leave(*elsewhere.connect(2000)))
            cookies = {one.cookie for one in minis}
            wait_for(lambda: cookies <= set(ledger.present), "all of them to enter")
        died = boot_ns()
        wait_for(lambda: cookies <= ledger.gone, "the leaves of a namespace that is gone")
        left = [(record, arrived) for record, arrived in ledger.left if record["cookie"] in cookies]
        for record, arrived in left:
            checks.that(record["reason"] in ("netns_exit", "unknown"), f"reason {record['reason']}", record)
            checks.that(arrived - died <= (LATEST_MS + TAKING_APART_MS) * 1_000_000, f"told {(arrived - died) / 1e6:.0f} ms after the end of the namespace", record)
            checks.equal((record["netns"], record["pid"]), (ns.inum, os.getpid()), "netns and pid", record)
        checks.equal(len(left), 20, "leaves")
        checks.that(kept.cookie in ledger.present, "the one of another namespace stays")
        elsewhere.close()
    print(f"{dict(collections.Counter(record['reason'] for record, _ in left))}, {(max(arrived for _, arrived in left) - died) / 1e6:.0f} ms after the end of the namespace")


def filtered(checks):
    """filters: the ledger is that of the chosen connections alone, older ones included where a minisocket can tell"""
    with Namespace(net_ipv4_tcp_rfc1337=1, net_ipv4_tcp_fin_timeout=3) as ns:
        makers = [ns.call(lambda address=address: Maker(address)) for address in ("127.0.0.1", "::1")]
        v4, v6 = (maker.port for maker in makers)
        chosen = {
            ("-L", v4): lambda one: one.lport == v4,
            ("-D", v6): lambda one: one.rport == v6,
            ("-6",): lambda one: one.family == "ipv6",
            ("-p", os.getpid()): None,  # older ones have no owner
            ("-p", 1): lambda one: False,
            ("--uid", 0): None,
            ("--uid", 65534): lambda one: False,
            ("--comm", "nobody"): lambda one: False,
            ("--how", "rst-sent"): lambda one: False,
        }
        for group in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
            if os.path.exists(f"{group}/cgroup.procs"):
                chosen["--cgroup", group] = None
                break

        def make(maker, first):
            minis = []
            for i in range(2):
                for phase in ("FIN_WAIT2", "TIME_WAIT"):
                    for closer in (0, 1):
                        ends = maker.connect(first + len(minis))
                        minis.append(maker.leave(ends[closer], ends[1 - closer], phase))
            return minis

        older = [one for maker, first in zip(makers, (2000, 3000)) for one in ns.call(lambda: make(maker, first))]
        with contextlib.ExitStack() as stack:
            runs = {}
            for flags in chosen:
                ledger = Ledger(checks)
                runs[flags] = ledger
                stack.enter_context(streaming(["trace", "--json", "--events", "time_wait", *flags], ledger, netns=ns))
            young = [one for maker, first in zip(makers, (4000, 5000)) for one in ns.call(lambda: make(maker, first))]
            wait_for(lambda: not [one for one in ns.call(sockdiag.minisockets).values() if one.state == "FIN_WAIT2"], "FIN_WAIT2 to expire")
            leave = {}
            for flags, wanted in chosen.items():
                known = young + (older if wanted else [])
                leave[flags] = {one.cookie for one in known if (wanted is None or wanted(one)) and one.state == "FIN_WAIT2"}
            wait_for(lambda: all(leave[flags] <= runs[flags].gone for flags in chosen), "every leave to be told")
        for flags, wanted in chosen.items():
            ledger = runs[flags]
            wants = wanted or (lambda one: True)
            checks.equal(set(ledger.present) | ledger.gone & {one.cookie for one in young}, {one.cookie for one in young if wants(one)}, f"{flags}: who entered")
            checks.equal(ledger.gone, leave[flags], f"{flags}: who left")
        for maker in makers:
            maker.close()


if __name__ == "__main__":
    run_tests(equals_the_kernels_list, every_end, without_cookies, without_the_second_copy, without_the_walk, without_scans,
              with_their_namespace, filtered)
