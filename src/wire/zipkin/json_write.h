// SPDX-License-Identifier: Apache-2.0
// OTLP to Zipkin's v2 JSON (POST /api/v2/spans), as the Collector's Zipkin exporter translates it: resource and span
// attributes as tags of text, the service's name and net.* addresses as endpoints, events as annotations, links as tags
// otlp.link.N. Pure; any thread.
#pragma once

#include <functional>
#include <string_view>

#include "base/bytes.h"
#include "wire/otlp/span_view.h"

namespace tailgate {

// Calls `take` with the JSON of each span of `otlp`, in order; a view until the next. False when the bytes are
// malformed: the spans that can be read were taken. `cut` and `choice` as for each_span.
bool each_zipkin_span(ByteView otlp, const std::function<void(std::string_view json)>& take, CutItems* cut = nullptr,
                      SpanChoice* choice = nullptr);

}  // namespace tailgate
