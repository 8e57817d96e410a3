// SPDX-License-Identifier: Apache-2.0
#include "decide/condition/span_field.h"

#include "codec/hex.h"
#include "codec/protobuf.h"
#include "wire/otlp/schema.h"

namespace tailgate::condition {
namespace {

constexpr std::array kKindTexts = {"Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"};
constexpr std::array kKindOldTexts = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
                                      "SPAN_KIND_CLIENT",      "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"};

// --- single fields of a message, the last one counting; an absent one is 0 or empty, as proto3 has it
std::uint64_t number_in(ByteView message, std::uint32_t tag_wanted) {
  std::uint64_t found = 0;
  const char* p = message.data();
  const char* const end = p + message.size();
  while (p < end) {
    std::uint32_t tag = 0, small = 0;
    if (!pb::read_tag(p, end, tag)) break;
    bool ok;
    if (tag != tag_wanted) {
      ok = pb::skip_value(p, end, tag);
    } else if ((tag & 7) == pb::kFixed64) {
      ok = pb::read_fixed64(p, end, found);
    } else if ((tag & 7) == pb::kFixed32) {
      ok = pb::read_fixed32(p, end, small);
      found = small;
    } else {
      ok = pb::read_varint(p, end, found);
    }
    if (!ok) break;
  }
  return found;
}

ByteView bytes_in(ByteView message, std::uint32_t field) {
  ByteView found, next;
  const char* p = message.data();
  const char* const end = p + message.size();
  while (p < end) {
    std::uint32_t tag = 0;
    if (!pb::read_tag(p, end, tag)) break;
    if (tag != pb::tag_of(field, pb::kLen)) {
      if (!pb::skip_value(p, end, tag)) break;
    } else if (pb::read_len(p, end, next)) {
      found = next;
    } else {
      break;
    }
  }
  return found;
}

Value count_in(ByteView message, std::uint32_t field) {
  return Value::of_int(static_cast<std::uint32_t>(number_in(message, pb::tag_of(field, pb::kVarint))));
}

Value messages_in(ByteView message, std::uint8_t field) {
  Value list = Value::on_wire(ValueKind::kList, message, field);
  list.opaque = true;
  return list;
}

Value time_of(std::uint64_t unix_ns) { return Value::of_time(static_cast<std::int64_t>(unix_ns)); }
Value nanos_of(std::uint64_t unix_ns) { return Value::of_int(static_cast<std::int64_t>(unix_ns)); }

Value id_of(ByteView id, ValueKind kind) {
  static constexpr char kZeros[16] = {};
  const std::size_t size = kind == ValueKind::kTraceId ? 16 : 8;
  return Value::of_text(id.size() == size ? id : ByteView(kZeros, size), kind);
}

bool hex_of(Evaluation& e, const Value& id, Value& out) { return e.own(to_hex(id.text), out); }

template <class Names>
Value name_in(const Names& names, std::int32_t i) {
  return Value::of_text(i >= 0 && static_cast<std::size_t>(i) < names.size() ? names[static_cast<std::size_t>(i)] : "");
}

ByteView resource_of(const Evaluation& e) {
  return e.in.span.context == nullptr ? ByteView() : e.in.span.context->resource;
}
ByteView scope_of(const Evaluation& e) { return e.in.span.context == nullptr ? ByteView() : e.in.span.context->scope; }

}  // namespace

// The numbers are those of opentelemetry/proto/trace/v1/trace.proto, resource.proto and common.proto. One table with a
// row for each field, so it is long.
bool read_field(SpanField field, Evaluation& e, Value& out) {
  const SpanFields& span = e.in.span;
  switch (field) {
    case SpanField::kTraceId:
      out = id_of(span.trace_id, ValueKind::kTraceId);
      return true;
    case SpanField::kTraceIdText:
      return hex_of(e, id_of(span.trace_id, ValueKind::kTraceId), out);
    case SpanField::kSpanId:
      out = id_of(span.span_id, ValueKind::kSpanId);
      return true;
    case SpanField::kSpanIdText:
      return hex_of(e, id_of(span.span_id, ValueKind::kSpanId), out);
    case SpanField::kParentId:
      out = id_of(span.parent_span_id, ValueKind::kSpanId);
      return true;
    case SpanField::kParentIdText:
      return hex_of(e, id_of(span.parent_span_id, ValueKind::kSpanId), out);
    case SpanField::kTraceState:
      out = Value::of_text(span.trace_state);
      return true;
    case SpanField::kName:
      out = Value::of_text(span.name);
      return true;
    case SpanField::kKind:
      out = Value::of_int(span.kind);
      return true;
    case SpanField::kKindText:
      out = name_in(kKindTexts, span.kind);
      return true;
    case SpanField::kKindOldText:
      out = name_in(kKindOldTexts, span.kind);
      return true;
    case SpanField::kStartNanos:
      out = nanos_of(span.start_ns);
      return true;
    case SpanField::kEndNanos:
      out = nanos_of(span.end_ns);
      return true;
    case SpanField::kStart:
      out = time_of(span.start_ns);
      return true;
    case SpanField::kEnd:
      out = time_of(span.end_ns);
      return true;
    case SpanField::kAttributes:
      out = Value::on_wire(ValueKind::kMap, span.bytes, otlp::span::kAttributes);
      return true;
    case SpanField::kDroppedAttributes:
      out = count_in(span.bytes, otlp::span::kDroppedAttributes);
      return true;
    case SpanField::kEvents:
      out = messages_in(span.bytes, otlp::span::kEvents);
      return true;
    case SpanField::kDroppedEvents:
      out = count_in(span.bytes, otlp::span::kDroppedEvents);
      return true;
    case SpanField::kLinks:
      out = messages_in(span.bytes, otlp::span::kLinks);
      return true;
    case SpanField::kDroppedLinks:
      out = count_in(span.bytes, otlp::span::kDroppedLinks);
      return true;
    case SpanField::kStatusCode:
      out = Value::of_int(span.status_code);
      return true;
    case SpanField::kStatusMessage:
      out = Value::of_text(bytes_in(bytes_in(span.bytes, otlp::span::kStatus), otlp::status::kMessage));
      return true;
    case SpanField::kFlags:
      out = Value::of_int(span.flags);
      return true;
    case SpanField::kEventName:
      out = Value::of_text(bytes_in(e.in.event, otlp::event::kName));
      return true;
    case SpanField::kEventTime:
      out = time_of(number_in(e.in.event, pb::tag_of(otlp::event::kTime, pb::kFixed64)));
      return true;
    case SpanField::kEventNanos:
      out = nanos_of(number_in(e.in.event, pb::tag_of(otlp::event::kTime, pb::kFixed64)));
      return true;
    case SpanField::kEventAttributes:
      out = Value::on_wire(ValueKind::kMap, e.in.event, otlp::event::kAttributes);
      return true;
    case SpanField::kEventDroppedAttributes:
      out = count_in(e.in.event, otlp::event::kDroppedAttributes);
      return true;
    case SpanField::kEventIndex:
      out = Value::of_int(e.in.event_index);
      return true;
    case SpanField::kResourceAttributes:
      out =
          Value::on_wire(ValueKind::kMap, resource_of(e), otlp::resource::kAttributes, otlp::resource_spans::kResource);
      return true;
    case SpanField::kResourceDroppedAttributes:
      out = count_in(bytes_in(resource_of(e), otlp::resource_spans::kResource), otlp::resource::kDroppedAttributes);
      return true;
    case SpanField::kResourceSchemaUrl:
      out = Value::of_text(bytes_in(resource_of(e), otlp::resource_spans::kSchemaUrl));
      return true;
    case SpanField::kScopeName:
      out = Value::of_text(bytes_in(bytes_in(scope_of(e), otlp::scope_spans::kScope), otlp::scope::kName));
      return true;
    case SpanField::kScopeVersion:
      out = Value::of_text(bytes_in(bytes_in(scope_of(e), otlp::scope_spans::kScope), otlp::scope::kVersion));
      return true;
    case SpanField::kScopeAttributes:
      out = Value::on_wire(ValueKind::kMap, scope_of(e), otlp::scope::kAttributes, otlp::scope_spans::kScope);
      return true;
    case SpanField::kScopeDroppedAttributes:
      out = count_in(bytes_in(scope_of(e), otlp::scope_spans::kScope), otlp::scope::kDroppedAttributes);
      return true;
    case SpanField::kScopeSchemaUrl:
      out = Value::of_text(bytes_in(scope_of(e), otlp::scope_spans::kSchemaUrl));
      return true;
  }
  return false;
}

}  // namespace tailgate::condition
