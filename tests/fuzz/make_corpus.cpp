// SPDX-License-Identifier: BSD-2-Clause
// Writes the corpus anew: `fuzz_corpus tests/fuzz/corpus`, after a change of the
// format or of the events.
#include <filesystem>
#include <fstream>

#include "recordings.h"

namespace {

using namespace tcptrail;

void write(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

// The events of an input as a ring has them, and every call as an item.
class Keep final : public ForwardingInput {
 public:
  using ForwardingInput::ForwardingInput;
  test::Bytes ring;
  void event(const Event& e) override {
    const auto bytes = std::as_bytes(std::span(&e, 1)).first(size_of_kind(e.kind()));
    ring.insert(ring.end(), bytes.begin(), bytes.end());
    ForwardingInput::event(e);
  }
};

}  // namespace

int main(int argc, char** argv) {
  using namespace tcptrail::test;
  if (argc < 2) return 2;
  const std::filesystem::path to = argv[1];
  const TempDir dir;
  FakeMachine machine;

  for (const std::uint64_t from : {0UL, 1UL, 100UL}) {
    ItemEncoder items;
    Keep keep(items);
    tell(keep, from, 3);
    write(to / "decode" / std::to_string(from), keep.ring);
    write(to / "items" / ("calls_" + std::to_string(from)), items.bytes());
  }
  ItemEncoder items;
  Keep kinds(items);
  for (std::uint8_t kind = 1; size_of_kind(kind) != 0; ++kind) {
    Event event = by(7, ev(kind, kind * kMs, kEstablished, kClose));
    event.base.kind = kind;
    kinds.event(event);
  }
  write(to / "decode" / "kinds", kinds.ring);
  write(to / "items" / "kinds", items.bytes());
  ItemEncoder answers;
  answers.cgroup(7, "/system.slice/ssh.service");
  answers.alive({12, {}}, true);
  answers.sysctls(4026531840U, machine.port_sysctls(4026531840U));
  answers.sysctls(1, std::nullopt);
  write(to / "items" / "answers", answers.bytes());
  const std::string json = header_json(sample_header());
  write(to / "items" / "header", std::as_bytes(std::span(json)));

  {
    Recording recording(dir.file());
    recording.writer->close();
  }
  write(to / "reader" / "empty", read_bytes(dir.file()));
  {
    Recording recording(dir.file());
    for (std::uint64_t i = 0; i < 3; ++i) {
      tell(*recording.recorder, i * 5, 5);
      recording.writer->tick(i * 10'000'000'000 + 1);
      recording.writer->tick(i * 10'000'000'000 + 5'000'000'000);
    }
    recording.recorder->finish(9'000'000'000);
    recording.writer->close();
  }
  const Bytes whole = read_bytes(dir.file());
  write(to / "reader" / "whole", whole);
  write(to / "reader" / "cut", std::span(whole).first(whole.size() - 30));
}
