# SPDX-License-Identifier: BSD-2-Clause
"""Why a connection ended, and what it sent, in situations that people have reported: what is said is what happened,
and where the facts do not prove it, nothing is said."""

import errno
import pathlib
import socket
import struct
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import oracle
from harness import FIN, Capture, Namespace, Tracer, run_tests, wait_for

LINGER_0 = struct.pack("ii", 1, 0)
TCP_USER_TIMEOUT = 18

# Classic BPF for tc: drops (2 = TC_ACT_SHOT) everything, large packets, one packet in twenty at random.
DROP_ALL = "1,6 0 0 2"
DROP_LARGE = "4,128 0 0 0,53 1 0 300,6 0 0 4294967295,6 0 0 2"
DROP_SOME = "4,32 0 0 4294963256,53 1 0 4080218930,6 0 0 4294967295,6 0 0 2"


def listener(ns, port=0, backlog=16, **options):
    def make():
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option, value in options.items():
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
        sock.bind(("127.0.0.1", port))
        sock.listen(backlog)
        return sock

    return ns.call(make)


def client_socket(ns):
    return ns.call(socket.socket)


def payload_sent(capture, end):
    """The payload bytes of this end that left for the device, each once."""
    numbers = set()
    for connection in oracle.connections(capture.packets):
        for packet in connection.packets:
            if packet.sent and packet.src == end and packet.length:
                first = packet.seq + (1 if packet.flags & 2 else 0)
                numbers.add((first, packet.length))
    covered, reach = 0, None
    for first, length in sorted(numbers):
        reach = first if reach is None else reach
        covered += max(0, first + length - max(first, reach))
        reach = max(reach, first + length)
    return covered


def exchange(ns, total, qdisc, reset_after=None, bound=None):
    """A client sends `total` bytes while qdisc() is in force; the server reads them, or resets after some."""
    server = listener(ns)
    client = client_socket(ns)
    client.connect(server.getsockname())
    accepted = server.accept()[0]
    qdisc()

    def read():
        taken = 0
        while reset_after is None or taken < reset_after:
            data = accepted.recv(65536)
            if not data:
                break
            taken += len(data)
        if reset_after is not None:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        accepted.close()

    reader = threading.Thread(target=read)
    reader.start()
    end = client.getsockname()
    try:
        client.sendall(b"x" * total)
    except OSError:
        pass
    client.close()
    reader.join()
    server.close()
    return end


def sent_bytes(checks):
    """tx_bytes is what left the host, each byte once: not what a full queue, a drop or loss made TCP try again"""
    tc = lambda ns, *args: ns.run(["tc", *args])

    def tbf(ns):
        tc(ns, *"qdisc add dev lo root tbf rate 100mbit burst 70000 limit 70000".split())

    def lossy(ns):
        tc(ns, "qdisc", "add", "dev", "lo", "clsact")
        tc(ns, "filter", "add", "dev", "lo", "egress", "bpf", "da", "bytecode", DROP_SOME)

    def lost(ns):
        tc(ns, "qdisc", "add", "dev", "lo", "clsact")
        tc(ns, "filter", "add", "dev", "lo", "ingress", "bpf", "da", "bytecode", DROP_SOME)

    # An egress limit; a drop on the way out; loss on the way; a reset in mid-stream; and nothing of the kind.
    cases = {
        "egress limit": (tbf, None),
        "output drop": (lossy, None),
        "loss": (lost, None),
        "reset in mid-stream": (tbf, 500_000),
        "nothing": (lambda ns: None, None),
    }
    for name, (qdisc, reset_after) in cases.items():
        with Namespace() as ns, Tracer(["life", "--json"], netns=ns) as tracer, Capture(ns) as capture:
            ns.ip(*"link set lo mtu 1500 gso_max_segs 1".split())
            end = exchange(ns, 2_000_000, lambda: qdisc(ns), reset_after)
            ns.settle()
            run = tracer.stop()
        [record] = [r for r in run.of("connection") if r["lport"] == end[1]]
        left = payload_sent(capture, end)
        if reset_after is None:
            checks.equal(left, 2_000_000, f"{name}: what the packets hold")
        checks.equal(record["tx_bytes"], left, f"{name}: tx_bytes", record)


def pair(ns, **options):
    """A connected client and the server's accepted end."""
    server = listener(ns, **options)
    client = client_socket(ns)
    client.connect(server.getsockname())
    accepted = server.accept()[0]
    server.close()
    return client, accepted


def record_of(run, local):
    [record] = [r for r in run.of("connection") if r["lport"] == local[1]]
    return record


def no_reader(checks):
    """TCP_USER_TIMEOUT ends a connection: the peer acknowledged and did not read, or it is gone"""
    for gone in (False, True):
        with Namespace() as ns, Tracer(["explain", "--json"], netns=ns) as tracer:
            client, accepted = pair(ns, SO_RCVBUF=4096)
            end = client.getsockname()
            client.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 1500)
            if gone:
                ns.run(["tc", "qdisc", "add", "dev", "lo", "clsact"])
                ns.run(["tc", "filter", "add", "dev", "lo", "ingress", "bpf", "da", "bytecode", DROP_ALL])
            error = None
            try:
                while True:
                    client.send(b"x" * 65536)
            except OSError as e:
                error = errno.errorcode[e.errno]
            client.close()
            wait_for(lambda: [r for r in tracer.records_so_far() if r.get("lport") == end[1]], "the end")
            run = tracer.stop()
            accepted.close()
        [told] = [r for r in run.of("explanation") if r.get("lport") == end[1]]
        checks.equal(error, "ETIMEDOUT", "send()")
        checks.equal((told["how"], told["error"]), ("timeout", "ETIMEDOUT"), "how", told)
        text = told["headline"] + " ".join(f["text"] for f in told["findings"])
        if gone:
            checks.that("did not answer" in text and "host is down" in text, "a peer that is gone", told)
        else:
            checks.that("did not read" in text, "the peer did not read", told)
            checks.that("is down" not in text and "stopped answering" not in text, "the peer answered", told)


def reset_reasons(checks):
    """reset_reason is the kernel's word for the RST: data after close(), or data that nobody had read"""
    for unread in (False, True):
        with Namespace() as ns, Tracer(["life", "--json"], netns=ns) as tracer:
            client, accepted = pair(ns)
            end = accepted.getsockname()
            if unread:
                client.sendall(b"request")
                wait_for(lambda: accepted.recv(1, socket.MSG_PEEK), "the request")
                accepted.close()
            else:
                accepted.close()
                client.sendall(b"request")
            client.close()
            run = tracer.stop()
        record = record_of(run, end)
        checks.equal(record["how"], "rst-sent", "how", record)
        if record["reset_reason"] is None:
            checks.skip("this kernel does not say why it sends a RST")
            return
        word = "tcp_abort_on_close" if unread else "tcp_abort_on_data"
        checks.equal(record["reset_reason"], word, "reset_reason", record)
        says = "unread data" if unread else "data arrived after close()"
        checks.that(says in record["evidence"], says, record)


def icmp_on_syn(checks):
    """A router answers the SYN with an ICMP error while connect() holds the socket; or it drops the SYN"""
    for kind in ("unreachable", "blackhole"):
        with Namespace() as ns, Namespace(net_ipv4_ip_forward=1) as router:
            ns.ip(*f"link add here type veth peer name there netns {router.name}".split())
            for namespace, device, address in ((ns, "here", "10.9.0.1"), (router, "there", "10.9.0.2")):
                namespace.ip("address", "add", f"{address}/24", "dev", device)
                namespace.ip("link", "set", device, "up")
            ns.ip("route", "add", "default", "via", "10.9.0.2")
            router.ip("route", "add", kind, "10.8.0.0/24")
            with Tracer(["life", "--json"], netns=ns) as tracer:
                client = client_socket(ns)
                client.setblocking(False)
                client.connect_ex(("10.8.0.1", 80))
                end = client.getsockname()
                # The truth: what the program is told.
                error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                client.close()
                run = tracer.stop()
        record = record_of(run, end)
        if kind == "blackhole":
            checks.equal((error, record["how"]), (0, "aborted"), "a SYN that is dropped", record)
        else:
            checks.equal(errno.errorcode.get(error), "EHOSTUNREACH", "SO_ERROR")
            got = (record["how"], record["closer"], record["error"])
            checks.equal(got, ("unreachable", "none", "EHOSTUNREACH"), "a SYN that is answered by ICMP", record)


def same_port_again(checks):
    """The client comes back from the same port and finds the server in CLOSE_WAIT; or it resets what it has"""
    for again in (True, False):
        with Namespace() as ns, Tracer(["life", "--json"], netns=ns) as tracer:
            server = listener(ns)
            address = server.getsockname()

            def bound():
                sock = client_socket(ns)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(("127.0.0.1", 15060))
                sock.connect(address)
                return sock

            first = bound()
            accepted = server.accept()[0]
            if again:
                first.close()
                wait_for(lambda: not accepted.recv(1), "the end of file")

                def next_connection():  # once the kernel lets the port go (tcp_tw_reuse)
                    try:
                        return bound()
                    except OSError as error:
                        if error.errno != errno.EADDRNOTAVAIL:
                            raise

                wait_for(next_connection, "the same port again").close()
            else:
                first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
                first.close()
            for sock in (accepted, server):
                sock.close()
            run = tracer.stop()
        old = [r for r in run.of("connection") if r["lport"] == address[1]][0]
        checks.equal((old["how"], old["tx_bytes"]), ("rst-received", 0), "the server's old end", old)
        checks.equal("new SYN" in old["evidence"], again, "the RST is the new connection's", old)


def fin_behind_a_hole(checks):
    """The peer's data is lost and its FIN arrives, then ours goes out: the FINs crossed; without the loss they did not"""
    for lost in (True, False):
        with Namespace() as ns, Tracer(["life", "--json"], netns=ns) as tracer, Capture(ns) as capture:
            client, accepted = pair(ns)
            end, peer = client.getsockname(), accepted.getsockname()
            if lost:
                ns.run(["tc", "qdisc", "add", "dev", "lo", "clsact"])
                ns.run(["tc", "filter", "add", "dev", "lo", "ingress", "bpf", "da", "bytecode", DROP_LARGE])
                accepted.sendall(b"x" * 1000)
                accepted.shutdown(socket.SHUT_WR)
                client.shutdown(socket.SHUT_WR)
                wait_for(lambda: "FIN-WAIT-2" in ns.run(["ss", "-tan", f"sport = :{end[1]}"]).stdout, "FIN_WAIT2")
                ns.run(["tc", "qdisc", "del", "dev", "lo", "clsact"])
            else:
                client.shutdown(socket.SHUT_WR)
                wait_for(lambda: not accepted.recv(1), "the end of file")
                accepted.sendall(b"x" * 1000)
                accepted.shutdown(socket.SHUT_WR)
            taken = 0
            while data := client.recv(65536):
                taken += len(data)
            client.close()
            accepted.close()
            run = tracer.stop()
        checks.equal(taken, 1000, "data read")
        record = record_of(run, end)
        checks.equal(record["closer"], "both" if lost else "local", "closer", record)
        arrived = [p.src for c in oracle.connections(capture.packets) for p in c.packets if p.flags & FIN and not p.sent]
        checks.equal(arrived[0], peer if lost else end, "the first FIN that arrived")


if __name__ == "__main__":
    run_tests(sent_bytes, no_reader, reset_reasons, icmp_on_syn, same_port_again, fin_behind_a_hole)
