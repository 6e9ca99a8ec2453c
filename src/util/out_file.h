// SPDX-License-Identifier: BSD-2-Clause
// Buffered output to a descriptor (stdout) or to a file of our own (-o FILE).
// One buffer of 256 KiB, reused; records are written into it without a check
// per field. A reader that is slow blocks us in poll(2), never in write(2), so
// that a stop request is always noticed. Input: records as bytes, each call to
// commit() ending at the end of a line. Called by the sinks and the run loop.
//
// The process must ignore SIGPIPE and SIGXFSZ: their errno is what is handled here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "util/result.h"

namespace tcptrail {

class OutFile {
 public:
  enum class State {
    kOpen,
    kClosed,  // the reader has gone away (EPIPE): a quiet end
    kFailed,  // the data could not be written: failure() says what to print, exit code 1
    kGaveUp,  // stopped, and the reader took nothing for the grace time: bytes_not_taken()
  };

  static constexpr std::size_t kBufferSize = 256 * 1024;
  static constexpr std::uint64_t kDefaultGraceMs = 2000;

  // Creates FILE (mode 0600) or opens it as it is; a symbolic link is refused. The first
  // flush() empties it: until then a run that cannot start leaves an existing file as it
  // was, and takes a new one away. "-" and /dev/stdout, /dev/stderr, /dev/fd/N mean the
  // descriptor.
  static Result<OutFile> open(const std::string& path);
  // Borrows `fd` and never changes its flags, which other processes share.
  static OutFile on_descriptor(int fd, std::string name);

  OutFile(OutFile&& other) noexcept;
  OutFile& operator=(OutFile&&) = delete;
  OutFile(const OutFile&) = delete;
  ~OutFile();  // does not flush

  // Room for `size` bytes. Flushes when the buffer is full, which may block; the
  // pointer is always good, also after the output has ended (then nothing is kept).
  [[nodiscard]] char* reserve(std::size_t size) {
    if (static_cast<std::size_t>(limit_ - pos_) < size) [[unlikely]]
      make_room(size);
    reserved_ = pos_ + size;
    return pos_;
  }
  // What was written into the room, up to `end`. A record that is larger than its room has
  // damaged memory already: the process aborts, in every build, before anything is written out.
  void commit(char* end) {
    if (end < pos_ || end > reserved_) [[unlikely]]
      overrun(end);
    pos_ = end;
  }
  // The same in one call, for text that exists already: whole lines, or one without its end.
  void write(std::string_view lines);
  void write_line(std::string_view line);

  // Writes what is buffered; the first call empties an existing file, also when there is nothing
  // to write. True while the output is open.
  bool flush();

  // SIGHUP: writes what is buffered to the old file, then opens the path again
  // (append, created 0600). On an error the old file stays in use. Nothing
  // happens for a borrowed descriptor.
  Result<void> reopen();
  // The same for a file that must not be there: its name was given away (rename).
  Result<void> reopen_new();

  // A descriptor that becomes readable, and stays so, when the run is to stop (a
  // signalfd of SIGINT and SIGTERM, an eventfd, or an epoll descriptor of
  // several). It is polled, never read.
  void set_stop_fd(int fd) { stop_fd_ = fd; }
  // The run is to stop at this CLOCK_BOOTTIME time (--for), also while we wait for
  // a slow reader.
  void set_stop_at(std::uint64_t boot_ns) { stop_at_ms_ = boot_ns / 1'000'000; }
  // The same by a call: from now on a reader that takes nothing for the grace
  // time ends the output.
  void request_stop() { stopping_ = true; }
  void set_grace_ms(std::uint64_t ms) { grace_ms_ = ms; }
  // A disk that fills up leaves a file of whole lines. With this one of whole
  // flushes: what each flush() wrote is then one unit (a block of a recording).
  void set_whole_flushes() { whole_flushes_ = true; }

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool usable() const { return state_ == State::kOpen; }
  [[nodiscard]] int error_number() const { return errno_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool is_terminal() const { return kind_ == Kind::kTerminal; }
  // The same file under any name, hard and symbolic links included. Devices and sockets are
  // never the same: two may write to /dev/null.
  [[nodiscard]] bool is_same_file(const std::string& path) const;
  // How many files have begun empty: one more after a reopen() that found a new or empty file,
  // which wants its header line.
  [[nodiscard]] unsigned files_begun() const { return files_begun_; }
  // A file of our own that has a path and could be renamed.
  [[nodiscard]] bool is_regular() const;
  [[nodiscard]] std::uint64_t bytes_written() const { return bytes_written_; }
  // Committed after the output had ended, or in the buffer when it did.
  [[nodiscard]] std::uint64_t bytes_not_taken() const;
  // For the kFailed and kGaveUp states: one message for stderr.
  [[nodiscard]] Error failure() const;
  // To watch for POLLERR/POLLHUP while idle (`| head -1`); -1 for a regular file
  // and for devices that never hang up.
  [[nodiscard]] int watch_fd() const { return kind_ == Kind::kDirect ? -1 : fd_; }

 private:
  enum class Kind { kDirect, kPipe, kSocket, kTerminal };
  OutFile(int fd, bool owned, std::string name, std::string path);

  Result<void> reopen_with(int more_flags);
  void classify();
  void close_fds() noexcept;
  void replace_content();
  void make_room(std::size_t size);
  [[noreturn]] void overrun(const char* end) const;
  bool write_all(const char* data, std::size_t size);
  [[nodiscard]] std::ptrdiff_t write_some(const char* data, std::size_t size) const;
  bool wait_writable();
  void fail(int error, const char* data, std::size_t written);
  void cut_partial_unit(const char* data, std::size_t written) const;

  std::unique_ptr<char[]> buffer_;
  char* pos_ = nullptr;
  char* limit_ = nullptr;
  char* reserved_ = nullptr;  // the end of the room of the last reserve()
  std::size_t capacity_ = 0;
  int fd_ = -1;
  int nonblock_fd_ = -1;  // our own O_NONBLOCK description of the same pipe or terminal
  int stop_fd_ = -1;
  bool owned_ = false;
  bool created_ = false;    // by open(): there was no such file before
  bool untouched_ = false;  // what the file held before is still in it
  unsigned files_begun_ = 1;
  bool stopping_ = false;
  bool whole_flushes_ = false;
  bool ready_before_ = false;  // poll() said writable, and nothing was written since
  Kind kind_ = Kind::kDirect;
  State state_ = State::kOpen;
  int errno_ = 0;
  std::uint64_t grace_ms_ = kDefaultGraceMs;
  std::uint64_t stop_at_ms_ = UINT64_MAX;  // CLOCK_BOOTTIME, as the next
  std::uint64_t quiet_since_ms_ = 0;       // 0 = not waiting
  std::uint64_t bytes_written_ = 0;
  std::uint64_t bytes_dropped_ = 0;
  std::string name_;
  std::string path_;  // empty for a borrowed descriptor
};

}  // namespace tcptrail
