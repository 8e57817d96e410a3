// OTLP to Zipkin's v2 JSON (POST /api/v2/spans), as the Collector's Zipkin exporter translates it: resource and span
// attributes as tags of text, the service's name and net.* addresses as endpoints, events as annotations, links as tags
// otlp.link.N. Pure; any thread.
#pragma once

#include <string>

#include "base/bytes.h"

namespace tailgate {

// Appends the spans of `otlp`, commas between them, and a comma in front unless `out` ends in '['. False when the bytes
// are malformed: the spans before the fault may have been appended.
bool append_zipkin_spans(std::string& out, ByteView otlp);

}  // namespace tailgate
