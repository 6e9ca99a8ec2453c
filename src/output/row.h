// SPDX-License-Identifier: BSD-2-Clause
// A row of a table in a text that is not to be wider than kTextWidth. Pure; used by
// the views of the ports.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "output/wrap.h"
#include "util/display_width.h"

namespace tcptrail {

// Cells at fixed places. One that is too long pushes the next, and where that would not
// fit any more the row goes on in a second line.
class Row {
 public:
  void cell(std::string_view text, std::size_t width) {
    column_ += width + 1;
    const std::size_t shown = display_width(text_);
    if (shown > start_ && shown + 1 + display_width(text) > kTextWidth) {
      lines_ += text_ + '\n';
      text_.clear();
    }
    if (const std::size_t now = display_width(text_); now < start_)
      text_.append(start_ - now, ' ');
    else if (now != 0 && text_.back() != ' ')
      text_ += ' ';
    text_ += text;
    start_ = column_;
  }
  [[nodiscard]] std::string take() const { return lines_ + text_; }

 private:
  std::string lines_;
  std::string text_;
  std::size_t start_ = 0;
  std::size_t column_ = 0;
};

}  // namespace tcptrail
