// SPDX-License-Identifier: Apache-2.0
#include "codec/protobuf.h"

#include <array>

namespace tailgate::pb {

bool read_varint_slow(const char*& p, const char* end, std::uint64_t& value) {
  std::uint64_t result = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (p >= end) return false;
    const auto byte = static_cast<std::uint8_t>(*p++);
    if (shift < 64) result |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      value = result;
      return true;
    }
  }
  return false;
}

bool read_tag_slow(const char*& p, const char* end, std::uint32_t& tag) {
  std::uint32_t result = 0;
  for (int shift = 0; shift < 35; shift += 7) {
    if (p >= end) return false;
    const auto byte = static_cast<std::uint8_t>(*p++);
    result |= static_cast<std::uint32_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      tag = result;
      return result >= 8;
    }
  }
  return false;
}

bool skip_group(const char*& p, const char* end, std::uint32_t start_tag, std::size_t limit) {
  std::array<std::uint32_t, 100> open;
  if (limit == 0) return false;
  std::size_t depth = 0;
  open[depth++] = start_tag >> 3;
  while (depth != 0) {
    std::uint32_t tag = 0;
    if (!read_tag(p, end, tag)) return false;
    if ((tag & 7) == kGroup) {
      if (depth == limit) return false;
      open[depth++] = tag >> 3;
    } else if ((tag & 7) == kEndGroup) {
      if (open[--depth] != tag >> 3) return false;
    } else if (!skip_value(p, end, tag)) {
      return false;
    }
  }
  return true;
}

}  // namespace tailgate::pb
