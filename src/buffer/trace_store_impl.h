// What the files of TraceStore share.
#pragma once

#include <deque>

#include "buffer/trace_store.h"
#include "wire/otlp/frame.h"

namespace tailgate {

struct TraceStore::Shard {
  Shard(const BufferLimits& limits, ChunkPool& pool, ByteBudget& budget, PolicySetPtr policies, PolicyTables& tables,
        std::uint64_t seed, TimePoint origin)
      : buffer(limits, pool, budget, std::move(policies), tables, seed, origin) {}

  mutable std::mutex mutex;
  TraceBuffer buffer;  // guarded by mutex
};

struct TraceStore::Work {
  std::vector<std::uint32_t> order;  // trace indices of a batch, sorted by shard
  std::vector<std::uint32_t> begin;  // of each shard in order
  AddResult added;
  std::vector<ClosedTrace> closed;
  std::vector<std::string> payloads;  // gathered, one per closed trace
  std::vector<std::uint32_t> prefix_ids;
  std::vector<const Prefix*> prefixes;  // by position in prefix_ids
  std::vector<FrameSpan> frame;
  std::vector<KeptTracePtr> out;
  std::deque<std::string> stamps;  // bytes that frame points to
};

}  // namespace tailgate
