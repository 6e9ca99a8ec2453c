// SPDX-License-Identifier: BSD-2-Clause
// A value or an error that can be shown to the user as it is: what failed, why,
// and how to fix it. Returned by everything that can fail for a reason outside
// the program; std::expected is missing in clang 14.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace tcptrail {

struct Error {
  std::string what;   // "cannot open trace.json: Permission denied"
  std::string why{};  // may be empty
  std::string fix{};  // may be empty
  int exit_code = 1;  // 1 the machine refused, 2 usage
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Only when ok(); std::bad_variant_access otherwise.
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }

  // Only when not ok().
  [[nodiscard]] Error& error() { return std::get<1>(state_); }
  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

// Success carries nothing: `return {};`
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}
  [[nodiscard]] bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  Error error_;
  bool ok_ = true;
};

}  // namespace tcptrail
