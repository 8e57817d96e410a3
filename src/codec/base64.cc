// SPDX-License-Identifier: Apache-2.0
#include "codec/base64.h"

#include <cstdint>

namespace tailgate {
namespace {

// The value of a digit, or -1.
int base64_digit(char c, bool url_alphabet) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || (url_alphabet && c == '-')) return 62;
  if (c == '/' || (url_alphabet && c == '_')) return 63;
  return -1;
}

}  // namespace

void append_base64(std::string& out, ByteView bytes, Base64Padding padding) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return i < bytes.size() ? static_cast<std::uint8_t>(bytes[i]) : 0u;
  };
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::uint32_t three = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    const std::size_t left = bytes.size() - i;
    out += kDigits[three >> 18];
    out += kDigits[three >> 12 & 63];
    if (left > 1) out += kDigits[three >> 6 & 63];
    if (left > 2) out += kDigits[three & 63];
    if (left < 3 && padding == Base64Padding::kWith) out.append(3 - left, '=');
  }
}

bool read_base64(ByteView text, const Base64Rules& rules, std::string& out) {
  std::size_t digits = 0, padding = 0;
  std::uint32_t bits = 0;  // the digits of the current group, above them those of earlier ones
  for (const char c : text) {
    if (rules.line_breaks && (c == '\n' || c == '\r')) continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const int digit = base64_digit(c, rules.url_alphabet);
    if (digit < 0 || padding != 0) return false;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    switch (++digits % 4) {
      case 2:
        out += static_cast<char>(bits >> 4);
        break;
      case 3:
        out += static_cast<char>(bits >> 2);
        break;
      case 0:
        out += static_cast<char>(bits);
        break;
    }
  }
  const std::size_t in_last_group = digits % 4;
  if (in_last_group == 1) return false;
  if (!rules.any_padding && padding != (4 - in_last_group) % 4) return false;
  const std::uint32_t spare = in_last_group == 2 ? bits & 15 : in_last_group == 3 ? bits & 3 : 0;
  return rules.nonzero_spare || spare == 0;
}

}  // namespace tailgate
