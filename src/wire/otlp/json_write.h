// OTLP protobuf bytes to OTLP JSON text, as the Collector's file exporter writes it (OTLP 1.x, "JSON Protobuf
// Encoding"): lowerCamelCase keys, ids in hex, enums as numbers, 64-bit numbers as strings, bytes in base64, default
// values left out except those the Collector writes (ids of spans, resource, scope, status, an attribute's value).
//
// What protobuf allows is understood: any order of fields, repeated scalars (the last wins), split messages (merged),
// unknown fields (left out; JSON cannot carry them). Bytes that are no UTF-8 in a text become U+FFFD, values nested
// deeper than 64 become null. Costs one pass per message level; what it keeps beside the text is 32 bytes a field of
// the messages it is in.
#pragma once

#include <string>

#include "base/bytes.h"
#include "wire/otlp/item_limits.h"

namespace tailgate {

// Appends the TracesData / ExportTraceServiceRequest `otlp` as one JSON object without line breaks. False when some of
// the bytes are malformed: the object then holds what stood before them, and is valid JSON all the same. With `cut` no
// more of a span, resource or scope is written than item_limits.h allows, and of all of `otlp` 65,536 items and one for
// each 4 bytes, so that the text is not much larger than the bytes; what is left out is in the dropped counts, and
// added to `cut`.
bool append_otlp_json(std::string& out, ByteView otlp, CutItems* cut = nullptr);

// Several of them as one: `add` is append_otlp_json, and the limits are those of each.
class OtlpJsonList {
 public:
  explicit OtlpJsonList(std::string& out) : out_(out) { out_ += R"({"resourceSpans":[)"; }
  bool add(ByteView otlp, CutItems* cut);
  void close() { out_ += "]}"; }

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace tailgate
