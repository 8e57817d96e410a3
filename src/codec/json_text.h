// Small parts of JSON, for the writers that make it without a tree. Pure functions.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace tailgate {

// Appends `text` as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD.
void append_json_string(std::string& out, ByteView text);
// The front of `text` to which escapes, and what stands for bytes that are no UTF-8, add at most `room` bytes; `room`
// is what is left of it.
ByteView json_string_front(ByteView text, std::size_t& room);

template <class T>
void append_number(std::string& out, T value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.append(text, end);
}

template <class T>
void append_quoted(std::string& out, T value) {
  out += '"';
  append_number(out, value);
  out += '"';
}

inline void append_hex(std::string& out, ByteView bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  for (const char c : bytes) {
    out += kDigits[static_cast<std::uint8_t>(c) >> 4];
    out += kDigits[static_cast<std::uint8_t>(c) & 15];
  }
  out += '"';
}

inline void append_base64(std::string& out, ByteView bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return i < bytes.size() ? static_cast<std::uint8_t>(bytes[i]) : 0u;
  };
  out += '"';
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::uint32_t three = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    out += kDigits[three >> 18];
    out += kDigits[three >> 12 & 63];
    out += i + 1 < bytes.size() ? kDigits[three >> 6 & 63] : '=';
    out += i + 2 < bytes.size() ? kDigits[three & 63] : '=';
  }
  out += '"';
}

}  // namespace tailgate
