// SPDX-License-Identifier: BSD-2-Clause
#include "cases.h"

#include <netinet/tcp.h>

namespace tcpload {

namespace {

void both_at_once(Stage& s) {
  s.open();
  s.path().hold();
  s.client.close();
  s.server.close();
  s.path().wait_held(2);
  s.path().pass();
  s.client.wait_state(TCP_TIME_WAIT);
  s.server.wait_state(TCP_TIME_WAIT);
  s.report(kBothFin, kBothFin);
}

// Each end knows only what it sent itself when it closed.
void fin_crosses_reset(Stage& s) {
  s.open();
  s.path().hold();
  s.client.close();
  s.server.abort();
  s.path().wait_held(2);
  s.path().pass();
  s.client.wait_state(0);
  s.report({"local", "rst-received", "ECONNRESET", "none"}, kLocalReset);
}

void reset_crosses_reset(Stage& s) {
  s.open();
  s.path().hold();
  s.client.abort();
  s.server.abort();
  s.path().wait_held(2);
  s.path().pass();
  s.report(kLocalReset, kLocalReset);
}

// On loopback, where the scheduler decides: the packets tell afterwards what happened.
void race_close_close(Stage& s) {
  s.open();
  s.client.start_close();
  s.server.start_close();
  s.client.finish_close();
  s.server.finish_close();
  s.report({}, {});
}

void race_close_abort(Stage& s) {
  s.open();
  s.client.start_close();
  s.server.start_abort();
  s.client.finish_close();
  s.server.finish_close();
  s.report({}, {});
}

void race_abort_close(Stage& s) {
  s.open();
  s.client.start_abort();
  s.server.start_close();
  s.client.finish_close();
  s.server.finish_close();
  s.report({}, {});
}

void race_abort_abort(Stage& s) {
  s.open();
  s.client.start_abort();
  s.server.start_abort();
  s.client.finish_close();
  s.server.finish_close();
  s.report({}, {});
}

// Data is on its way to a socket that is just being closed.
void race_data_close(Stage& s) {
  s.open();
  s.server.start_close();
  s.client.try_send(10);
  s.client.start_close();
  s.server.finish_close();
  s.client.finish_close();
  s.report({}, {});
}

constexpr Case kCases[] = {
    {"both-at-once", both_at_once, kPath},
    {"fin-crosses-reset", fin_crosses_reset, kPath},
    {"reset-crosses-reset", reset_crosses_reset, kPath},
    {"race-close-close", race_close_close, kRandom | kRace},
    {"race-close-abort", race_close_abort, kRandom | kRace},
    {"race-abort-close", race_abort_close, kRandom | kRace},
    {"race-abort-abort", race_abort_abort, kRandom | kRace},
    {"race-data-close", race_data_close, kRandom | kRace},
};

}  // namespace

std::span<const Case> crossing_cases() { return kCases; }

}  // namespace tcpload
