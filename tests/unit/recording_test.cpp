// SPDX-License-Identifier: BSD-2-Clause
// Recordings as files: what was told comes back, whatever ended the recorder; no
// byte that was changed is ever believed.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>
#include <random>

#include "recording/crc32c.h"
#include "recordings.h"

namespace tcptrail {
namespace {

using namespace test;
using Calls = std::vector<std::string>;

// Small blocks: each tick is 2 s after the one before, so every `per_block` connections make one.
Calls record(const std::string& path, std::uint64_t blocks, std::uint64_t per_block) {
  Recording recording(path);
  for (std::uint64_t block = 0; block < blocks; ++block) {
    tell(*recording.recorder, block * per_block, per_block);
    recording.writer->tick(block * 4'000'000'000 + 1);
    recording.writer->tick(block * 4'000'000'000 + 2'000'000'000);
  }
  recording.recorder->finish(99'000'000'000);
  EXPECT_TRUE(recording.writer->close());
  return recording.model.calls;
}

struct Block {
  BlockHeader header;
  std::size_t at = 0;
  std::size_t size = 0;
};

std::vector<Block> blocks_of(const Bytes& bytes) {
  std::vector<Block> blocks;
  for (std::size_t at = sizeof(RecordingPreamble); at < bytes.size();) {
    Block block;
    block.at = at;
    std::memcpy(&block.header, bytes.data() + at, sizeof block.header);
    block.size = sizeof block.header + block.header.stored_size;
    at += block.size;
    blocks.push_back(block);
  }
  return blocks;
}

// Whether `calls` is the beginning of `all`.
bool begins(const Calls& all, const Calls& calls) {
  return calls.size() <= all.size() && std::equal(calls.begin(), calls.end(), all.begin());
}

TEST(Recording, GivesBackWhatTheModelWasTold) {
  const TempDir dir;
  const Calls told = record(dir.file(), 3, 2000);
  const Replayed back = replay(read_bytes(dir.file()));
  EXPECT_TRUE(back.whole) << back.error;
  EXPECT_FALSE(back.continued);
  EXPECT_EQ(back.calls, told);
}

TEST(Recording, HeaderComesBack) {
  const TempDir dir;
  record(dir.file(), 1, 1);
  const RecordingHeader wrote = sample_header();
  const RecordingHeader read = replay(read_bytes(dir.file())).header;
  EXPECT_EQ(read.startup.hostname, "web1");
  EXPECT_EQ(read.startup.boot_ns, wrote.startup.boot_ns);
  EXPECT_EQ(read.startup.features, wrote.startup.features);
  EXPECT_EQ(read.startup.filters, wrote.startup.filters);
  EXPECT_EQ(read.recording_id, wrote.recording_id);
  EXPECT_EQ(read.clock_offset_ns, wrote.clock_offset_ns);
  EXPECT_EQ(read.netns, wrote.netns);
  EXPECT_EQ(read.labels, wrote.labels);
  EXPECT_EQ(read.programs, wrote.programs);
  EXPECT_EQ(read.own_netns, 4026531840U);
}

TEST(Recording, HeaderOfALaterVersionMayHaveMoreAndLess) {
  const Result<RecordingHeader> header = header_from_json(R"({"hostname":"a","news":[1,2]})");
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->startup.hostname, "a");
  EXPECT_EQ(header->own_netns, 0U);
  EXPECT_FALSE(header_from_json(R"({"hostname":5})").ok());
  EXPECT_FALSE(header_from_json(R"({"boot_ns":1.7e23})").ok());
  EXPECT_FALSE(header_from_json(R"({"boot_ns":-1})").ok());
  EXPECT_FALSE(header_from_json(R"({"netns":[4294967296]})").ok());
  EXPECT_EQ(header_from_json(R"({"clock_offset_ns":-5})")->clock_offset_ns, -5);
  EXPECT_FALSE(header_from_json("[]").ok());
  EXPECT_FALSE(header_from_json(std::string(100'000, '[')).ok());
}

TEST(Recording, FileIsForItsOwnerOnly) {
  const TempDir dir;
  record(dir.file(), 1, 1);
  struct stat info {};
  ASSERT_EQ(::stat(dir.file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST(Recording, IsNotWrittenThroughALink) {
  const TempDir dir;
  std::filesystem::create_symlink(dir.file("target"), dir.file());
  const auto writer = RecordingWriter::create({.path = dir.file()}, sample_header());
  ASSERT_FALSE(writer.ok());
  EXPECT_NE(writer.error().what.find("symbolic link"), std::string::npos);
}

TEST(RecordingParts, AnExistingFileIsReplacedByForceOnly) {
  const TempDir dir;
  std::ofstream(dir.file()) << "precious";
  std::ofstream(dir.file("empty"));
  const auto refused = RecordingWriter::create({.path = dir.file()}, sample_header());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().what, dir.file() + " exists");
  EXPECT_EQ(read_bytes(dir.file()).size(), 8U);
  EXPECT_TRUE(RecordingWriter::create({.path = dir.file(), .force = true}, sample_header()).ok());
  EXPECT_TRUE(replay(read_bytes(dir.file())).opened);
  EXPECT_TRUE(RecordingWriter::create({.path = dir.file("empty")}, sample_header()).ok());
}

TEST(RecordingParts, ARotationGoesOnAfterARestart) {
  const TempDir dir;
  const RecordingTarget target{.path = dir.file(), .max_bytes = 1U << 20, .keep = 2};
  const auto begins = [&] { return RecordingWriter::create(target, sample_header()).ok(); };
  ASSERT_TRUE(begins());
  const Bytes first = read_bytes(dir.file());
  ASSERT_TRUE(begins());
  EXPECT_EQ(read_bytes(dir.file("r.trail.1")), first);
  ASSERT_TRUE(begins());
  EXPECT_EQ(read_bytes(dir.file("r.trail.2")), first);
}

// Neither a file that is no recording, nor one that was to be kept.
TEST(RecordingParts, ARotationMovesNoFilesButItsOwn) {
  for (const char* name : {"r.trail", "r.trail.1", "r.trail.2"}) {
    const TempDir dir;
    const RecordingTarget target{.path = dir.file(), .max_bytes = 1U << 20, .keep = 2};
    ASSERT_TRUE(RecordingWriter::create({.path = dir.file(name)}, sample_header()).ok());
    const Bytes kept = read_bytes(dir.file(name));
    const auto refused = RecordingWriter::create(target, sample_header());
    ASSERT_FALSE(refused.ok()) << name;
    EXPECT_EQ(refused.error().what, dir.file(name) + " exists");
    EXPECT_EQ(read_bytes(dir.file(name)), kept);
    std::filesystem::rename(dir.file(name), dir.file("r.trail.3"));  // beyond what it keeps
    EXPECT_TRUE(RecordingWriter::create(target, sample_header()).ok());
  }
}

TEST(Recording, AnAnswerStandsBeforeTheItemThatAskedForIt) {
  // A model that asks within the call, as the real one does.
  class AskingModel final : public ModelInput {
   public:
    MachineQueries* facts = nullptr;
    Calls heard;
    void event(const Event& e) override { heard.push_back(facts->cgroup_path(e.cookie())); }
    void round(std::uint64_t netns) override {
      const auto sysctls = facts->port_sysctls(static_cast<std::uint32_t>(netns));
      heard.push_back(sysctls ? std::to_string(sysctls->range_low) : "unknown");
    }
    void finish(std::uint64_t pid) override {
      const auto alive = facts->is_alive({static_cast<std::uint32_t>(pid), {}});
      heard.push_back(alive ? (*alive ? "alive" : "dead") : "unknown");
    }
  };
  const TempDir dir;
  AskingModel live;
  {
    FakeMachine machine;
    auto writer = std::move(*RecordingWriter::create({.path = dir.file()}, sample_header()));
    RecordedQueries facts(machine, *writer);
    live.facts = &facts;
    Recorder recorder(live, facts, *writer);
    for (std::uint64_t i = 1; i < 50; ++i) {
      recorder.event(ev(i % 10, i, kSynSent, kEstablished));
      recorder.round(i % 4);
    }
    recorder.finish(4);
    ASSERT_TRUE(writer->close());
  }
  const Bytes bytes = read_bytes(dir.file());
  auto reader = std::move(*RecordingReader::open(std::make_unique<MemorySource>(bytes), "FILE"));
  ReplayedQueries facts(reader->answers());
  AskingModel again;
  again.facts = &facts;
  auto status = reader->next(again);
  while (status == RecordingReader::Status::kItem || status == RecordingReader::Status::kBlock)
    status = reader->next(again);
  EXPECT_EQ(status, RecordingReader::Status::kEnd);
  EXPECT_EQ(again.heard, live.heard);
  EXPECT_EQ(live.heard.back(), "alive");
}

// A view that was not shown while recording finds its answers too.
TEST(Recording, EveryCgroupAndEveryNamespaceThatWasSeenIsKnown) {
  const TempDir dir;
  {
    Recording recording(dir.file());
    tell(*recording.recorder, 100, 20);  // one snapshot of everything
    EXPECT_GT(recording.machine.questions, 0);
    ASSERT_TRUE(recording.writer->close());
  }
  const Bytes bytes = read_bytes(dir.file());
  auto reader = std::move(*RecordingReader::open(std::make_unique<MemorySource>(bytes), "FILE"));
  CallLog log;
  auto status = reader->next(log);
  while (status == RecordingReader::Status::kItem || status == RecordingReader::Status::kBlock)
    status = reader->next(log);
  for (std::uint64_t id = 500; id < 505; ++id)
    EXPECT_EQ(reader->answers().cgroup_path(id), "/group/" + std::to_string(id));
  ASSERT_TRUE(reader->answers().port_sysctls(4026531840U));
  EXPECT_EQ(reader->answers().port_sysctls(4026531840U)->range_low, 40000U);
  EXPECT_TRUE(reader->answers().knows_sysctls(4026532177U));
}

TEST(Recording, WhatWaitsIsWrittenWithinASecond) {
  const TempDir dir;
  Recording recording(dir.file());
  EXPECT_EQ(recording.writer->due_ns(), UINT64_MAX);
  recording.writer->tick(5'000'000'000);
  recording.recorder->event(ev(1, 5'000'000'001, kSynSent, kEstablished));
  recording.writer->tick(5'001'000'000);
  EXPECT_LE(recording.writer->due_ns(), 5'990'000'000U);
  EXPECT_EQ(replay(read_bytes(dir.file())).calls.size(), 0U);
  recording.writer->tick(recording.writer->due_ns());
  EXPECT_EQ(recording.writer->due_ns(), UINT64_MAX);
  // The recorder is still there: no end mark yet, and everything is readable.
  const Replayed back = replay(read_bytes(dir.file()));
  EXPECT_EQ(back.calls, recording.model.calls);
  EXPECT_FALSE(back.whole);
  EXPECT_NE(back.error.find("the end mark is missing"), std::string::npos);
}

TEST(Recording, ABlockEndsWhenItIsFull) {
  const TempDir dir;
  Recording recording(dir.file());
  tell(*recording.recorder, 0, 10'000);
  EXPECT_GT(blocks_of(read_bytes(dir.file())).size(), 3U);
  for (const Block& block : blocks_of(read_bytes(dir.file())))
    EXPECT_LE(block.header.raw_size, kBlockFill + 300);
}

TEST(Recording, WritesFewBytesPerEvent) {
  const TempDir dir;
  record(dir.file(), 1, 20'000);
  std::uint64_t events = 0;
  for (const Block& block : blocks_of(read_bytes(dir.file())))
    events += block.header.type == FileBlock::kItems ? block.header.events : 0;
  const auto size = static_cast<double>(std::filesystem::file_size(dir.file()));
  EXPECT_LT(size / static_cast<double>(events), 16.0);
}

TEST(Recording, DoesNotFitBlocksOfAnotherRecording) {
  const TempDir dir;
  record(dir.file("a"), 2, 10);
  Bytes a = read_bytes(dir.file("a"));
  RecordingHeader other = sample_header();
  other.recording_id = 5;
  {
    auto writer = std::move(*RecordingWriter::create({.path = dir.file("b")}, other));
    ASSERT_TRUE(writer->close());
  }
  const Bytes b = read_bytes(dir.file("b"));
  // The preamble and header of b, the rest of a: each block alone is good.
  const Block header = blocks_of(b).at(0);
  Bytes mixed(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(header.at + header.size));
  const std::size_t rest = blocks_of(a).at(1).at;
  mixed.insert(mixed.end(), a.begin() + static_cast<std::ptrdiff_t>(rest), a.end());
  const Replayed back = replay(mixed);
  EXPECT_TRUE(back.calls.empty());
  EXPECT_NE(back.error.find("damaged at byte " + std::to_string(header.at + header.size)),
            std::string::npos)
      << back.error;
}

// ---- damage -------------------------------------------------------------------

TEST(RecordingDamage, CutAtEveryByteOfTheLastThreeBlocksGivesTheWholeOnes) {
  const TempDir dir;
  const Calls told = record(dir.file(), 4, 20);
  const Bytes bytes = read_bytes(dir.file());
  const std::vector<Block> blocks = blocks_of(bytes);
  const std::size_t from = blocks[blocks.size() - 4].at;  // three of items, and the end mark
  std::size_t before = 0;
  for (std::size_t size = from; size < bytes.size(); ++size) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const Replayed back = replay(cut);
    ASSERT_FALSE(back.whole) << size;
    ASSERT_TRUE(begins(told, back.calls)) << size;
    ASSERT_GE(back.calls.size(), before);
    before = back.calls.size();
    // The byte that is named is where the first block that is not whole begins.
    std::size_t whole = from;
    for (const Block& block : blocks)
      if (block.at + block.size <= size) whole = std::max(whole, block.at + block.size);
    ASSERT_TRUE(back.error.starts_with("FILE: damaged at byte " + std::to_string(whole) + ": "))
        << size << ": " << back.error;
  }
  EXPECT_EQ(before, told.size());  // only the end mark was missing
}

TEST(RecordingDamage, CutInItsBeginningIsNoRecordingYet) {
  const TempDir dir;
  record(dir.file(), 1, 1);
  const Bytes bytes = read_bytes(dir.file());
  const Block header = blocks_of(bytes).at(0);
  for (std::size_t size = 0; size < header.at + header.size; ++size) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const Replayed back = replay(cut);
    ASSERT_FALSE(back.opened);
    ASSERT_NE(back.error.find("damaged at byte "), std::string::npos) << size;
  }
}

TEST(RecordingDamage, NoFlippedBitIsEverBelieved) {
  const TempDir dir;
  const Calls told = record(dir.file(), 5, 10);
  const Bytes bytes = read_bytes(dir.file());
  std::mt19937_64 random(20'260'801);
  for (int i = 0; i < 10'000; ++i) {
    Bytes altered = bytes;
    const std::size_t bit = random() % (altered.size() * 8);
    altered[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const Replayed back = replay(altered);
    ASSERT_FALSE(back.whole) << bit;
    ASSERT_TRUE(begins(told, back.calls)) << bit;
    ASSERT_NE(back.error.find("damaged at byte "), std::string::npos) << bit << ": " << back.error;
  }
}

TEST(RecordingDamage, SeveralChangesAreNotBelievedEither) {
  const TempDir dir;
  const Calls told = record(dir.file(), 5, 10);
  const Bytes bytes = read_bytes(dir.file());
  std::mt19937_64 random(3);
  for (int i = 0; i < 2'000; ++i) {
    Bytes altered = bytes;
    const std::size_t at = random() % altered.size();
    const std::size_t size = std::min<std::size_t>(1 + random() % 64, altered.size() - at);
    switch (i % 3) {
      case 0:  // overwritten
        for (std::size_t j = at; j < at + size; ++j) altered[j] = static_cast<std::byte>(random());
        break;
      case 1:  // taken out
        altered.erase(altered.begin() + static_cast<std::ptrdiff_t>(at),
                      altered.begin() + static_cast<std::ptrdiff_t>(at + size));
        break;
      default:  // put in
        altered.insert(altered.begin() + static_cast<std::ptrdiff_t>(at), size,
                       static_cast<std::byte>(random()));
        break;
    }
    const Replayed back = replay(altered);
    ASSERT_TRUE(begins(told, back.calls)) << i;
    ASSERT_TRUE(!back.whole || altered == bytes) << i;
  }
}

TEST(RecordingDamage, ABlockThatIsMissingIsMissed) {
  const TempDir dir;
  const Calls told = record(dir.file(), 5, 40);
  Bytes bytes = read_bytes(dir.file());
  const Block third = blocks_of(bytes).at(2);
  bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(third.at),
              bytes.begin() + static_cast<std::ptrdiff_t>(third.at + third.size));
  const Replayed back = replay(bytes);
  EXPECT_TRUE(begins(told, back.calls));
  EXPECT_NE(back.error.find("block 2 should begin there, and block 3 does"), std::string::npos)
      << back.error;
}

TEST(RecordingDamage, BytesAfterTheEndMarkAreDamage) {
  const TempDir dir;
  const Calls told = record(dir.file(), 1, 40);
  Bytes bytes = read_bytes(dir.file());
  const std::size_t end = bytes.size();
  bytes.push_back(std::byte{0});
  const Replayed back = replay(bytes);
  EXPECT_FALSE(back.whole);
  EXPECT_EQ(back.calls, told);
  EXPECT_EQ(back.error,
            "FILE: damaged at byte " + std::to_string(end) + ": bytes follow the end mark");
  // Two recordings in one file are not one recording.
  bytes.pop_back();
  bytes.insert(bytes.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(end));
  EXPECT_NE(replay(bytes).error.find("bytes follow the end mark"), std::string::npos);
}

// The preamble as another machine, or a later version, would write it.
Bytes with_preamble(Bytes bytes, const std::function<void(RecordingPreamble&)>& change) {
  RecordingPreamble preamble;
  std::memcpy(&preamble, bytes.data(), sizeof preamble);
  change(preamble);
  preamble.checksum =
      crc32c(std::as_bytes(std::span(&preamble, 1)).first(offsetof(RecordingPreamble, checksum)));
  std::memcpy(bytes.data(), &preamble, sizeof preamble);
  return bytes;
}

TEST(RecordingDamage, AnotherByteOrderIsRefusedByName) {
  const TempDir dir;
  record(dir.file(), 1, 1);
  const Replayed back = replay(
      with_preamble(read_bytes(dir.file()), [](auto& p) { p.byte_order = kForeignByteOrderMark; }));
  EXPECT_FALSE(back.opened);
  EXPECT_NE(back.error.find("-endian machine"), std::string::npos) << back.error;
}

TEST(RecordingDamage, ALaterFormatIsRefusedByName) {
  const TempDir dir;
  record(dir.file(), 1, 1);
  const Bytes bytes = read_bytes(dir.file());
  EXPECT_NE(
      replay(with_preamble(bytes, [](auto& p) { p.version = 2; })).error.find("newer tcptrail"),
      std::string::npos);
  EXPECT_NE(replay(with_preamble(bytes, [](auto& p) { p.layout = TCPTRAIL_LAYOUT_VERSION + 1; }))
                .error.find("newer tcptrail"),
            std::string::npos);
  EXPECT_NE(
      replay(with_preamble(bytes, [](auto& p) { p.layout = 0; })).error.find("damaged at byte 0"),
      std::string::npos);
}

TEST(RecordingDamage, AnotherFileIsNoRecording) {
  const std::string text = R"({"type":"startup"})";
  const Replayed back = replay(std::as_bytes(std::span(text)));
  EXPECT_EQ(back.error, "FILE: damaged at byte 0: this is not how a recording begins");
}

// Blocks that are whole and lie: good checksums over nonsense.
TEST(RecordingDamage, GoodChecksumsOverNonsenseAreNotTrusted) {
  const TempDir dir;
  record(dir.file(), 1, 1);
  const Bytes bytes = read_bytes(dir.file());
  const Block header = blocks_of(bytes).at(0);
  RecordingPreamble preamble;
  std::memcpy(&preamble, bytes.data(), sizeof preamble);
  const Bytes front(bytes.begin(),
                    bytes.begin() + static_cast<std::ptrdiff_t>(header.at + header.size));
  const auto with_block = [&](BlockHeader block, const Bytes& payload) {
    block.sequence = 1;
    block.stored_size = static_cast<std::uint32_t>(payload.size());
    block.checksum =
        crc32c(payload,
               crc32c(std::as_bytes(std::span(&block, 1)).subspan(offsetof(BlockHeader, sequence)),
                      preamble.checksum));
    Bytes out = front;
    const auto raw = std::as_bytes(std::span(&block, 1));
    out.insert(out.end(), raw.begin(), raw.end());
    out.insert(out.end(), payload.begin(), payload.end());
    return replay(out).error;
  };
  const Bytes nonsense(100, std::byte{0xFF});
  BlockHeader block;
  block.raw_size = 100;
  EXPECT_NE(with_block(block, nonsense).find("an item that cannot be read"), std::string::npos);
  block.flags = kBlockZstd;
  EXPECT_NE(with_block(block, nonsense).find("cannot be uncompressed"), std::string::npos);
  block.flags = 0;
  block.raw_size = 99;
  EXPECT_NE(with_block(block, nonsense).find("another size"), std::string::npos);
  block.raw_size = 0;
  block.items = 1;
  EXPECT_NE(with_block(block, {}).find("not as many items"), std::string::npos);
  block.items = 0;
  block.type = FileBlock{9};
  EXPECT_NE(with_block(block, {}).find("unknown type"), std::string::npos);
  block.type = FileBlock::kEnd;
  EXPECT_NE(with_block(block, {}).find("impossible size"), std::string::npos);
  block.raw_size = sizeof(RecordingEnd);
  EXPECT_NE(with_block(block, Bytes(sizeof(RecordingEnd), std::byte{1})).find("counts other items"),
            std::string::npos);
  block.raw_size = kMaxBlockBytes + 1;
  EXPECT_NE(with_block(block, {}).find("impossible"), std::string::npos);
}

// ---- what ends a recorder --------------------------------------------------------

TEST(RecordingEnds, KilledRecorderLeavesEveryBlockItWrote) {
  const TempDir dir;
  for (const int after : {1, 3}) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      Recording recording(dir.file(), {.path = {}, .force = true});
      for (std::uint64_t block = 0;; ++block) {
        tell(*recording.recorder, block * 3000, 3000);
        if (::write(ready[1], "x", 1) != 1) ::_exit(1);
      }
    }
    ::close(ready[1]);
    char byte = 0;
    for (int i = 0; i < after; ++i) ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(ready[0]);
    EXPECT_TRUE(WIFSIGNALED(status));

    CallLog told;
    tell(told, 0, 3000);
    const Replayed back = replay(read_bytes(dir.file()));
    EXPECT_FALSE(back.whole);
    EXPECT_NE(back.error.find("damaged at byte "), std::string::npos);
    const std::size_t common = std::min(back.calls.size(), told.calls.size());
    EXPECT_GT(common, 10'000U);
    EXPECT_TRUE(std::equal(back.calls.begin(),
                           back.calls.begin() + static_cast<std::ptrdiff_t>(common),
                           told.calls.begin()));
  }
}

TEST(RecordingEnds, AFullDeviceIsAnErrorAtOnce) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  const auto writer = RecordingWriter::create({.path = "/dev/full"}, sample_header());
  ASSERT_FALSE(writer.ok());
  EXPECT_EQ(writer.error().what, "cannot write to /dev/full: No space left on device");
  EXPECT_EQ(writer.error().exit_code, 1);
}

// A file that may not grow stands for a full disk.
TEST(RecordingEnds, AFullDiskLeavesWholeBlocksAndOneError) {
  const TempDir dir;
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    Recording recording(dir.file());
    for (std::uint64_t i = 0; i < 100 && recording.writer->ok(); ++i)
      tell(*recording.recorder, i * 1000, 1000);
    const bool failed =
        !recording.writer->ok() &&
        recording.writer->failure().what == "cannot write to " + dir.file() + ": File too large";
    tell(*recording.recorder, 0, 5000);  // the model goes on
    const bool closed = recording.writer->close();
    ::_exit(failed && !closed && recording.model.calls.size() > 35'000 ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  const Bytes bytes = read_bytes(dir.file());
  EXPECT_EQ(blocks_of(bytes).back().at + blocks_of(bytes).back().size,
            bytes.size());  // cut behind a block
  const Replayed back = replay(bytes);
  EXPECT_GT(back.calls.size(), 1'000U);
  EXPECT_NE(back.error.find("damaged at byte " + std::to_string(bytes.size()) +
                            ": the end mark is missing"),
            std::string::npos)
      << back.error;
}

TEST(RecordingEnds, AReaderThatHasGoneIsNoFailure) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  auto writer = std::move(
      *RecordingWriter::create({.path = "/dev/fd/" + std::to_string(ends[1])}, sample_header()));
  ::close(ends[0]);
  ::signal(SIGPIPE, SIG_IGN);
  CallLog log;
  FakeMachine machine;
  RecordedQueries facts(machine, *writer);
  Recorder recorder(log, facts, *writer);
  tell(recorder, 0, 5000);
  EXPECT_TRUE(writer->reader_gone());
  EXPECT_TRUE(writer->ok());
  EXPECT_FALSE(writer->close());
  ::close(ends[1]);
}

// ---- limits and parts -------------------------------------------------------------

TEST(RecordingParts, EachPartIsReadableAloneAndTogetherTheyAreTheRecording) {
  const TempDir dir;
  constexpr std::uint64_t kLimit = 60'000;
  Calls told;
  {
    Recording recording(dir.file(), {.path = {}, .max_bytes = kLimit, .keep = 50});
    tell(*recording.recorder, 0, 12'000);
    EXPECT_FALSE(recording.writer->full());
    ASSERT_TRUE(recording.writer->close());
    EXPECT_GT(recording.writer->part(), 2U);
    EXPECT_EQ(recording.writer->events(), 12'000U * 6 + 120 * 2);
    told = recording.model.calls;
  }
  std::vector<std::string> files;
  for (unsigned i = 50; i > 0; --i)
    if (const std::string name = dir.file() + "." + std::to_string(i);
        std::filesystem::exists(name))
      files.push_back(name);
  files.push_back(dir.file());
  ASSERT_GT(files.size(), 3U);
  Calls all;
  for (const std::string& file : files) {
    EXPECT_LE(std::filesystem::file_size(file), kLimit);
    const Replayed back = replay(read_bytes(file));
    EXPECT_TRUE(back.whole) << file << ": " << back.error;
    EXPECT_EQ(back.continued, file != dir.file());
    EXPECT_EQ(back.header.recording_id, sample_header().recording_id);
    all.insert(all.end(), back.calls.begin(), back.calls.end());

    const Bytes bytes = read_bytes(file);
    auto reader = std::move(*RecordingReader::open(std::make_unique<MemorySource>(bytes), "FILE"));
    CallLog log;
    EXPECT_EQ(reader->next(log), RecordingReader::Status::kBlock);
    if (reader->part() == 0) continue;
    // The answers come first: what was asked in an earlier part is known in this one.
    while (reader->next(log) == RecordingReader::Status::kItem && log.calls.empty()) {
    }
    EXPECT_EQ(reader->answers().cgroup_path(503), "/group/503");
    EXPECT_TRUE(reader->answers().port_sysctls(4026531840U));
  }
  EXPECT_EQ(all, told);
}

TEST(RecordingParts, OnlyTheNewestAreKept) {
  const TempDir dir;
  {
    Recording recording(dir.file(), {.path = {}, .max_bytes = 60'000, .keep = 2});
    tell(*recording.recorder, 0, 12'000);
    ASSERT_TRUE(recording.writer->close());
    ASSERT_GT(recording.writer->part(), 2U);
  }
  EXPECT_TRUE(std::filesystem::exists(dir.file() + ".1"));
  EXPECT_TRUE(std::filesystem::exists(dir.file() + ".2"));
  EXPECT_FALSE(std::filesystem::exists(dir.file() + ".3"));
}

TEST(RecordingParts, ASnapshotIsNotDivided) {
  const TempDir dir;
  Recording recording(dir.file(), {.path = {}, .max_bytes = 100'000, .keep = 2});
  recording.recorder->begin_snapshot(1, false);
  std::mt19937_64 random(1);
  for (int i = 0; i < 30'000; ++i)
    recording.recorder->event(seen(random(), random() >> 2, kEstablished));
  EXPECT_EQ(recording.writer->part(), 0U);
  recording.recorder->end_snapshot(2, {});
  for (std::uint64_t i = 0; i < 200'000 && recording.writer->part() == 0; ++i)
    recording.recorder->event(ev(i, i, kSynSent, kEstablished));
  EXPECT_EQ(recording.writer->part(), 1U);
  EXPECT_TRUE(recording.writer->wants_snapshot());
  const Calls earlier = replay(read_bytes(dir.file() + ".1")).calls;
  EXPECT_EQ(std::count_if(earlier.begin(), earlier.end(),
                          [](const std::string& call) { return call.starts_with("end_snapshot"); }),
            1);
  recording.recorder->begin_snapshot(1, true);
  EXPECT_TRUE(recording.writer->wants_snapshot());
  recording.recorder->begin_snapshot(1, false);
  EXPECT_FALSE(recording.writer->wants_snapshot());
}

TEST(RecordingParts, TheLastWordsBeginNoPartOfTheirOwn) {
  const TempDir dir;
  Recording recording(dir.file(), {.path = {}, .max_bytes = 100'000, .keep = 2});
  recording.recorder->begin_snapshot(1, false);
  std::mt19937_64 random(1);
  for (int i = 0; i < 30'000; ++i)
    recording.recorder->event(seen(random(), random() >> 2, kEstablished));
  recording.recorder->end_snapshot(2, {});
  EXPECT_GT(std::filesystem::file_size(dir.file()), 100'000U);
  recording.recorder->finish(3);
  ASSERT_TRUE(recording.writer->close());
  EXPECT_EQ(recording.writer->part(), 0U);
  EXPECT_TRUE(replay(read_bytes(dir.file())).whole);
}

TEST(RecordingParts, ASnapshotThatHasNoRoomBeginsAPart) {
  const TempDir dir;
  constexpr std::uint64_t kLimit = 400'000;
  Recording recording(dir.file(), {.path = {}, .max_bytes = kLimit, .keep = 20});
  std::mt19937_64 random(1);
  for (std::uint64_t snapshot = 0; snapshot < 12; ++snapshot) {
    recording.recorder->begin_snapshot(snapshot * 10, false);
    for (int i = 0; i < 5'000; ++i)
      recording.recorder->event(seen(random(), random() >> 2, kEstablished));
    recording.recorder->end_snapshot(snapshot * 10 + 1, {});
    for (int i = 0; i < 500; ++i)
      recording.recorder->event(ev(random(), random() >> 2, kSynSent, kEstablished));
  }
  ASSERT_TRUE(recording.writer->close());
  ASSERT_GT(recording.writer->part(), 2U);
  for (const auto& part :
       std::filesystem::directory_iterator(std::filesystem::path(dir.file()).parent_path()))
    EXPECT_LE(part.file_size(), kLimit) << part.path();
}

TEST(RecordingParts, WithoutRotationTheRecordingIsFull) {
  const TempDir dir;
  Recording recording(dir.file(), {.path = {}, .max_bytes = 1U << 20});
  std::mt19937_64 random(1);
  int told = 0;
  for (; !recording.writer->full() && told < 1'000'000; ++told)
    recording.recorder->event(ev(random(), random() >> 2, kSynSent, kEstablished));
  EXPECT_TRUE(recording.writer->full());
  tell(*recording.recorder, 1, 1'000);  // what the ring still held
  ASSERT_TRUE(recording.writer->close());
  EXPECT_LE(std::filesystem::file_size(dir.file()), 1U << 20);
  EXPECT_GT(std::filesystem::file_size(dir.file()), 1U << 19);
  EXPECT_TRUE(replay(read_bytes(dir.file())).whole);
}

TEST(RecordingParts, OnlyAFileCanBeRotated) {
  const auto writer = RecordingWriter::create(
      {.path = "/dev/null", .max_bytes = 1U << 20, .keep = 2}, sample_header());
  ASSERT_FALSE(writer.ok());
  EXPECT_EQ(writer.error().exit_code, 2);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(RecordingParts, AStrangersFileInTheWayIsAnErrorAndStaysAsItIs) {
  const TempDir dir;
  Recording recording(dir.file(), {.path = {}, .max_bytes = 100'000, .keep = 1});
  std::filesystem::create_directory(dir.file() + ".1");
  std::ofstream(dir.file() + ".1/x") << "x";
  tell(*recording.recorder, 1, 12'000);
  ASSERT_FALSE(recording.writer->ok());
  EXPECT_NE(recording.writer->failure().what.find("cannot rename"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(dir.file() + ".1/x"));
}

// ---- sources ------------------------------------------------------------------------

TEST(RecordingSource, AFileIsReadAsItsBytesAre) {
  const TempDir dir;
  const Calls told = record(dir.file(), 3, 2000);
  auto source = FileSource::open(dir.file());
  ASSERT_TRUE(source.ok());
  auto reader = std::move(*RecordingReader::open(std::move(*source), dir.file()));
  CallLog log;
  auto status = reader->next(log);
  while (status == RecordingReader::Status::kItem || status == RecordingReader::Status::kBlock)
    status = reader->next(log);
  EXPECT_EQ(status, RecordingReader::Status::kEnd);
  EXPECT_EQ(log.calls, told);
}

TEST(RecordingSource, WhatCannotBeOpenedIsSaid) {
  const TempDir dir;
  EXPECT_EQ(FileSource::open(dir.file("none")).error().what,
            "cannot open " + dir.file("none") + ": No such file or directory");
  EXPECT_NE(FileSource::open(dir.file("")).error().what.find("it is a directory"),
            std::string::npos);
}

}  // namespace
}  // namespace tcptrail
