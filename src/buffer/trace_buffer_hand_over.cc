// SPDX-License-Identifier: Apache-2.0
// What leaves the buffer without a verdict: to the next process, by a journal, to another daemon, or because it is read
// again where it came from.
#include "buffer/trace_buffer.h"

#include <algorithm>

namespace tailgate {

std::size_t TraceBuffer::hand_over(std::size_t max) {
  std::size_t n = 0;
  for (; n < max && wheel_.first() != kNoChunk; ++n) {
    const ChunkRef ref = wheel_.first();
    wheel_.remove(ref);
    by_id_.erase(hash_of(trace(ref).id), ref);
    counters_.handed_over += trace(ref).facts.spans;
    release(ref);
  }
  return n;
}

bool TraceBuffer::forget(std::size_t& from, SpanOrigin origin) {
  std::vector<ChunkRef> found;
  const std::size_t next = by_id_.each(from, [&](ChunkRef ref) {
    // Whoever reads this origin again does not find what came from elsewhere, so such a trace is decided here.
    if (trace(ref).origin == origin && !trace(ref).mixed_origins) found.push_back(ref);
  });
  for (const ChunkRef ref : found) {
    wheel_.remove(ref);
    by_id_.erase(hash_of(trace(ref).id), ref);
    counters_.forgotten += trace(ref).facts.spans;
    release(ref);
  }
  if (!found.empty()) return true;  // as in take_open()
  from = next;
  return next != 0;
}

TimePoint TraceBuffer::oldest(TimePoint now) const {
  const std::optional<std::uint32_t> generation = prefixes_.oldest();
  if (!generation) return now;
  const std::uint32_t ms_ago = latest_ms_ - *generation * kGenerationMs;
  return std::min(now, latest_ - std::chrono::milliseconds(ms_ago + 1));
}

bool TraceBuffer::take_open(std::size_t& from, const std::function<bool(const TraceId&)>& wanted,
                            std::vector<ClosedTrace>& taken) {
  const std::size_t first = taken.size();
  const std::size_t next = by_id_.each(from, [&](ChunkRef ref) {
    if (wanted(trace(ref).id)) taken.emplace_back().ref = ref;
  });
  for (std::size_t i = first; i < taken.size(); ++i) {
    wheel_.remove(taken[i].ref);
    by_id_.erase(hash_of(trace(taken[i].ref).id), taken[i].ref);
    if (log_ != nullptr) taken[i].order = log_->next_order();
  }
  // An erase moves others into the gap, from behind what was looked at.
  if (taken.size() != first) return true;
  from = next;
  return next != 0;
}

void TraceBuffer::settle_handed(const ClosedTrace& taken) {
  counters_.handed_over += trace(taken.ref).facts.spans;
  // These spans are not to come back here.
  if (log_ != nullptr) decided_.push_back({trace(taken.ref).id, Verdict(), taken.order, log_->position(), true});
  release(taken.ref);
}

void TraceBuffer::put_back(const ClosedTrace& taken) {
  by_id_.insert(hash_of(trace(taken.ref).id), taken.ref);
  wheel_.insert(taken.ref, due_ms(trace(taken.ref)));
}

}  // namespace tailgate
