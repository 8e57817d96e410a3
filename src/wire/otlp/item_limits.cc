// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/item_limits.h"

#include "codec/field_reader.h"
#include "codec/json_text.h"
#include "wire/otlp/schema.h"

namespace tailgate {
namespace {

// Values inside an AnyValue.
std::uint64_t values_in(ByteView any, int depth) {
  std::uint64_t count = 0;
  if (depth > kValueDepthMax + 2) return count;  // no writer goes deeper
  for (FieldReader r(any); r.next();) {
    const bool array = r.is_len(otlp::any_value::kArray);
    if (!array && !r.is_len(otlp::any_value::kMap)) continue;
    for (FieldReader list(r.bytes); list.next();) {
      if (!list.is_len(otlp::list::kValues)) continue;
      ++count;
      if (array) count += values_in(list.bytes, depth + 1);
      if (array) continue;
      for (FieldReader pair(list.bytes); pair.next();) {
        if (pair.is_len(otlp::key_value::kValue)) count += values_in(pair.bytes, depth + 1);
      }
    }
  }
  return count;
}

}  // namespace

ByteView ItemRoom::short_text(ByteView text) {
  const ByteView front = json_string_front(text, escapes_);
  cut.values += front.size() < text.size() ? 1 : 0;
  return front;
}

// An element is an AnyValue or a KeyValue, which has one in field 2: an AnyValue has a number there, never bytes, and a
// KeyValue nothing beyond 2, so that both are counted in one way.
ByteView ItemRoom::values(ByteView list) {
  const char* end = list.data();
  bool full = false;
  for (FieldReader r(list); r.next();) {
    if (!r.is_len(otlp::list::kValues)) continue;
    std::uint64_t count = 1 + values_in(r.bytes, 1);
    for (FieldReader pair(r.bytes); pair.next();) {
      if (pair.is_len(otlp::key_value::kValue)) count += values_in(pair.bytes, 1);
    }
    full = full || count > values_ || count > in_all_ || r.bytes.size() > value_bytes_;
    if (full) {
      cut.values += count;
      continue;
    }
    values_ -= count;
    in_all_ -= count;
    value_bytes_ -= r.bytes.size();
    end = r.bytes.data() + r.bytes.size();
  }
  return full ? list.substr(0, static_cast<std::size_t>(end - list.data())) : list;
}

}  // namespace tailgate
