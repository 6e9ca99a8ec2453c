// SPDX-License-Identifier: BSD-2-Clause
// What this kernel and this process can do, found once at the start. Presence
// decides, never a version number. Input: /sys, /proc and --deny-feature;
// output: one state per feature with the reason when it is off. Used by plan().
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tcptrail {

enum class Feature : std::size_t {
  kTpBtf,         // typed tracepoints
  kSecondCopy,    // the program that sees what interrupts the first one
  kTaskBtf,       // the current task as a typed pointer
  kCookie,        // bpf_get_socket_cookie() in tracing programs
  kTimeWaitWalk,  // probe reads of kernel memory: the walk that finds the TIME_WAIT socket
  kSendReset,
  kReceiveReset,
  kAccept,        // kSocketHooks, or tracepoints at the return of accept(2)
  kRefusedCalls,  // the same of bind(2) and listen(2)
  kIterTcp,
  kIterTaskFile,
  kTimeWaitHooks,  // fentry at the functions through which minisockets die
  kSocketHooks,    // fentry at what accept(), bind() and listen() run through, in place of their
                   // tracepoints
  kCount,
};

inline constexpr std::size_t kFeatureCount = static_cast<std::size_t>(Feature::kCount);

struct FeatureState {
  bool on = true;
  std::string why_off;
  std::string fix;
};

class Features {
 public:
  FeatureState& operator[](Feature f) { return states_[static_cast<std::size_t>(f)]; }
  const FeatureState& operator[](Feature f) const { return states_[static_cast<std::size_t>(f)]; }
  // Why the kernel sends a RST, in its own words by number ("tcp_abort_on_close"); "" where it
  // has none, empty where it does not say.
  std::vector<std::string> reset_reasons;
  [[nodiscard]] bool on(Feature f) const { return (*this)[f].on; }
  void turn_off(Feature f, std::string why, std::string fix = {}) {
    (*this)[f] = {false, std::move(why), std::move(fix)};
  }

 private:
  std::array<FeatureState, kFeatureCount> states_;
};

// The names that --deny-feature takes and `startup` prints, in the order of Feature.
std::span<const std::string_view> feature_names();
std::string_view name_of(Feature feature);
// What the tool knows because of it, one line for `doctor`.
std::string_view purpose_of(Feature feature);

Features probe_features(std::span<const std::string> denied);

}  // namespace tcptrail
