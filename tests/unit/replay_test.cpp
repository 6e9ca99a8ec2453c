// SPDX-License-Identifier: BSD-2-Clause
// `replay FILE ports --at`: the sockets of a moment, whatever the recorder was doing then.
#include "run/replay.h"

#include <gtest/gtest.h>

#include "command_line.h"
#include "recordings.h"

namespace tcptrail::test {
namespace {

constexpr std::uint64_t kFirst = 2'000'000'000;   // boot ns; the recording begins at 1 s
constexpr std::uint64_t kSecond = 2'200'000'000;  // and this snapshot takes 50 ms

void snapshot(ModelInput& input, std::uint64_t begin, std::uint64_t end) {
  input.begin_snapshot(begin, false);
  input.event(seen(0x100, begin, kListen, Ends{80, 0}));
  SnapshotScope scope;
  scope.netns_read = {kNetns};
  input.end_snapshot(end, scope);
}

// How many port records an answer about this moment has.
std::size_t ports_at(const TempDir& folder, const std::string& recording, const char* at) {
  const std::string answer = folder.file("answer");
  const Options options =
      good({"replay", recording.c_str(), "ports", "--json", "--at", at, "-o", answer.c_str()});
  const Result<int> code = run_replay(options);
  EXPECT_TRUE(code.ok() && *code == 0) << (code.ok() ? "" : error_text(code.error()));
  const Bytes bytes = read_bytes(answer);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::size_t count = 0;
  for (std::size_t found = 0; (found = text.find(R"("type":"port")", found)) != std::string::npos;
       ++found)
    ++count;
  return count;
}

TEST(ReplayAt, AMomentWithinASnapshotHasItsSockets) {
  const TempDir folder;
  const std::string file = folder.file();
  {
    Recording recording(file);
    (void)recording.facts->port_sysctls(kNetns);  // a report asks for them
    snapshot(*recording.recorder, kFirst, kFirst + 1'000'000);
    snapshot(*recording.recorder, kSecond, kSecond + 50'000'000);
    recording.recorder->finish(kSecond + 60'000'000);
    ASSERT_TRUE(recording.writer->close());
  }
  EXPECT_EQ(ports_at(folder, file, "900ms"), 0U);
  for (const char* at : {"1100ms", "1200ms", "1225ms", "1255ms"})
    EXPECT_EQ(ports_at(folder, file, at), 1U) << at;
}

}  // namespace
}  // namespace tcptrail::test
