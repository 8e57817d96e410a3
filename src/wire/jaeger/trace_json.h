// SPDX-License-Identifier: Apache-2.0
// A stored trace as Jaeger's query API and the download of its UI give it: {"traceID", "spans", "processes",
// "warnings"}, one element of an answer's `data`. As Jaeger v2 writes it with `raw=true`, but a span that ends before
// it begins lasts 0. Pure; any thread.
#pragma once

#include <string>

#include "base/bytes.h"

namespace tailgate {

// Appends the spans of `otlp`, which are of one trace, without line breaks. False when some are malformed: the object
// then has the spans that can be read.
bool append_jaeger_trace(std::string& out, ByteView otlp);

}  // namespace tailgate
