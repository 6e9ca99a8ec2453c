// SPDX-License-Identifier: BSD-2-Clause
#include "recording/parts.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "recording/reader.h"

namespace tcptrail {
namespace {

bool was_rotated(const std::string& path) {
  Result<std::unique_ptr<FileSource>> source = FileSource::open(path);
  if (!source) return false;
  const auto reader = RecordingReader::open(std::move(*source), path);
  return reader.ok() && (*reader)->header().rotates;
}

}  // namespace

std::string part_path(const std::string& path, unsigned number) {
  return number == 0 ? path : path + "." + std::to_string(number);
}

Result<bool> continues_rotation(const RecordingTarget& target) {
  if (target.force || target.path == "-") return false;
  bool continues = false;
  for (unsigned number = 0; number <= target.keep; ++number) {
    const std::string path = part_path(target.path, number);
    std::error_code error;
    const std::filesystem::file_status status = std::filesystem::symlink_status(path, error);
    if (!std::filesystem::exists(status)) continue;
    const bool regular = std::filesystem::is_regular_file(status);
    if (number == 0 && !regular) continue;  // OutFile judges links, pipes and devices
    if (regular && std::filesystem::is_empty(path, error) && !error) continue;
    if (regular && target.keep != 0 && was_rotated(path)) {
      continues |= number == 0;
      continue;
    }
    return Error{path + " exists",
                 target.keep != 0
                     ? "it was not written by `record --rotate`, which would replace it"
                     : "the recording would replace it",
                 "name another file, or replace it with --force", 2};
  }
  return continues;
}

// By errno.
Error cannot_rename(const std::string& from, const std::string& to) {
  return Error{"cannot rename " + from + " to " + to + ": " + std::strerror(errno)};
}

Result<void> move_parts(const RecordingTarget& target) {
  for (unsigned number = target.keep; number > 0; --number) {
    const std::string from = part_path(target.path, number - 1);
    const std::string to = part_path(target.path, number);
    if (std::rename(from.c_str(), to.c_str()) != 0 && (errno != ENOENT || number == 1))
      return cannot_rename(from, to);
  }
  return {};
}

}  // namespace tcptrail
