// SPDX-License-Identifier: Apache-2.0
// A tag of a foreign format (Jaeger, Zipkin) on its way to becoming an attribute, and what both formats ask of tags.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "codec/byte_sink.h"
#include "wire/otlp/scan_plan.h"

namespace tailgate {

struct ForeignTag {
  ByteView key;
  AttributeValue value;
  bool gone = false;  // turned into something else, or repeated by a later one
};

// Of several tags with one key only the last counts, as OpenTracing has it; OTLP allows an attribute only once. `order`
// is scratch memory, which is charged to the sink.
void drop_repeats(ForeignTag* tags, std::size_t count, std::vector<std::uint32_t>& order, ByteSink& sink);

bool same_ignoring_case(ByteView text, ByteView lower);

inline bool is_text(const ForeignTag* tag) {
  return tag != nullptr && tag->value.kind == AttributeValue::Kind::kString;
}
inline ByteView text_of(const ForeignTag* tag) { return is_text(tag) ? tag->value.bytes : ByteView(); }

// OTLP's kind for OpenTracing's `span.kind`, or Zipkin's `kind`, in any case; 0 for other words.
std::uint32_t span_kind_of(ByteView text);

// The instrumentation scope, read from the tags that carry it, which are then marked gone. OpenTelemetry's exporters
// write it under its new and its old name.
struct ScopeTags {
  ForeignTag* name = nullptr;
  ForeignTag* version = nullptr;
  ForeignTag* library_name = nullptr;
  ForeignTag* library_version = nullptr;
};
struct ScopeOf {
  ByteView name, version;
};
ScopeOf take_scope(const ScopeTags& tags);

struct ForeignStatus {
  StatusCode code = StatusCode::kUnset;
  ByteView message;
};

// The service of a resource that has none, as the Collector writes it to formats that want one.
inline constexpr std::string_view kNoServiceName = "OTLPResourceNoServiceName";

// The tags that become something else in OTLP, in both formats. Null when the span has no such tag.
struct CommonTags {
  ForeignTag* error = nullptr;
  ForeignTag* kind = nullptr;
  ForeignTag* status_code = nullptr;
  ForeignTag* status_description = nullptr;
  ForeignTag* trace_state = nullptr;
  ScopeTags scope;
};
// The member for a tag with this key, or null. Called for every tag, so the length rules out most keys first.
inline ForeignTag** place_of(ByteView key, CommonTags& tags) {
  switch (key.size()) {
    case 5:
      return key == "error" ? &tags.error : nullptr;
    case 9:
      return key == "span.kind" ? &tags.kind : nullptr;
    case 14:
      return key == "w3c.tracestate" ? &tags.trace_state : nullptr;
    case 15:
      return key == "otel.scope.name" ? &tags.scope.name : nullptr;
    case 16:
      return key == "otel.status_code" ? &tags.status_code : nullptr;
    case 17:
      return key == "otel.library.name" ? &tags.scope.library_name : nullptr;
    case 18:
      return key == "otel.scope.version" ? &tags.scope.version : nullptr;
    case 20:
      return key == "otel.library.version" ? &tags.scope.library_version : nullptr;
    case 23:
      return key == "otel.status_description" ? &tags.status_description : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace tailgate
