# SPDX-License-Identifier: BSD-2-Clause
"""Who closed a TCP connection, and how, told from its packets alone.

Input: packets in the order in which one host handled them, each as *sent* and as *received* (harness.Capture).
Output: for each connection and each of its ends the `closer` and `how` that docs/json defines for a tracer:

  closer  the side whose FIN or RST went out first, as far as this end can know: local, remote, both (the FINs
          crossed), none (it never opened)
  how     how this end's socket ended: fin, rst-sent, rst-received, refused, unreachable

None is what packets do not tell: a connect() given up in silence, a timeout, an end that is still open.

Three things make it more than "the first FIN or RST":
  - *Crossing.* That a segment arrived before another was sent does not mean that the sender had seen it: the socket
    may have been locked. What it had seen of the other's FIN is in the acknowledgment number of what it sent. And a
    socket that has processed a RST sends no FIN and no RST of its own any more, so one that follows had crossed it.
  - *RSTs that no socket sent.* A socket that resets its connection by itself sends RST|ACK. A bare RST answers a
    segment: from a socket that is being closed and gets data it cannot deliver, or from what is left after it (a
    TIME_WAIT or FIN_WAIT2 minisocket, or nothing). Only the first counts for that end.
  - *When an end was over.* With a process still holding it, a socket in FIN_WAIT2 is open and a RST can reach it. An
    orphan is not: there the kernel keeps a minisocket only. No packet shows the difference, so the caller may say it.
"""

import collections

from harness import ACK, FIN, RST, SYN, UNREACHABLE

Answer = collections.namedtuple("Answer", "closer how")
UNKNOWN = Answer(None, None)


def _before(a, b):
    """a < b in sequence space (RFC 9293, 3.4)."""
    return (a - b) & 0x80000000 != 0


def _acknowledges_fin(packet, fin):
    return bool(packet.flags & ACK) and not _before(packet.ack, (fin.seq + fin.length + 1) & 0xFFFFFFFF)


class Connection:
    """The packets of one connection. `a` sent the first SYN; ends are (address, port)."""

    def __init__(self, a, b):
        self.a, self.b = a, b
        self.packets = []

    def opened(self, end):
        """True when this end got as far as SYN_RECV or ESTABLISHED: it has a socket of its own.

        For the passive end that is the ACK of its SYN-ACK, or data in the SYN that it answered with data or FIN."""
        return any(
            (p.dst == end and not p.sent and p.flags & ACK and not p.flags & RST)
            or (p.src == end and p.sent and p.flags & (FIN | RST) and p.flags & ACK and not self._refusal(p))
            for p in self.packets
        )

    def _refusal(self, packet):
        """RST|ACK that acknowledges the SYN of somebody who got no other answer."""
        return packet.flags & RST and packet.seq == 0

    def answer(self, end, orphan=True):
        """The Answer for one end. orphan: when the peer ended, no process held this end's socket any more."""
        if not self.opened(end):
            return self._never_opened(end)
        return _Life(self, end, orphan).answer()

    def _never_opened(self, end):
        for packet in self.packets:
            if packet.dst == end and not packet.sent:
                if packet.flags & RST:
                    return Answer("none", "refused")
                if packet.flags & UNREACHABLE:
                    return Answer("none", "unreachable")
        return UNKNOWN

    def __str__(self):
        return "\n    ".join(str(packet) for packet in self.packets)


class _Life:
    """Walks through what one end sent and received, in order."""

    def __init__(self, connection, end, orphan):
        self.orphan = orphan
        self.fin = None  # the first FIN that this end sent
        self.fin_acknowledged = False
        self.peer_fin = None  # the first that it took
        self.reset = None  # the RST by which it ended the connection itself
        self.how = None
        self.received = []
        self.over_at = None  # how many packets had been received when it was over
        self.reset_first = False  # the peer's RST came before anything of ours that could close
        for packet in connection.packets:
            if packet.sent and packet.src == end:
                self._sent(packet)
            if not packet.sent and packet.dst == end:
                self._received(packet)

    def _sent(self, packet):
        if packet.flags & RST:
            if self._own_reset(packet):
                # A RST received before it was not yet processed, or there would be no socket to send this one.
                self.reset, self.how, self.reset_first = packet, "rst-sent", False
                self.over_at = len(self.received)
        elif packet.flags & FIN and self.fin is None:
            self.fin, self.reset_first = packet, False

    def _own_reset(self, packet):
        """True when this RST is what ended the end's socket."""
        if self.reset is not None:
            return False
        if packet.flags & ACK:
            return not (self.fin_acknowledged and self.peer_fin)
        # A bare RST answers a segment, the last one with that acknowledgment number. A live socket sends one only when
        # it has sent its FIN, and that segment is what ends it: nothing before has ended it, and what came after, or a
        # FIN in the segment itself, was not taken.
        answered = [at for at, one in enumerate(self.received) if one.ack == packet.seq and not one.flags & RST]
        if self.fin is None or not answered or self.how == "rst-received":
            return False
        before = self.received[: answered[-1]]
        if self.peer_fin in before or self.over_at is not None and self.over_at <= len(before):
            return False
        self.peer_fin = None
        return True

    def _received(self, packet):
        if packet.flags & UNREACHABLE:
            return
        self.received.append(packet)
        if self.over_at is not None:
            return
        if packet.flags & RST:
            self._over("rst-received")
            self.reset_first = self.fin is None and self.peer_fin is None
            return
        if packet.flags & FIN and self.peer_fin is None:
            self.peer_fin = packet
        if self.fin is not None and _acknowledges_fin(packet, self.fin):
            self.fin_acknowledged = True
        # Both FINs are through, or ours is and only a minisocket waits for the other.
        if self.fin_acknowledged and (self.peer_fin is not None or self.orphan):
            self._over("fin")

    def _over(self, how):
        self.how, self.over_at = how, len(self.received)

    def answer(self):
        return Answer(self._closer(), self.how)

    def _closer(self):
        if self.fin is not None and self.peer_fin is not None:
            if _acknowledges_fin(self.fin, self.peer_fin):
                return "remote"
            return "local" if _acknowledges_fin(self.peer_fin, self.fin) else "both"
        if self.peer_fin is not None:
            known = self.reset is None or _acknowledges_fin(self.reset, self.peer_fin)
            return "remote" if known else "local"
        if self.fin is not None or self.reset is not None:
            return "local"
        return "remote" if self.reset_first else None


def connections(packets):
    """The connections of a capture in the order of their first SYN. One whose SYN was not captured is left out."""
    found = []
    current = {}
    for packet in packets:
        key = frozenset((packet.src, packet.dst))
        connection = current.get(key)
        if packet.sent and packet.flags & (SYN | ACK | UNREACHABLE) == SYN and _opens(connection, packet):
            connection = current[key] = Connection(packet.src, packet.dst)
            found.append(connection)
        if connection is not None:
            connection.packets.append(packet)
    return found


def _opens(connection, syn):
    """True when the SYN begins a new connection: not one sent again, and not the other half of a simultaneous open."""
    if connection is None:
        return True
    own = [p for p in connection.packets if p.src == syn.src]
    if any(p.flags & SYN and p.seq == syn.seq for p in own):
        return False
    return bool(own) or any(not p.flags & SYN for p in connection.packets)
