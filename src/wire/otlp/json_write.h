// SPDX-License-Identifier: Apache-2.0
// OTLP protobuf bytes to OTLP JSON text, as the Collector's file exporter writes it (OTLP 1.x, "JSON Protobuf
// Encoding"): lowerCamelCase keys, ids in hex, enums as numbers, 64-bit numbers as strings, bytes in base64, default
// values left out except those the Collector writes (ids of spans, resource, scope, status, an attribute's value).
//
// The writer understands all that protobuf allows: any order of fields, repeated scalars (the last wins), split
// messages (merged), unknown fields (left out, since JSON cannot carry them). In a text a byte that is not UTF-8
// becomes U+FFFD. Values nested deeper than 64 become null. The cost is one pass per message level, and besides the
// text 32 bytes of memory for each field of the messages that are open.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/otlp/item_limits.h"

namespace tailgate {

// Appends `otlp` (TracesData or ExportTraceServiceRequest) as one JSON object without line breaks. False when some of
// the bytes are malformed: the object then holds what stood before them and is still valid JSON. With `cut` the writer
// keeps to item_limits.h for each span, resource and scope, and to 65,536 items and one for each 4 bytes for all of
// `otlp`, so that the text is not much larger than the bytes. What it leaves out is added to the dropped counts and to
// `cut`.
bool append_otlp_json(std::string& out, ByteView otlp, CutItems* cut = nullptr);

// As Tempo's HTTP API has it, which is protobuf's own JSON: ids in base64, kinds and status codes by name, and no
// default values but the messages resource, scope and status. `key` is that of the list: "batches" or "resourceSpans".
bool append_tempo_json(std::string& out, ByteView otlp, std::string_view key);

// Several requests as one object. add() is append_otlp_json, with the limits applied to each request.
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
