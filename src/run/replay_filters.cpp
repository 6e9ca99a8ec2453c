// SPDX-License-Identifier: BSD-2-Clause
#include "run/replay_filters.h"

#include <algorithm>
#include <charconv>

#include "kernel/machine.h"
#include "kernel/netns.h"
#include "recording/reader.h"

namespace tcptrail {
namespace {

std::string recorded(const RecordingHeader& header, std::string_view filter) {
  for (const auto& [name, value] : header.startup.filters)
    if (name == filter) return value;
  return {};
}

// A number is an inode number here, never a process: the processes are those of another time or
// machine.
Result<std::vector<std::uint32_t>> namespaces(const Options& options,
                                              const RecordingHeader& header) {
  if (options.netns.empty()) return header.netns;
  const std::string text = recorded(header, "netns");
  const std::vector<std::string_view> names = split_list(text);
  std::vector<std::uint32_t> wanted;
  for (const std::string& name : options.netns) {
    std::uint32_t inode = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), inode);
    const auto given = std::find(names.begin(), names.end(), name);
    if (failed == std::errc{} && end == name.data() + name.size()) {
      wanted.push_back(inode);
    } else if (given != names.end() && names.size() == header.netns.size()) {
      wanted.push_back(header.netns[static_cast<std::size_t>(given - names.begin())]);
    } else if (header.startup.boot_id == boot_id() && !header.startup.boot_id.empty()) {
      const Result<std::uint32_t> here = resolve_netns(name);
      if (!here) return here.error();
      wanted.push_back(*here);
    } else {
      return Error{
          "the recording does not know network namespace " + name,
          "it has the inode numbers of namespaces, and names only of those that it was filtered by",
          "use the number: `netns` of the records of tcptrail replay --json", 2};
    }
  }
  return wanted;
}

// Reads the file once for the names alone: which ids lie below the path must be
// known before the first event is judged.
Result<std::vector<std::uint64_t>> cgroups(const Options& options) {
  if (options.replay_file == "-")
    return Error{"--cgroup with a recording from stdin",
                 "the names of cgroups must be known first, and stdin can be read only once",
                 "name a file", 2};
  std::string_view wanted = options.cgroup;
  for (const std::string_view mount : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"})
    if (is_below(wanted, mount)) {
      wanted.remove_prefix(mount.size());
      break;
    }
  while (wanted.ends_with('/')) wanted.remove_suffix(1);
  Result<std::unique_ptr<FileSource>> source = FileSource::open(options.replay_file);
  if (!source) return source.error();
  Result<std::unique_ptr<RecordingReader>> reader =
      RecordingReader::open(std::move(*source), options.replay_file);
  if (!reader) return reader.error();
  ModelInput nothing;
  for (auto status = (*reader)->next(nothing);
       status == RecordingReader::Status::kItem || status == RecordingReader::Status::kBlock;)
    status = (*reader)->next(nothing);
  std::vector<std::uint64_t> ids;
  for (const auto& [id, path] : (*reader)->answers().cgroups())
    if (is_below(path, wanted)) ids.push_back(id);
  if (ids.empty())
    return Error{"the recording has no cgroup " + std::string(wanted), "",
                 "`cgroup` of the records of tcptrail replay --json names those that it has", 2};
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace

bool is_below(std::string_view path, std::string_view parent) {
  return path.starts_with(parent) && (path.size() == parent.size() || path[parent.size()] == '/');
}

Result<void> join_recorded_filters(Options& options, const RecordingHeader& header) {
  Result<std::vector<std::uint32_t>> netns = namespaces(options, header);
  if (!netns) return netns.error();
  options.filters.netns = std::move(*netns);
  // The programs let nothing pass that is not below the one that was recorded.
  if (!options.cgroup.empty() && options.cgroup != recorded(header, "cgroup")) {
    Result<std::vector<std::uint64_t>> ids = cgroups(options);
    if (!ids) return ids.error();
    options.filters.cgroup_ids = std::move(*ids);
  }
  options.filters.in_tree = header.in_tree;
  for (const auto& label : header.labels)
    if (std::none_of(options.labels.begin(), options.labels.end(),
                     [&](const auto& given) { return given.first == label.first; }))
      options.labels.push_back(label);
  return add_recorded_filters(options, header.startup.filters);
}

}  // namespace tcptrail
