// SPDX-License-Identifier: BSD-2-Clause
#include "output/json_writer.h"

#include "util/escape.h"

namespace tcptrail {

using namespace json_value;

JsonWriter::JsonWriter(std::string_view type, WallClock& clock, std::uint64_t boot_ns) {
  open('{');
  key("type").word(type);
  key("time").value(put_time, clock, boot_ns);
  key("boot_ns").value(put::number, boot_ns);
}

// A value ends with a quote, a digit, a letter or a bracket that closes.
void JsonWriter::separate() {
  if (!text_.empty() && std::string_view("{[:").find(text_.back()) == std::string_view::npos)
    text_ += ',';
}

JsonWriter& JsonWriter::key(std::string_view name) {
  word(name);
  text_ += ':';
  return *this;
}

JsonWriter& JsonWriter::quoted_key(std::string_view name) {
  quoted(name);
  text_ += ':';
  return *this;
}

void JsonWriter::open(char bracket) {
  separate();
  text_ += bracket;
}

void JsonWriter::word(std::string_view word) {
  separate();
  text_ += '"';
  text_ += word;
  text_ += '"';
}

void JsonWriter::escaped(std::string_view text, char* (*escape)(char*, std::string_view)) {
  separate();
  text_ += '"';
  const std::size_t size = text_.size();
  text_.resize(size + text.size() * kJsonEscapeGrowth);
  text_.resize(static_cast<std::size_t>(escape(text_.data() + size, text) - text_.data()));
  text_ += '"';
}

void JsonWriter::quoted(std::string_view text) { escaped(text, escape_text_json); }

void JsonWriter::text(std::string_view text) {
  if (text.empty())
    value(put_null);
  else
    quoted(text);
}

void JsonWriter::name(std::string_view name) {
  if (name.empty())
    value(put_null);
  else
    escaped(name, escape_name_json);
}

}  // namespace tcptrail
