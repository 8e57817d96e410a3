// SPDX-License-Identifier: Apache-2.0
// The spans of an OTLP request as plain values, for conversions to other formats. Everything is a view into the
// request. The readers understand all that protobuf allows (any order, repeated scalars, split messages) and skip
// unknown fields. They read no more of a span, resource or scope than item_limits.h allows and add the rest to its
// dropped counts and to `cut`. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "wire/otlp/attribute_value.h"
#include "wire/otlp/item_limits.h"

namespace tailgate {

struct AttributeView {
  ByteView key;
  AttributeValue value;
};
using AttributeViews = std::vector<AttributeView>;

struct EventView {
  std::uint64_t time_ns = 0;
  ByteView name;
  AttributeViews attributes;
  std::uint32_t dropped_attributes = 0;
};

struct LinkView {
  ByteView trace_id, span_id, trace_state;
  std::uint32_t flags = 0;
  AttributeViews attributes;
  std::uint32_t dropped_attributes = 0;
};

struct SpanView {
  ByteView trace_id, span_id, parent_span_id, trace_state, name;
  std::uint32_t kind = 0, flags = 0, status_code = 0;
  std::uint64_t start_ns = 0, end_ns = 0;
  ByteView status_message;
  AttributeViews attributes;
  std::vector<EventView> events;
  std::vector<LinkView> links;
  std::uint32_t dropped_attributes = 0, dropped_events = 0, dropped_links = 0;
  CutItems cut = {};
};

struct ResourceView {
  std::uint64_t number = 0;  // of the resource in the request, from 1: what was made of it can be kept
  AttributeViews attributes;
  std::uint32_t dropped_attributes = 0;
  ByteView schema_url;
  CutItems cut = {};
};

struct ScopeView {
  ByteView name, version;
  AttributeViews attributes;
  std::uint32_t dropped_attributes = 0;
  ByteView schema_url;
  CutItems cut = {};
};

// The attributes of a resource that name the service, as the Collector looks for it: the first that is there.
inline constexpr std::array<std::string_view, 4> kServiceKeys = {"service.name", "faas.name", "k8s.deployment.name",
                                                                 "process.executable.name"};

// One span with what it stands under. `resource` and `scope` are the same objects for spans in a row that share them.
using TakeSpan = std::function<void(const ResourceView& resource, const ScopeView& scope, const SpanView& span)>;

// For each_span: which spans are wanted, by number. The others are skipped and cost little.
struct SpanChoice {
  std::function<bool(std::size_t number)> wanted;
  std::size_t spans = 0;  // out: that can be read, wanted or not
};

// Calls `take` for each span in order. False when some bytes are malformed: the spans that can be read were taken, and
// a malformed event or link is left out of its span. What is over the limits is added to `cut` before the span is
// taken; for a resource or scope, before the first of its spans. Large resources and scopes are repeated with their
// spans only up to 4 MiB and 16 times the request (repeats.h); the spans after that have only the service's name of
// their resource and no scope.
bool each_span(ByteView otlp, const TakeSpan& take, CutItems* cut = nullptr, SpanChoice* choice = nullptr);

// The same one by one, for what read_otlp_spans (split.h) finds. read_span_view takes a Span message and uses the
// memory of the lists in `out`; the others take the fields of a ResourceSpans and of a ScopeSpans.
bool read_span_view(ByteView span, SpanView& out);
ResourceView read_resource_view(ByteView prefix);
ScopeView read_scope_view(ByteView prefix);

// The elements of an attribute of kind kArray or kMap; those of other kinds have none.
std::vector<AttributeValue> array_of(const AttributeValue& value);
AttributeViews map_of(const AttributeValue& value);

// The last attribute of that name, as a map would have it; null when there is none.
const AttributeValue* find_attribute(const AttributeViews& attributes, ByteView key);

}  // namespace tailgate
