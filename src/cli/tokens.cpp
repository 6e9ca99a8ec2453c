// SPDX-License-Identifier: BSD-2-Clause
// The forms: --flag value, --flag=value, -f value, -fvalue, -abc. A word that looks like a flag is
// no value: `-p -4` lacks one, and --comm=-x is how to say that it is meant.
#include "cli/tokens.h"

#include <algorithm>
#include <array>
#include <utility>

#include "cli/usage.h"
#include "util/suggest.h"

namespace tcptrail {
namespace {

Error unknown_flag(const std::string& name) {
  std::vector<std::string_view> known;
  for (const Flag& flag : flag_table())
    for (const std::string_view known_name : names_of(flag))
      if (known_name.starts_with("--")) known.push_back(known_name);
  // A wrong letter is not a slip of the finger: any other letter is as near.
  const auto close = name.size() > 2 ? nearest(name, known) : std::nullopt;
  return usage(
      "unknown flag " + name, "",
      close ? "did you mean " + std::string(*close) + "?" : "tcptrail --help lists all flags");
}

class Splitter {
 public:
  Splitter(std::vector<std::string> args, Tokens& tokens)
      : args_(std::move(args)), tokens_(tokens) {}

  void run() {
    while (next_ < args_.size()) {
      const std::string word = args_[next_++];
      if (word == "--") {
        tokens_.has_dashes = true;
        tokens_.child.assign(args_.begin() + static_cast<std::ptrdiff_t>(next_), args_.end());
        return;
      }
      if (!looks_like_flag(word))
        tokens_.words.push_back(word);
      else if (find_flag(word) == nullptr && !word.starts_with("--"))
        take_letters(word);
      else
        take_flag(word);
    }
  }

 private:
  // `-` is a file, and -1 a number.
  static bool looks_like_flag(const std::string& word) {
    if (word.size() < 2 || word[0] != '-') return false;
    return word[1] < '0' || word[1] > '9' || find_flag(word.substr(0, 2)) != nullptr;
  }

  void fail(Error error) {
    if (!tokens_.error) tokens_.error = std::move(error);
  }

  void take_flag(const std::string& word) {
    const std::size_t equals = word.find('=');
    const Flag* flag = find_flag(word.substr(0, equals));
    if (flag == nullptr) return fail(unknown_flag(word.substr(0, equals)));
    if (equals == std::string::npos) return take_value(*flag);
    if (!flag->takes_value()) return fail(no_value(std::string(flag->name())));
    tokens_.flags.push_back({flag, word.substr(equals + 1)});
  }

  // -tTw4, -p12, -Tp 12
  void take_letters(const std::string& word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const std::string name = {'-', word[i]};
      const Flag* flag = find_flag(name);
      if (i > 1 && word[i] == '=') return fail(no_value({'-', word[i - 1]}));
      if (flag == nullptr) {
        const std::string rest = "-" + word.substr(i);
        return fail(unknown_flag(rest.substr(0, rest.find('='))));
      }
      if (flag->takes_value() && i + 1 < word.size())
        return tokens_.flags.push_back({flag, word.substr(i + 1)});
      take_value(*flag);
    }
  }

  void take_value(const Flag& flag) {
    GivenFlag given{&flag, {}};
    const bool follows = next_ < args_.size() && !looks_like_flag(args_[next_]);
    if (flag.needs_value() && !follows)
      return fail(usage(std::string(flag.name()) + " needs a value", "",
                        std::string(flag.name()) + " " + std::string(flag.example)));
    if (flag.takes_value() && follows && (flag.needs_value() || is_optional_value(flag)))
      given.value = args_[next_++];
    tokens_.flags.push_back(std::move(given));
  }

  // `--diagram stats` and `--watch ports` leave their value out.
  [[nodiscard]] bool is_optional_value(const Flag& flag) const {
    const std::string_view word = args_[next_];
    if (flag.words == nullptr) return !command_named(word);
    const auto known = flag.words();
    return std::find(known.begin(), known.end(), word) != known.end();
  }

  static Error no_value(const std::string& name) {
    return usage(name + " takes no value", "", name + " alone");
  }

  std::vector<std::string> args_;
  std::size_t next_ = 0;
  Tokens& tokens_;
};

}  // namespace

const GivenFlag* Tokens::find(std::string_view name) const {
  for (const GivenFlag& given : flags)
    if (given.flag->name() == name) return &given;
  return nullptr;
}

Tokens split_command_line(int argc, const char* const* argv) {
  Tokens tokens;
  Splitter(std::vector<std::string>(argv + std::min(argc, 1), argv + argc), tokens).run();
  return tokens;
}

}  // namespace tcptrail
