// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/span_view.h"

#include <algorithm>
#include <utility>

#include "codec/field_reader.h"
#include "codec/protobuf.h"
#include "wire/otlp/repeats.h"
#include "wire/otlp/schema.h"
#include "wire/otlp/span_reader.h"
#include "wire/otlp/split.h"

namespace tailgate {
namespace {

AttributeValue any_value(ByteView any) {
  AttributeValue out;
  for (FieldReader r(any); r.next();) {
    if (is_any_value_member(r.number, r.type)) out = {static_cast<AttributeValue::Kind>(r.number), r.value, r.bytes};
  }
  return out;
}

// Attributes of one message, as far as there is room.
class AttributeReader {
 public:
  AttributeReader(AttributeViews& out, ItemRoom& room) : out_(out), room_(room) {}

  void add(ByteView key_value) {
    if (!room_.attribute()) {
      ++left_out_;
      return;
    }
    read_attribute(key_value, out_.emplace_back(), room_);
  }
  void add_left_out(std::uint32_t& dropped) const { dropped = dropped_sum(dropped, left_out_); }

 private:
  AttributeViews& out_;
  ItemRoom& room_;
  std::uint64_t left_out_ = 0;
};

bool read_event(ByteView bytes, EventView& out, ItemRoom& room) {
  FieldReader r(bytes);
  AttributeReader attributes(out.attributes, room);
  while (r.next()) {
    if (r.is_fixed64(otlp::event::kTime)) out.time_ns = r.value;
    if (r.is_len(otlp::event::kName)) out.name = r.bytes;
    if (r.is_len(otlp::event::kAttributes)) attributes.add(r.bytes);
    if (r.is_varint(otlp::event::kDroppedAttributes)) out.dropped_attributes = static_cast<std::uint32_t>(r.value);
  }
  out.name = room.text(out.name);
  attributes.add_left_out(out.dropped_attributes);
  return r.ok();
}

bool read_link(ByteView bytes, LinkView& out, ItemRoom& room) {
  FieldReader r(bytes);
  AttributeReader attributes(out.attributes, room);
  while (r.next()) {
    if (r.is_len(otlp::link::kTraceId)) out.trace_id = r.bytes;
    if (r.is_len(otlp::link::kSpanId)) out.span_id = r.bytes;
    if (r.is_len(otlp::link::kTraceState)) out.trace_state = r.bytes;
    if (r.is_len(otlp::link::kAttributes)) attributes.add(r.bytes);
    if (r.is_varint(otlp::link::kDroppedAttributes)) out.dropped_attributes = static_cast<std::uint32_t>(r.value);
    if (r.is_fixed32(otlp::link::kFlags)) out.flags = static_cast<std::uint32_t>(r.value);
  }
  out.trace_state = room.text(out.trace_state);
  attributes.add_left_out(out.dropped_attributes);
  return r.ok();
}

bool can_be_read(ByteView span) {
  FieldReader r(span);
  while (r.next()) {
  }
  return r.ok();
}

}  // namespace

void read_other_key_value(ByteView key_value, AttributeView& out) {
  out.key = {};
  for (FieldReader r(key_value); r.next();) {
    if (r.is_len(otlp::key_value::kKey)) out.key = r.bytes;
  }
  out.value = attribute_value(key_value);
}

void add_event(ByteView event, SpanView& out, ItemRoom& room) {
  if (room.event() && !read_event(event, out.events.emplace_back(), room)) out.events.pop_back();
}

void add_link(ByteView link, SpanView& out, ItemRoom& room) {
  if (room.link() && !read_link(link, out.links.emplace_back(), room)) out.links.pop_back();
}

void clear_span(SpanView& span) {
  SpanView empty;
  empty.attributes = std::move(span.attributes);
  empty.events = std::move(span.events);
  empty.links = std::move(span.links);
  empty.attributes.clear();
  empty.events.clear();
  empty.links.clear();
  span = std::move(empty);
}

void read_status(ByteView bytes, SpanView& out) {
  FieldReader r(bytes);
  while (r.next()) {
    if (r.is_len(otlp::status::kMessage)) out.status_message = r.bytes;
    if (r.is_varint(otlp::status::kCode)) out.status_code = static_cast<std::uint32_t>(r.value);
  }
}

bool read_span_view(ByteView bytes, SpanView& out) {
  ItemRoom room(bytes.size());
  return read_span_fields(bytes, out, room,
                          [&](ByteView key_value) { read_attribute(key_value, out.attributes.emplace_back(), room); });
}

ResourceView read_resource_view(ByteView prefix) {
  ResourceView out;
  ItemRoom room(prefix.size());
  room.begin(kPrefixAttributesMax);
  AttributeReader attributes(out.attributes, room);
  for (FieldReader r(prefix); r.next();) {
    if (r.is_len(otlp::resource_spans::kSchemaUrl)) out.schema_url = r.bytes;
    if (!r.is_len(otlp::resource_spans::kResource)) continue;
    for (FieldReader in(r.bytes); in.next();) {
      if (in.is_len(otlp::resource::kAttributes)) attributes.add(in.bytes);
      if (in.is_varint(otlp::resource::kDroppedAttributes))
        out.dropped_attributes = static_cast<std::uint32_t>(in.value);
    }
  }
  attributes.add_left_out(out.dropped_attributes);
  out.cut = room.cut;
  return out;
}

ScopeView read_scope_view(ByteView prefix) {
  ScopeView out;
  ItemRoom room(prefix.size());
  room.begin(kPrefixAttributesMax);
  AttributeReader attributes(out.attributes, room);
  for (FieldReader r(prefix); r.next();) {
    if (r.is_len(otlp::scope_spans::kSchemaUrl)) out.schema_url = r.bytes;
    if (!r.is_len(otlp::scope_spans::kScope)) continue;
    for (FieldReader in(r.bytes); in.next();) {
      if (in.is_len(otlp::scope::kName)) out.name = in.bytes;
      if (in.is_len(otlp::scope::kVersion)) out.version = in.bytes;
      if (in.is_len(otlp::scope::kAttributes)) attributes.add(in.bytes);
      if (in.is_varint(otlp::scope::kDroppedAttributes)) out.dropped_attributes = static_cast<std::uint32_t>(in.value);
    }
  }
  out.name = room.text(out.name);
  out.version = room.text(out.version);
  attributes.add_left_out(out.dropped_attributes);
  out.cut = room.cut;
  return out;
}

namespace {

// How much a request may grow when resources and scopes are repeated with each span.
constexpr std::size_t kRepeatsFree = 4 << 20, kRepeatsPerByte = 16;

// All but what exporters find the service's name in.
std::uint64_t leave_out_attributes(ResourceView& resource) {
  return std::erase_if(resource.attributes, [](const AttributeView& a) {
    const bool names = std::find(kServiceKeys.begin(), kServiceKeys.end(), a.key) != kServiceKeys.end();
    return !names || a.value.bytes.size() > Repeats::kSmall;
  });
}

}  // namespace

bool each_span_bytes(ByteView otlp, const TakeSpanBytes& take, SpanChoice* choice) {
  OtlpSpans all;
  if (!read_otlp_spans(otlp, all)) return false;
  ResourceView resource;
  ScopeView scope;
  const FrameSpan *last = nullptr, *read = nullptr;  // the span before, and the one of `resource` and `scope`
  bool whole_resource = true, whole_scope = true;
  std::uint64_t not_written = 0;
  Repeats repeats(kRepeatsFree + kRepeatsPerByte * otlp.size());
  bool good = true;
  std::size_t number = 0;
  for (const FrameSpan& span : all.spans) {
    const bool first_of_resource = last == nullptr || last->resource.data() != span.resource.data();
    const bool first_of_scope = last == nullptr || last->scope.data() != span.scope.data();
    const bool write_resource = repeats.may_write(span.resource);
    const bool write_scope = repeats.may_write(span.scope);
    last = &span;
    if (choice != nullptr && choice->wanted && !choice->wanted(number)) {
      if (can_be_read(span.span)) {
        ++number;
      } else {
        good = false;
      }
      continue;
    }
    CutItems left_out;
    if (read == nullptr || read->resource.data() != span.resource.data() || whole_resource != write_resource) {
      const std::uint64_t resource_number = resource.number + 1;
      resource = read_resource_view(span.resource);
      resource.number = resource_number;
      whole_resource = write_resource;
      not_written = write_resource ? 0 : leave_out_attributes(resource);
    }
    if (read == nullptr || read->scope.data() != span.scope.data() || whole_scope != write_scope) {
      scope = write_scope ? read_scope_view(span.scope) : ScopeView();
      whole_scope = write_scope;
    }
    if (first_of_resource) left_out += resource.cut;
    if (first_of_scope) left_out += scope.cut;
    left_out.attributes += not_written;
    read = &span;
    if (take(resource, scope, span.span, left_out)) {
      ++number;
    } else {
      good = false;
    }
  }
  if (choice != nullptr) choice->spans = number;
  return good;
}

bool each_span(ByteView otlp, const TakeSpan& take, CutItems* cut, SpanChoice* choice) {
  SpanView view;
  const auto read = [&](const ResourceView& resource, const ScopeView& scope, ByteView span, const CutItems& left_out) {
    if (!read_span_view(span, view)) return false;
    if (cut != nullptr) (*cut += left_out) += view.cut;
    take(resource, scope, view);
    return true;
  };
  return each_span_bytes(otlp, read, choice);
}

std::vector<AttributeValue> array_of(const AttributeValue& value) {
  std::vector<AttributeValue> out;
  if (value.kind != AttributeValue::Kind::kArray) return out;
  for (FieldReader r(value.bytes); r.next();) {
    if (r.is_len(otlp::list::kValues)) out.push_back(any_value(r.bytes));
  }
  return out;
}

AttributeViews map_of(const AttributeValue& value) {
  AttributeViews out;
  if (value.kind != AttributeValue::Kind::kMap) return out;
  for (FieldReader r(value.bytes); r.next();) {
    if (r.is_len(otlp::list::kValues)) read_key_value(r.bytes, out.emplace_back());
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
