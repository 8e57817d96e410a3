// SPDX-License-Identifier: Apache-2.0
// StoreReport: the counters and sizes of a TraceStore, as a snapshot and as metrics.
//
// Threads: any. A snapshot takes each shard's lock once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer/store/kept_trace_maker.h"
#include "buffer/store/policy_history.h"
#include "buffer/store/shard.h"
#include "buffer/store/shedding.h"
#include "telemetry/metrics.h"

namespace tailgate {

// Counters as they were at one moment of each shard. What is received equals the sum of all outcomes and what is held.
struct StoreSnapshot {
  BufferCounters totals;
  std::size_t traces = 0;
  std::uint64_t cache_kept = 0, cache_others = 0;
  std::size_t pool_committed = 0;
  std::size_t prefix_bytes = 0;
};

class StoreReport {
 public:
  // All of them outlive the report.
  StoreReport(const Shards& shards, const ChunkPool& pool, const PolicyTables& tables, const PolicyHistory& policies,
              const KeptTraceMaker& maker, const Shedding& shedding)
      : shards_(shards), pool_(pool), tables_(tables), policies_(policies), maker_(maker), shedding_(shedding) {}

  StoreSnapshot snapshot() const;
  // Writes every metric of the store but those of received spans, which the caller adds to what receivers refused.
  void collect(const StoreSnapshot& snapshot, MetricWriter& out) const;

 private:
  void collect_policies(const PolicyTally& tally, MetricWriter& out) const;
  void collect_shadows(const PolicyTally& tally, MetricWriter& out) const;

  const Shards& shards_;
  const ChunkPool& pool_;
  const PolicyTables& tables_;
  const PolicyHistory& policies_;
  const KeptTraceMaker& maker_;
  const Shedding& shedding_;
};

}  // namespace tailgate
