// SPDX-License-Identifier: Apache-2.0
#include "cluster/split.h"

#include <algorithm>

namespace tailgate {
namespace {

constexpr std::size_t kPartBytes = 1 << 20;  // of OTLP in one piece; receivers refuse requests over some size

void frame(std::vector<FrameSpan>& spans, std::vector<FrameSpan>& piece, const SplitPart& like,
           std::vector<SplitPart>& parts) {
  for (std::size_t begin = 0; begin < spans.size();) {
    piece.clear();
    std::size_t end = begin;
    for (std::size_t bytes = 0; end < spans.size() && (end == begin || bytes + spans[end].size() <= kPartBytes);) {
      bytes += spans[end].size();
      piece.push_back(spans[end++]);
    }
    SplitPart& part = parts.emplace_back(like);
    frame_trace(piece, part.otlp);
    part.spans = static_cast<std::uint32_t>(end - begin);
    begin = end;
  }
}

}  // namespace

bool split_request(SpanBatch& slice, std::size_t members, const std::function<Routing::Way(const TraceId&)>& way_of,
                   SplitScratch& s, std::vector<SplitPart>& parts) {
  s.gone.assign(slice.traces.size(), false);
  const std::size_t unsure = kHops * members, slots = unsure + 1;
  bool any = false;
  for (std::size_t t = 0; t < slice.traces.size(); ++t) {
    const BatchTrace& trace = slice.traces[t];
    const Routing::Way way = way_of(trace.id);
    if (way.to == Routing::kHere) continue;
    if (way.to == Routing::kNowhere) return false;
    if (!any) {
      any = true;
      s.slot_of.assign(slice.spans.size(), kNoIndex);
      s.spans.resize(std::max(s.spans.size(), slots));
      s.first.resize(s.spans.size());
      for (std::vector<FrameSpan>& spans : s.spans) spans.clear();
    }
    s.gone[t] = true;
    const std::size_t slot =
        way.to == Routing::kUnsure ? unsure : kHops * way.to + static_cast<std::size_t>(way.hop) - 1;
    s.first[slot] = trace.id;
    for (std::uint32_t i = trace.first; i != kNoIndex; i = slice.spans[i].next)
      s.slot_of[i] = static_cast<std::uint32_t>(slot);
  }
  if (!any) return true;
  // In the order of the request, in which spans with one resource stand together.
  for (std::size_t i = 0; i < slice.spans.size(); ++i) {
    if (s.slot_of[i] == kNoIndex) continue;
    const BatchSpan& span = slice.spans[i];
    const ScopeGroup& group = slice.groups[span.group];
    s.spans[s.slot_of[i]].push_back({group.resource, group.scope, ByteView(span.data, span.size)});
  }
  for (std::size_t slot = 0; slot < slots; ++slot) {
    const std::uint16_t to = slot == unsure ? Routing::kUnsure : static_cast<std::uint16_t>(slot / kHops);
    const SplitPart like{to, static_cast<Hop>(slot % kHops + 1), {}, 0, s.first[slot]};
    frame(s.spans[slot], s.piece, like, parts);
  }
  std::size_t at = 0;
  slice.remove_traces([&](const TraceId&) { return s.gone[at++]; });
  return true;
}

}  // namespace tailgate
