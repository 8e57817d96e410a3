// SPDX-License-Identifier: Apache-2.0
// Splits a request by members, as bytes: the spans of each member are framed again under their resources and scopes.
// Nothing is decoded. Pure; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cluster/routing.h"
#include "model/span_batch.h"
#include "wire/otlp/frame.h"

namespace tailgate {

struct SplitPart {
  std::uint16_t to = 0;  // index in Routing::names(), or kUnsure
  Hop hop = Hop::kFirst;
  std::string otlp;         // an ExportTraceServiceRequest of at most 1 MiB, or of one larger span
  std::uint32_t spans = 0;  // in it
  TraceId first;            // a trace in it, for people
};

// What split_request() keeps from call to call for its memory. One thread.
class SplitScratch {
 private:
  friend bool split_request(SpanBatch& slice, std::size_t members,
                            const std::function<Routing::Way(const TraceId&)>& way_of, SplitScratch& s,
                            std::vector<SplitPart>& parts);
  std::vector<std::uint32_t> slot_of;         // by span of the slice
  std::vector<bool> gone;                     // by trace
  std::vector<std::vector<FrameSpan>> spans;  // by slot: kHops * member + hop - 1; the last for what is unsure
  std::vector<TraceId> first;                 // by slot
  std::vector<FrameSpan> piece;
};

// Appends what goes to others, of `members`, to `parts`, and takes its traces out of `slice`. False: a trace has
// nowhere to go; then `slice` is as it was.
bool split_request(SpanBatch& slice, std::size_t members, const std::function<Routing::Way(const TraceId&)>& way_of,
                   SplitScratch& s, std::vector<SplitPart>& parts);

}  // namespace tailgate
