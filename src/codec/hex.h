// SPDX-License-Identifier: Apache-2.0
// Hexadecimal digits: the one place that reads and writes them. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace tailgate {

inline constexpr char kHexDigits[] = "0123456789abcdef";

// The value of a hex digit of either case, or -1.
constexpr int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// For formats that allow no capitals (W3C traceparent and tracestate).
constexpr bool is_lower_hex_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// Two lower-case digits for each byte.
inline void append_hex(std::string& out, ByteView bytes) {
  const std::size_t at = out.size();
  out.resize(at + 2 * bytes.size());
  char* digit = out.data() + at;
  for (const char c : bytes) {
    *digit++ = kHexDigits[static_cast<std::uint8_t>(c) >> 4];
    *digit++ = kHexDigits[static_cast<std::uint8_t>(c) & 15];
  }
}

inline std::string to_hex(ByteView bytes) {
  std::string out;
  out.reserve(2 * bytes.size());
  append_hex(out, bytes);
  return out;
}

// Writes digits.size() / 2 bytes to `out`. False when the number of digits is odd or a character is not a hex digit;
// the bytes at `out` are then unspecified.
inline bool read_hex(ByteView digits, char* out) {
  if (digits.size() % 2 != 0) return false;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    const int high = hex_digit(digits[i]), low = hex_digit(digits[i + 1]);
    if (high < 0 || low < 0) return false;
    *out++ = static_cast<char>(high << 4 | low);
  }
  return true;
}

// An id of up to N bytes, the missing digits zero in front. Gives `id`, or nothing when the text is no such id; the
// bytes of `id` are then unspecified.
template <std::size_t N>
ByteView read_short_hex(ByteView hex, std::array<char, N>& id) {
  if (hex.empty() || hex.size() > 2 * N) return {};
  id.fill('\0');
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const int digit = hex_digit(hex[hex.size() - 1 - i]);
    if (digit < 0) return {};
    char& byte = id[N - 1 - i / 2];
    byte = static_cast<char>(byte | (i % 2 == 0 ? digit : digit << 4));
  }
  return {id.data(), N};
}

}  // namespace tailgate
