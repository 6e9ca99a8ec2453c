// SPDX-License-Identifier: BSD-2-Clause
#include "output/wrap.h"

#include "util/display_width.h"

namespace tcptrail {
namespace {

// The last place up to `end` where a line may break: at a space that is not within
// backticks, for a command is copied whole; else at any space; else at `end`.
std::size_t last_break(std::string_view text, std::size_t end) {
  std::size_t outside = 0;
  std::size_t any = 0;
  bool quoted = false;
  for (std::size_t i = 0; i <= end; ++i) {
    if (text[i] == '`') quoted = !quoted;
    if (text[i] != ' ') continue;
    any = i;
    if (!quoted) outside = i;
  }
  if (outside != 0) return outside;
  return any != 0 ? any : end;
}

}  // namespace

std::vector<std::string> wrap_text(std::string_view text, std::string_view head, std::size_t indent,
                                   std::size_t width) {
  std::vector<std::string> lines;
  std::string before(head);
  while (!text.empty()) {
    const std::size_t taken = display_width(before);
    // At least one character goes on each line, and the widest takes two columns.
    const std::size_t room = taken + 2 < width ? width - taken : 2;
    std::size_t end = fitting(text, room).size();
    if (end < text.size()) end = last_break(text, end);
    lines.push_back(before + std::string(text.substr(0, end)));
    text.remove_prefix(end);
    while (text.starts_with(' ')) text.remove_prefix(1);
    before.assign(indent, ' ');
  }
  if (lines.empty()) lines.push_back(before);
  return lines;
}

}  // namespace tcptrail
