// SPDX-License-Identifier: BSD-2-Clause
// What the tests of recordings share: an input that keeps its calls as text, a
// machine that answers, a stream with every kind of item, files of their own.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "events.h"
#include "recording/reader.h"
#include "recording/recorder.h"
#include "recording/writer.h"

namespace tcptrail::test {

// One string for each call; an event is its bytes.
class CallLog final : public ModelInput {
 public:
  std::vector<std::string> calls;
  void event(const Event& e) override {
    calls.emplace_back(reinterpret_cast<const char*>(&e), size_of_kind(e.kind()));
  }
  void begin_snapshot(std::uint64_t t, bool mini) override {
    calls.push_back(fmt::format("begin_snapshot {} {}", t, mini));
  }
  void end_snapshot(std::uint64_t t, const SnapshotScope& s) override {
    std::string line = fmt::format("end_snapshot {} {}", t, s.minisockets_only);
    for (const auto* list : {&s.netns_read, &s.netns_refused, &s.netns_gone}) {
      line += " |";
      for (const std::uint32_t n : *list) line += fmt::format(" {}", n);
    }
    calls.push_back(std::move(line));
  }
  void advance_to(std::uint64_t t) override { calls.push_back(fmt::format("advance_to {}", t)); }
  void round(std::uint64_t t) override { calls.push_back(fmt::format("round {}", t)); }
  void loss(const LossRecord& r) override {
    calls.push_back(fmt::format("loss {} {} {} {} {} {} {}", r.boot_ns, r.loss.ring, r.loss.nested,
                                r.loss.table, r.loss.malformed, r.loss.other, r.since));
  }
  void clock_offset(std::int64_t ns) override {
    calls.push_back(fmt::format("clock_offset {}", ns));
  }
  void finish(std::uint64_t t) override { calls.push_back(fmt::format("finish {}", t)); }
};

// Answers by rule, and counts the questions.
class FakeMachine final : public MachineQueries {
 public:
  int questions = 0;
  std::string cgroup_path(std::uint64_t id) override {
    ++questions;
    return "/group/" + std::to_string(id);
  }
  std::optional<bool> is_alive(const Process& process) override {
    ++questions;
    if (process.pid % 3 == 2) return std::nullopt;
    return process.pid % 3 == 1;
  }
  std::optional<PortSysctls> port_sysctls(std::uint32_t netns) override {
    ++questions;
    if (netns % 2 == 1) return std::nullopt;
    PortSysctls sysctls;
    sysctls.range_low = 40000;
    for (std::size_t port : {7UL, 8UL, 9UL, 8080UL, 65535UL}) sysctls.reserved.set(port);
    sysctls.tcp_tw_reuse = 1;
    sysctls.bindv6only = true;
    return sysctls;
  }
};

inline RecordingHeader sample_header() {
  RecordingHeader header;
  header.startup = {.boot_ns = 1'000'000'000,
                    .version = "0.1.0",
                    .command = "record",
                    .hostname = "web1",
                    .boot_id = "b-1",
                    .kernel = "6.18.0",
                    .features = {{"tp_btf", true}, {"accept", false}},
                    .filters = {{"lport", "80,443"}}};
  header.recording_id = 0x1234'5678'9ABC'DEF0;
  header.part_began_ns = 1'000'000'000;
  header.clock_offset_ns = 1'700'000'000'000'000'000;
  header.netns = {4026531840U, 4026532177U};
  header.labels = {{"site", "fra1"}};
  header.programs.resets_traced = true;
  header.own_netns = 4026531840U;
  return header;
}

// Lives of 5 transitions, and now and then everything else that an input can say.
inline void tell(ModelInput& input, std::uint64_t from, std::uint64_t connections) {
  for (std::uint64_t i = from; i < from + connections; ++i) {
    const std::uint64_t at = 2'000'000'000 + i * 37'123;
    const std::uint64_t cookie = 0x1eb5a00 + i;
    const Ends ends{static_cast<std::uint16_t>(32768 + i % 20000),
                    static_cast<std::uint16_t>(80 + i % 3)};
    if (i % 100 == 0) {
      input.begin_snapshot(at, i % 200 == 0);
      input.event(seen(cookie + 1'000'000, at, kListen, ends));
      input.event(accept_of(cookie + 1'000'000, at, 4, TCPTRAIL_SEEN_HOLDER));
      SnapshotScope scope;
      scope.netns_read = {4026531840U, 4026532000U, 4026532177U};
      if (i % 300 == 0) scope.netns_refused = {7};
      if (i % 500 == 0) scope.netns_gone = {1, UINT32_MAX};
      scope.minisockets_only = i % 200 == 0;
      input.end_snapshot(at + 10, scope);
      input.clock_offset(1'700'000'000'000'000'000 - static_cast<std::int64_t>(i));
      input.loss({at, {i, 1, 0, 2, 3}, at - 5});
      input.round(at);
    }
    Event owned = by(static_cast<std::uint32_t>(100 + i % 7),
                     ev(cookie, at, kClose, kSynSent, ends), "client");
    owned.owned.cgroup_id = 500 + i % 5;
    input.event(owned);
    input.event(ev(cookie, at + 90'000, kSynSent, kEstablished, ends));
    input.event(by(100, ev(cookie, at + 700'000, kEstablished, kFinWait1, ends)));
    input.event(
        ev(cookie, at + 690'000, kFinWait1, kFinWait2, ends));  // another CPU: a little earlier
    Event closed = closing(ev(cookie, at + 800'000, kFinWait2, kClose, ends),
                           TCPTRAIL_END_ALL_ACKED | TCPTRAIL_END_DEAD, 0, TCPTRAIL_TW_TIME_WAIT);
    closed.end.tx_bytes = i * 1000;
    closed.end.rtt_us = static_cast<std::uint32_t>(30 + i % 40);
    input.event(closed);
    input.event(reset(cookie, at + 810'000, TCPTRAIL_RESET_RECEIVED, TCPTRAIL_F_SKB));
    input.advance_to(at + 900'000);
  }
}

// A directory that goes away with the test.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "tcptrail-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  TempDir(const TempDir&) = delete;
  ~TempDir() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string file(const std::string& name = "r.trail") const {
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

using Bytes = std::vector<std::byte>;

inline Bytes read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  Bytes bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

// What a reader gets out of some bytes.
struct Replayed {
  std::vector<std::string> calls;
  RecordingHeader header;
  bool opened = false;
  bool whole = false;  // up to the end mark, and nothing behind it
  bool continued = false;
  std::string error;
};

inline Replayed replay(std::span<const std::byte> bytes) {
  Replayed result;
  auto reader = RecordingReader::open(std::make_unique<MemorySource>(bytes), "FILE");
  if (!reader) {
    result.error = reader.error().what;
    return result;
  }
  result.opened = true;
  result.header = (*reader)->header();
  CallLog log;
  for (;;) {
    const RecordingReader::Status status = (*reader)->next(log);
    if (status == RecordingReader::Status::kItem || status == RecordingReader::Status::kBlock)
      continue;
    result.whole = status == RecordingReader::Status::kEnd;
    break;
  }
  result.continued = (*reader)->continued();
  result.calls = std::move(log.calls);
  if (!result.whole) result.error = (*reader)->failure().what;
  return result;
}

// A recorder over nothing: `model` is told what a model would be told.
struct Recording {
  explicit Recording(const std::string& path, RecordingTarget target = {}) {
    target.path = path;
    writer = std::move(*RecordingWriter::create(std::move(target), sample_header()));
    facts = std::make_unique<RecordedQueries>(machine, *writer);
    recorder = std::make_unique<Recorder>(model, *facts, *writer);
  }
  CallLog model;
  FakeMachine machine;
  std::unique_ptr<RecordingWriter> writer;
  std::unique_ptr<RecordedQueries> facts;
  std::unique_ptr<Recorder> recorder;
};

}  // namespace tcptrail::test
