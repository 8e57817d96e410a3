// SPDX-License-Identifier: Apache-2.0
#include "receive/forward.h"

#include "wire/otlp/frame.h"

namespace tailgate {

void append_framed(const SpanBatch& slice, std::string& otlp) {
  thread_local std::vector<FrameSpan> spans;
  spans.clear();
  for (const BatchTrace& trace : slice.traces) {
    for (std::uint32_t s = trace.first; s != kNone; s = slice.spans[s].next) {
      const BatchSpan& span = slice.spans[s];
      const ScopeGroup& group = slice.groups[span.group];
      spans.push_back({group.resource, group.scope, ByteView(span.data, span.size)});
    }
  }
  if (!spans.empty()) frame_trace(spans, otlp);
}

}  // namespace tailgate
