// SPDX-License-Identifier: Apache-2.0
// Values read from the wire: attributes (AnyValue, KeyValue), and the items of lists and maps.
#include <bit>

#include "codec/protobuf.h"
#include "decide/condition/value.h"
#include "wire/otlp/attribute_value.h"
#include "wire/otlp/schema.h"

namespace tailgate::condition {
namespace {

// The last length-delimited field `number`; false when there is none or the bytes break before it.
bool last_field(ByteView message, std::uint32_t number, ByteView& found) {
  bool any = false;
  const char* p = message.data();
  const char* const end = p + message.size();
  while (p < end) {
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) return false;
    if (tag == pb::tag_of(number, pb::kLen)) {
      if (!pb::read_len(p, end, found)) return false;
      any = true;
    } else if (!pb::skip_value(p, end, tag)) {
      return false;
    }
  }
  return any;
}

// Moves `rest` past the next length-delimited field `number`.
bool next_field(ByteView& rest, std::uint32_t number, ByteView& found) {
  const char* p = rest.data();
  const char* const end = p + rest.size();
  while (p < end) {
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) break;
    if (tag == pb::tag_of(number, pb::kLen)) {
      if (!pb::read_len(p, end, found)) break;
      rest = ByteView(p, static_cast<std::size_t>(end - p));
      return true;
    }
    if (!pb::skip_value(p, end, tag)) break;
  }
  rest = {};
  return false;
}

Value value_of(const AttributeValue& value) {
  using Kind = AttributeValue::Kind;
  switch (value.kind) {
    case Kind::kString:
      return Value::of_text(value.bytes);
    case Kind::kBool:
      return Value::of_bool(value.bits != 0);
    case Kind::kInt:
      return Value::of_int(static_cast<std::int64_t>(value.bits));
    case Kind::kDouble:
      return Value::of_double(std::bit_cast<double>(value.bits));
    case Kind::kArray:
      return Value::on_wire(ValueKind::kList, value.bytes, otlp::list::kValues);
    case Kind::kMap:
      return Value::on_wire(ValueKind::kMap, value.bytes, otlp::list::kValues);
    case Kind::kBytes:
      return Value::of_text(value.bytes, ValueKind::kBytes);
    case Kind::kUnset:
      break;
  }
  return {};
}

}  // namespace

Value decode_any_value(ByteView any_value) {
  AttributeValue value;
  return merge_any_value(any_value, value) ? value_of(value) : Value();
}

Value decode_key_value(ByteView key_value) {
  // As everyone writes it: the key, and a value that fills the rest.
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(key_value[i]); };
  if (key_value.size() >= 2 && byte(0) == pb::tag_of(otlp::key_value::kKey, pb::kLen) && byte(1) < 0x80) {
    const std::size_t at = 2u + byte(1);
    if (at + 2 <= key_value.size() && byte(at) == pb::tag_of(otlp::key_value::kValue, pb::kLen) &&
        byte(at + 1) < 0x80 && at + 2 + byte(at + 1) == key_value.size()) {
      return decode_any_value(key_value.substr(at + 2));
    }
  }
  return value_of(attribute_value(key_value));
}

std::string_view key_of(ByteView key_value) {
  ByteView key;
  return last_field(key_value, otlp::key_value::kKey, key) ? key : ByteView();
}

ListReader::ListReader(const Value& list) : list_(list) {
  if (!list.wire) return;
  (list.outer == 0 ? rest_ : outer_rest_) = list.text;
}

bool ListReader::next_message(ByteView& message) {
  while (!next_field(rest_, list_.field, message)) {
    if (list_.outer == 0 || !next_field(outer_rest_, list_.outer, rest_)) return false;
  }
  return true;
}

bool ListReader::next(Value& item) {
  if (list_.wire) {
    ByteView message;
    if (!next_message(message)) return false;
    item = list_.opaque ? Value() : decode_any_value(message);
    return true;
  }
  if (at_ == list_.count) return false;
  item = list_.items[at_++];
  return true;
}

bool MapReader::next(std::string_view& key, Value& value) {
  const Value& map = reader_.list_;
  if (map.wire) {
    ByteView message;
    if (!reader_.next_message(message)) return false;
    key = key_of(message);
    value = decode_key_value(message);
    return true;
  }
  if (reader_.at_ == map.count) return false;
  key = map.entries[reader_.at_].key;
  value = map.entries[reader_.at_++].value;
  return true;
}

std::size_t size_of(const Value& container) {
  if (!container.wire) return container.count;
  std::size_t n = 0;
  Value item;
  std::string_view key;
  if (container.is(ValueKind::kMap)) {
    for (MapReader reader(container); reader.next(key, item);) ++n;
  } else {
    for (ListReader reader(container); reader.next(item);) ++n;
  }
  return n;
}

bool find_key(const Value& map, std::string_view key, Value& value) {
  std::string_view found;
  for (MapReader reader(map); reader.next(found, value);) {
    if (found == key) return true;
  }
  return false;
}

bool find_index(const Value& list, std::int64_t index, Value& value) {
  if (index < 0 || list.opaque) return false;
  for (ListReader reader(list); reader.next(value);) {
    if (index-- == 0) return true;
  }
  return false;
}

}  // namespace tailgate::condition
