// SPDX-License-Identifier: Apache-2.0
#include "wire/jaeger/thrift_reader.h"

namespace tailgate {

// --- binary

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

bool ThriftBinary::skip_scalar(ThriftType type, bool) {
  ByteView ignored;
  if (type == ThriftType::kString) return bytes(ignored);
  const std::size_t size = size_min(type);
  return size != 0 && take(size);
}

// --- compact

bool ThriftCompact::message(ThriftMessage& out) {
  if (end_ - p_ < 2 || *p_ != '\x82') return false;
  const auto second = static_cast<std::uint8_t>(p_[1]);
  if ((second & 0x1F) != 1) return false;
  out.type = second >> 5;
  p_ += 2;
  std::uint64_t sequence = 0;
  return varint(sequence) && bytes(out.name);
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

bool ThriftCompact::real(std::uint64_t& bits) { return pb::read_fixed64(p_, end_, bits); }

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
