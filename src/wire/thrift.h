// Reading Apache Thrift's binary and compact protocols without generated code, for input of strangers.
//
//   binary    field = type byte, id 2 bytes big endian; numbers big endian; list = type byte, count 4 bytes
//   compact   field = (id delta << 4 | type) or type then zigzag id; integers zigzag varints; a bool is in its field's
//   type
//
// Both readers have the same calls, so that a parser is a template over them. None reads past the end; a declared count
// is held against the bytes that are left, and skipping is a loop with a stack of kThriftDepthMax. False: malformed or
// too deep. Source: thrift/doc/specs/thrift-binary-protocol.md and thrift-compact-protocol.md.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

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
  struct Struct {};  // what reading a struct has to remember

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
    std::int16_t last = 0;  // ids are told by their difference
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

// Passes over the value of a field whose header has been read.
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
