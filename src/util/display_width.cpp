// SPDX-License-Identifier: BSD-2-Clause
#include "util/display_width.h"

#include <locale.h>

#include <cwchar>

namespace tcptrail {
namespace {

// wcwidth() asks the locale of the calling thread, and this process runs in "C".
class Utf8Scope {
 public:
  Utf8Scope() : before_(::uselocale(utf8())) {}
  Utf8Scope(const Utf8Scope&) = delete;
  ~Utf8Scope() { ::uselocale(before_); }

 private:
  static locale_t utf8() {
    static const locale_t locale = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return locale;
  }

  locale_t before_;
};

struct Character {
  std::size_t bytes;
  std::size_t columns;
};

Character first_character(std::string_view text) {
  std::mbstate_t state{};
  wchar_t code = 0;
  const std::size_t bytes = std::mbrtowc(&code, text.data(), text.size(), &state);
  // Not decoded: without that locale a byte that continues a character takes no column.
  if (bytes == 0 || bytes > text.size())
    return {1, (static_cast<unsigned char>(text.front()) & 0xc0U) == 0x80 ? 0U : 1U};
  const int columns = ::wcwidth(code);
  return {bytes, columns < 0 ? 1U : static_cast<std::size_t>(columns)};  // < 0: unassigned
}

bool is_ascii(std::string_view text) {
  unsigned char bits = 0;
  for (const char c : text) bits |= static_cast<unsigned char>(c);
  return bits < 0x80;
}

}  // namespace

std::string_view fitting(std::string_view text, std::size_t columns) {
  if (is_ascii(text)) return text.substr(0, columns);
  const Utf8Scope scope;
  std::size_t size = 0;
  while (size < text.size()) {
    const Character next = first_character(text.substr(size));
    if (next.columns > columns) break;
    columns -= next.columns;
    size += next.bytes;
  }
  return text.substr(0, size);
}

std::size_t display_width(std::string_view text) {
  if (is_ascii(text)) return text.size();
  const Utf8Scope scope;
  std::size_t columns = 0;
  while (!text.empty()) {
    const Character next = first_character(text);
    columns += next.columns;
    text.remove_prefix(next.bytes);
  }
  return columns;
}

}  // namespace tcptrail
