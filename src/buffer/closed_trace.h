// SPDX-License-Identifier: Apache-2.0
// ClosedTrace: a trace that was closed and is kept, on its way out. ClosedTraceReader: reads its bytes.
//
// Threads: whoever closed the trace, without the shard's lock: from close to TraceBuffer::settle() nobody else touches
// its pieces. What does need the lock is in TraceBuffer.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "buffer/chunk_pool.h"
#include "buffer/explain_log.h"
#include "buffer/open_trace.h"
#include "decide/policy_set.h"
#include "model/verdict.h"

namespace tailgate {

// Its pieces still belong to the shard's buffer: TraceBuffer::settle() must be called once for each.
struct ClosedTrace {
  ChunkRef ref = kNoChunk;
  Verdict verdict;
  PolicySetPtr judged_by;
  std::uint64_t order = 0;  // of the verdict, in the DecisionLog; 0: there is none
  std::uint64_t upto = 0;   // DecisionLog::position() at the verdict
  TimePoint first{};        // none of its spans came before
  // Predicates that decided, for the explanation. Which span it was is found when the trace is framed.
  struct Deciding {
    std::uint32_t bit = 0;
    std::uint32_t policy = 0;   // by its place in the set
    std::uint64_t span_id = 0;  // as its 8 bytes stand; 0: not found yet
  };
  std::array<Deciding, ExplainDetail::kVotes> deciding;
  std::uint8_t deciding_count = 0;
};

class ClosedTraceReader {
 public:
  explicit ClosedTraceReader(const ChunkPool& pool) : pool_(pool) {}

  const OpenTrace& trace(const ClosedTrace& closed) const {
    return *reinterpret_cast<const OpenTrace*>(pool_.at(closed.ref));
  }
  // Copies its payload into `out`, for for_each_span(). The prefixes it names are TraceBuffer::prefix().
  void gather(const ClosedTrace& closed, std::string& out) const { gather_payload(pool_, trace(closed), out); }

 private:
  const ChunkPool& pool_;
};

}  // namespace tailgate
