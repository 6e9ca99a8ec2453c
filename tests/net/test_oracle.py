# SPDX-License-Identifier: BSD-2-Clause
"""The oracle's own test, on packets written by hand. Needs neither root nor a network."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from harness import ACK, FIN, RST, SYN, UNREACHABLE, Packet
from oracle import UNKNOWN, Answer, connections

A, B = ("10.0.0.1", 1000), ("10.0.0.2", 80)
FLAGS = {"S": SYN, "F": FIN, "R": RST, ".": ACK, "U": UNREACHABLE}


def packets(*lines):
    """"A S 0"           A sends a SYN with seq 0, B receives it at once
    "B F. 1 5 10"      flags, seq, ack, length
    "A> R. 6 1"        sent only (in flight, or lost);  ">B R. 6 1"  received only"""
    result = []
    for line in lines:
        who, flags, *numbers = line.split()
        source = "A" if who in ("A", "A>", ">B") else "B"
        src, dst = (A, B) if source == "A" else (B, A)
        seq, ack, length = [int(n) for n in numbers] + [0] * (3 - len(numbers))
        bits = sum(FLAGS[flag] for flag in flags)
        for sent in (True, False):
            if who == source or who == (source + ">" if sent else ">" + ("B" if source == "A" else "A")):
                result.append(Packet(sent, src, dst, bits, seq, ack, length))
    return result


HANDSHAKE = ("A S 0", "B S. 0 1", "A . 1 1")


def answers(*lines, orphan=True):
    (connection,) = connections(packets(*HANDSHAKE, *lines))
    return tuple(connection.answer(connection.a, orphan)), tuple(connection.answer(connection.b, orphan))


class Oracle(unittest.TestCase):
    def test_the_first_fin_decides(self):
        got = answers("A F. 1 1", "B . 1 2", "B F. 1 2", "A . 2 2")
        self.assertEqual(got, (("local", "fin"), ("remote", "fin")))
        got = answers("B F. 1 1", "A . 1 2", "A F. 1 2", "B . 2 2")
        self.assertEqual(got, (("remote", "fin"), ("local", "fin")))

    def test_fin_and_its_ack_in_one_segment(self):
        self.assertEqual(answers("A F. 1 1", "B F. 1 2", "A . 2 2"), (("local", "fin"), ("remote", "fin")))

    def test_fins_in_flight_at_once_have_crossed(self):
        got = answers("A> F. 1 1", "B> F. 1 1", ">A F. 1 1", ">B F. 1 1", "A . 2 2", "B . 2 2")
        self.assertEqual(got, (("both", "fin"), ("both", "fin")))

    def test_a_fin_that_arrived_but_was_not_processed_has_crossed(self):
        # B's socket is locked by its own close(): the FIN is there, and the one that B sends does not know it.
        got = answers("A F. 1 1", "B F. 1 1", "A . 2 2", "B . 2 2")
        self.assertEqual(got, (("both", "fin"), ("both", "fin")))

    def test_a_fin_sent_again_is_the_same_fin(self):
        got = answers("A> F. 1 1", "A F. 1 1", "B . 1 2", "B F. 1 2", "A . 2 2")
        self.assertEqual(got, (("local", "fin"), ("remote", "fin")))

    def test_a_fin_behind_data_counts_when_it_is_sent(self):
        got = answers("A . 1 1 10", "B F. 1 5", "A F. 11 2 10", "B . 2 22", "A . 22 2")
        self.assertEqual(got, (("remote", "fin"), ("local", "fin")))

    def test_a_reset_by_the_socket(self):
        self.assertEqual(answers("A R. 1 1"), (("local", "rst-sent"), ("remote", "rst-received")))

    def test_a_reset_that_got_lost_is_sent_all_the_same(self):
        self.assertEqual(answers("A> R. 1 1"), (("local", "rst-sent"), (None, None)))

    def test_resets_in_flight_at_once(self):
        got = answers("A> R. 1 1", "B> R. 1 1", ">A R. 1 1", ">B R. 1 1")
        self.assertEqual(got, (("local", "rst-sent"), ("local", "rst-sent")))

    def test_a_reset_sent_after_one_arrived_has_crossed_it(self):
        self.assertEqual(answers("A R. 1 1", "B R. 1 1"), (("local", "rst-sent"), ("local", "rst-sent")))

    def test_fin_and_reset_crossing_are_local_on_both_ends(self):
        got = answers("A> F. 1 1", "B> R. 1 1", ">A R. 1 1", ">B F. 1 1", "B R 1 0")
        self.assertEqual(got, (("local", "rst-received"), ("local", "rst-sent")))

    def test_a_fin_sent_after_a_reset_arrived_has_crossed_it(self):
        got = answers("B R. 1 1", "A F. 1 1", "B R 1 0")
        self.assertEqual(got, (("local", "rst-received"), ("local", "rst-sent")))

    def test_a_reset_that_does_not_know_the_fin_has_crossed_it(self):
        self.assertEqual(answers("A F. 1 1", "B R. 1 1")[1], ("local", "rst-sent"))
        self.assertEqual(answers("A F. 1 1", "B R. 1 2")[1], ("remote", "rst-sent"))

    def test_data_after_close_is_reset_by_the_minisocket(self):
        # A's FIN was acknowledged by a segment of its own: from then on A is a FIN_WAIT2 minisocket.
        got = answers("A F. 1 1", "B . 1 2", "B . 1 2 10", "A R 2 0")
        self.assertEqual(got, (("local", "fin"), ("remote", "rst-received")))

    def test_data_after_shutdown_of_both_is_reset_by_the_socket(self):
        got = answers("A F. 1 1", "B . 1 2", "B . 1 2 10", "A R 2 0", orphan=False)
        self.assertEqual(got, (("local", "rst-sent"), ("remote", "rst-received")))

    def test_data_that_acknowledges_the_fin_is_reset_by_the_socket(self):
        got = answers("A F. 1 1", "B . 1 2 10", "A R 2 0")
        self.assertEqual(got, (("local", "rst-sent"), ("remote", "rst-received")))

    def test_data_in_fin_wait1_is_reset_by_the_socket(self):
        got = answers("A> F. 1 1", "B> . 1 1 10", ">A . 1 1 10", "A> R 1 0", ">B F. 1 1", ">B R 1 0")
        self.assertEqual(got, (("local", "rst-sent"), ("remote", "rst-received")))

    def test_data_that_waited_for_a_locked_socket_is_reset_by_the_socket(self):
        # The data came before B's FIN went out, and was processed after it; meanwhile A has answered the FIN.
        got = answers("A . 1 1 10", "B F. 1 1", "A F. 11 2", "B R 1 0")
        self.assertEqual(got, (("remote", "rst-received"), ("local", "rst-sent")))

    def test_a_fin_in_a_segment_that_was_refused_was_not_taken(self):
        got = answers("A> F. 1 1", "B> F. 1 1 10", ">A F. 1 1 10", "A> R 1 0", ">B F. 1 1", ">B R 1 0")
        self.assertEqual(got, (("local", "rst-sent"), ("both", "rst-received")))

    def test_no_fin_wait2_wanted_is_a_reset(self):
        got = answers("A F. 1 1", "B . 1 2", "A R 2 0")
        self.assertEqual(got, (("local", "rst-sent"), ("remote", "rst-received")))

    def test_a_reset_reaches_a_full_socket_but_not_an_orphan(self):
        lines = ("A F. 1 1", "B . 1 2", "B R. 1 2")
        self.assertEqual(answers(*lines, orphan=True)[0], ("local", "fin"))
        self.assertEqual(answers(*lines, orphan=False)[0], ("local", "rst-received"))
        self.assertEqual(answers(*lines)[1], ("remote", "rst-sent"))

    def test_a_reset_in_last_ack(self):
        got = answers("A F. 1 1", "B . 1 2", "B F. 1 2", "A R 2 0")
        self.assertEqual(got, (("local", "fin"), ("remote", "rst-received")))

    def test_a_reset_in_time_wait_comes_too_late(self):
        got = answers("A F. 1 1", "B F. 1 2", "A . 2 2", "B R 2 0")
        self.assertEqual(got, (("local", "fin"), ("remote", "fin")))

    def test_an_end_that_is_still_open_has_no_how(self):
        self.assertEqual(answers("A F. 1 1", "B . 1 2", orphan=False), (("local", None), ("remote", None)))
        self.assertEqual(answers("A . 1 1 10", "B . 1 11"), ((None, None), (None, None)))

    def test_refused(self):
        (connection,) = connections(packets("A S 0", "B R. 0 1"))
        self.assertEqual(connection.answer(A), Answer("none", "refused"))
        self.assertFalse(connection.opened(B))

    def test_unreachable(self):
        (connection,) = connections(packets("A> S 0", ">A U 0"))
        self.assertEqual(connection.answer(A), Answer("none", "unreachable"))

    def test_silence_tells_nothing(self):
        (connection,) = connections(packets("A> S 0", "A> S 0"))
        self.assertEqual(connection.answer(A), UNKNOWN)

    def test_never_accepted(self):
        self.assertEqual(answers("B R. 1 1"), (("remote", "rst-received"), ("local", "rst-sent")))

    def test_each_syn_with_a_new_number_is_a_connection(self):
        found = connections(packets("A S 0", "B R. 0 1", *[l.replace(" 0", " 7", 1) for l in ("A S 0",)], "B R. 0 8"))
        self.assertEqual(len(found), 2)

    def test_simultaneous_open_is_one_connection(self):
        lines = ("A> S 0", "B> S 0", ">B S 0", ">A S 0", "A S. 0 1", "B S. 0 1", "A F. 1 1", "B F. 1 2", "A . 2 2")
        (connection,) = connections(packets(*lines))
        self.assertEqual(connection.answer(A), Answer("local", "fin"))
        self.assertEqual(connection.answer(B), Answer("remote", "fin"))

    def test_a_socket_connected_to_itself_closes_both(self):
        lines = [(SYN, 0, 0), (SYN | ACK, 0, 1), (ACK, 1, 1), (FIN | ACK, 1, 1), (ACK, 2, 2)]
        both = [Packet(sent, A, A, flags, seq, ack, 0) for flags, seq, ack in lines for sent in (True, False)]
        (connection,) = connections(both)
        self.assertEqual(connection.answer(A), Answer("both", "fin"))


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    sys.exit(0 if result.wasSuccessful() else 1)
