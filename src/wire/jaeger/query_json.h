// SPDX-License-Identifier: Apache-2.0
// What Jaeger's query API and the download button of its UI give, to OTLP: {"data": [{"traceID", "spans",
// "processes"}]}. For files that people judge offline: it builds a tree, so memory is some ten times the input. Pure;
// any thread.
#pragma once

#include "base/result.h"
#include "codec/byte_sink.h"

namespace tailgate {

// Appends the ExportTraceServiceRequest to `out`. Errors: kBadInput with the place, as in "data[0].spans[3]: expected
// an object". A malformed id (not hex, too long) leaves its span with a bad id, which the scanner counts.
Result<void> jaeger_query_json_to_otlp(ByteView json, ByteSink& out);

}  // namespace tailgate
