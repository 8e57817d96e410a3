// SPDX-License-Identifier: Apache-2.0
// Shard: a TraceBuffer and its lock. Shards: all of a store.
//
// The shard of a trace follows from a seeded hash of all 16 bytes of its id, so that nobody outside can choose it.
// Threads: any. A thread holds one shard's lock at a time and calls nothing outside the buffer while it does.
#pragma once

#include <memory>
#include <vector>

#include "base/hash.h"
#include "base/mutex.h"
#include "buffer/trace_buffer.h"

namespace tailgate {

struct Shard {
  Shard(const BufferLimits& limits, ChunkPool& pool, ByteBudget& budget, PolicySetPtr policies, PolicyTables& tables,
        std::uint64_t seed, TimePoint origin)
      : buffer(limits, pool, budget, std::move(policies), tables, seed, origin), prefetch(buffer.prefetcher()) {}

  Mutex mutex;
  TraceBuffer buffer TAILGATE_GUARDED_BY(mutex);
  const LookUpPrefetch prefetch;  // needs no lock
};

class Shards {
 public:
  // `limits.cache_bytes` and `explain_bytes` are those of all shards together.
  Shards(std::size_t count, BufferLimits limits, ChunkPool& pool, ByteBudget& budget, const PolicySetPtr& policies,
         PolicyTables& tables, std::uint64_t seed, TimePoint origin)
      : seed_(seed) {
    limits.cache_bytes /= count;
    limits.explain_bytes /= count;
    for (std::size_t i = 0; i < count; ++i) {
      shards_.push_back(std::make_unique<Shard>(limits, pool, budget, policies, tables, seed + 2 * i + 1, origin));
    }
  }

  // Of a trace whose id has this hash by seed().
  std::size_t index_of(std::uint64_t hash) const {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::size_t>(static_cast<Wide>(hash) * shards_.size() >> 64);
  }
  Shard& of(const TraceId& id) const { return *shards_[index_of(hash_bytes(id.view(), seed_))]; }

  Shard& operator[](std::size_t i) const { return *shards_[i]; }
  std::size_t size() const { return shards_.size(); }
  auto begin() const { return shards_.begin(); }
  auto end() const { return shards_.end(); }
  std::uint64_t seed() const { return seed_; }

 private:
  const std::uint64_t seed_;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace tailgate
