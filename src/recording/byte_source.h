// SPDX-License-Identifier: BSD-2-Clause
// Where a recording is read from: a file, a pipe, or memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "util/result.h"

namespace tcptrail {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills `to` and returns how much; less only where the bytes end, or where reading
  // failed: then error_number() is not 0.
  virtual std::size_t read(std::span<std::byte> to) = 0;
  [[nodiscard]] virtual int error_number() const { return 0; }
  // A stop was asked for while the source had nothing to give.
  [[nodiscard]] virtual bool stopped() const { return false; }
};

class FileSource final : public ByteSource {
 public:
  // "-" = stdin.
  static Result<std::unique_ptr<FileSource>> open(const std::string& path);
  FileSource(const FileSource&) = delete;
  ~FileSource() override;
  std::size_t read(std::span<std::byte> to) override;
  [[nodiscard]] int error_number() const override { return errno_; }
  [[nodiscard]] bool stopped() const override { return stopped_; }

  // A descriptor that becomes readable, and stays so, when the run is to stop: it
  // ends the wait for a slow pipe.
  void set_stop_fd(int fd) { stop_fd_ = fd; }
  // Back to its first byte; false for what cannot be read twice.
  bool rewind();

 private:
  FileSource(int fd, bool owned) : fd_(fd), owned_(owned) {}

  int fd_;
  bool owned_;
  int stop_fd_ = -1;
  int errno_ = 0;
  bool stopped_ = false;
};

// Does not own the bytes.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::byte> bytes) : left_(bytes) {}
  std::size_t read(std::span<std::byte> to) override;

 private:
  std::span<const std::byte> left_;
};

}  // namespace tcptrail
