// SPDX-License-Identifier: Apache-2.0
#include "export/queue/batch.h"

#include <algorithm>

#include "wire/otlp/split.h"

namespace tailgate {

std::vector<RejectedTrace> merge_rejected(std::vector<RejectedTrace> rejected) {
  std::stable_sort(rejected.begin(), rejected.end(),
                   [](const RejectedTrace& a, const RejectedTrace& b) { return a.index < b.index; });
  std::vector<RejectedTrace> out;
  for (RejectedTrace& r : rejected) {
    if (!out.empty() && out.back().index == r.index) {
      out.back().spans += r.spans;
    } else {
      out.push_back(std::move(r));
    }
  }
  return out;
}

std::vector<KeptTracePtr> cut_trace(const KeptTracePtr& trace, std::size_t bytes_max) {
  if (trace->spans < 2) return {};
  std::vector<OtlpPiece> pieces;
  split_otlp(trace->otlp, bytes_max, pieces);
  std::uint64_t spans = 0;
  for (const OtlpPiece& piece : pieces) spans += piece.spans;
  if (pieces.size() < 2 || spans != trace->spans) return {};
  std::vector<KeptTracePtr> out;
  for (OtlpPiece& piece : pieces) {
    auto part = std::make_shared<KeptTrace>();
    static_cast<TraceSummary&>(*part) = *trace;
    part->otlp = std::move(piece.otlp);
    part->spans = piece.spans;
    part->whole = trace->whole == nullptr ? trace : trace->whole;
    out.push_back(std::move(part));
  }
  return out;
}

}  // namespace tailgate
