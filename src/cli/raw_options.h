// SPDX-License-Identifier: BSD-2-Clause
// Between CLI11 and Options: what the command line said, as texts, and what the
// conversions share. Included by options.cpp and its parts only.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/options.h"
#include "util/result.h"

namespace tcptrail {

inline Error usage(std::string what, std::string why, std::string fix) {
  return {.what = std::move(what), .why = std::move(why), .fix = std::move(fix), .exit_code = 2};
}

using Values = std::vector<std::string>;

// What the command line said, as texts.
struct Raw {
  bool help_short = false, help_full = false, version = false;
  bool ipv4 = false, ipv6 = false, errors = false, json = false, csv = false;
  bool fail_on_loss = false, no_snapshot = false, local_time = false, timestamps = false,
       wide = false;
  bool v6only = false, force = false;
  int verbose = 0;
  std::string command, argument;
  Values pid, lport, rport, comm, laddr, raddr, netns, cgroup, uid, closed_by, how, min_ms;
  Values events, output, run_for, count, columns, color, label, ring_size, max_connections, deny;
  Values bind, connect, from, watch;
  Values interval, diagram;
  bool watches = false;
  Values record, max_size, rotate, at;
};

// Collects the first error of several conversions.
class Converter {
 public:
  template <class T, class U>
  void set(U& target, Result<T> result) {
    if (result.ok())
      target = std::move(*result);
    else
      fail(result.error());
  }
  void fail(Error error) {
    if (!error_) error_ = std::move(error);
  }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  std::optional<Error> error_;
};

// Recordings (options_recording.cpp).
void convert_record(const Raw& raw, Options& o, Converter& c);
void convert_replay(const Raw& raw, Options& o, Converter& c);
// FILE and VIEW.
Result<void> take_replay_words(const Values& words, Options& o);

}  // namespace tcptrail
