// SPDX-License-Identifier: Apache-2.0
// SpanField: the fields of a span, its event, scope and resource that a condition may name, and their names: those of
// contrib's ottlspan and ottlspanevent contexts.
//
// Threads: any; pure.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "decide/condition/expr.h"

namespace tailgate::condition {

enum class SpanField : std::uint8_t {
  kTraceId,
  kTraceIdText,
  kSpanId,
  kSpanIdText,
  kParentId,
  kParentIdText,
  kTraceState,
  kName,
  kKind,
  kKindText,
  kKindOldText,
  kStartNanos,
  kEndNanos,
  kStart,
  kEnd,
  kAttributes,
  kDroppedAttributes,
  kEvents,
  kDroppedEvents,
  kLinks,
  kDroppedLinks,
  kStatusCode,
  kStatusMessage,
  kFlags,
  kEventName,
  kEventTime,
  kEventNanos,
  kEventAttributes,
  kEventDroppedAttributes,
  kEventIndex,
  kResourceAttributes,
  kResourceDroppedAttributes,
  kResourceSchemaUrl,
  kScopeName,
  kScopeVersion,
  kScopeAttributes,
  kScopeDroppedAttributes,
  kScopeSchemaUrl,
};

struct PathRow {
  std::string_view context, name;
  SpanField field;
};

inline constexpr std::array kPaths = {
    PathRow{"span", "name", SpanField::kName},
    PathRow{"span", "kind", SpanField::kKind},
    PathRow{"span", "kind.string", SpanField::kKindText},
    PathRow{"span", "kind.deprecated_string", SpanField::kKindOldText},
    PathRow{"span", "attributes", SpanField::kAttributes},
    PathRow{"span", "status.code", SpanField::kStatusCode},
    PathRow{"span", "status.message", SpanField::kStatusMessage},
    PathRow{"span", "start_time", SpanField::kStart},
    PathRow{"span", "end_time", SpanField::kEnd},
    PathRow{"span", "start_time_unix_nano", SpanField::kStartNanos},
    PathRow{"span", "end_time_unix_nano", SpanField::kEndNanos},
    PathRow{"span", "trace_id", SpanField::kTraceId},
    PathRow{"span", "trace_id.string", SpanField::kTraceIdText},
    PathRow{"span", "span_id", SpanField::kSpanId},
    PathRow{"span", "span_id.string", SpanField::kSpanIdText},
    PathRow{"span", "parent_span_id", SpanField::kParentId},
    PathRow{"span", "parent_span_id.string", SpanField::kParentIdText},
    PathRow{"span", "trace_state", SpanField::kTraceState},
    PathRow{"span", "flags", SpanField::kFlags},
    PathRow{"span", "events", SpanField::kEvents},
    PathRow{"span", "links", SpanField::kLinks},
    PathRow{"span", "dropped_attributes_count", SpanField::kDroppedAttributes},
    PathRow{"span", "dropped_events_count", SpanField::kDroppedEvents},
    PathRow{"span", "dropped_links_count", SpanField::kDroppedLinks},
    PathRow{"spanevent", "name", SpanField::kEventName},
    PathRow{"spanevent", "attributes", SpanField::kEventAttributes},
    PathRow{"spanevent", "time", SpanField::kEventTime},
    PathRow{"spanevent", "time_unix_nano", SpanField::kEventNanos},
    PathRow{"spanevent", "dropped_attributes_count", SpanField::kEventDroppedAttributes},
    PathRow{"spanevent", "event_index", SpanField::kEventIndex},
    PathRow{"resource", "attributes", SpanField::kResourceAttributes},
    PathRow{"resource", "dropped_attributes_count", SpanField::kResourceDroppedAttributes},
    PathRow{"resource", "schema_url", SpanField::kResourceSchemaUrl},
    PathRow{"scope", "name", SpanField::kScopeName},
    PathRow{"scope", "version", SpanField::kScopeVersion},
    PathRow{"scope", "attributes", SpanField::kScopeAttributes},
    PathRow{"scope", "dropped_attributes_count", SpanField::kScopeDroppedAttributes},
    PathRow{"scope", "schema_url", SpanField::kScopeSchemaUrl},
};

// The value of the field, read from the wire. Always true but when the arena is full.
bool read_field(SpanField field, Evaluation& e, Value& out);

}  // namespace tailgate::condition
