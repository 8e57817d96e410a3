// SPDX-License-Identifier: Apache-2.0
// Reading Apache Thrift's binary and compact protocols without generated code, for input of strangers.
//
//   binary    field = type byte, id 2 bytes big endian; numbers big endian; list = type byte, count 4 bytes
//   compact   field = (id delta << 4 | type) or type then zigzag id; integers zigzag varints; a bool is in its field's
//   type
//
// Both readers have the same calls, so a parser is a template over them. Neither reads past the end; a declared count
// is checked against the bytes that are left, and skipping is a loop with a stack of kThriftDepthMax. They return false
// on input that is malformed or nested too deep. Source: thrift/doc/specs/thrift-binary-protocol.md and
// thrift-compact-protocol.md.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "codec/protobuf.h"

namespace tailgate {

inline constexpr std::size_t kThriftDepthMax = 64;

enum class ThriftType : std::uint8_t {
  kStop = 0,
  kBool = 2,
  kByte = 3,
  kDouble = 4,
  kI16 = 6,
  kI32 = 8,
  kI64 = 10,
  kString = 11,
  kStruct = 12,
  kMap = 13,
  kSet = 14,
  kList = 15,
};

struct ThriftField {
  ThriftType type = ThriftType::kStop;
  std::int16_t id = 0;
};

struct ThriftList {
  ThriftType type = ThriftType::kStop;
  std::uint32_t count = 0;
};

struct ThriftMap {
  ThriftType key = ThriftType::kStop, value = ThriftType::kStop;
  std::uint32_t count = 0;
};

struct ThriftMessage {
  ByteView name;
  std::uint8_t type = 0;  // 1 call, 4 oneway
};

class ThriftBinary {
 public:
  struct Struct {};  // state while a struct is read

  explicit ThriftBinary(ByteView bytes) : begin_(bytes.data()), p_(begin_), end_(begin_ + bytes.size()) {}

  std::size_t offset() const { return static_cast<std::size_t>(p_ - begin_); }
  bool message(ThriftMessage& out);  // strict, and as it was before versions: name first
  bool field(Struct&, ThriftField& out);
  bool list(ThriftList& out);
  bool map(ThriftMap& out);
  bool boolean(bool& out);
  bool i32(std::int32_t& out);
  bool i64(std::int64_t& out);
  bool real(std::uint64_t& bits);
  bool bytes(ByteView& out);
  bool skip_scalar(ThriftType type, bool in_field);

 private:
  bool take(std::size_t n);
  template <class T>
  bool big(T& out);
  static std::size_t size_min(ThriftType type);  // bytes the smallest value takes; 0: there is no such type

  const char* begin_;
  const char* p_;
  const char* end_;
};

class ThriftCompact {
 public:
  struct Struct {
    std::int16_t last = 0;  // compact ids are differences
  };

  explicit ThriftCompact(ByteView bytes) : begin_(bytes.data()), p_(begin_), end_(begin_ + bytes.size()) {}

  std::size_t offset() const { return static_cast<std::size_t>(p_ - begin_); }
  bool message(ThriftMessage& out);
  bool field(Struct& in, ThriftField& out);
  bool list(ThriftList& out);
  bool map(ThriftMap& out);
  bool boolean(bool& out);  // of the field just read
  bool i32(std::int32_t& out);
  bool i64(std::int64_t& out);
  bool real(std::uint64_t& bits);
  bool bytes(ByteView& out);
  bool skip_scalar(ThriftType type, bool in_field);

 private:
  bool varint(std::uint64_t& out);
  bool type_of(std::uint8_t nibble, ThriftType& out);

  const char* begin_;
  const char* p_;
  const char* end_;
  bool bool_ = false;  // value of the last bool field
};

// --- the calls made per field

inline bool ThriftBinary::take(std::size_t n) {
  if (static_cast<std::size_t>(end_ - p_) < n) return false;
  p_ += n;
  return true;
}

template <class T>
inline bool ThriftBinary::big(T& out) {
  if (!take(sizeof(T))) return false;
  std::uint64_t v = 0;
  for (const char* p = p_ - sizeof(T); p < p_; ++p) v = v << 8 | static_cast<std::uint8_t>(*p);
  out = static_cast<T>(v);
  return true;
}

inline std::size_t ThriftBinary::size_min(ThriftType type) {
  switch (type) {
    case ThriftType::kBool:
    case ThriftType::kByte:
    case ThriftType::kStruct:
      return 1;
    case ThriftType::kI16:
      return 2;
    case ThriftType::kI32:
    case ThriftType::kString:
      return 4;
    case ThriftType::kList:
    case ThriftType::kSet:
      return 5;
    case ThriftType::kMap:
      return 6;
    case ThriftType::kI64:
    case ThriftType::kDouble:
      return 8;
    case ThriftType::kStop:
      break;
  }
  return 0;
}

inline bool ThriftBinary::field(Struct&, ThriftField& out) {
  std::uint8_t type = 0;
  if (!big(type)) return false;
  out.type = static_cast<ThriftType>(type);
  if (out.type == ThriftType::kStop) return true;
  return big(out.id) && size_min(out.type) != 0;
}

inline bool ThriftBinary::i32(std::int32_t& out) { return big(out); }

inline bool ThriftBinary::i64(std::int64_t& out) { return big(out); }

inline bool ThriftBinary::real(std::uint64_t& bits) { return big(bits); }

inline bool ThriftBinary::bytes(ByteView& out) {
  std::uint32_t size = 0;
  if (!big(size) || !take(size)) return false;  // a negative length is one past every end
  out = ByteView(p_ - size, size);
  return true;
}

inline bool ThriftCompact::varint(std::uint64_t& out) { return pb::read_varint(p_, end_, out); }

inline bool ThriftCompact::type_of(std::uint8_t nibble, ThriftType& out) {
  // 1 and 2 are true and false; 4 to 12 i16, i32, i64, double, string, list, set, map, struct.
  static constexpr std::array<ThriftType, 13> kTypes = {
      ThriftType::kStop, ThriftType::kBool, ThriftType::kBool,   ThriftType::kByte,   ThriftType::kI16,
      ThriftType::kI32,  ThriftType::kI64,  ThriftType::kDouble, ThriftType::kString, ThriftType::kList,
      ThriftType::kSet,  ThriftType::kMap,  ThriftType::kStruct};
  if (nibble == 0 || nibble >= kTypes.size()) return false;
  out = kTypes[nibble];
  return true;
}

inline bool ThriftCompact::field(Struct& in, ThriftField& out) {
  if (p_ >= end_) return false;
  const auto head = static_cast<std::uint8_t>(*p_++);
  out.type = ThriftType::kStop;
  if (head == 0) return true;
  if (!type_of(head & 0x0F, out.type)) return false;
  if ((head >> 4) != 0) {
    out.id = static_cast<std::int16_t>(in.last + (head >> 4));
  } else {
    std::uint64_t id = 0;
    if (!varint(id)) return false;
    out.id = static_cast<std::int16_t>((id >> 1) ^ (~(id & 1) + 1));
  }
  in.last = out.id;
  bool_ = (head & 0x0F) == 1;
  return true;
}

inline bool ThriftCompact::i64(std::int64_t& out) {
  std::uint64_t v = 0;
  if (!varint(v)) return false;
  out = static_cast<std::int64_t>((v >> 1) ^ (~(v & 1) + 1));
  return true;
}

inline bool ThriftCompact::i32(std::int32_t& out) {
  std::int64_t v = 0;
  if (!i64(v)) return false;
  out = static_cast<std::int32_t>(v);
  return true;
}

inline bool ThriftCompact::bytes(ByteView& out) { return pb::read_len(p_, end_, out); }

// Skips the value of a field whose header has been read.
template <class Reader>
bool thrift_skip(Reader& in, ThriftType type) {
  struct Frame {
    ThriftType key, value;
    std::uint64_t left;  // values to come, keys among them
    bool is_struct;
    typename Reader::Struct state;
  };
  std::array<Frame, kThriftDepthMax> stack;
  std::size_t depth = 0;
  bool in_field = true;
  for (;;) {
    ThriftList list;
    ThriftMap map;
    switch (type) {
      case ThriftType::kStruct:
        if (depth == stack.size()) return false;
        stack[depth++] = {type, type, 0, true, {}};
        break;
      case ThriftType::kList:
      case ThriftType::kSet:
        if (!in.list(list) || depth == stack.size()) return false;
        stack[depth++] = {list.type, list.type, list.count, false, {}};
        break;
      case ThriftType::kMap:
        if (!in.map(map) || depth == stack.size()) return false;
        stack[depth++] = {map.key, map.value, std::uint64_t{map.count} * 2, false, {}};
        break;
      default:
        if (!in.skip_scalar(type, in_field)) return false;
    }
    for (;;) {  // what comes next
      if (depth == 0) return true;
      Frame& top = stack[depth - 1];
      if (top.is_struct) {
        ThriftField field;
        if (!in.field(top.state, field)) return false;
        type = field.type;
        in_field = true;
        if (type != ThriftType::kStop) break;
      } else if (top.left != 0) {
        type = top.left % 2 == 0 ? top.key : top.value;
        --top.left;
        in_field = false;
        break;
      }
      --depth;
    }
  }
}

}  // namespace tailgate
