// SPDX-License-Identifier: Apache-2.0
// Reading protobuf's wire format without a schema, as https://protobuf.dev/programming-guides/encoding defines it and
// as libprotobuf 3.21 accepts it (the differential tests hold us to that): tags are at most 5 bytes and never field 0,
// varints at most 10, groups (types 3 and 4) must nest properly, types 6 and 7 are errors.
//
// Every reader takes p by reference and the end, never reads past it, and returns false on malformed input with p
// unspecified. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace tailgate::pb {

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kLen = 2, kGroup = 3, kEndGroup = 4, kFixed32 = 5 };

constexpr std::uint32_t tag_of(std::uint32_t field, WireType type) { return field << 3 | type; }
constexpr std::uint32_t len(std::uint32_t field) { return tag_of(field, kLen); }
constexpr std::uint32_t var(std::uint32_t field) { return tag_of(field, kVarint); }

bool read_varint_slow(const char*& p, const char* end, std::uint64_t& value);

inline bool read_varint(const char*& p, const char* end, std::uint64_t& value) {
  if (p < end && static_cast<std::uint8_t>(*p) < 0x80) {
    value = static_cast<std::uint8_t>(*p++);
    return true;
  }
  return read_varint_slow(p, end, value);
}

bool read_tag_slow(const char*& p, const char* end, std::uint32_t& tag);

inline bool read_tag(const char*& p, const char* end, std::uint32_t& tag) {
  if (p < end && static_cast<std::uint8_t>(*p) < 0x80) {
    tag = static_cast<std::uint8_t>(*p++);
    return tag >= 8;
  }
  return read_tag_slow(p, end, tag);
}

// Reads a length and that many bytes.
inline bool read_len(const char*& p, const char* end, ByteView& bytes) {
  std::uint64_t size = 0;
  if (!read_varint(p, end, size) || size > static_cast<std::uint64_t>(end - p)) return false;
  bytes = ByteView(p, static_cast<std::size_t>(size));
  p += size;
  return true;
}

inline bool read_fixed64(const char*& p, const char* end, std::uint64_t& value) {
  if (end - p < 8) return false;
  value = load_le<std::uint64_t>(p);
  p += 8;
  return true;
}

inline bool read_fixed32(const char*& p, const char* end, std::uint32_t& value) {
  if (end - p < 4) return false;
  value = load_le<std::uint32_t>(p);
  p += 4;
  return true;
}

// libprotobuf gives up at a nesting of 100; `limit` is at most that.
bool skip_group(const char*& p, const char* end, std::uint32_t start_tag, std::size_t limit = 100);

// Skips the value of `tag`, which has been read. Never recurses: open groups are kept on a small stack.
inline bool skip_value(const char*& p, const char* end, std::uint32_t tag) {
  switch (tag & 7) {
    case kVarint: {
      std::uint64_t ignored;
      return read_varint(p, end, ignored);
    }
    case kFixed64:
      if (end - p < 8) return false;
      p += 8;
      return true;
    case kLen: {
      ByteView ignored;
      return read_len(p, end, ignored);
    }
    case kGroup:
      return skip_group(p, end, tag);
    case kFixed32:
      if (end - p < 4) return false;
      p += 4;
      return true;
    default:
      return false;
  }
}

// Calls take(p, end, tag) for each field of a message. `take` reads or skips the value and returns whether it could.
// For readers off the hot path.
template <class Take>
bool each_field(ByteView message, Take take) {
  const char* p = message.data();
  const char* const end = p + message.size();
  while (p < end) {
    std::uint32_t tag = 0;
    if (!read_tag(p, end, tag) || !take(p, end, tag)) return false;
  }
  return true;
}

// --- writing
inline std::size_t varint_size(std::uint64_t value) {
  return 1 + static_cast<std::size_t>(63 - __builtin_clzll(value | 1)) / 7;
}

inline char* write_varint(char* p, std::uint64_t value) {
  while (value >= 0x80) {
    *p++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *p++ = static_cast<char>(value);
  return p;
}

inline void append_varint(std::string& out, std::uint64_t value) {
  char buffer[10];
  out.append(buffer, static_cast<std::size_t>(write_varint(buffer, value) - buffer));
}

inline void append_len(std::string& out, std::uint32_t field, ByteView bytes) {
  append_varint(out, tag_of(field, kLen));
  append_varint(out, bytes.size());
  out.append(bytes);
}

}  // namespace tailgate::pb
