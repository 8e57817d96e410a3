#include "wire/thrift.h"

#include "wire/protobuf.h"

namespace tailgate {

// --- binary

bool ThriftBinary::take(std::size_t n) {
  if (static_cast<std::size_t>(end_ - p_) < n) return false;
  p_ += n;
  return true;
}

template <class T>
bool ThriftBinary::big(T& out) {
  if (!take(sizeof(T))) return false;
  std::uint64_t v = 0;
  for (const char* p = p_ - sizeof(T); p < p_; ++p) v = v << 8 | static_cast<std::uint8_t>(*p);
  out = static_cast<T>(v);
  return true;
}

std::size_t ThriftBinary::size_min(ThriftType type) {
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

bool ThriftBinary::message(ThriftMessage& out) {
  std::uint32_t first = 0;
  std::int32_t sequence = 0;
  if (!big(first)) return false;
  if ((first & 0x80000000U) != 0) {
    if ((first & 0xFFFF0000U) != 0x80010000U) return false;
    out.type = static_cast<std::uint8_t>(first & 0xFF);
    return bytes(out.name) && big(sequence);
  }
  if (!take(first)) return false;  // no version: this is the length of the name
  out.name = ByteView(p_ - first, first);
  return big(out.type) && big(sequence);
}

bool ThriftBinary::field(Struct&, ThriftField& out) {
  std::uint8_t type = 0;
  if (!big(type)) return false;
  out.type = static_cast<ThriftType>(type);
  if (out.type == ThriftType::kStop) return true;
  return big(out.id) && size_min(out.type) != 0;
}

bool ThriftBinary::list(ThriftList& out) {
  std::uint8_t type = 0;
  if (!big(type) || !big(out.count)) return false;
  out.type = static_cast<ThriftType>(type);
  if (out.count == 0) return true;
  const std::size_t size = size_min(out.type);
  return size != 0 && out.count <= static_cast<std::size_t>(end_ - p_) / size;
}

bool ThriftBinary::map(ThriftMap& out) {
  std::uint8_t key = 0, value = 0;
  if (!big(key) || !big(value) || !big(out.count)) return false;
  out.key = static_cast<ThriftType>(key);
  out.value = static_cast<ThriftType>(value);
  if (out.count == 0) return true;
  const std::size_t key_size = size_min(out.key), value_size = size_min(out.value);
  return key_size != 0 && value_size != 0 && out.count <= static_cast<std::size_t>(end_ - p_) / (key_size + value_size);
}

bool ThriftBinary::boolean(bool& out) {
  std::uint8_t v = 0;
  if (!big(v)) return false;
  out = v != 0;
  return true;
}

bool ThriftBinary::i32(std::int32_t& out) { return big(out); }
bool ThriftBinary::i64(std::int64_t& out) { return big(out); }
bool ThriftBinary::real(std::uint64_t& bits) { return big(bits); }

bool ThriftBinary::bytes(ByteView& out) {
  std::uint32_t size = 0;
  if (!big(size) || !take(size)) return false;  // a negative length is one past every end
  out = ByteView(p_ - size, size);
  return true;
}

bool ThriftBinary::skip_scalar(ThriftType type, bool) {
  ByteView ignored;
  if (type == ThriftType::kString) return bytes(ignored);
  const std::size_t size = size_min(type);
  return size != 0 && take(size);
}

// --- compact

bool ThriftCompact::varint(std::uint64_t& out) { return pb::read_varint(p_, end_, out); }

bool ThriftCompact::type_of(std::uint8_t nibble, ThriftType& out) {
  // 1 and 2 are true and false; 4 to 12 i16, i32, i64, double, string, list, set, map, struct.
  static constexpr std::array<ThriftType, 13> kTypes = {
      ThriftType::kStop, ThriftType::kBool, ThriftType::kBool,   ThriftType::kByte,   ThriftType::kI16,
      ThriftType::kI32,  ThriftType::kI64,  ThriftType::kDouble, ThriftType::kString, ThriftType::kList,
      ThriftType::kSet,  ThriftType::kMap,  ThriftType::kStruct};
  if (nibble == 0 || nibble >= kTypes.size()) return false;
  out = kTypes[nibble];
  return true;
}

bool ThriftCompact::message(ThriftMessage& out) {
  if (end_ - p_ < 2 || *p_ != '\x82') return false;
  const auto second = static_cast<std::uint8_t>(p_[1]);
  if ((second & 0x1F) != 1) return false;
  out.type = second >> 5;
  p_ += 2;
  std::uint64_t sequence = 0;
  return varint(sequence) && bytes(out.name);
}

bool ThriftCompact::field(Struct& in, ThriftField& out) {
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

bool ThriftCompact::list(ThriftList& out) {
  if (p_ >= end_) return false;
  const auto head = static_cast<std::uint8_t>(*p_++);
  std::uint64_t count = head >> 4;
  if (count == 15 && !varint(count)) return false;
  out.count = static_cast<std::uint32_t>(count);
  if (count == 0) return true;
  if (!type_of(head & 0x0F, out.type)) return false;
  const std::size_t size = out.type == ThriftType::kDouble ? 8 : 1;
  return count <= static_cast<std::size_t>(end_ - p_) / size;
}

bool ThriftCompact::map(ThriftMap& out) {
  std::uint64_t count = 0;
  if (!varint(count)) return false;
  out.count = static_cast<std::uint32_t>(count);
  if (count == 0) return true;
  if (p_ >= end_) return false;
  const auto types = static_cast<std::uint8_t>(*p_++);
  if (!type_of(types >> 4, out.key) || !type_of(types & 0x0F, out.value)) return false;
  return count <= static_cast<std::size_t>(end_ - p_) / 2;
}

bool ThriftCompact::boolean(bool& out) {
  out = bool_;
  return true;
}

bool ThriftCompact::i64(std::int64_t& out) {
  std::uint64_t v = 0;
  if (!varint(v)) return false;
  out = static_cast<std::int64_t>((v >> 1) ^ (~(v & 1) + 1));
  return true;
}

bool ThriftCompact::i32(std::int32_t& out) {
  std::int64_t v = 0;
  if (!i64(v)) return false;
  out = static_cast<std::int32_t>(v);
  return true;
}

bool ThriftCompact::real(std::uint64_t& bits) { return pb::read_fixed64(p_, end_, bits); }
bool ThriftCompact::bytes(ByteView& out) { return pb::read_len(p_, end_, out); }

bool ThriftCompact::skip_scalar(ThriftType type, bool in_field) {
  std::uint64_t ignored = 0;
  ByteView bytes_ignored;
  switch (type) {
    case ThriftType::kBool:
      if (in_field) return true;
      [[fallthrough]];
    case ThriftType::kByte:
      if (p_ >= end_) return false;
      ++p_;
      return true;
    case ThriftType::kI16:
    case ThriftType::kI32:
    case ThriftType::kI64:
      return varint(ignored);
    case ThriftType::kDouble:
      return real(ignored);
    case ThriftType::kString:
      return bytes(bytes_ignored);
    default:
      return false;
  }
}

}  // namespace tailgate
