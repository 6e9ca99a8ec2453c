// SPDX-License-Identifier: BSD-2-Clause
// Output to files, full disks, closed pipes and readers that take nothing.
#include "util/out_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

namespace tcptrail {
namespace {

std::string content(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

struct Pipe {
  Pipe() { EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0); }
  ~Pipe() {
    close_reader();
    close(ends[1]);
  }
  void close_reader() {
    if (ends[0] >= 0) close(ends[0]);
    ends[0] = -1;
  }
  [[nodiscard]] int reader() const { return ends[0]; }
  [[nodiscard]] int writer() const { return ends[1]; }
  std::array<int, 2> ends{};
};

class OutFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    old_pipe_ = std::signal(SIGPIPE, SIG_IGN);
    old_size_ = std::signal(SIGXFSZ, SIG_IGN);
    std::string name = ::testing::TempDir() + "tcptrail_out_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override {
    std::signal(SIGPIPE, old_pipe_);
    std::signal(SIGXFSZ, old_size_);
    for (const char* name : {"/f", "/f.1", "/link", "/fifo"}) unlink((dir_ + name).c_str());
    rmdir(dir_.c_str());
  }
  [[nodiscard]] std::string path(const char* name) const { return dir_ + "/" + name; }

 private:
  std::string dir_;
  void (*old_pipe_)(int) = nullptr;
  void (*old_size_)(int) = nullptr;
};

TEST_F(OutFileTest, NothingIsWrittenBeforeFlush) {
  Result<OutFile> out = OutFile::open(path("f"));
  ASSERT_TRUE(out);
  out->write("one\n");
  EXPECT_EQ(content(path("f")), "");
  EXPECT_TRUE(out->flush());
  EXPECT_EQ(content(path("f")), "one\n");
  EXPECT_EQ(out->bytes_written(), 4U);
}

TEST_F(OutFileTest, FileIsReadableByItsOwnerOnly) {
  const mode_t old = umask(0);
  Result<OutFile> out = OutFile::open(path("f"));
  umask(old);
  struct stat info {};
  ASSERT_EQ(stat(path("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(OutFileTest, OldContentIsReplaced) {
  std::ofstream(path("f")) << "old\n";
  Result<OutFile> out = OutFile::open(path("f"));
  ASSERT_TRUE(out);
  EXPECT_TRUE(out->flush());  // a run without a record
  EXPECT_EQ(content(path("f")), "");
}

TEST_F(OutFileTest, ARunThatCannotStartLeavesWhatWasThere) {
  std::ofstream(path("f")) << "precious\n";
  {
    Result<OutFile> old = OutFile::open(path("f"));
    Result<OutFile> absent = OutFile::open(path("g"));
    ASSERT_TRUE(old && absent);
    old->write("startup\n");
    absent->write("startup\n");
  }
  EXPECT_EQ(content(path("f")), "precious\n");
  EXPECT_NE(access(path("g").c_str(), F_OK), 0);
}

TEST_F(OutFileTest, TheSameFileIsKnownUnderEveryName) {
  std::ofstream(path("f")) << "precious\n";
  std::ofstream(path("copy")) << "precious\n";
  ASSERT_EQ(link(path("f").c_str(), path("hard").c_str()), 0);
  ASSERT_EQ(symlink("f", path("soft").c_str()), 0);
  const Result<OutFile> out = OutFile::open(path("f"));
  ASSERT_TRUE(out);
  for (const char* name : {"f", "./f", "hard", "soft"}) EXPECT_TRUE(out->is_same_file(path(name)));
  for (const char* name : {"copy", "absent"}) EXPECT_FALSE(out->is_same_file(path(name)));
  const Result<OutFile> null = OutFile::open("/dev/null");
  ASSERT_TRUE(null);
  EXPECT_FALSE(null->is_same_file("/dev/null"));
}

TEST_F(OutFileTest, SymbolicLinkIsRefused) {
  std::ofstream(path("f")) << "precious\n";
  ASSERT_EQ(symlink(path("f").c_str(), path("link").c_str()), 0);
  const Result<OutFile> out = OutFile::open(path("link"));
  ASSERT_FALSE(out);
  EXPECT_NE(out.error().what.find("symbolic link"), std::string::npos);
  EXPECT_EQ(content(path("f")), "precious\n");
}

TEST_F(OutFileTest, MissingDirectoryIsAnErrorWithTheRealPath) {
  const Result<OutFile> out = OutFile::open(path("none/f"));
  ASSERT_FALSE(out);
  EXPECT_NE(out.error().what.find(path("none/f") + ": No such file"), std::string::npos);
  EXPECT_FALSE(out.error().fix.empty());
}

TEST_F(OutFileTest, NamedPipeWithoutReaderIsAnErrorNotAHang) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  const Result<OutFile> out = OutFile::open(path("fifo"));
  ASSERT_FALSE(out);
  EXPECT_NE(out.error().what.find("nobody reads"), std::string::npos);
}

TEST_F(OutFileTest, DescriptorNamesOfTheShellWork) {
  Pipe pipe;
  Result<OutFile> out = OutFile::open("/dev/fd/" + std::to_string(pipe.writer()));
  ASSERT_TRUE(out) << out.error().what;
  out->write("x\n");
  EXPECT_TRUE(out->flush());
  char got[8];
  EXPECT_EQ(read(pipe.reader(), got, sizeof got), 2);
  EXPECT_FALSE(OutFile::open("/dev/fd/987"));
  EXPECT_TRUE(OutFile::open("-"));
}

TEST_F(OutFileTest, MoreThanTheBufferIsWrittenInOrder) {
  Result<OutFile> out = OutFile::open(path("f"));
  std::string expected;
  for (int i = 0; i < 50000; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    out->write(line);
    expected += line;
  }
  EXPECT_TRUE(out->flush());
  EXPECT_EQ(content(path("f")), expected);
}

TEST_F(OutFileTest, RecordLargerThanTheBufferFits) {
  Result<OutFile> out = OutFile::open(path("f"));
  out->write("before\n");
  const std::string big = std::string(2 * OutFile::kBufferSize, 'x') + "\n";
  out->write(big);
  out->write("after\n");
  EXPECT_TRUE(out->flush());
  EXPECT_EQ(content(path("f")), "before\n" + big + "after\n");
}

TEST_F(OutFileTest, ReopenAfterRotationWritesToTheNewFile) {
  Result<OutFile> out = OutFile::open(path("f"));
  out->write("old\n");
  ASSERT_EQ(rename(path("f").c_str(), path("f.1").c_str()), 0);
  ASSERT_TRUE(out->reopen());
  out->write("new\n");
  out->flush();
  EXPECT_EQ(content(path("f.1")), "old\n");
  EXPECT_EQ(content(path("f")), "new\n");
}

TEST_F(OutFileTest, ReopenWithoutRotationLosesNothing) {
  Result<OutFile> out = OutFile::open(path("f"));
  out->write("old\n");
  ASSERT_TRUE(out->reopen());
  out->write("new\n");
  out->flush();
  EXPECT_EQ(content(path("f")), "old\nnew\n");
}

TEST_F(OutFileTest, FailedReopenKeepsTheOldFile) {
  Result<OutFile> out = OutFile::open(path("f"));
  ASSERT_EQ(rename(path("f").c_str(), path("f.1").c_str()), 0);
  ASSERT_EQ(symlink("elsewhere", path("f").c_str()), 0);
  EXPECT_FALSE(out->reopen());
  out->write("still here\n");
  EXPECT_TRUE(out->flush());
  EXPECT_EQ(content(path("f.1")), "still here\n");
}

TEST_F(OutFileTest, FullDeviceIsOneErrorWithPathAndReason) {
  Result<OutFile> out = OutFile::open("/dev/full");
  ASSERT_TRUE(out);
  out->write("x\n");
  EXPECT_FALSE(out->flush());
  EXPECT_EQ(out->state(), OutFile::State::kFailed);
  EXPECT_EQ(out->error_number(), ENOSPC);
  EXPECT_EQ(out->failure().what, "cannot write to /dev/full: No space left on device");
  // What comes after costs nothing and does not grow.
  for (int i = 0; i < 100000; ++i) out->write("more\n");
  EXPECT_FALSE(out->flush());
  EXPECT_EQ(out->bytes_not_taken(), 2U + 5U * 100000U);
}

TEST_F(OutFileTest, FileThatCannotGrowEndsWithAWholeLine) {
  Result<OutFile> out = OutFile::open(path("f"));
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit small{.rlim_cur = 1000, .rlim_max = old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  for (int i = 0; i < 100; ++i) out->write("sixteen bytes..\n");
  const bool flushed = out->flush();
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_FALSE(flushed);
  EXPECT_EQ(out->error_number(), EFBIG);
  EXPECT_EQ(content(path("f")).size(), 992U);  // 62 lines; 1000 would cut the 63rd
}

TEST_F(OutFileTest, ClosedPipeIsAQuietEnd) {
  Pipe pipe;
  OutFile out = OutFile::on_descriptor(pipe.writer(), "stdout");
  pipe.close_reader();
  out.write("x\n");
  EXPECT_FALSE(out.flush());
  EXPECT_EQ(out.state(), OutFile::State::kClosed);
}

TEST_F(OutFileTest, WatchDescriptorTellsAboutAReaderThatLeft) {
  Pipe pipe;
  OutFile out = OutFile::on_descriptor(pipe.writer(), "stdout");
  pollfd watch{.fd = out.watch_fd(), .events = 0, .revents = 0};
  EXPECT_EQ(poll(&watch, 1, 0), 0);
  pipe.close_reader();
  EXPECT_EQ(poll(&watch, 1, 0), 1);
  EXPECT_NE(watch.revents & POLLERR, 0);
  Result<OutFile> file = OutFile::open(path("f"));
  EXPECT_EQ(file->watch_fd(), -1);
}

TEST_F(OutFileTest, SharedDescriptorStaysBlocking) {
  Pipe pipe;
  const OutFile out = OutFile::on_descriptor(pipe.writer(), "stdout");
  EXPECT_EQ(fcntl(pipe.writer(), F_GETFL) & O_NONBLOCK, 0);
}

// How a writer of 8 MiB fares with a reader that takes its time.
void read_all_slowly(int fd, std::string& got) {
  std::array<char, 50000> chunk{};
  for (int n = 0;; ++n) {
    const ssize_t size = read(fd, chunk.data(), chunk.size());
    if (size <= 0) return;
    got.append(chunk.data(), static_cast<std::size_t>(size));
    if (n % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

std::string lines_for(OutFile& out, std::size_t bytes) {
  std::string sent;
  for (int i = 0; sent.size() < bytes; ++i) {
    const std::string line = "record " + std::to_string(i) + " of a busy machine\n";
    out.write(line);
    sent += line;
  }
  out.flush();
  return sent;
}

TEST_F(OutFileTest, SlowReaderOfAPipeGetsEverything) {
  auto pipe = std::make_unique<Pipe>();
  std::string got;
  std::thread reader(read_all_slowly, pipe->reader(), std::ref(got));
  OutFile out = OutFile::on_descriptor(pipe->writer(), "stdout");
  const std::string sent = lines_for(out, 4U << 20U);
  { const OutFile gone = std::move(out); }  // closes our own description
  close(std::exchange(pipe->ends[1], -1));
  reader.join();
  EXPECT_EQ(got, sent);
}

TEST_F(OutFileTest, SlowReaderOfASocketGetsEverything) {
  std::array<int, 2> ends{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  std::string got;
  std::thread reader(read_all_slowly, ends[0], std::ref(got));
  OutFile out = OutFile::on_descriptor(ends[1], "stdout");
  const std::string sent = lines_for(out, 4U << 20U);
  close(ends[1]);
  reader.join();
  close(ends[0]);
  EXPECT_EQ(got, sent);
}

TEST_F(OutFileTest, ReaderThatTakesNothingAfterAStopIsGivenUp) {
  Pipe pipe;
  const int stop = eventfd(1, EFD_CLOEXEC);
  OutFile out = OutFile::on_descriptor(pipe.writer(), "stdout");
  out.set_stop_fd(stop);
  out.set_grace_ms(50);
  const auto before = std::chrono::steady_clock::now();
  const std::string sent = lines_for(out, 1U << 20U);
  const auto waited = std::chrono::steady_clock::now() - before;
  EXPECT_EQ(out.state(), OutFile::State::kGaveUp);
  EXPECT_GE(waited, std::chrono::milliseconds(50));
  EXPECT_LT(waited, std::chrono::seconds(2));
  EXPECT_EQ(out.bytes_written() + out.bytes_not_taken(), sent.size());
  EXPECT_NE(out.failure().what.find(std::to_string(out.bytes_not_taken()) + " bytes"),
            std::string::npos);
  close(stop);
}

TEST_F(OutFileTest, StopThatComesWhileBlockedIsNoticed) {
  Pipe pipe;
  const int stop = eventfd(0, EFD_CLOEXEC);
  OutFile out = OutFile::on_descriptor(pipe.writer(), "stdout");
  out.set_stop_fd(stop);
  out.set_grace_ms(30);
  std::thread stopper([stop] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const std::uint64_t one = 1;
    EXPECT_EQ(write(stop, &one, sizeof one), 8);
  });
  lines_for(out, 1U << 20U);
  stopper.join();
  EXPECT_EQ(out.state(), OutFile::State::kGaveUp);
  close(stop);
}

TEST_F(OutFileTest, TimeThatRunsOutWhileBlockedIsNoticed) {
  Pipe pipe;
  OutFile out = OutFile::on_descriptor(pipe.writer(), "stdout");
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  out.set_stop_at(static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
                  static_cast<std::uint64_t>(now.tv_nsec) + 50'000'000);
  out.set_grace_ms(30);
  lines_for(out, 1U << 20U);
  EXPECT_EQ(out.state(), OutFile::State::kGaveUp);
}

TEST_F(OutFileTest, ReaderThatTakesBytesAfterAStopIsServedToTheEnd) {
  auto pipe = std::make_unique<Pipe>();
  std::string got;
  OutFile out = OutFile::on_descriptor(pipe->writer(), "stdout");
  out.request_stop();
  out.set_grace_ms(2000);
  std::thread reader([&got, fd = pipe->reader()] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    read_all_slowly(fd, got);
  });
  const std::string sent = lines_for(out, 1U << 20U);
  EXPECT_TRUE(out.usable());
  { const OutFile gone = std::move(out); }
  close(std::exchange(pipe->ends[1], -1));
  reader.join();
  EXPECT_EQ(got, sent);
}

TEST_F(OutFileTest, TerminalThatIsStoppedDoesNotHangTheEnd) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
    GTEST_SKIP() << "no pseudo terminals here";
  char name[128];
  ASSERT_EQ(ptsname_r(master, name, sizeof name), 0);
  const int terminal = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(terminal, 0);
  OutFile out = OutFile::on_descriptor(terminal, "stdout");
  EXPECT_TRUE(out.is_terminal());
  out.request_stop();
  out.set_grace_ms(50);
  lines_for(out, 1U << 20U);
  EXPECT_EQ(out.state(), OutFile::State::kGaveUp);
  EXPECT_GT(out.bytes_written(), 0U);
  close(terminal);
  close(master);
}

// One byte more than was reserved, and still within the buffer: nothing else would notice.
TEST(OutFileDeathTest, RecordLargerThanItsRoomAborts) {
  OutFile out = OutFile::on_descriptor(STDOUT_FILENO, "stdout");
  char* p = out.reserve(8);
  out.commit(p + 8);
  EXPECT_DEATH(out.commit(p + 9), "a record of 1 bytes was written into room for 0 bytes");
  p = out.reserve(8);
  EXPECT_DEATH(out.commit(p + 9), "a record of 9 bytes was written into room for 8 bytes");
  EXPECT_DEATH(out.commit(p - 1), "a record of -1 bytes");
}

}  // namespace
}  // namespace tcptrail
