// SPDX-License-Identifier: Apache-2.0
#include "codec/json_repair.h"

#include <optional>

#include "codec/hex.h"
#include "codec/utf8.h"

namespace tailgate {
namespace {

constexpr std::size_t kEscape = 6;  // bytes of \uXXXX

// The number of the \uXXXX at the front of `text`, if there is one.
std::optional<std::uint32_t> escaped_unit(ByteView text) {
  if (text.size() < kEscape || text[0] != '\\' || text[1] != 'u') return std::nullopt;
  std::uint32_t unit = 0;
  for (const char c : text.substr(2, 4)) {
    const int digit = hex_digit(c);
    if (digit < 0) return std::nullopt;
    unit = unit << 4 | static_cast<std::uint32_t>(digit);
  }
  return unit;
}
bool is_high(std::uint32_t unit) { return unit >= 0xD800 && unit < 0xDC00; }
bool is_low(std::uint32_t unit) { return unit >= 0xDC00 && unit < 0xE000; }

// What stands at the front of a string's content, and what goes in its place.
struct Piece {
  std::size_t size = 1;
  bool good = true;  // goes as it is
  char escape[kEscape] = {'\\', 'u', '0', '0', '0', '0'};
  ByteView replacement = {};  // if not good; empty: `escape`
};

Piece front_of(ByteView text) {
  Piece out;
  const auto c = static_cast<std::uint8_t>(text[0]);
  if (c < 0x20) {
    out.good = false;
    out.escape[4] = kHexDigits[c >> 4];
    out.escape[5] = kHexDigits[c & 15];
  } else if (c == '\\') {
    const auto unit = escaped_unit(text);
    if (!unit) {
      // Not \u: two bytes, of which the second may be a quote. A control character there is an error of another kind.
      out.size = std::min<std::size_t>(2, text.size());
      if (out.size == 2 && static_cast<std::uint8_t>(text[1]) >= 0x80) out.size = 1;
      return out;
    }
    out.size = kEscape;
    if (is_high(*unit)) {
      const auto next = escaped_unit(text.substr(kEscape));
      out.good = next && is_low(*next);
      if (out.good) out.size = 2 * kEscape;
    } else {
      out.good = !is_low(*unit);
    }
    out.replacement = kReplacementCharacter;
  } else if (c >= 0x80) {
    const std::size_t size = utf8_length(text.data(), text.data() + text.size());
    out.good = size != 0;
    out.size = std::max<std::size_t>(size, 1);
    out.replacement = kReplacementCharacter;
  }
  return out;
}

// Gives the repaired JSON to `put`, part by part; returns how many strings had to be repaired.
template <class Put>
std::uint64_t repair(ByteView json, Put put) {
  std::uint64_t texts = 0;
  std::size_t done = 0;  // bytes that `put` has, or has the replacement of
  bool in_string = false, repaired = false;
  for (std::size_t at = 0; at < json.size();) {
    if (json[at] == '"') {
      if (in_string && repaired) ++texts;
      in_string = !in_string;
      repaired = false;
      ++at;
      continue;
    }
    if (!in_string) {
      ++at;
      continue;
    }
    const Piece piece = front_of(json.substr(at));
    if (!piece.good) {
      put(json.substr(done, at - done));
      put(piece.replacement.empty() ? ByteView(piece.escape, kEscape) : piece.replacement);
      done = at + piece.size;
      repaired = true;
    }
    at += piece.size;
  }
  put(json.substr(done));
  return texts;
}

}  // namespace

JsonRepair json_repair_of(ByteView json) {
  JsonRepair out;
  out.texts = repair(json, [&](ByteView part) { out.size += part.size(); });
  return out;
}

std::string repaired_json(ByteView json, std::size_t size) {
  std::string out;
  out.reserve(size);
  repair(json, [&](ByteView part) { out.append(part); });
  return out;
}

}  // namespace tailgate
