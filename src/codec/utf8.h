// SPDX-License-Identifier: Apache-2.0
// UTF-8 as RFC 3629 defines it and protobuf's `string` requires it: no surrogates, no overlong forms, at most U+10FFFF.
// One invalid byte makes a Go backend refuse a whole request, so texts of foreign formats are checked on their way in.
// The check costs about 0.1 ns a byte for ASCII. Pure functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace tailgate {

// The length of the character that begins at p, which must be before end: 1 to 4 bytes, or 0 when the bytes are not a
// character.
inline std::size_t utf8_length(const char* p, const char* end) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(p[i]); };
  const auto follows = [&](std::size_t n) {
    if (static_cast<std::size_t>(end - p) <= n) return false;
    for (std::size_t i = 1; i <= n; ++i) {
      if ((at(i) & 0xC0) != 0x80) return false;
    }
    return true;
  };
  const std::uint8_t first = at(0);
  if (first < 0x80) return 1;
  if (first < 0xC2) return 0;
  if (first < 0xE0) return follows(1) ? 2 : 0;
  if (first < 0xF0) {
    if (!follows(2) || (first == 0xE0 && at(1) < 0xA0) || (first == 0xED && at(1) >= 0xA0)) return 0;
    return 3;
  }
  if (first > 0xF4 || !follows(3) || (first == 0xF0 && at(1) < 0x90) || (first == 0xF4 && at(1) >= 0x90)) return 0;
  return 4;
}

// Most texts are, and short: so the last bytes are read once more rather than one by one.
inline bool is_ascii(ByteView text) {
  const char* const p = text.data();
  const std::size_t n = text.size();
  if (n >= 8) {
    std::uint64_t all = load_le<std::uint64_t>(p + n - 8);
    std::size_t i = 0;
    for (; i + 24 < n; i += 16) all |= load_le<std::uint64_t>(p + i) | load_le<std::uint64_t>(p + i + 8);
    for (; i + 8 < n; i += 8) all |= load_le<std::uint64_t>(p + i);
    return (all & 0x8080808080808080ULL) == 0;
  }
  if (n >= 4) return ((load_le<std::uint32_t>(p) | load_le<std::uint32_t>(p + n - 4)) & 0x80808080U) == 0;
  return n == 0 || ((p[0] | p[n / 2] | p[n - 1]) & 0x80) == 0;
}

inline bool is_utf8(ByteView text) {
  if (is_ascii(text)) return true;
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p < end) {
    while (end - p >= 8 && (load_le<std::uint64_t>(p) & 0x8080808080808080ULL) == 0) p += 8;
    if (p == end) break;
    const std::size_t n = utf8_length(p, end);
    if (n == 0) return false;
    p += n;
  }
  return true;
}

// The first bytes of a text, at most `max` of them, and of UTF-8 whole characters. Cost: nothing, however long it is.
inline ByteView start_of_text(ByteView text, std::size_t max) {
  if (text.size() <= max) return text;
  const char* const end = text.data() + text.size();
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, max); ++back) {
    if (utf8_length(text.data() + max - back, end) > back) return text.substr(0, max - back);
  }
  return text.substr(0, max);
}

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// `text` with `replacement` for every byte that is not part of a character. With one byte, as here by default, the
// result has the length of `text`.
inline std::string to_utf8(ByteView text, ByteView replacement = "?") {
  std::string out;
  out.reserve(text.size());
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const std::size_t n = utf8_length(p, end);
    out.append(n == 0 ? replacement : ByteView(p, n));
    p += n == 0 ? 1 : n;
  }
  return out;
}

// Appends the character with this number, which the caller has checked: at most U+10FFFF and not a surrogate.
inline void append_utf8(std::string& out, std::uint32_t c) {
  const auto follow = [&](int shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    follow(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    follow(6);
    follow(0);
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    follow(12);
    follow(6);
    follow(0);
  }
}

}  // namespace tailgate
