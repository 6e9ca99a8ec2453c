// SPDX-License-Identifier: BSD-2-Clause
#include "cases.h"

#include <netinet/tcp.h>

namespace tcpload {

namespace {

void client_first(Stage& s) {
  s.open();
  s.client.close();
  s.server.drain();
  s.server.close();
  s.report(kLocalFin, kRemoteFin);
}

void server_first(Stage& s) {
  s.open();
  s.server.close();
  s.client.drain();
  s.client.close();
  s.report(kRemoteFin, kLocalFin);
}

// FW1 goes to FW2 and to TIME_WAIT in one segment.
void fin_and_ack_in_one(Stage& s) {
  s.open();
  s.server.option(IPPROTO_TCP, TCP_QUICKACK, 0);
  s.client.shutdown_write();
  s.server.answer_fin(0);
  s.client.drain();
  s.client.close();
  s.report(kLocalFin, kRemoteFin);
}

void half_close_and_stream(Stage& s) {
  s.open();
  s.client.shutdown_write();
  s.server.drain();
  s.server.send(64'000);
  s.server.close();
  s.client.drain();
  s.client.close();
  s.report(kLocalFin, kRemoteFin);
}

// The full socket becomes a FIN_WAIT2 minisocket at close(), and that one TIME_WAIT at the peer's
// FIN.
void close_in_fin_wait2(Stage& s) {
  s.open();
  s.client.shutdown_write();
  s.client.wait_state(TCP_FIN_WAIT2);
  s.client.close();
  s.server.drain();
  s.server.close();
  s.report(kLocalFin, kRemoteFin);
}

void process_exits(Stage& s) {
  s.open();
  s.client.exit();
  s.server.drain();
  s.server.close();
  s.report(kLocalFin, kRemoteFin);
}

void process_killed(Stage& s) {
  s.open();
  s.server.kill();
  s.client.drain();
  s.client.close();
  s.report(kRemoteFin, kLocalFin);
}

// The RST comes from the minisocket: the client's own socket had ended with a FIN.
void data_after_close(Stage& s) {
  s.open();
  s.client.close();
  s.client.wait_state(TCP_FIN_WAIT2);
  s.server.send(10);
  s.server.wait_error();
  s.server.close();
  s.report(kLocalFin, {"remote", "rst-received", "EPIPE", "none"});
}

// No TIME_WAIT socket may be made any more; the end still is an orderly one.
void time_wait_overflow(Stage& s) {
  s.open();
  s.client.shutdown_write();
  s.server.drain();
  const Sysctl none("ipv4/tcp_max_tw_buckets", "0");
  s.server.close();
  s.client.drain();
  s.client.close();
  s.report({"local", "fin", kNull, "none"}, {"remote", "fin", kNull});
}

// Without a minisocket nobody is there for the server's FIN: it is answered with a RST.
void time_wait_overflow_at_close(Stage& s) {
  s.open();
  {
    const Sysctl none("ipv4/tcp_max_tw_buckets", "0");
    s.client.close();
    s.client.wait_state(0);
  }
  s.server.drain();
  s.server.close();
  s.report({"local", "fin", kNull, "none"}, {"remote", "rst-received", "ECONNRESET", "none"});
}

// The client's FIN is queued behind data that the server's closed window keeps back, so the
// server's goes out first.
void fin_behind_a_closed_window(Stage& s) {
  s.listen();
  s.server.listener_option(SOL_SOCKET, SO_RCVBUF, 4096);
  s.connect();
  s.server.accept();
  s.client.fill();
  s.client.close();
  s.server.shutdown_write();
  s.client.wait_state(TCP_CLOSING);
  s.server.drain();
  s.server.close();
  s.report({"remote", "fin", kNull}, {"local", "fin", kNull});
}

void fast_open(Stage& s) {
  const Sysctl without_cookie("ipv4/tcp_fastopen",
                              "519");  // client, server, neither asks for a cookie
  s.listen();
  s.server.listener_option(IPPROTO_TCP, TCP_FASTOPEN, 16);
  s.client.send_fast_open(s.server.listening(), 10);
  s.server.accept();
  s.server.receive(10);
  s.client.close();
  s.server.drain();
  s.server.close();
  s.report(kLocalFin, kRemoteFin);
}

// SYN_RECV goes straight to FIN_WAIT1: the server closes before the handshake's last ACK.
void fast_open_closed_in_syn_recv(Stage& s) {
  const Sysctl without_cookie("ipv4/tcp_fastopen", "519");
  s.listen();
  s.server.listener_option(IPPROTO_TCP, TCP_FASTOPEN, 16);
  s.client.bind(Path::client());
  s.path().hold();
  s.client.send_fast_open(s.server.listening(), 10);
  s.path().wait_held(1);
  s.path().release(1);  // the SYN with the data; the SYN-ACK waits
  s.server.accept();
  s.server.receive(10);
  s.server.close();
  s.path().pass();
  s.client.drain();
  s.client.close();
  s.server.wait_state(TCP_TIME_WAIT);
  s.report(kRemoteFin, kLocalFin);
}

void simultaneous_open(Stage& s) {
  s.client.bind(Path::client());
  s.server.bind(Path::server());
  s.path().hold();
  s.client.start_connect(s.server.tuple().local);
  s.server.start_connect(s.client.tuple().local);
  s.path().wait_held(2);
  s.path().pass();
  s.client.finish_connect();
  s.server.finish_connect();
  s.exchange();
  s.client.close();
  s.server.drain();
  s.server.close();
  s.client.wait_state(TCP_TIME_WAIT);
  s.report(kLocalFin, {"remote", "fin", kNull, "remote", "active"});
}

// One socket is both ends: its own FIN comes back to it.
void self_connect(Stage& s) {
  s.client.bind(loopback(s.client.family(), 0));
  s.client.connect(s.client.tuple().local);
  s.client.close();
  s.report({"both", "fin", kNull});
}

// The subflows close behind the application's back, so only their existence and the wire are
// certain.
void mptcp(Stage& s) {
  if (!Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP))) throw NotHere("no MPTCP");
  s.server.listen(loopback(s.server.family(), 0), 16, IPPROTO_MPTCP);
  s.client.make_socket(IPPROTO_MPTCP);
  s.connect();
  s.server.accept();
  s.exchange();
  s.client.close();
  s.server.drain();
  s.server.close();
  wait_until([&] { return tcp_state(s.client.tuple(), s.client.family()) != TCP_ESTABLISHED; },
             "the subflow");
  s.report({}, {});
}

constexpr Case kCases[] = {
    {"client-first", client_first, kRandom},
    {"server-first", server_first, kRandom},
    {"client-first-v6", client_first, kPlain, Family::v6},
    {"server-first-v4-mapped", server_first, kPlain, Family::mapped},
    {"fin-and-ack-in-one", fin_and_ack_in_one, kRandom},
    {"half-close-and-stream", half_close_and_stream, kRandom},
    {"close-in-fin-wait2", close_in_fin_wait2, kRandom},
    {"process-exits", process_exits, kRandom},
    {"process-killed", process_killed, kRandom},
    {"data-after-close", data_after_close, kRandom},
    {"fin-behind-closed-window", fin_behind_a_closed_window},
    {"time-wait-overflow", time_wait_overflow, kOwnNamespace},
    {"time-wait-overflow-at-close", time_wait_overflow_at_close, kOwnNamespace},
    {"fast-open", fast_open, kOwnNamespace},
    {"fast-open-closed-in-syn-recv", fast_open_closed_in_syn_recv, kPath},
    {"simultaneous-open", simultaneous_open, kPath},
    {"self-connect", self_connect},
    {"mptcp", mptcp},
};

}  // namespace

std::span<const Case> orderly_cases() { return kCases; }

}  // namespace tcpload
