// SPDX-License-Identifier: Apache-2.0
#include "codec/percent.h"

#include <cstdint>

#include "codec/hex.h"

namespace tailgate {
namespace {

bool keeps(PercentKeep keep, char c) {
  if (keep == PercentKeep::kPrintable) return c >= 0x20 && c <= 0x7E && c != '%';
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~' || (c == '/' && keep == PercentKeep::kPath);
}

// Decodes all of `text`; false when it has a bad escape, which is copied as it is.
bool decode(ByteView text, std::string& out) {
  bool good = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char byte = text[i];
    if (byte == '%') {
      if (i + 2 < text.size() && read_hex(text.substr(i + 1, 2), &byte)) {
        i += 2;
      } else {
        byte = '%';
        good = false;
      }
    }
    out += byte;
  }
  return good;
}

}  // namespace

std::string percent_encoded(ByteView text, PercentKeep keep) {
  constexpr char kDigits[] = "0123456789ABCDEF";  // capitals, as RFC 3986 recommends and AWS demands
  std::string out;
  for (const char c : text) {
    if (keeps(keep, c)) {
      out += c;
    } else {
      out += '%';
      out += kDigits[static_cast<std::uint8_t>(c) >> 4];
      out += kDigits[static_cast<std::uint8_t>(c) & 15];
    }
  }
  return out;
}

std::optional<std::string> percent_decoded(ByteView text) {
  std::string out;
  if (!decode(text, out)) return std::nullopt;
  return out;
}

std::string percent_decoded_leniently(ByteView text) {
  std::string out;
  decode(text, out);
  return out;
}

}  // namespace tailgate
