// SPDX-License-Identifier: BSD-2-Clause
#include "recording/byte_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace tcptrail {

Result<std::unique_ptr<FileSource>> FileSource::open(const std::string& path) {
  if (path == "-") return std::unique_ptr<FileSource>(new FileSource(STDIN_FILENO, false));
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return Error{"cannot open " + path + ": " + std::strerror(errno)};
  std::unique_ptr<FileSource> source(new FileSource(fd, true));
  struct stat info {};
  if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode))
    return Error{"cannot open " + path + ": it is a directory"};
  return source;
}

FileSource::~FileSource() {
  if (owned_) ::close(fd_);
}

std::size_t FileSource::read(std::span<std::byte> to) {
  std::size_t done = 0;
  while (done < to.size()) {
    // A regular file is always readable: this costs one call for each block. A stop
    // descriptor of -1 is passed over.
    std::array<pollfd, 2> fds = {pollfd{.fd = fd_, .events = POLLIN, .revents = 0},
                                 pollfd{.fd = stop_fd_, .events = POLLIN, .revents = 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) {
      errno_ = errno;
      break;
    }
    if (fds[0].revents == 0) {
      if (fds[1].revents == 0) continue;
      stopped_ = true;
      break;
    }
    const ssize_t n = ::read(fd_, to.data() + done, to.size() - done);
    if (n == 0) break;
    if (n < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      errno_ = errno;
      break;
    }
    done += static_cast<std::size_t>(n);
  }
  return done;
}

bool FileSource::rewind() { return ::lseek(fd_, 0, SEEK_SET) == 0; }

std::size_t MemorySource::read(std::span<std::byte> to) {
  const std::size_t n = std::min(to.size(), left_.size());
  std::copy_n(left_.begin(), n, to.begin());
  left_ = left_.subspan(n);
  return n;
}

}  // namespace tcptrail
