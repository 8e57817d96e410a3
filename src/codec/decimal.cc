// SPDX-License-Identifier: Apache-2.0
#include "codec/decimal.h"

#include <algorithm>

namespace tailgate {
namespace {

// Takes the digits at the front of `text`.
std::string_view take_digits(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  const std::string_view digits = text.substr(0, n);
  text.remove_prefix(n);
  return digits;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// The exponent that `text` spells, clamped to a range beyond which every number of 64 bits gives the same result.
std::optional<std::int64_t> exponent_of(std::string_view text) {
  const bool negative = take(text, '-');
  if (!negative) take(text, '+');
  const std::string_view digits = take_digits(text);
  if (digits.empty() || !text.empty()) return std::nullopt;
  constexpr std::int64_t kFar = std::int64_t{1} << 40;  // more than a text has digits
  std::int64_t value = 0;
  for (const char c : digits) value = std::min(value * 10 + (c - '0'), kFar);
  return negative ? -value : value;
}

}  // namespace

std::optional<Decimal> read_decimal(std::string_view text) {
  Decimal out;
  out.negative = take(text, '-');
  std::string_view whole = take_digits(text), fraction;
  if (whole.empty()) return std::nullopt;
  if (take(text, '.')) {
    fraction = take_digits(text);
    if (fraction.empty()) return std::nullopt;
  }
  std::int64_t power = 0;  // of ten, by which the digits are to be multiplied
  if (take(text, 'e') || take(text, 'E')) {
    const auto exponent = exponent_of(text);
    if (!exponent) return std::nullopt;
    power = *exponent;
    text = {};
  }
  if (!text.empty()) return std::nullopt;
  while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
  power -= static_cast<std::int64_t>(fraction.size());
  if (fraction.empty()) {
    for (; !whole.empty() && whole.back() == '0'; ++power) whole.remove_suffix(1);
  }
  const auto append = [&](char digit) {
    return !__builtin_mul_overflow(out.magnitude, std::uint64_t{10}, &out.magnitude) &&
           !__builtin_add_overflow(out.magnitude, static_cast<std::uint64_t>(digit - '0'), &out.magnitude);
  };
  for (const std::string_view digits : {whole, fraction}) {
    for (const char c : digits) {
      if (!append(c)) return std::nullopt;
    }
  }
  if (out.magnitude == 0) return out;
  if (power < 0) return std::nullopt;
  for (; power > 0; --power) {
    if (!append('0')) return std::nullopt;
  }
  return out;
}

}  // namespace tailgate
