// SPDX-License-Identifier: BSD-2-Clause
// An OutFile whose bytes a test can read back. Called by the sink tests.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "util/out_file.h"

namespace tcptrail::test {

class MemoryOutput {
 public:
  MemoryOutput()
      : fd_(memfd_create("output", MFD_CLOEXEC)), file_(OutFile::on_descriptor(fd_, "memory")) {}
  MemoryOutput(const MemoryOutput&) = delete;
  ~MemoryOutput() { close(fd_); }

  OutFile& file() { return file_; }

  // Everything written so far.
  std::string text() {
    file_.flush();
    const off_t size = lseek(fd_, 0, SEEK_END);
    std::string out(static_cast<std::size_t>(size), '\0');
    const ssize_t n = pread(fd_, out.data(), out.size(), 0);
    out.resize(static_cast<std::size_t>(n));
    return out;
  }

  std::vector<std::string> lines() { return split(text()); }

  static std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> out;
    while (!text.empty()) {
      const std::size_t newline = text.find('\n');
      out.emplace_back(text.substr(0, newline));
      text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    }
    return out;
  }

 private:
  int fd_;
  OutFile file_;
};

}  // namespace tcptrail::test
