// SPDX-License-Identifier: Apache-2.0
// Jaeger's protobuf (jaeger.api_v2, what PostSpans carries) to OTLP. A pure function; any thread.
#pragma once

#include "base/result.h"
#include "codec/byte_sink.h"

namespace tailgate {

// Appends the ExportTraceServiceRequest of a PostSpansRequest to `out`. Errors: kBadInput with the place, kRefused when
// the sink's room is used up; the caller truncates what was appended until then.
Result<void> jaeger_proto_to_otlp(ByteView request, ByteSink& out);

}  // namespace tailgate
