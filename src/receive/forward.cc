// SPDX-License-Identifier: Apache-2.0
#include "receive/forward.h"

#include "wire/otlp/frame.h"

namespace tailgate {

void append_framed(const SpanBatch& slice, std::string& otlp) {
  thread_local std::vector<FrameSpan> spans;
  spans.clear();
  for (const BatchTrace& trace : slice.traces) append_spans(slice, trace, spans);
  if (!spans.empty()) frame_trace(spans, otlp);
}

}  // namespace tailgate
