// SPDX-License-Identifier: Apache-2.0
// The value of an attribute, read without a tree. Views into the bytes of the attribute. Pure functions.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wire/otlp/schema.h"

namespace tailgate {

struct AttributeValue {
  enum class Kind : std::uint8_t {  // the numbers of AnyValue's fields
    kUnset = 0,
    kString = otlp::any_value::kString,
    kBool = otlp::any_value::kBool,
    kInt = otlp::any_value::kInt,
    kDouble = otlp::any_value::kDouble,
    kArray = otlp::any_value::kArray,
    kMap = otlp::any_value::kMap,
    kBytes = otlp::any_value::kBytes
  };
  Kind kind = Kind::kUnset;  // also for malformed bytes
  std::uint64_t bits = 0;    // of a bool, int or double
  ByteView bytes;            // of the others: text, ArrayValue, KeyValueList, bytes
};

// Whether a field with this number and wire type is a member of AnyValue's oneof.
bool is_any_value_member(std::uint32_t number, std::uint32_t wire_type);

// Reads an AnyValue into `found`: the last member of the oneof counts, and one without any leaves `found` as it was.
// False for malformed bytes, which leave `found` in any state.
bool merge_any_value(ByteView any_value, AttributeValue& found);

// The value of a KeyValue. Its `value` may come in several fields, which merge: the last member in all of them counts.
AttributeValue attribute_value(ByteView key_value);

// Key and text of a KeyValue as every SDK writes it: the key, then a value that is one string, both shorter than 126
// bytes; or in the Collector's order, the value first. False for every other.
bool read_usual(ByteView key_value, ByteView& key, ByteView& text);

// The same of any length, as long as nothing else is in it.
bool read_string(ByteView key_value, ByteView& key, ByteView& text);

// The value of a KeyValue that is a string. Empty for other types and for malformed bytes. Quick for what every SDK
// writes.
std::optional<ByteView> string_value(ByteView key_value);

}  // namespace tailgate
