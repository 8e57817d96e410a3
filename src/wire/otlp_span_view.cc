#include "wire/otlp_span_view.h"

#include "wire/field_reader.h"
#include "wire/otlp_split.h"

namespace tailgate {
namespace {

bool is_bytes(const FieldReader& r, std::uint32_t number) { return r.number == number && r.type == WireType::kBytes; }
bool is_varint(const FieldReader& r, std::uint32_t number) { return r.number == number && r.type == WireType::kVarint; }
bool is_fixed64(const FieldReader& r, std::uint32_t number) {
  return r.number == number && r.type == WireType::kFixed64;
}

// A KeyValue.
AttributeView attribute_of(ByteView key_value) {
  AttributeView out;
  for (FieldReader r(key_value); r.next();) {
    if (is_bytes(r, 1)) out.key = r.bytes;
  }
  out.value = attribute_value(key_value);
  return out;
}

AttributeValue any_value(ByteView any) {
  using Kind = AttributeValue::Kind;
  AttributeValue out;
  for (FieldReader r(any); r.next();) {
    if (r.number < 1 || r.number > 7) continue;
    const Kind kind = static_cast<Kind>(r.number);
    const bool number = kind == Kind::kBool || kind == Kind::kInt;
    const WireType wanted = number ? WireType::kVarint : kind == Kind::kDouble ? WireType::kFixed64 : WireType::kBytes;
    if (r.type == wanted) out = {kind, r.value, r.bytes};
  }
  return out;
}

bool read_event(ByteView bytes, EventView& out) {
  FieldReader r(bytes);
  while (r.next()) {
    if (is_fixed64(r, 1)) out.time_ns = r.value;
    if (is_bytes(r, 2)) out.name = r.bytes;
    if (is_bytes(r, 3)) out.attributes.push_back(attribute_of(r.bytes));
    if (is_varint(r, 4)) out.dropped_attributes = static_cast<std::uint32_t>(r.value);
  }
  return r.ok();
}

bool read_link(ByteView bytes, LinkView& out) {
  FieldReader r(bytes);
  while (r.next()) {
    if (is_bytes(r, 1)) out.trace_id = r.bytes;
    if (is_bytes(r, 2)) out.span_id = r.bytes;
    if (is_bytes(r, 3)) out.trace_state = r.bytes;
    if (is_bytes(r, 4)) out.attributes.push_back(attribute_of(r.bytes));
    if (is_varint(r, 5)) out.dropped_attributes = static_cast<std::uint32_t>(r.value);
    if (r.number == 6 && r.type == WireType::kFixed32) out.flags = static_cast<std::uint32_t>(r.value);
  }
  return r.ok();
}

void read_status(ByteView bytes, SpanView& out) {
  FieldReader r(bytes);
  while (r.next()) {
    if (is_bytes(r, 2)) out.status_message = r.bytes;
    if (is_varint(r, 3)) out.status_code = static_cast<std::uint32_t>(r.value);
  }
}

}  // namespace

// An event, link or status that cannot be read is left out: nobody has read it before, and the span is good without.
bool read_span_view(ByteView bytes, SpanView& out) {
  FieldReader r(bytes);
  while (r.next()) {
    if (is_bytes(r, 1)) out.trace_id = r.bytes;
    if (is_bytes(r, 2)) out.span_id = r.bytes;
    if (is_bytes(r, 3)) out.trace_state = r.bytes;
    if (is_bytes(r, 4)) out.parent_span_id = r.bytes;
    if (is_bytes(r, 5)) out.name = r.bytes;
    if (is_varint(r, 6)) out.kind = static_cast<std::uint32_t>(r.value);
    if (is_fixed64(r, 7)) out.start_ns = r.value;
    if (is_fixed64(r, 8)) out.end_ns = r.value;
    if (is_bytes(r, 9)) out.attributes.push_back(attribute_of(r.bytes));
    if (is_varint(r, 10)) out.dropped_attributes = static_cast<std::uint32_t>(r.value);
    if (is_bytes(r, 11) && !read_event(r.bytes, out.events.emplace_back())) out.events.pop_back();
    if (is_varint(r, 12)) out.dropped_events = static_cast<std::uint32_t>(r.value);
    if (is_bytes(r, 13) && !read_link(r.bytes, out.links.emplace_back())) out.links.pop_back();
    if (is_varint(r, 14)) out.dropped_links = static_cast<std::uint32_t>(r.value);
    if (is_bytes(r, 15)) read_status(r.bytes, out);
    if (r.number == 16 && r.type == WireType::kFixed32) out.flags = static_cast<std::uint32_t>(r.value);
  }
  return r.ok();
}

ResourceView read_resource_view(ByteView prefix) {
  ResourceView out;
  for (FieldReader r(prefix); r.next();) {
    if (is_bytes(r, 3)) out.schema_url = r.bytes;
    if (!is_bytes(r, 1)) continue;
    for (FieldReader in(r.bytes); in.next();) {
      if (is_bytes(in, 1)) out.attributes.push_back(attribute_of(in.bytes));
      if (is_varint(in, 2)) out.dropped_attributes = static_cast<std::uint32_t>(in.value);
    }
  }
  return out;
}

ScopeView read_scope_view(ByteView prefix) {
  ScopeView out;
  for (FieldReader r(prefix); r.next();) {
    if (is_bytes(r, 3)) out.schema_url = r.bytes;
    if (!is_bytes(r, 1)) continue;
    for (FieldReader in(r.bytes); in.next();) {
      if (is_bytes(in, 1)) out.name = in.bytes;
      if (is_bytes(in, 2)) out.version = in.bytes;
      if (is_bytes(in, 3)) out.attributes.push_back(attribute_of(in.bytes));
      if (is_varint(in, 4)) out.dropped_attributes = static_cast<std::uint32_t>(in.value);
    }
  }
  return out;
}

bool each_span(ByteView otlp, const TakeSpan& take) {
  OtlpSpans all;
  if (!read_otlp_spans(otlp, all)) return false;
  ResourceView resource;
  ScopeView scope;
  const FrameSpan* last = nullptr;
  bool good = true;
  for (const FrameSpan& span : all.spans) {
    if (last == nullptr || last->resource.data() != span.resource.data()) {
      const std::uint64_t number = resource.number + 1;
      resource = read_resource_view(span.resource);
      resource.number = number;
    }
    if (last == nullptr || last->scope.data() != span.scope.data()) scope = read_scope_view(span.scope);
    last = &span;
    SpanView view;
    if (read_span_view(span.span, view)) {
      take(resource, scope, view);
    } else {
      good = false;
    }
  }
  return good;
}

std::vector<AttributeValue> array_of(const AttributeValue& value) {
  std::vector<AttributeValue> out;
  if (value.kind != AttributeValue::Kind::kArray) return out;
  for (FieldReader r(value.bytes); r.next();) {
    if (is_bytes(r, 1)) out.push_back(any_value(r.bytes));
  }
  return out;
}

AttributeViews map_of(const AttributeValue& value) {
  AttributeViews out;
  if (value.kind != AttributeValue::Kind::kMap) return out;
  for (FieldReader r(value.bytes); r.next();) {
    if (is_bytes(r, 1)) out.push_back(attribute_of(r.bytes));
  }
  return out;
}

const AttributeValue* find_attribute(const AttributeViews& attributes, ByteView key) {
  const AttributeValue* found = nullptr;
  for (const AttributeView& a : attributes) {
    if (a.key == key) found = &a.value;
  }
  return found;
}

}  // namespace tailgate
