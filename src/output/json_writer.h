// SPDX-License-Identifier: BSD-2-Clause
// One JSON record, value after value, in a buffer that grows. For the records that come once
// a second or once a run; connections and transitions are written without its checks (json.cpp).
// What a value of each kind looks like is in json_values.h. Called by the JSON sinks. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "output/json_values.h"

namespace tcptrail {

class JsonWriter {
 public:
  JsonWriter() = default;
  // `{"type":TYPE,"time":...,"boot_ns":...`: how every record begins.
  JsonWriter(std::string_view type, WallClock& clock, std::uint64_t boot_ns);

  // Each of these puts a comma before itself where one belongs.
  JsonWriter& key(std::string_view name);
  JsonWriter& quoted_key(std::string_view name);  // the user's, so escaped
  void open(char bracket);
  // A value of json_values.h whose size its type limits: `value(put_cookie, cookie)`.
  template <class Put, class... Args>
  void value(Put put, Args&&... args) {
    separate();
    members(put, std::forward<Args>(args)...);
  }
  void word(std::string_view word);    // of our own: nothing to escape
  void quoted(std::string_view text);  // "" stays ""
  void text(std::string_view text);    // null when empty
  void name(std::string_view name);    // from a stranger; null when empty

  void close(char bracket) { text_ += bracket; }
  // Whole members that begin with their comma: put_netns, put_tuple.
  template <class Put, class... Args>
  void members(Put put, Args&&... args) {
    std::array<char, kFormRoom> form;
    text_.append(form.data(), put(form.data(), std::forward<Args>(args)...));
  }

  // The record with what every line of the stream ends with.
  std::string finish(std::string_view tail) { return std::move(text_.append(tail)); }

 private:
  // The largest form is put_tuple: two addresses of 45 bytes, two ports and five keys.
  static constexpr std::size_t kFormRoom = 256;

  void separate();
  void escaped(std::string_view text, char* (*escape)(char*, std::string_view));

  std::string text_;
};

}  // namespace tcptrail
