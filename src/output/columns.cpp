// SPDX-License-Identifier: BSD-2-Clause
// The check of --columns, and the room that cells need; see columns.h.
#include "output/columns.h"

#include <algorithm>

#include "util/escape.h"
#include "util/suggest.h"

namespace tcptrail {
namespace {

constexpr std::size_t kRoom = 128;         // the longest cell without a name from outside
constexpr std::size_t kRoomPerState = 48;  // "ESTABLISHED=12345678901234.123456;"

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

Error unknown_column(Table table, std::string_view name) {
  std::vector<std::string_view> names;
  std::string all;
  for (const Column& known : all_columns(table)) {
    names.push_back(known.name);
    all += all.empty() ? "" : " ";
    all += known.name;
  }
  Error error{.what = "unknown column " + std::string(name),
              .why = "columns of this view: " + all,
              .exit_code = 2};
  if (const auto close = nearest(name, names))
    error.fix = "did you mean " + std::string(*close) + "?";
  return error;
}

}  // namespace

const Column* find_column(Table table, std::string_view name) {
  const std::string wanted = upper(name);
  for (const Column& candidate : all_columns(table))
    if (candidate.name == wanted || upper(candidate.header) == wanted) return &candidate;
  return nullptr;
}

Result<Columns> parse_columns(Table table, std::string_view list) {
  Columns columns;
  if (list.starts_with('+')) {
    columns = default_columns(table);
    list.remove_prefix(1);
  }
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view name = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (name.empty()) continue;
    const Column* known = find_column(table, name);
    if (known == nullptr) return unknown_column(table, name);
    if (std::find(columns.begin(), columns.end(), known) == columns.end()) columns.push_back(known);
  }
  if (columns.empty()) {
    return Error{.what = "--columns names no column",
                 .fix = "for example --columns PID,CLOSER or --columns +UID",
                 .exit_code = 2};
  }
  return columns;
}

std::size_t cell_room(const ConnectionRecord& r, const CellContext& c) {
  return kRoom + (r.cgroup.size() + to_string(r.evidence).size()) * kEscapeGrowth +
         (r.states.size() + r.path.size()) * kRoomPerState + c.labels.size();
}
std::size_t cell_room(const TransitionRecord&, const CellContext& c) {
  return kRoom + c.labels.size();
}
std::size_t cell_room(const TimeWaitRecord&, const CellContext& c) {
  return kRoom + c.labels.size();
}

std::string labels_cell(const std::vector<std::pair<std::string, std::string>>& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    if (!out.empty()) out += ',';
    out += escaped_name(key) + '=' + escaped_name(value);
  }
  return out;
}

}  // namespace tcptrail
