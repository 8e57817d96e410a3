// Ingest: the one way in for spans, whatever protocol they came by. A receiver turns its request into OTLP bytes (an
// ExportTraceServiceRequest) and calls accept(), which scans them once, asks for room and hands the spans to the shards.
//
// Threads: any; each I/O thread uses scratch memory of its own. Cost: one scan and one copy of every span.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "model/span_batch.h"

namespace tailgate {

struct IngestResult {
  enum class Kind {
    kAccepted,      // all of it, or all but `rejected_spans` with bad ids
    kMalformed,     // not an OTLP request; nothing was taken. 400 / INVALID_ARGUMENT
    kNoMemory,      // nothing was taken; try again. 503 / UNAVAILABLE with Retry-After / RetryInfo 1 s
    kShuttingDown,  // nothing was taken; try again, elsewhere. 503 / UNAVAILABLE
  };
  Kind kind = Kind::kAccepted;
  std::uint64_t rejected_spans = 0;
  std::string message;  // for people: why and where. Set unless accepted whole
};

// Takes one request's OTLP bytes; they need to live only until the call returns.
using Ingest = std::function<IngestResult(SourceId source, ByteView otlp)>;

}  // namespace tailgate
