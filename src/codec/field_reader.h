// SPDX-License-Identifier: Apache-2.0
// FieldReader: walks the fields of one protobuf message in the order in which they stand. For code where clarity counts
// more than speed (answers of backends, JSON output); the request scanner has its own loop.
//
//   for (FieldReader r(bytes); r.next();) if (r.number == 2 && r.type == pb::kLen) name = r.bytes;
//
// It accepts exactly what protobuf.h accepts. Groups are checked and skipped. It stops at the first malformed byte, and
// ok() is false from then on.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "codec/protobuf.h"

namespace tailgate {

class FieldReader {
 public:
  explicit FieldReader(ByteView message) : p_(message.data()), end_(p_ + message.size()) {}

  std::uint32_t number = 0;
  pb::WireType type = pb::kVarint;
  std::uint64_t value = 0;  // of varint, fixed64 and fixed32 fields
  ByteView bytes;           // of length-delimited fields

  // Moves to the next field that is not a group; false at the end or at malformed bytes.
  bool next() {
    while (p_ < end_) {
      std::uint32_t tag = 0;
      if (!pb::read_tag(p_, end_, tag)) return stop();
      if ((tag & 7) == pb::kGroup) {
        if (!pb::skip_group(p_, end_, tag)) return stop();
        continue;
      }
      number = tag >> 3;
      type = static_cast<pb::WireType>(tag & 7);
      return read_value() || stop();
    }
    return false;
  }

  bool is_len(std::uint32_t field) const { return number == field && type == pb::kLen; }
  bool is_varint(std::uint32_t field) const { return number == field && type == pb::kVarint; }
  bool is_fixed64(std::uint32_t field) const { return number == field && type == pb::kFixed64; }
  bool is_fixed32(std::uint32_t field) const { return number == field && type == pb::kFixed32; }

  bool ok() const { return ok_; }

 private:
  bool stop() {
    ok_ = false;
    p_ = end_;
    return false;
  }

  bool read_value() {
    value = 0;
    bytes = {};
    switch (type) {
      case pb::kVarint:
        return pb::read_varint(p_, end_, value);
      case pb::kFixed64:
        return pb::read_fixed64(p_, end_, value);
      case pb::kFixed32: {
        std::uint32_t small = 0;
        if (!pb::read_fixed32(p_, end_, small)) return false;
        value = small;
        return true;
      }
      case pb::kLen:
        return pb::read_len(p_, end_, bytes);
      default:
        return false;
    }
  }

  const char* p_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace tailgate
