// SPDX-License-Identifier: Apache-2.0
// Integers in every form that JSON has for them: "17", "17.0", "1.7e1". All digits count: a double would round what is
// above 2^53, as times in nanoseconds are. A pure function.
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace tailgate {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Decimal {
  bool negative = false;
  std::uint64_t magnitude = 0;
};
// Nothing when the text is not a number, not a whole one, or not below 2^64 in magnitude.
std::optional<Decimal> read_decimal(std::string_view text);

template <class T>
std::optional<T> read_integer(std::string_view text) {
  T value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec == std::errc() && end == text.data() + text.size()) return value;
  const std::optional<Decimal> decimal = read_decimal(text);
  if (!decimal) return std::nullopt;
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
  if (!decimal->negative || decimal->magnitude == 0) {
    if (decimal->magnitude > kMax) return std::nullopt;
    return static_cast<T>(decimal->magnitude);
  }
  if (!std::numeric_limits<T>::is_signed || decimal->magnitude > kMax + 1) return std::nullopt;
  return static_cast<T>(~decimal->magnitude + 1);
}

}  // namespace tailgate
