// SPDX-License-Identifier: BSD-2-Clause
#include "cases.h"

#include <netinet/tcp.h>

namespace tcpload {

namespace {

void connect_timeout(Stage& s) {
  s.path().drop();
  s.client.bind(Path::client());
  s.client.option(IPPROTO_TCP, TCP_SYNCNT, 1);
  s.client.connect(Path::server(9));
  s.client.close();
  s.path().pass();
  s.report(kTimeout);
}

// The client has given up; the server does not know, and is closed with a RST that gets lost.
void report_lost_peer(Stage& s) {
  s.client.wait_error();
  s.client.close();
  s.server.abort();
  s.path().pass();
  s.report(kTimeout, kLocalReset);
}

void user_timeout(Stage& s) {
  s.open();
  s.path().drop();
  s.client.option(IPPROTO_TCP, TCP_USER_TIMEOUT, 500);
  s.client.send(10);
  report_lost_peer(s);
}

void retransmission_timeout(Stage& s) {
  const Sysctl soon("ipv4/tcp_retries2", "1");
  s.open();
  s.path().drop();
  s.client.send(10);
  report_lost_peer(s);
}

void keepalive_timeout(Stage& s) {
  s.open();
  s.path().drop();
  s.client.option(IPPROTO_TCP, TCP_KEEPIDLE, 1);
  s.client.option(IPPROTO_TCP, TCP_KEEPINTVL, 1);
  s.client.option(IPPROTO_TCP, TCP_KEEPCNT, 1);
  s.client.option(SOL_SOCKET, SO_KEEPALIVE, 1);
  report_lost_peer(s);
}

// An orphan in FIN_WAIT1 whose FIN nobody acknowledges.
void fin_wait1_timeout(Stage& s) {
  const Sysctl soon("ipv4/tcp_orphan_retries", "1");
  s.open();
  s.path().drop();
  s.client.close();
  s.client.wait_state(0);
  s.server.abort();
  s.path().pass();
  s.report({nullptr, "timeout", "ETIMEDOUT", "none"}, kLocalReset);
}

void last_ack_timeout(Stage& s) {
  const Sysctl soon("ipv4/tcp_orphan_retries", "1");
  s.open();
  s.client.close();
  s.client.wait_state(TCP_FIN_WAIT2);
  s.server.drain();
  s.path().drop();
  s.server.close();
  s.server.wait_state(0);
  s.path().pass();
  s.report(kLocalFin, {nullptr, "timeout", "ETIMEDOUT", nullptr});
}

constexpr Case kCases[] = {
    {"connect-timeout", connect_timeout, kPath | kSlow},
    {"user-timeout", user_timeout, kPath | kSlow},
    {"retransmission-timeout", retransmission_timeout, kPath | kSlow},
    {"keepalive-timeout", keepalive_timeout, kPath | kSlow},
    {"fin-wait1-timeout", fin_wait1_timeout, kPath | kSlow},
    {"last-ack-timeout", last_ack_timeout, kPath | kSlow},
};

}  // namespace

std::span<const Case> timeout_cases() { return kCases; }

}  // namespace tcpload
