// UTF-8 as protobuf's `string` wants it (no surrogates, no overlong forms, at most U+10FFFF). One byte out of order
// makes a Go backend refuse a whole request, so texts of foreign formats are looked at on their way in. About 0.1 ns a
// byte for ASCII. Pure functions.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "base/bytes.h"

namespace tailgate {

// Bytes of the character that begins at p: 1 to 4, or 0 when it is none.
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

inline bool is_utf8(ByteView text) {
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p < end) {
    while (end - p >= 8) {
      std::uint64_t word;
      std::memcpy(&word, p, 8);
      if ((word & 0x8080808080808080ULL) != 0) break;
      p += 8;
    }
    if (p == end) break;
    const std::size_t n = utf8_length(p, end);
    if (n == 0) return false;
    p += n;
  }
  return true;
}

// `text` with '?' for every byte that is no part of a character: never longer than it was.
inline std::string to_utf8(ByteView text) {
  std::string out(text);
  char* const end = out.data() + out.size();
  for (char* p = out.data(); p < end;) {
    const std::size_t n = utf8_length(p, end);
    if (n == 0) *p = '?';
    p += n == 0 ? 1 : n;
  }
  return out;
}

}  // namespace tailgate
