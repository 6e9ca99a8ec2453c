// SPDX-License-Identifier: BSD-2-Clause
// Buffered output that survives slow readers, closed pipes and full disks; see
// out_file.h. Regular files are written at once. Pipes, sockets and terminals
// are written only as far as they take bytes without blocking.
#include "util/out_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>
#include <utility>

namespace tcptrail {
namespace {

std::uint64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

constexpr int kOpenFlags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;

// The names under which a shell hands a descriptor over; their last component is
// a link, which O_NOFOLLOW would refuse. -1 = an ordinary path.
int descriptor_of(std::string_view path) {
  if (path == "-" || path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view prefix : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(prefix)) continue;
    const std::string_view digits = path.substr(prefix.size());
    int fd = -1;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), fd);
    if (failed == std::errc{} && end == digits.data() + digits.size()) return fd;
  }
  return -1;
}

Error open_error(const std::string& path, int number) {
  Error error{.what = "cannot open " + path + ": " + std::strerror(number)};
  if (number == ELOOP) {
    error.what = "cannot open " + path + ": it is a symbolic link";
    error.why = "output files are not opened through links, which someone else could have placed";
    error.fix = "name the file that it points to";
  } else if (number == ENXIO) {
    error.what = "cannot open " + path + ": nobody reads from this pipe";
    error.fix = "start the reader first";
  } else if (number == ENOENT) {
    error.fix = "create its directory first";
  }
  return error;
}

int open_path(const std::string& path, int more_flags) {
  // O_NONBLOCK: a named pipe without a reader must be an error, not a hang.
  const int fd = ::open(path.c_str(), kOpenFlags | O_NONBLOCK | more_flags, 0600);
  return fd;
}

}  // namespace

OutFile::OutFile(int fd, bool owned, std::string name, std::string path)
    : buffer_(std::make_unique_for_overwrite<char[]>(kBufferSize)),
      pos_(buffer_.get()),
      limit_(buffer_.get() + kBufferSize),
      reserved_(pos_),
      capacity_(kBufferSize),
      fd_(fd),
      owned_(owned),
      name_(std::move(name)),
      path_(std::move(path)) {
  classify();
}

OutFile::OutFile(OutFile&& other) noexcept
    : buffer_(std::move(other.buffer_)),
      pos_(std::exchange(other.pos_, nullptr)),
      limit_(std::exchange(other.limit_, nullptr)),
      reserved_(std::exchange(other.reserved_, nullptr)),
      capacity_(std::exchange(other.capacity_, 0)),
      fd_(std::exchange(other.fd_, -1)),
      nonblock_fd_(std::exchange(other.nonblock_fd_, -1)),
      stop_fd_(other.stop_fd_),
      owned_(std::exchange(other.owned_, false)),
      created_(std::exchange(other.created_, false)),
      untouched_(std::exchange(other.untouched_, false)),
      files_begun_(other.files_begun_),
      stopping_(other.stopping_),
      whole_flushes_(other.whole_flushes_),
      kind_(other.kind_),
      state_(other.state_),
      errno_(other.errno_),
      grace_ms_(other.grace_ms_),
      stop_at_ms_(other.stop_at_ms_),
      quiet_since_ms_(other.quiet_since_ms_),
      bytes_written_(other.bytes_written_),
      bytes_dropped_(other.bytes_dropped_),
      name_(std::move(other.name_)),
      path_(std::move(other.path_)) {}

OutFile::~OutFile() {
  if (created_ && untouched_) ::unlink(path_.c_str());
  close_fds();
}

void OutFile::close_fds() noexcept {
  if (nonblock_fd_ >= 0) ::close(nonblock_fd_);
  if (owned_ && fd_ >= 0) ::close(fd_);
  nonblock_fd_ = -1;
  fd_ = -1;
}

Result<OutFile> OutFile::open(const std::string& path) {
  if (const int fd = descriptor_of(path); fd >= 0) {
    if (fcntl(fd, F_GETFD) < 0) return open_error(path, errno);
    return on_descriptor(fd, path == "-" ? "stdout" : path);
  }
  int fd = open_path(path, O_EXCL);
  const bool created = fd >= 0;
  // O_CREAT again: it makes the kernel refuse a file that somebody else planted in a sticky
  // directory (fs.protected_regular).
  if (fd < 0 && errno == EEXIST) fd = open_path(path, 0);
  if (fd < 0) return open_error(path, errno);
  OutFile file(fd, true, path, path);
  file.created_ = created;
  file.untouched_ = true;
  return file;
}

OutFile OutFile::on_descriptor(int fd, std::string name) {
  return OutFile(fd, false, std::move(name), {});
}

void OutFile::classify() {
  struct stat info {};
  if (fstat(fd_, &info) != 0) return;  // write() will say what is wrong
  if (S_ISFIFO(info.st_mode)) kind_ = Kind::kPipe;
  if (S_ISSOCK(info.st_mode)) kind_ = Kind::kSocket;
  if (S_ISCHR(info.st_mode) && isatty(fd_) == 1) kind_ = Kind::kTerminal;
  if (kind_ != Kind::kPipe && kind_ != Kind::kTerminal) return;
  // O_NONBLOCK belongs to the open file description, which the shell and other
  // writers share. A second open through /proc gives a description of our own.
  // Where that is refused (a pipe of another user), poll() and small writes do.
  const std::string link = "/proc/self/fd/" + std::to_string(fd_);
  nonblock_fd_ = ::open(link.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void OutFile::make_room(std::size_t size) {
  flush();
  if (size <= capacity_) return;
  // A record larger than the buffer: labels or a path of unusual length.
  capacity_ = size;
  buffer_ = std::make_unique_for_overwrite<char[]>(capacity_);
  pos_ = buffer_.get();
  limit_ = pos_ + capacity_;
}

void OutFile::overrun(const char* end) const {
  std::fprintf(stderr,
               "tcptrail: error: a record of %td bytes was written into room for %td bytes\n"
               "  fix: report this bug with the command line\n",
               end - pos_, reserved_ - pos_);
  std::abort();
}

void OutFile::write(std::string_view lines) {
  commit(std::copy(lines.begin(), lines.end(), reserve(lines.size())));
}

void OutFile::write_line(std::string_view line) {
  char* end = std::copy(line.begin(), line.end(), reserve(line.size() + 1));
  *end++ = '\n';
  commit(end);
}

bool OutFile::flush() {
  const char* data = buffer_.get();
  const auto size = static_cast<std::size_t>(pos_ - data);
  pos_ = buffer_.get();
  if (untouched_) replace_content();
  if (size == 0) return usable();
  if (!usable()) {
    bytes_dropped_ += size;
    return false;
  }
  return write_all(data, size);
}

void OutFile::replace_content() {
  untouched_ = false;
  if (is_regular() && ::ftruncate(fd_, 0) != 0) fail(errno, buffer_.get(), 0);
}

bool OutFile::write_all(const char* data, std::size_t size) {
  std::size_t written = 0;
  quiet_since_ms_ = 0;
  while (written < size) {
    const std::ptrdiff_t n = write_some(data + written, size - written);
    if (n > 0) {
      ready_before_ = false;
      written += static_cast<std::size_t>(n);
      bytes_written_ += static_cast<std::uint64_t>(n);
      quiet_since_ms_ = 0;
      continue;
    }
    const int error = n == 0 ? EIO : errno;
    if (error == EINTR) continue;
    if (error == EAGAIN || error == EWOULDBLOCK) {
      if (wait_writable()) continue;
      state_ = State::kGaveUp;
    } else {
      fail(error, data, written);
    }
    bytes_dropped_ += size - written;
    return false;
  }
  return true;
}

std::ptrdiff_t OutFile::write_some(const char* data, std::size_t size) const {
  if (kind_ == Kind::kDirect) return ::write(fd_, data, size);
  if (kind_ == Kind::kSocket) return ::send(fd_, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (nonblock_fd_ >= 0) return ::write(nonblock_fd_, data, size);
  // poll() says that a pipe has a free page: PIPE_BUF bytes go without blocking.
  pollfd ready{.fd = fd_, .events = POLLOUT, .revents = 0};
  const int n = ::poll(&ready, 1, 0);
  if (n < 0) return -1;
  if ((ready.revents & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)) == 0) {
    errno = EAGAIN;
    return -1;
  }
  return ::write(fd_, data, std::min<std::size_t>(size, PIPE_BUF));
}

// False when a stop was asked for and the reader has taken nothing since for the grace time.
bool OutFile::wait_writable() {
  for (;;) {
    const std::uint64_t now = now_ms();
    if (now >= stop_at_ms_) stopping_ = true;
    std::uint64_t left = stop_at_ms_ - now;
    if (stopping_) {
      if (quiet_since_ms_ == 0) quiet_since_ms_ = now;
      const std::uint64_t waited = now - quiet_since_ms_;
      if (waited >= grace_ms_) return false;
      left = grace_ms_ - waited;
    }
    int timeout = left > INT_MAX ? -1 : static_cast<int>(left);
    // A terminal can be called writable while it has no room for the next
    // character and its carriage return: then time has to pass, not only poll().
    const bool again = std::exchange(ready_before_, false) && kind_ == Kind::kTerminal;
    if (again) timeout = 10;
    // Once stopping, the stop descriptor stays readable and would end every poll.
    std::array<pollfd, 2> fds = {
        pollfd{.fd = again ? -1 : fd_, .events = POLLOUT, .revents = 0},
        pollfd{.fd = stopping_ ? -1 : stop_fd_, .events = POLLIN, .revents = 0}};
    const int n = ::poll(fds.data(), fds.size(), timeout);
    if (n < 0 && errno != EINTR) return false;
    if (n == 0 && again) return true;
    if (n <= 0) continue;
    if (fds[1].revents != 0) stopping_ = true;
    if (fds[0].revents != 0) return ready_before_ = true;
  }
}

void OutFile::fail(int error, const char* data, std::size_t written) {
  // EIO of a terminal: its window was closed.
  const bool gone =
      error == EPIPE || error == ECONNRESET || (error == EIO && kind_ == Kind::kTerminal);
  state_ = gone ? State::kClosed : State::kFailed;
  errno_ = error;
  if (state_ == State::kFailed && kind_ == Kind::kDirect) cut_partial_unit(data, written);
}

bool OutFile::is_same_file(const std::string& path) const {
  struct stat ours {};
  struct stat theirs {};
  const int fd = descriptor_of(path);
  if (fstat(fd_, &ours) != 0 || (fd >= 0 ? fstat(fd, &theirs) : stat(path.c_str(), &theirs)) != 0)
    return false;
  return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino && !S_ISCHR(ours.st_mode) &&
         !S_ISSOCK(ours.st_mode);
}

bool OutFile::is_regular() const {
  struct stat info {};
  return !path_.empty() && fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
}

// A full disk ends in the middle of a line. Readers of lines must not see that, so
// the file is cut behind its last whole record, if nobody wrote after us.
void OutFile::cut_partial_unit(const char* data, std::size_t written) const {
  const auto* newline =
      whole_flushes_ ? nullptr : static_cast<const char*>(memrchr(data, '\n', written));
  const std::size_t whole = newline == nullptr ? 0 : static_cast<std::size_t>(newline + 1 - data);
  const auto excess = static_cast<off_t>(written - whole);
  struct stat info {};
  if (excess == 0 || fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) return;
  if (lseek(fd_, 0, SEEK_CUR) != info.st_size || info.st_size < excess) return;
  // The error that is reported stays the first one.
  if (ftruncate(fd_, info.st_size - excess) == 0) lseek(fd_, -excess, SEEK_CUR);
}

Result<void> OutFile::reopen() { return reopen_with(0); }
Result<void> OutFile::reopen_new() { return reopen_with(O_EXCL); }

Result<void> OutFile::reopen_with(int more_flags) {
  if (path_.empty()) return {};
  flush();
  const int fd = open_path(path_, more_flags);
  if (fd < 0) return open_error(path_, errno);
  close_fds();
  fd_ = fd;
  kind_ = Kind::kDirect;
  classify();
  struct stat info {};
  if (fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 0) ++files_begun_;
  // A disk that was full, or a reader that went away, is forgotten with the old file.
  state_ = State::kOpen;
  errno_ = 0;
  return {};
}

std::uint64_t OutFile::bytes_not_taken() const {
  const auto buffered = static_cast<std::uint64_t>(pos_ - buffer_.get());
  return bytes_dropped_ + (usable() ? 0 : buffered);
}

Error OutFile::failure() const {
  if (state_ == State::kGaveUp) {
    return {.what = "the reader of " + name_ + " took nothing for " + std::to_string(grace_ms_) +
                    " ms after the stop: " + std::to_string(bytes_not_taken()) +
                    " bytes were not delivered"};
  }
  return {.what = "cannot write to " + name_ + ": " + std::strerror(errno_)};
}

}  // namespace tcptrail
