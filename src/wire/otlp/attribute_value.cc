// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/attribute_value.h"

#include <array>

#include "codec/protobuf.h"
#include "wire/otlp/schema_table.h"

namespace tailgate {
namespace {

// The wire type of each member, by its number; none has the type of a group.
constexpr auto kMemberTypes = [] {
  std::array<std::uint32_t, otlp::any_value::kBytes + 1> out{};
  out.fill(pb::kGroup);
  for (const otlp::Field& f : otlp::kAnyValueFields) out[f.number] = otlp::wire_type(f.kind);
  return out;
}();

}  // namespace

bool is_any_value_member(std::uint32_t number, std::uint32_t wire_type) {
  return number < kMemberTypes.size() && kMemberTypes[number] == wire_type && wire_type != pb::kGroup;
}

// Inlined, so that who wants only the text pays for no more: it is asked for most attributes of all spans.
[[gnu::always_inline]] inline bool usual(ByteView key_value, ByteView& key, ByteView& text) {
  constexpr char kKeyTag = pb::tag_of(otlp::key_value::kKey, pb::kLen);
  constexpr char kValueTag = pb::tag_of(otlp::key_value::kValue, pb::kLen);
  constexpr char kStringTag = pb::tag_of(otlp::any_value::kString, pb::kLen);
  const std::size_t size = key_value.size();
  if (size >= 4 && key_value[0] == kKeyTag && static_cast<std::uint8_t>(key_value[1]) < 0x7e) {
    const auto at = static_cast<std::size_t>(2 + key_value[1]);  // of `value`
    if (at + 4 <= size && key_value[at] == kValueTag && key_value[at + 2] == kStringTag && key_value[at + 3] >= 0 &&
        static_cast<std::size_t>(key_value[at + 3]) + at + 4 == size && key_value[at + 1] == key_value[at + 3] + 2) {
      key = ByteView(key_value.data() + 2, at - 2);
      text = ByteView(key_value.data() + at + 4, size - at - 4);
      return true;
    }
  }
  if (size >= 6 && key_value[0] == kValueTag && key_value[2] == kStringTag && key_value[3] >= 0 &&
      key_value[1] == key_value[3] + 2) {
    const auto at = static_cast<std::size_t>(4 + key_value[3]);  // of `key`
    if (at + 2 <= size && key_value[at] == kKeyTag && key_value[at + 1] >= 0 &&
        static_cast<std::size_t>(key_value[at + 1]) + at + 2 == size) {
      key = ByteView(key_value.data() + at + 2, size - at - 2);
      text = ByteView(key_value.data() + 4, at - 4);
      return true;
    }
  }
  return false;
}

bool read_usual(ByteView key_value, ByteView& key, ByteView& text) { return usual(key_value, key, text); }

bool read_string(ByteView key_value, ByteView& key, ByteView& text) {
  if (usual(key_value, key, text)) return true;
  // Key and value, in this order.
  const char* p = key_value.data();
  const char* const end = p + key_value.size();
  std::uint32_t tag = 0;
  ByteView name, value;
  if (!pb::read_tag(p, end, tag) || tag != pb::len(otlp::key_value::kKey) || !pb::read_len(p, end, name)) return false;
  if (!pb::read_tag(p, end, tag) || tag != pb::len(otlp::key_value::kValue) || !pb::read_len(p, end, value))
    return false;
  if (p != end) return false;
  p = value.data();
  if (!pb::read_tag(p, end, tag) || tag != pb::len(otlp::any_value::kString) || !pb::read_len(p, end, text))
    return false;
  key = name;
  return p == end;
}

std::optional<ByteView> string_value(ByteView key_value) {
  ByteView key, text;
  if (usual(key_value, key, text)) return text;
  const AttributeValue value = attribute_value(key_value);
  if (value.kind != AttributeValue::Kind::kString) return std::nullopt;
  return value.bytes;
}

bool merge_any_value(ByteView any_value, AttributeValue& found) {
  const char* p = any_value.data();
  const char* const end = p + any_value.size();
  while (p < end) {
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) return false;
    const std::uint32_t field = tag >> 3;
    if (!is_any_value_member(field, tag & 7)) {
      if (!pb::skip_value(p, end, tag)) return false;
      continue;
    }
    found = {static_cast<AttributeValue::Kind>(field), 0, {}};
    const bool read = (tag & 7) == pb::kLen      ? pb::read_len(p, end, found.bytes)
                      : (tag & 7) == pb::kVarint ? pb::read_varint(p, end, found.bits)
                                                 : pb::read_fixed64(p, end, found.bits);
    if (!read) return false;
  }
  return true;
}

AttributeValue attribute_value(ByteView key_value) {
  AttributeValue found;
  const char* p = key_value.data();
  const char* const end = p + key_value.size();
  while (p < end) {
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) return {};
    if (tag != pb::tag_of(otlp::key_value::kValue, pb::kLen)) {
      if (!pb::skip_value(p, end, tag)) return {};
      continue;
    }
    ByteView any_value;
    if (!pb::read_len(p, end, any_value) || !merge_any_value(any_value, found)) return {};
  }
  return found;
}

}  // namespace tailgate
