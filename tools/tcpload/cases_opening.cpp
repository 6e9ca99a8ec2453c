// SPDX-License-Identifier: BSD-2-Clause
#include "cases.h"

#include <cerrno>

#include <fmt/format.h>

namespace tcpload {

namespace {

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51  // linux/in.h since 6.3
#endif

constexpr Expect kRefused{"none", "refused", "ECONNREFUSED", "none"};

void require(int got, int wanted) {
  if (got != wanted)
    throw std::runtime_error(fmt::format("connect() gave errno {}, not {}", got, wanted));
}

void refused(Stage& s) {
  s.listen();
  s.server.close_listener();
  require(s.client.connect(s.server.listening()), ECONNREFUSED);
  s.client.close();
  s.report(kRefused);
}

void refused_then_open(Stage& s) {
  End nobody("load-client", s.client.family(), "passive");
  nobody.listen(loopback(s.client.family(), 0));
  nobody.close_listener();
  require(s.client.connect(nobody.listening()), ECONNREFUSED);
  s.report(kRefused);
  s.client.again();
  s.open();
  s.client.close();
  s.server.drain();
  s.server.close();
  s.report(kLocalFin, kRemoteFin);
}

void close_in_syn_sent(Stage& s) {
  s.path().drop();
  s.client.bind(Path::client());
  require(s.client.start_connect(Path::server(9)), EINPROGRESS);
  s.client.close();
  s.path().pass();
  s.report({"local", "aborted", kNull, "none"});
}

void unreachable(Stage& s) {
  s.path().refuse();
  s.client.bind(Path::client());
  require(s.client.connect(Path::server(9)), EHOSTUNREACH);
  s.client.close();
  s.path().pass();
  s.report({"none", "unreachable", "EHOSTUNREACH", "none"});
}

// The socket may use one port only, and a connection to the same place has it. The option makes it
// so without touching the range of the namespace.
void no_port(Stage& s) {
  const Fd probe(static_cast<int>(check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")));
  const int any = 0;
  if (setsockopt(probe.get(), IPPROTO_IP, IP_LOCAL_PORT_RANGE, &any, sizeof any) != 0)
    throw NotHere("no IP_LOCAL_PORT_RANGE");
  s.open();
  const int port = s.client.tuple().local.port;
  End second("load-client", s.client.family(), "active");
  second.option(IPPROTO_IP, IP_LOCAL_PORT_RANGE, port << 16 | port);
  require(second.connect(s.server.listening()), EADDRNOTAVAIL);
  second.close();
  s.report(second, {"none", "no-port", "EADDRNOTAVAIL", "none"});
  s.client.close();
  s.server.drain();
  s.server.close();
  s.report(kLocalFin, kRemoteFin);
}

constexpr Case kCases[] = {
    {"refused", refused, kRandom},
    {"refused-then-open", refused_then_open, kRandom | kTwice},
    {"close-in-syn-sent", close_in_syn_sent, kPath},
    {"unreachable", unreachable, kPath},
    {"no-port", no_port},
};

}  // namespace

std::span<const Case> opening_cases() { return kCases; }

}  // namespace tcpload
