// SPDX-License-Identifier: Apache-2.0
#include "codec/go_escape.h"

#include <cstdint>

#include "codec/hex.h"
#include "codec/utf8.h"

namespace tailgate {

std::string read_go_escape(std::string_view text, std::size_t& at, std::string& out) {
  const auto peek = [&](std::size_t i) { return i < text.size() ? text[i] : '\0'; };
  const char c = peek(at + 1);
  constexpr std::string_view kLetters = "abfnrtv\\\"", kMeaning = "\a\b\f\n\r\t\v\\\"";
  if (const std::size_t i = kLetters.find(c); c != '\0' && i != std::string_view::npos) {
    out += kMeaning[i];
    at += 2;
    return "";
  }
  const bool octal = c >= '0' && c <= '7';
  const std::size_t digits = octal ? 3 : c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (digits == 0) {
    const std::string shown(1, c >= ' ' && c <= '~' ? c : '?');
    return "'\\" + shown + "' is not an escape; a backslash that is meant is written '\\\\" + shown + "'";
  }
  std::size_t p = at + (octal ? 1 : 2);
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < digits; ++i, ++p) {
    const int digit = hex_digit(peek(p));
    if (digit < 0 || (octal && digit > 7)) return "expected " + std::to_string(digits) + " digits after the escape";
    value = value * (octal ? 8 : 16) + static_cast<std::uint32_t>(digit);
  }
  if (digits <= 3) {
    if (value > 255) return "expected an octal escape of at most \\377";
    out += static_cast<char>(value);
  } else if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
    return "expected the number of a Unicode character";
  } else {
    append_utf8(out, value);
  }
  at = p;
  return "";
}

}  // namespace tailgate
