// FieldReader: walks the fields of one protobuf message, in the order they stand. For code where clarity counts more
// than speed (answers of backends, JSON output); the request scanner has its own loop.
//
//   for (FieldReader r(bytes); r.next();) if (r.number == 2 && r.type == WireType::kBytes) name = r.bytes;
//
// Groups are skipped, without recursion. Stops at the first malformed byte, and ok() is false from then on.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace tailgate {

enum class WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kGroup = 3, kGroupEnd = 4, kFixed32 = 5 };

class FieldReader {
 public:
  explicit FieldReader(ByteView message) : rest_(message) {}

  std::uint32_t number = 0;
  WireType type = WireType::kVarint;
  std::uint64_t value = 0;  // of varint, fixed64 and fixed32 fields
  ByteView bytes;           // of length-delimited fields

  // Moves to the next field that is no group; false at the end or at malformed bytes.
  bool next() {
    while (!rest_.empty()) {
      if (!read_field()) return stop();
      if (type == WireType::kGroupEnd) {
        if (depth_ == 0) return stop();
        --depth_;
      } else if (type == WireType::kGroup) {
        ++depth_;
      } else if (depth_ == 0) {
        return true;
      }
    }
    if (depth_ != 0) return stop();
    return false;
  }

  bool ok() const { return ok_; }

 private:
  bool stop() {
    ok_ = false;
    rest_ = {};
    return false;
  }

  bool read_varint(std::uint64_t& out) {
    out = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      if (rest_.empty()) return false;
      const auto byte = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      if (shift < 64) out |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  bool read_field() {
    std::uint64_t tag = 0;
    if (!read_varint(tag) || tag > UINT32_MAX || (tag >> 3) == 0) return false;
    number = static_cast<std::uint32_t>(tag >> 3);
    type = static_cast<WireType>(tag & 7);
    value = 0;
    bytes = {};
    switch (type) {
      case WireType::kVarint:
        return read_varint(value);
      case WireType::kFixed64:
        if (rest_.size() < 8) return false;
        value = load_le<std::uint64_t>(rest_.data());
        rest_.remove_prefix(8);
        return true;
      case WireType::kFixed32:
        if (rest_.size() < 4) return false;
        value = load_le<std::uint32_t>(rest_.data());
        rest_.remove_prefix(4);
        return true;
      case WireType::kBytes: {
        std::uint64_t size = 0;
        if (!read_varint(size) || size > rest_.size()) return false;
        bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return true;
      }
      case WireType::kGroup:
      case WireType::kGroupEnd:
        return true;
    }
    return false;
  }

  ByteView rest_;
  std::uint32_t depth_ = 0;
  bool ok_ = true;
};

}  // namespace tailgate
