// SPDX-License-Identifier: Apache-2.0
#include "codec/json_text.h"

#include "codec/hex.h"
#include "codec/utf8.h"

namespace tailgate {

namespace {

// The escape of a byte that needs one.
void append_escape(std::string& out, std::uint8_t c, JsonEscapes escapes) {
  constexpr std::string_view kShort = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
  const std::size_t known = escapes == JsonEscapes::kGo ? kShort.size() : kShort.size() - 2;
  out += '\\';
  if (const std::size_t i = kShort.substr(0, known).find(static_cast<char>(c)); i != std::string_view::npos) {
    out += kLetters[i];
    return;
  }
  out += "u00";
  out += kHexDigits[c >> 4];
  out += kHexDigits[c & 15];
}

bool needs_escape(std::uint8_t c, JsonEscapes escapes) {
  if (c < 0x20 || c == '"' || c == '\\' || (c == 0x7F && escapes == JsonEscapes::kLine)) return true;
  return escapes == JsonEscapes::kGo && (c == '<' || c == '>' || c == '&');
}

// The escape of a character that is not ASCII; "" when it needs none.
std::string_view needed_escape(ByteView character, JsonEscapes escapes, std::string& scratch) {
  if (escapes == JsonEscapes::kFew) return "";
  if (character == "\xE2\x80\xA8") return "\\u2028";
  if (character == "\xE2\x80\xA9") return "\\u2029";
  const bool control =
      character.size() == 2 && character[0] == '\xC2' && static_cast<std::uint8_t>(character[1]) < 0xA0;
  if (!control || escapes != JsonEscapes::kLine) return "";
  scratch.clear();
  append_escape(scratch, static_cast<std::uint8_t>(character[1]), escapes);
  return scratch;
}

}  // namespace

void append_json_string(std::string& out, ByteView text, JsonEscapes escapes) {
  const bool go = escapes == JsonEscapes::kGo;
  std::string scratch;
  out += '"';
  std::size_t plain = 0;  // where the bytes begin that are not yet copied
  std::size_t i = 0;
  const auto flush = [&](std::size_t skip) {
    out.append(text.substr(plain, i - plain));
    i += skip;
    plain = i;
  };
  while (i < text.size()) {
    const auto c = static_cast<std::uint8_t>(text[i]);
    if (c < 0x80) {
      if (needs_escape(c, escapes)) {
        flush(1);
        append_escape(out, c, escapes);
      } else {
        ++i;
      }
      continue;
    }
    const std::size_t size = utf8_length(text.data() + i, text.data() + text.size());
    if (size == 0) {
      flush(1);
      out += go ? "\\ufffd" : kReplacementCharacter;
    } else if (const std::string_view escape = needed_escape(text.substr(i, size), escapes, scratch); !escape.empty()) {
      flush(size);
      out += escape;
    } else {
      i += size;
    }
  }
  flush(0);
  out += '"';
}

std::string json_quoted(ByteView text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

ByteView json_string_front(ByteView text, std::size_t& room) {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<std::uint8_t>(text[i]);
    std::size_t size = 1, more = 0;
    if (c >= 0x80) {
      size = utf8_length(text.data() + i, text.data() + text.size());
      if (size == 0) size = 1, more = 2;
    } else if (c < 0x20) {
      more = c == '\n' || c == '\r' || c == '\t' ? 1 : 5;
    } else {
      more = c == '"' || c == '\\' ? 1 : 0;
    }
    if (more > room) return text.substr(0, i);
    room -= more;
    i += size;
  }
  return text;
}

}  // namespace tailgate
