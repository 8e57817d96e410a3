// SPDX-License-Identifier: Apache-2.0
// Takes kept traces apart: into pieces of limited size, for backends that limit a message, or to leave spans out that
// are there twice. Each result is a whole ExportTraceServiceRequest: spans keep their bytes, and every piece repeats
// their resource and scope. Pure; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "wire/otlp/frame.h"

namespace tailgate {

// The spans of `otlp` with their resources and scopes. `prefixes` owns the bytes of resource and scope, since their
// fields may lie apart. False when the bytes are malformed; `out` is then unusable. Costs one pass.
struct OtlpSpans {
  std::vector<FrameSpan> spans;
  std::vector<std::unique_ptr<std::string>> prefixes;
};
bool read_otlp_spans(ByteView otlp, OtlpSpans& out);

// Of spans that are there several times, byte for byte under the same resource and scope, the first stays. Several
// parts of a trace have a span twice when it was sent again after a crash. Returns what is gone; nothing is when the
// bytes are malformed: then no span can be told from another.
struct DroppedSpans {
  std::size_t spans = 0, errors = 0;  // errors: those of them whose status says so
};
DroppedSpans drop_same_spans(std::string& otlp);

struct OtlpPiece {
  std::string otlp;
  std::uint32_t spans = 0;
};

// Appends the pieces, in the order of the spans. A span that alone is larger than `bytes_max` is a piece of its own,
// over the limit. One piece with all of it, counting no spans, when the bytes are malformed.
void split_otlp(ByteView otlp, std::size_t bytes_max, std::vector<OtlpPiece>& out);

}  // namespace tailgate
