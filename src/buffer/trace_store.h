// TraceStore: the shards. Takes batches from receivers, closes what is due, and hands kept traces on.
//
// Threads: accept() by any I/O thread, which runs it to completion: group by shard, reserve, append under one lock per
// shard and request. sweep() by the sweeper. The shard of a trace is a seeded hash of all 16 id bytes. Never two shard
// locks at once; nothing is called out under one. Framing of kept traces happens without the lock, by whoever closed
// them.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "buffer/stamp.h"
#include "buffer/trace_buffer.h"
#include "model/explanation.h"
#include "model/kept_trace.h"
#include "telemetry/metrics.h"

namespace tailgate {

// Where kept traces go. `make_room` may free queue memory by dropping what matters least: for a trace kept by chance
// only others kept by chance. Both are called without a shard lock, by any thread.
struct KeptSink {
  std::function<void(KeptTracePtr)> push;
  std::function<bool(std::size_t bytes, bool by_chance)> make_room;
};

struct TraceStoreOptions {
  std::size_t shards = 8;
  BufferLimits limits;                  // cache_bytes is that of the whole store
  std::size_t pool_bytes = 256 << 20;   // what the budget lets traces have
  std::size_t prefix_bytes = 16 << 20;  // of it, what resources and scopes may take
  RecordPolicy record_policy = RecordPolicy::kOff;
  // Under memory pressure traces are decided early down to this wait; then new ones are shed. Zero: never shed.
  Duration overload_min_wait = Duration::zero();
};

class TraceStore {
 public:
  TraceStore(const TraceStoreOptions& options, ByteBudget& budget, PolicySetPtr policies, PolicyTables& tables,
             KeptSink sink, std::uint64_t seed, TimePoint origin);
  ~TraceStore();

  // Takes the spans of `batch`, all or none. False: no room even after deciding traces early.
  bool accept(const SpanBatch& batch, SourceId source, TimePoint now);

  // Closes what is due at `now` and settles it. Returns when to come again.
  TimePoint sweep(TimePoint now);

  // Decides everything that is open.
  void close_all(CloseReason reason, TimePoint now);

  void set_policies(const PolicySetPtr& policies);
  PolicySetPtr policies() const;

  // Seed of SpanBatch::hash_seed for batches given to this store.
  std::uint64_t hash_seed() const { return seed_; }

  // What is known of a trace, open or among the last decided.
  std::optional<Explanation> explain(const TraceId& id) const;
  // The last decided traces that match, newest first. Looks at no more than some 100,000 of each shard.
  std::vector<Explanation> explain_recent(const ExplainQuery& query) const;

  // Counters as they were at one moment of each shard; the sums of the law hold for the result. `received` may be added
  // to.
  struct Snapshot {
    BufferCounters totals;
    std::size_t traces = 0;
    std::uint64_t cache_kept = 0, cache_others = 0;
    std::size_t pool_committed = 0;
    std::size_t prefix_bytes = 0;
  };
  Snapshot snapshot() const;
  void collect(const Snapshot& snapshot, MetricWriter& out) const;

 private:
  struct Shard;
  struct Work;  // scratch of one thread

  void adapt_shedding(TimePoint now);
  std::size_t shard_of(std::uint64_t hash) const;
  bool reserve(std::size_t pool_bytes, std::size_t prefix_bytes);
  void release(std::size_t pool_bytes, std::size_t prefix_bytes);
  bool relieve(std::size_t pool_bytes, std::size_t prefix_bytes, TimePoint now, Work& work);
  void settle(Shard& shard, std::vector<ClosedTrace>& closed, TimePoint now, Work& work);
  void settle_some(Shard& shard, std::vector<ClosedTrace>& closed, TimePoint now, Work& work);
  void settle_late(Shard& shard, const SpanBatch& batch, const std::vector<LateSpans>& late, TimePoint now, Work& work);
  void find_deciding_spans(Work& work, std::uint64_t now_unix_ns, ClosedTrace& closed) const;
  Explanation explanation(const Shard& shard, TraceBuffer::Remembered&& what) const;
  PolicySetPtr policies_of(std::uint32_t epoch) const;
  void stamp(Work& work, const TraceSummary& summary, const char* root, TimePoint now);
  std::optional<Shed> make_kept(Work& work, const TraceId& id, const Verdict& verdict, const TraceFacts& facts,
                                bool late, TimePoint now, std::uint32_t& malformed);

  ByteBudget& budget_;
  PolicyTables& tables_;
  KeptSink sink_;
  std::uint64_t seed_;
  std::size_t prefix_bytes_max_;
  RecordPolicy record_;
  TimePoint origin_;
  std::uint64_t wall_at_origin_ns_;
  std::atomic<std::uint64_t> unparsable_{0}, no_room_{0};  // tracestates of kept spans that got no new threshold
  std::atomic<std::size_t> prefix_bytes_{0};               // of all shards' tables, and reserved
  ChunkPool pool_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<std::size_t> next_relief_{0};
  TimePoint next_tidy_;
  Duration overload_min_wait_;
  std::atomic<std::uint8_t> shed_step_{0};       // TraceBuffer::set_shed_step
  std::atomic<std::int64_t> early_wait_ms_{-1};  // of the last trace closed early; -1: none since it was looked at
  double taken_share_ = 1;                       // of new traces; the sweeper's
  TimePoint next_adapt_;
  mutable std::mutex policies_mutex_;
  PolicySetPtr policies_;          // guarded by policies_mutex_
  std::deque<PolicySetPtr> past_;  // guarded by policies_mutex_: the last few sets, for explanations
};

}  // namespace tailgate
