// SPDX-License-Identifier: Apache-2.0
// Texts as the slow twins write them, with nothing of codec.
#pragma once

#include <fmt/format.h>

#include <string>

#include "otlp_twin.pb.h"

namespace tailgate::test {

inline std::string twin_hex(const std::string& bytes, bool upper = false) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += upper ? fmt::format("{:02X}", byte) : fmt::format("{:02x}", byte);
  }
  return out;
}

// As a string of JSON.
inline std::string twin_quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? fmt::format("\\u{:04x}", c) : std::string(1, c);
  }
  return out + "\"";
}

// As a value of OTLP.
inline twin::AnyValue text_value(const std::string& text) {
  twin::AnyValue v;
  v.set_string_value(text);
  return v;
}

}  // namespace tailgate::test
