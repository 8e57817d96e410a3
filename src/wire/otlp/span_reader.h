// SPDX-License-Identifier: Apache-2.0
// The reader behind span_view.h, for a caller that takes the attributes of a span one by one, as bytes, and needs no
// list of them. The store's index does: it reads every span that is kept, and skips attributes that the span before
// had. Pure; any thread.
#pragma once

#include <functional>

#include "codec/protobuf.h"
#include "wire/otlp/schema.h"
#include "wire/otlp/span_view.h"

namespace tailgate {

// The key and the value of a KeyValue. read_other_key_value: of one whose value is not just a string.
void read_other_key_value(ByteView key_value, AttributeView& out);
inline void read_key_value(ByteView key_value, AttributeView& out) {
  if (!read_string(key_value, out.key, out.value.bytes)) return read_other_key_value(key_value, out);
  out.value.kind = AttributeValue::Kind::kString;
}

// The same, as far as there is room.
inline void read_attribute(ByteView key_value, AttributeView& out, ItemRoom& room) {
  using Kind = AttributeValue::Kind;
  read_key_value(key_value, out);
  out.key = room.text(out.key);
  if (out.value.kind == Kind::kString) out.value.bytes = room.text(out.value.bytes);
  if (out.value.kind == Kind::kArray || out.value.kind == Kind::kMap) out.value.bytes = room.values(out.value.bytes);
}

// Appends an event or a link as far as there is room. One that cannot be read is left out: nobody has read it before,
// and the span is good without it. The same goes for a status.
void add_event(ByteView event, SpanView& out, ItemRoom& room);
void add_link(ByteView link, SpanView& out, ItemRoom& room);
void read_status(ByteView status, SpanView& out);
// Empties `span`, whose lists keep their memory.
void clear_span(SpanView& span);

// As each_span, but `take` reads the span itself, and says whether it could. `left_out`: what was left out of the
// resource and the scope for this span.
using TakeSpanBytes =
    std::function<bool(const ResourceView& resource, const ScopeView& scope, ByteView span, const CutItems& left_out)>;
bool each_span_bytes(ByteView otlp, const TakeSpanBytes& take, SpanChoice* choice = nullptr);

// As read_span_view, but `attribute(key_value)` takes each KeyValue of the span itself for which there is room, and
// out.attributes stays empty. False when the span is malformed; the attributes before that place were taken then.
template <class Attribute>
bool read_span_fields(ByteView span, SpanView& out, ItemRoom& room, Attribute&& attribute) {
  clear_span(out);
  room.begin();
  std::uint64_t left_out = 0;
  ByteView bytes;
  const auto read_number = [](const char*& p, const char* end, std::uint32_t& number) {
    std::uint64_t value = 0;
    if (!pb::read_varint(p, end, value)) return false;
    number = static_cast<std::uint32_t>(value);
    return true;
  };
  const bool good = pb::each_field(span, [&](const char*& p, const char* end, std::uint32_t tag) {
    switch (tag) {
      case pb::len(otlp::span::kAttributes):
        if (!pb::read_len(p, end, bytes)) return false;
        if (room.attribute()) {
          attribute(bytes);
        } else {
          ++left_out;
        }
        return true;
      case pb::len(otlp::span::kTraceId):
        return pb::read_len(p, end, out.trace_id);
      case pb::len(otlp::span::kSpanId):
        return pb::read_len(p, end, out.span_id);
      case pb::len(otlp::span::kTraceState):
        return pb::read_len(p, end, out.trace_state);
      case pb::len(otlp::span::kParentSpanId):
        return pb::read_len(p, end, out.parent_span_id);
      case pb::len(otlp::span::kName):
        return pb::read_len(p, end, out.name);
      case pb::var(otlp::span::kKind):
        return read_number(p, end, out.kind);
      case pb::tag_of(otlp::span::kStartTime, pb::kFixed64):
        return pb::read_fixed64(p, end, out.start_ns);
      case pb::tag_of(otlp::span::kEndTime, pb::kFixed64):
        return pb::read_fixed64(p, end, out.end_ns);
      case pb::tag_of(otlp::span::kFlags, pb::kFixed32):
        return pb::read_fixed32(p, end, out.flags);
      case pb::len(otlp::span::kEvents):
        if (!pb::read_len(p, end, bytes)) return false;
        add_event(bytes, out, room);
        return true;
      case pb::len(otlp::span::kLinks):
        if (!pb::read_len(p, end, bytes)) return false;
        add_link(bytes, out, room);
        return true;
      case pb::len(otlp::span::kStatus):
        if (!pb::read_len(p, end, bytes)) return false;
        read_status(bytes, out);
        return true;
      case pb::var(otlp::span::kDroppedAttributes):
        return read_number(p, end, out.dropped_attributes);
      case pb::var(otlp::span::kDroppedEvents):
        return read_number(p, end, out.dropped_events);
      case pb::var(otlp::span::kDroppedLinks):
        return read_number(p, end, out.dropped_links);
      default:
        return pb::skip_value(p, end, tag);
    }
  });
  out.name = room.text(out.name);
  out.trace_state = room.text(out.trace_state);
  out.status_message = room.text(out.status_message);
  out.dropped_attributes = dropped_sum(out.dropped_attributes, left_out);
  out.dropped_events = dropped_sum(out.dropped_events, room.cut.events);
  out.dropped_links = dropped_sum(out.dropped_links, room.cut.links);
  out.cut = room.cut;
  return good;
}

}  // namespace tailgate
