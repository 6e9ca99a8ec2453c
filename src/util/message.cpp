// SPDX-License-Identifier: BSD-2-Clause
// The text of errors and warnings, see message.h. Pure.
#include "util/message.h"

#include "util/escape.h"

namespace tcptrail {
namespace {

// Our own texts contain no backslash, so escaping changes only what came from
// outside. A line break inside a part continues it, indented.
void append(std::string& out, std::string_view text) {
  for (;;) {
    const std::size_t newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    // A backslash is left as it is: messages quote flag values, which must read
    // as they were typed; only what could drive the terminal is escaped.
    std::size_t from = 0;
    while (from <= line.size()) {
      const std::size_t slash = line.find('\\', from);
      out += escaped_name(line.substr(from, slash - from));
      if (slash == std::string_view::npos) break;
      out += '\\';
      from = slash + 1;
    }
    if (newline == std::string_view::npos) return;
    out += "\n       ";
    text.remove_prefix(newline + 1);
  }
}

}  // namespace

std::string message_text(std::string_view level, const Error& error) {
  std::string out = "tcptrail: ";
  out += level;
  out += ": ";
  append(out, error.what);
  if (!error.why.empty()) {
    out += "\n  why: ";
    append(out, error.why);
  }
  if (!error.fix.empty()) {
    out += "\n  fix: ";
    append(out, error.fix);
  }
  out += '\n';
  return out;
}

}  // namespace tcptrail
