// SPDX-License-Identifier: Apache-2.0
// JSON text, for code that writes it without building a tree: the one quoter of strings, and small parts. Pure
// functions.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "codec/base64.h"
#include "codec/hex.h"

namespace tailgate {

enum class JsonEscapes {
  kFew,   // '"', '\\' and control characters; a byte that is not UTF-8 becomes U+FFFD itself
  kGo,    // as Go's encoding/json: also <, >, &, U+2028, U+2029; a byte that is not UTF-8 becomes \ufffd
  kLine,  // kFew, and what else ends a line or moves a terminal's cursor: DEL, U+0080 to U+009F, U+2028, U+2029
};

// Appends `text` as a JSON string with its quotes. Whatever the bytes are, the result is valid JSON.
void append_json_string(std::string& out, ByteView text, JsonEscapes escapes = JsonEscapes::kFew);
std::string json_quoted(ByteView text);

// The longest front of `text` that JsonEscapes::kFew makes at most `room` bytes longer, quotes not counted. On return
// `room` is what is left of it.
ByteView json_string_front(ByteView text, std::size_t& room);

template <class T>
void append_number(std::string& out, T value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.append(text, end);
}

// With so many digits at most.
inline void append_number(std::string& out, double value, int digits) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, digits).ptr;
  out.append(text, end);
}

// A member that is not the first of its object. `name` needs no escapes.
template <class T, class... Digits>
void append_member(std::string& out, ByteView name, T value, Digits... digits) {
  out += ",\"";
  out += name;
  out += "\":";
  append_number(out, value, digits...);
}

template <class T>
void append_quoted(std::string& out, T value) {
  out += '"';
  append_number(out, value);
  out += '"';
}

inline void append_quoted_hex(std::string& out, ByteView bytes) {
  out += '"';
  append_hex(out, bytes);
  out += '"';
}

inline void append_quoted_base64(std::string& out, ByteView bytes) {
  out += '"';
  append_base64(out, bytes);
  out += '"';
}

}  // namespace tailgate
