// SPDX-License-Identifier: BSD-2-Clause
#include "cases.h"

#include <netinet/tcp.h>

#include <fmt/format.h>

namespace tcpload {

namespace {

// The side that a RST reached after the peer's FIN finds EPIPE, not ECONNRESET (tcp_reset() in
// CLOSE_WAIT).
constexpr Expect kResetAfterFin{"remote", "rst-received", "EPIPE", "none"};
constexpr Expect kResetAfterPeersFin{"remote", "rst-sent", kNull, "none"};
// Data that came after close() ends the socket through tcp_reset(); which errno that leaves is the
// kernel's affair.
constexpr Expect kResetByLateData{"local", "rst-sent", nullptr, "none"};

void client_aborts(Stage& s) {
  s.open();
  s.client.abort();
  s.server.wait_error();
  s.server.close();
  s.report(kLocalReset, kRemoteReset);
}

void server_aborts(Stage& s) {
  s.open();
  s.server.abort();
  s.client.wait_error();
  s.client.close();
  s.report(kRemoteReset, kLocalReset);
}

void client_leaves_data_unread(Stage& s) {
  s.open();
  s.server.send(10);
  s.client.wait_readable();
  s.client.close();
  s.server.wait_error();
  s.server.close();
  s.report(kLocalReset, kRemoteReset);
}

void server_leaves_data_unread(Stage& s) {
  s.open();
  s.client.send(10);
  s.server.wait_readable();
  s.server.close();
  s.client.wait_error();
  s.client.close();
  s.report(kRemoteReset, kLocalReset);
}

void killed_with_data_unread(Stage& s) {
  s.open();
  s.server.send(10);
  s.client.wait_readable();
  s.client.kill();
  s.server.wait_error();
  s.server.close();
  s.report(kLocalReset, kRemoteReset);
}

void data_unread_in_close_wait(Stage& s) {
  s.open();
  s.client.send(10);
  s.client.close();
  s.client.wait_state(TCP_FIN_WAIT2);
  s.server.close();
  s.report(kLocalFin, kResetAfterPeersFin);
}

void abort_in_close_wait(Stage& s) {
  s.open();
  s.client.close();
  s.client.wait_state(TCP_FIN_WAIT2);
  s.server.abort();
  s.report(kLocalFin, kResetAfterPeersFin);
}

// As before, but the client's socket is a full one still, and the RST is for it.
void abort_answers_half_close(Stage& s) {
  s.open();
  s.client.shutdown_write();
  s.client.wait_state(TCP_FIN_WAIT2);
  s.server.abort();
  s.client.wait_error();
  s.client.close();
  s.report({"local", "rst-received", "ECONNRESET", "none"}, kResetAfterPeersFin);
}

void reset_in_close_wait(Stage& s) {
  s.open();
  s.client.shutdown_write();
  s.client.wait_state(TCP_FIN_WAIT2);
  s.client.abort();
  s.server.wait_error();
  s.server.close();
  s.report(kLocalReset, kResetAfterFin);
}

void data_acknowledges_fin(Stage& s) {
  s.open();
  s.server.option(IPPROTO_TCP, TCP_QUICKACK, 0);
  s.client.close();
  s.server.answer_fin(10);
  s.server.wait_error();
  s.server.close();
  s.report(kResetByLateData, kResetAfterFin);
}

void data_after_shutdown_of_both(Stage& s) {
  s.open();
  s.client.shutdown_both();
  s.client.wait_state(TCP_FIN_WAIT2);
  s.server.send(10);
  s.server.wait_error();
  s.server.close();
  s.client.close();
  s.report(kResetByLateData, kResetAfterFin);
}

void data_in_fin_wait1(Stage& s) {
  s.open();
  s.path().hold();
  s.client.close();
  s.server.send(10);
  s.path().wait_held(2);
  s.path().pass();
  s.server.wait_error();
  s.server.close();
  s.report(kResetByLateData, kResetAfterFin);
}

void no_fin_wait2(Stage& s) {
  s.open();
  s.client.option(IPPROTO_TCP, TCP_LINGER2, -1);
  s.client.close();
  s.server.wait_error();
  s.server.close();
  s.report(kLocalReset, kResetAfterFin);
}

void no_fin_wait2_after_shutdown(Stage& s) {
  s.open();
  s.client.option(IPPROTO_TCP, TCP_LINGER2, -1);
  s.client.shutdown_write();
  s.client.wait_state(TCP_FIN_WAIT2);
  s.client.close();
  s.server.wait_error();
  s.server.close();
  s.report(kLocalReset, kResetAfterFin);
}

void never_accepted(Stage& s) {
  s.listen();
  s.connect();
  s.server.close_listener();
  s.client.wait_error();
  s.client.close();
  s.report(kRemoteReset, kLocalReset);
}

void never_accepted_after_fin(Stage& s) {
  s.listen();
  s.connect();
  s.client.close();
  s.client.wait_state(TCP_FIN_WAIT2);
  s.server.close_listener();
  s.report(kLocalFin, kResetAfterPeersFin);
}

// The client is connected, but its ACK found the accept queue full: the server never had a socket
// for it.
void accept_queue_overflow(Stage& s) {
  End first("load-client", s.client.family(), "active");
  s.server.listen(Path::server(), 0);
  s.path().hold();
  first.bind(Path::client());
  first.start_connect(s.server.listening());
  s.client.bind(Path::client());
  s.client.start_connect(s.server.listening());
  for (int round = 0; round < 2; ++round) {  // both SYNs, both SYN-ACKs
    s.path().wait_held(2);
    s.path().release(2);
  }
  s.path().wait_held(2);
  s.path().pass();
  first.finish_connect();
  s.client.finish_connect();
  wait_until(
      [&] {
        return tcp_state({first.tuple().remote, first.tuple().local}, first.family()) ==
               TCP_ESTABLISHED;
      },
      "the first child");
  s.server.close_listener();
  first.wait_error();
  first.close();
  s.client.send(1);
  s.client.wait_error();
  s.client.close();
  s.report(first, kRemoteReset, kLocalReset);
  s.report(kRemoteReset);
}

void killed_by_ss(Stage& s) {
  s.open();
  const Tuple tuple = s.client.tuple();
  const pid_t ss = run_program({"ss", "-K", "-t", "state", "established",
                                fmt::format("sport = :{}", tuple.local.port),
                                fmt::format("dport = :{}", tuple.remote.port)});
  s.client.wait_error();
  s.server.wait_error();
  s.client.close();
  s.server.close();
  Expect killed{"local", "aborted", "ECONNABORTED", "none"};
  Expect peer = kRemoteReset;
  killed.closer_pid = peer.closer_pid = ss;
  s.report(killed, peer);
}

void disconnected(Stage& s) {
  s.open();
  s.client.disconnect();
  s.server.wait_error();
  s.server.close();
  s.client.close();
  s.report(kLocalReset, kRemoteReset);
}

// One socket, two connections: generations 0 and 1.
void connects_twice(Stage& s) {
  s.open();
  s.client.disconnect();
  s.server.wait_error();
  s.server.close();
  s.report(kLocalReset, kRemoteReset);
  s.client.again();
  s.connect();
  s.server.accept();
  s.exchange();
  s.client.close();
  s.server.drain();
  s.server.close();
  s.report(kLocalFin, kRemoteFin);
}

constexpr Case kCases[] = {
    {"client-aborts", client_aborts, kRandom},
    {"server-aborts", server_aborts, kRandom},
    {"client-leaves-data-unread", client_leaves_data_unread, kRandom},
    {"server-leaves-data-unread", server_leaves_data_unread, kRandom},
    {"killed-with-data-unread", killed_with_data_unread, kRandom},
    {"data-unread-in-close-wait", data_unread_in_close_wait, kRandom},
    {"abort-in-close-wait", abort_in_close_wait, kRandom},
    {"abort-answers-half-close", abort_answers_half_close, kRandom},
    {"reset-in-close-wait", reset_in_close_wait, kRandom},
    {"data-acknowledges-fin", data_acknowledges_fin, kRandom},
    {"data-after-shutdown-of-both", data_after_shutdown_of_both, kRandom},
    {"data-in-fin-wait1", data_in_fin_wait1, kPath},
    {"no-fin-wait2", no_fin_wait2, kRandom},
    {"no-fin-wait2-after-shutdown", no_fin_wait2_after_shutdown, kRandom},
    {"never-accepted", never_accepted, kRandom},
    {"never-accepted-after-fin", never_accepted_after_fin, kRandom},
    {"accept-queue-overflow", accept_queue_overflow, kPath},
    {"killed-by-ss", killed_by_ss},
    {"disconnected", disconnected, kRandom},
    {"connects-twice", connects_twice, kRandom | kTwice},
};

}  // namespace

std::span<const Case> reset_cases() { return kCases; }

}  // namespace tcpload
