# SPDX-License-Identifier: BSD-2-Clause
"""What every live test needs: a network namespace, a tracer run, a packet capture, and a verdict.

A test is a plain script, `python3 tests/net/test_x.py`, run as root. It prints what it checked with the numbers it
found, and exits with 0 (good), 1 (a check failed; the offending records are printed) or 77 (skipped, with the reason).

Environment: TCPTRAIL and TCPLOAD name the programs; without them build/release/ of this tree is used.
"""

import ctypes
import itertools
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLOWNESS = float(os.environ.get("SLOWNESS") or 1)  # an emulated machine is no healthy one (tests/vm)
PATIENCE = 60.0 * SLOWNESS  # seconds; no condition that a test waits for takes longer on a healthy machine


def program(name):
    path = os.environ.get(name.upper()) or str(ROOT / "build/release" / name)
    if not os.access(path, os.X_OK):
        skip(f"{path} is not there; build it, or name it in {name.upper()}")
    return path


def skip(reason):
    print(f"SKIP: {reason}", flush=True)
    sys.exit(77)


def need_root():
    if os.geteuid() != 0:
        skip("needs root (network namespaces, packet capture, BPF)")


def wait_for(condition, what, seconds=60.0):
    """Returns condition()'s first true value; fails the test when it does not come in time."""
    seconds *= SLOWNESS
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.002)


def cpu_seconds(pid):
    """User and system time: what the kernel does for a look is the looker's."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Checks:
    """Counts what was checked; a failed check is printed at once, with the records that show it."""

    SHOWN = 3  # failures of one kind; the rest is only counted

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self._shown = {}

    def that(self, good, message, *records, kind=None):
        if good:
            self.passed += 1
            return True
        self.failed += 1
        kind = kind or message
        self._shown[kind] = self._shown.get(kind, 0) + 1
        if self._shown[kind] <= self.SHOWN:
            print(f"FAILED: {message}")
            for record in records:
                print("    " + (record if isinstance(record, str) else json.dumps(record)))
        return False

    def equal(self, got, wanted, message, *records, kind=None):
        return self.that(got == wanted, f"{message}: got {got!r}, not {wanted!r}", *records, kind=kind or message)

    def skip(self, what):
        """A part of a test that cannot run here; counted in the closing line."""
        self.skipped += 1
        print(f"  SKIPPED: {what}")

    def finish(self):
        for kind, count in self._shown.items():
            if count > self.SHOWN:
                print(f"FAILED {count} times: {kind}")
        print(f"{self.passed} checks passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else ""), flush=True)
        sys.exit(1 if self.failed else 0)


def run_tests(*tests):
    """Runs test functions that take a Checks; one that breaks off counts as failed, and the next one is run."""
    need_root()
    checks = Checks()
    for test in tests:
        print(f"# {test.__doc__.strip().splitlines()[0] if test.__doc__ else test.__name__}", flush=True)
        try:
            test(checks)
        except (AssertionError, OSError, subprocess.SubprocessError, KeyError, IndexError) as error:
            checks.that(False, f"{test.__name__} broke off: {type(error).__name__}: {error}")
            import traceback

            traceback.print_exc(file=sys.stdout)
    checks.finish()


# --- network namespaces -------------------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def _setns(fd, kind):
    if _libc.setns(fd, kind) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """A network namespace of its own, with lo up; gone, with every process left in it, when the block ends."""

    _numbers = itertools.count()

    def __init__(self, **sysctls):
        """sysctls: net_ipv4_tcp_tw_reuse=2 sets /proc/sys/net/ipv4/tcp_tw_reuse."""
        self.name = f"tcptrail-test-{os.getpid()}-{next(self._numbers)}"
        self._sysctls = sysctls

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        try:
            self.ip("link", "set", "lo", "up")
            self.inum = os.stat(self.path).st_ino
            for name, value in self._sysctls.items():
                self.sysctl(name, value)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        pids = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True).stdout.split()
        for pid in pids:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        subprocess.run(["ip", "netns", "del", self.name], check=False)

    @property
    def path(self):
        return f"/run/netns/{self.name}"

    def ip(self, *args):
        subprocess.run(["ip", "-n", self.name, *args], check=True)

    def sysctl(self, name, value):
        family, _, rest = name.removeprefix("net_").partition("_")
        path = f"/proc/sys/net/{family}/{rest}"
        self.call(lambda: pathlib.Path(path).write_text(str(value)))

    def command(self, argv):
        return ["ip", "netns", "exec", self.name, *map(str, argv)]

    def run(self, argv, timeout=120, check=True, **options):
        """Runs a program in the namespace to its end and returns its CompletedProcess, output as text."""
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run(self.command(argv), check=check, timeout=timeout, text=True, **options)

    def start(self, argv, **options):
        """Starts a program in the namespace; its pid is that of the Popen (`ip netns exec` execs)."""
        return subprocess.Popen(self.command(argv), text=True, **options)

    def settle(self):
        """Waits until every closed connection has reached CLOSE: the last ACK comes after the last close() returns."""
        unfinished = "established,syn-sent,syn-recv,fin-wait-1,fin-wait-2,close-wait,last-ack,closing".split(",")
        states = [word for state in unfinished for word in ("state", state)]

        def nothing_left():
            lines = self.run(["ss", "-Htanoi", *states]).stdout.splitlines()
            # A FIN_WAIT2 minisocket has a timewait timer: its socket has reached CLOSE.
            return not any("timer:" not in line or "timer:(timewait" not in line for line in lines if line[:1] != "\t")

        wait_for(nothing_left, f"the connections in {self.name} to end")

    def call(self, function):
        """Runs a function in the namespace, in a thread of its own, and returns what it returns.
        A socket that it makes belongs to the namespace wherever it is used later."""
        result = {}

        def work():
            try:
                with open(self.path) as file:
                    _setns(file.fileno(), CLONE_NEWNET)
                result["value"] = function()
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                result["error"] = error

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if "error" in result:
            raise result["error"]
        return result["value"]


def tcpload(namespace, *args, **options):
    """The JSON lines of a tcpload run in the namespace."""
    done = namespace.run([program("tcpload"), *args], **options)
    return [json.loads(line) for line in done.stdout.splitlines()]


# --- the tracer ---------------------------------------------------------------------------------------------------


class Run:
    """What a tracer run left behind: exit code, JSON records, raw stdout, stderr lines, rusage."""

    def __init__(self, code, stdout, stderr):
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    @property
    def records(self):
        if not hasattr(self, "_records"):
            self._records = []
            for line in self.stdout.splitlines():
                try:
                    self._records.append(json.loads(line))
                except ValueError as error:
                    raise AssertionError(f"not a JSON line: {line!r}: {error}") from None
        return self._records

    def of(self, kind, **fields):
        """The records of a type whose fields have these values."""
        return [
            record
            for record in self.records
            if record["type"] == kind and all(record.get(name) == value for name, value in fields.items())
        ]

    @property
    def summary(self):
        if not self.records or self.records[-1]["type"] != "summary":
            raise AssertionError(f"the last record is no summary: {self.stdout[-400:]!r}; stderr: {self.stderr}")
        return self.records[-1]


class Tracer:
    """A tracer that is ready when the block begins, and stopped when it ends at the latest.

    with Tracer(["life", "--json"], netns=ns) as tracer: ...traffic...
    run = tracer.run
    netns adds the filter --netns; inside=True runs it in that namespace instead.
    """

    def __init__(self, args, netns=None, inside=False, stdout=None, wrap=()):
        argv = [*wrap, program("tcptrail"), *map(str, args)]
        if netns is not None and not inside:
            at = argv.index("--") if "--" in argv else len(argv)
            argv[at:at] = ["--netns", netns.path]
        self.argv = netns.command(argv) if inside else argv
        self._stdout = stdout
        self.run = None

    def __enter__(self):
        self._file = tempfile.TemporaryFile()
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.argv, stdout=self._stdout or self._file, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        self.stderr = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._reader.start()
        self._ready.wait(PATIENCE)
        if self.ready_after is None:
            self._end()
            raise AssertionError(f"{' '.join(self.argv)}: not ready: {self.run.stderr}")
        return self

    ready_after = None  # seconds from the start to the ready line

    def _read_stderr(self):
        for line in self.process.stderr:
            text = line.decode(errors="replace").rstrip("\n")
            self.stderr.append(text)
            if text.startswith("tcptrail: ready") and self.ready_after is None:
                self.ready_after = time.monotonic() - self.started
                self._ready.set()
        self._ready.set()  # it has ended

    @property
    def pid(self):
        return self.process.pid

    def records_so_far(self):
        """Complete records that have reached stdout by now."""
        text = os.pread(self._file.fileno(), os.fstat(self._file.fileno()).st_size, 0).decode()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def stop(self, sig=signal.SIGINT):
        """Asks it to stop and waits for the end; returns the Run."""
        if self.run is None:
            self.process.send_signal(sig)
            self._end(kill=False)
        return self.run

    def wait(self):
        """Waits for it to end by itself; returns the Run."""
        if self.run is None:
            self._end(kill=False)
        return self.run

    def _end(self, kill=True):
        if kill and self.process.poll() is None:
            self.process.kill()
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = "killed by the test: it did not end"
        self._reader.join(PATIENCE)
        self._file.seek(0)
        self.run = Run(code, self._file.read().decode(errors="surrogateescape"), self.stderr)
        self._file.close()

    def __exit__(self, kind, *_):
        if self.run is None:
            if kind is None:
                self.stop()
            else:
                self._end()


# --- packets ------------------------------------------------------------------------------------------------------

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
UNREACHABLE = 256  # not a TCP flag: an ICMP "destination unreachable" for the segment that it quotes


class Packet:
    """A TCP segment when it was sent (left a socket for a device) or received (came in from a device).

    On loopback, and on a TUN device that gives it back, each segment is seen twice, once as each."""

    __slots__ = ("sent", "src", "dst", "flags", "seq", "ack", "length")

    def __init__(self, sent, src, dst, flags, seq, ack, length):
        self.sent, self.src, self.dst = sent, src, dst
        self.flags, self.seq, self.ack, self.length = flags, seq, ack, length

    def __str__(self):
        names = [name for name, bit in (("SYN", SYN), ("FIN", FIN), ("RST", RST), ("ACK", ACK)) if self.flags & bit]
        if self.flags & UNREACHABLE:
            names = ["ICMP unreachable"]
        arrow = "sent" if self.sent else "received"
        return (
            f"{self.src[0]}:{self.src[1]} > {self.dst[0]}:{self.dst[1]} {'|'.join(names) or '-'}"
            f" seq {self.seq} ack {self.ack} len {self.length} {arrow}"
        )


def _classic_bpf(*instructions):
    return b"".join(struct.pack("HBBI", *one) for one in instructions)


# TCP and ICMP over IPv4 and IPv6, the first 128 bytes. The offsets count from the network header (SOCK_DGRAM).
_LD_PROTOCOL = (0x28, 0, 0, 0xFFFFF000)  # ldh [SKF_AD_OFF + SKF_AD_PROTOCOL]
_FILTER = (
    _LD_PROTOCOL,
    (0x15, 0, 3, 0x0800),  # jeq IPv4, else +3
    (0x30, 0, 0, 9),  # ldb protocol
    (0x15, 5, 0, 6),  # TCP: keep
    (0x15, 4, 5, 1),  # ICMP: keep, else drop
    (0x15, 0, 4, 0x86DD),  # jeq IPv6, else drop
    (0x30, 0, 0, 6),  # ldb next header
    (0x15, 1, 0, 6),  # TCP: keep
    (0x15, 0, 1, 58),  # ICMPv6: keep, else drop
    (0x06, 0, 0, 128),
    (0x06, 0, 0, 0),
)


class Capture:
    """All TCP packets of a namespace, on every device, in the order in which the kernel handled them."""

    SO_ATTACH_FILTER = 26
    SO_RCVBUFFORCE = 33
    SOL_PACKET = 263
    PACKET_STATISTICS = 6
    PACKET_OUTGOING = 4
    ETH_P_ALL = 3

    def __init__(self, namespace, buffer=512 << 20):
        self._namespace = namespace
        self._buffer = buffer
        self._raw = []
        self._stop = threading.Event()
        self.packets = None

    def __enter__(self):
        self._socket = self._namespace.call(self._open)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def _open(self):
        # Protocol 0 first: nothing may come in before the filter is there.
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        program_bytes = ctypes.create_string_buffer(_classic_bpf(*_FILTER))
        sock.setsockopt(
            socket.SOL_SOCKET, self.SO_ATTACH_FILTER, struct.pack("HL", len(_FILTER), ctypes.addressof(program_bytes))
        )
        sock.setsockopt(socket.SOL_SOCKET, self.SO_RCVBUFFORCE, self._buffer)
        # sockaddr_ll with interface 0: all of them. socket.bind() wants the name of one.
        name = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(self.ETH_P_ALL), 0, 0, 0, 0, b"")
        if _libc.bind(sock.fileno(), name, len(name)) != 0:
            raise OSError(ctypes.get_errno(), "bind")
        sock.settimeout(0.05)
        return sock

    def _read(self):
        while True:
            try:
                data, address = self._socket.recvfrom(128)
            except TimeoutError:
                if self._stop.is_set():
                    return
                continue
            self._raw.append((address[2] == self.PACKET_OUTGOING, data))

    def stop(self):
        """Ends the capture: everything sent before the call is in. Fails when the kernel had to drop packets."""
        if self.packets is None:
            self._stop.set()
            self._thread.join()
            seen, dropped = struct.unpack("II", self._socket.getsockopt(self.SOL_PACKET, self.PACKET_STATISTICS, 8))
            self._socket.close()
            if dropped:
                raise AssertionError(f"the capture lost {dropped} of {seen} packets")
            self.packets = [packet for packet in (parse(sent, data) for sent, data in self._raw) if packet]
            self._raw = []
        return self.packets

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self._stop.set()
            self._thread.join()
            self._socket.close()


def parse(sent, data):
    """A Packet from the bytes of an IP packet; None for what is neither TCP nor an ICMP error about TCP."""
    version = data[0] >> 4
    if version == 4:
        header = (data[0] & 15) * 4
        protocol, total = data[9], struct.unpack("!H", data[2:4])[0]
        family, source, target = socket.AF_INET, data[12:16], data[16:20]
    elif version == 6:
        header = 40
        protocol, total = data[6], struct.unpack("!H", data[4:6])[0] + 40
        family, source, target = socket.AF_INET6, data[8:24], data[24:40]
    else:
        return None
    if protocol == 6:
        sport, dport, seq, ack, offset, flags = struct.unpack("!HHIIBB", data[header : header + 14])
        length = max(0, total - header - (offset >> 4) * 4)
        ends = (socket.inet_ntop(family, source), sport), (socket.inet_ntop(family, target), dport)
        return Packet(sent, *ends, flags & 0x3F, seq, ack, length)
    if (protocol, data[header]) in ((1, 3), (58, 1)):
        quoted = parse(sent, data[header + 8 :] + bytes(20))
        if quoted:  # it travels against the segment that it is about
            return Packet(sent, quoted.dst, quoted.src, UNREACHABLE, 0, 0, 0)
    return None
