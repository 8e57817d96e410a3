// A tag of a foreign format (Jaeger, Zipkin) on its way to becoming an attribute, and what both formats ask of tags.
#pragma once

#include <cstdint>
#include <vector>

#include "wire/byte_sink.h"
#include "wire/scan_plan.h"

namespace tailgate {

struct ForeignTag {
  ByteView key;
  AttributeValue value;
  bool gone = false;  // turned into something else, or repeated by a later one
};

// Of several tags with one key the last counts, as OpenTracing has it; an attribute may come only once. `order` is
// scratch, its memory asked of the sink.
void drop_repeats(ForeignTag* tags, std::size_t count, std::vector<std::uint32_t>& order, ByteSink& sink);

bool same_ignoring_case(ByteView text, ByteView lower);

inline bool is_text(const ForeignTag* tag) {
  return tag != nullptr && tag->value.kind == AttributeValue::Kind::kString;
}
inline ByteView text_of(const ForeignTag* tag) { return is_text(tag) ? tag->value.bytes : ByteView(); }

// OTLP's kind for a `span.kind` of OpenTracing; 0 for other words.
std::uint32_t span_kind_of(ByteView text);

// The instrumentation scope, from the tags that carry it; these are marked gone. Exporters of OpenTelemetry write it
// under its new and its old name.
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

}  // namespace tailgate
