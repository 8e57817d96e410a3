// SPDX-License-Identifier: Apache-2.0
// Zipkin v2 to OTLP: the JSON array and the protobuf ListOfSpans of POST /api/v2/spans. Pure functions; any thread.
#pragma once

#include "base/result.h"
#include "codec/byte_sink.h"
#include "wire/zipkin/model.h"

namespace tailgate {

// Append the ExportTraceServiceRequest to `out`. Errors: kBadInput with the place, as in "[3].localEndpoint.port: want
// a number, got a string" or "at byte 17: syntax error"; kRefused when the sink's room is used up; the caller truncates
// what was appended until then. A malformed id (not hex, too long) leaves its span with a bad id, which the scanner
// counts.
Result<void> zipkin_json_to_otlp(ByteView json, const ZipkinOptions& options, ByteSink& out);
Result<void> zipkin_proto_to_otlp(ByteView list_of_spans, const ZipkinOptions& options, ByteSink& out);

}  // namespace tailgate
