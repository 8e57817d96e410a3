// SPDX-License-Identifier: Apache-2.0
// Framing: puts the spans of one trace under their resources and scopes again, as `resource_spans` fields. Spans with
// the same resource share one ResourceSpans, and those with the same scope one ScopeSpans, in the order in which these
// first arrived. The bytes of each span and prefix are exactly those received, unknown fields included. Pure; any
// thread.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "model/span_batch.h"

namespace tailgate {

struct FrameSpan {
  ByteView resource;   // fields of ResourceSpans but scope_spans, with tags
  ByteView scope;      // fields of ScopeSpans but spans, with tags
  ByteView span;       // content of the Span message
  ByteView tail = {};  // further fields of it, written after: the last scalar wins, repeated fields add up

  std::size_t size() const { return span.size() + tail.size(); }
};

// Appends the spans of one trace of the batch.
inline void append_spans(const SpanBatch& batch, const BatchTrace& trace, std::vector<FrameSpan>& out) {
  for (std::uint32_t s = trace.first; s != kNoIndex; s = batch.spans[s].next) {
    const BatchSpan& span = batch.spans[s];
    const ScopeGroup& group = batch.groups[span.group];
    out.push_back({group.resource, group.scope, ByteView(span.data, span.size)});
  }
}

// Appends `resource_spans` fields, tags included, to `out`. `spans` is reordered. Views into one another's bytes are
// compared by address first, so that interned prefixes cost nothing to tell apart.
void frame_trace(std::vector<FrameSpan>& spans, std::string& out);

}  // namespace tailgate
