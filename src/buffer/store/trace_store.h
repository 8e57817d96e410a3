// SPDX-License-Identifier: Apache-2.0
// TraceStore: the shards at work. Takes batches from receivers, closes what is due, and hands kept traces to the sink.
//
// Threads: accept() by any I/O thread, which does all of it before it returns: it groups the batch by shard, reserves
// memory, and appends under one lock per shard and request. sweep() by the sweeper alone. The other calls by any
// thread. Kept traces are made and pushed by whoever closed them, without a shard's lock.
//
// Always true between calls: what the traces hold is charged to the budget's `traces`.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "buffer/store/kept_sink.h"
#include "buffer/store/kept_trace_maker.h"
#include "buffer/store/policy_history.h"
#include "buffer/store/shard.h"
#include "buffer/store/shedding.h"
#include "buffer/store/store_report.h"
#include "buffer/store/trace_explainer.h"

namespace tailgate {

struct TraceStoreOptions {
  std::size_t shards = 8;
  BufferLimits limits;                  // cache_bytes and explain_bytes are those of the whole store
  std::size_t pool_bytes = 256 << 20;   // what the budget lets traces have
  std::size_t prefix_bytes = 16 << 20;  // of it, what resources and scopes may take
  RecordPolicy record_policy = RecordPolicy::kOff;
  // Under memory pressure traces are decided early down to this wait; then new ones are shed. Zero: never shed.
  Duration overload_min_wait = Duration::zero();
};

class TraceStore {
 public:
  TraceStore(const TraceStoreOptions& options, ByteBudget& budget, PolicySetPtr policies, PolicyTables& tables,
             KeptSink& sink, std::uint64_t seed, TimePoint origin);
  ~TraceStore();

  // Takes the spans of `batch`, all or none. False: no room even after deciding traces early.
  bool accept(const SpanBatch& batch, SourceId source, TimePoint now);

  // Whether accept() could take the batch into an empty store.
  bool could_take(const SpanBatch& batch) const;

  // Closes what is due at `now` and settles it. Returns when to come again.
  TimePoint sweep(TimePoint now);

  // Decides everything that is open.
  void close_all(CloseReason reason, TimePoint now);

  // Lets go of everything that is open, undecided: a journal has its spans. Counted in handed_over.
  void hand_over();

  // Lets go of what spans of `origin` opened, undecided, because they are read there again. Counted in forgotten.
  void forget(SpanOrigin origin);
  // Every trace that began before this is decided, and DecisionLog::delivery() was asked for those that were kept.
  TimePoint decided_before(TimePoint now) const;

  // Offers open traces that are `wanted`, undecided and framed as OTLP, to `take`; those that it takes are gone, and
  // counted in handed_over. False: it did not take one, and was not offered what would have come then. What is opened
  // meanwhile may be left.
  bool hand_over_to(const std::function<bool(const TraceId&)>& wanted,
                    const std::function<bool(ByteView otlp, std::uint32_t spans)>& take);
  // Before the first accept() and sweep(): from `from` to `until` nothing is closed because it is due. Spans of what
  // was open may have waited elsewhere for this daemon to come back.
  void hold_due(TimePoint from, TimePoint until) { held_from_ = from, held_until_ = until; }
  // From now on traces for which it is true are not closed because they are due, and a log is not told of sweeps while
  // there are any. Null: none.
  void set_waits(const std::shared_ptr<const Waits>& waits);
  // The trace is open, or its verdict is remembered.
  bool knows(const TraceId& id) const;
  // Verdicts of the last traces of each shard, at most `max` of each, newest first; as far as /explain remembers them.
  void last_verdicts(std::size_t max, const std::function<void(const TraceId&, const Verdict&)>& tell) const;

  // Before the first accept(): who is told of every verdict. Null: nobody.
  void set_decision_log(DecisionLog* log);
  // Likewise: verdicts that are known before; from now on, and until it is called with null.
  void set_foregone(const Foregone* foregone);
  // As long as the decision cache remembers.
  Fate fate(const TraceId& id);
  // Spans of this trace are late from now on.
  void remember(const TraceId& id, const Verdict& verdict);

  // Hands a trace that was not kept to the sink, with the verdict that keeps it. `otlp`: `resource_spans` fields. Its
  // late spans follow from now on. Counted nowhere here: its spans had their end before.
  struct AfterAll {
    const TraceId& id;
    const Verdict& verdict;
    std::string_view reason;
    std::uint64_t order = 0;    // of the verdict
    std::uint64_t request = 0;  // number of the copy that a log has until it is delivered; 0: it has none
  };
  struct KeptAfter {
    std::uint64_t spans = 0;  // that the sink got
    bool no_room = false;     // in the queues: none was handed over
  };
  KeptAfter keep_after(const AfterAll& what, ByteView otlp, TimePoint now);

  // Traces that memory decided early since the last call.
  EarlyDecisions take_early() { return shedding_.take_early(); }

  void set_policies(const PolicySetPtr& policies);
  PolicySetPtr policies() const { return policies_.current(); }

  // Seed of SpanBatch::hash_seed for batches given to this store.
  std::uint64_t hash_seed() const { return shards_.seed(); }

  const StoreReport& report() const { return report_; }
  const TraceExplainer& explainer() const { return explainer_; }

 private:
  struct Scratch;  // of one thread

  std::size_t order_by_shard(const SpanBatch& batch, Scratch& scratch) const;
  std::size_t prefix_bound(const SpanBatch& batch) const;
  bool could_take(std::size_t pool_bytes, std::size_t prefix_bytes) const;
  bool reserve(std::size_t pool_bytes, std::size_t prefix_bytes);
  void release(std::size_t pool_bytes, std::size_t prefix_bytes);
  bool make_room(std::size_t pool_bytes, std::size_t prefix_bytes, TimePoint now, Scratch& scratch);
  // Under the shard's lock: what was decided in this hold of it. tell() hands it on, without the lock.
  void take_decided(Shard& shard, Scratch& scratch) const TAILGATE_REQUIRES(shard.mutex);
  void tell(Scratch& scratch);
  void settle(Shard& shard, std::vector<ClosedTrace>& closed, TimePoint now, Scratch& scratch);
  SettledSpans make_kept(Shard& shard, ClosedTrace& closed, TimePoint now, Scratch& scratch);
  std::uint64_t read_spans(Shard& shard, const ClosedTrace& closed, std::string& payload,
                           std::vector<FrameSpan>& spans);
  void settle_late(Shard& shard, const SpanBatch& batch, const std::vector<LateSpans>& late, TimePoint now,
                   Scratch& scratch);
  void push(Scratch& scratch);

  ByteBudget& budget_;
  KeptSink& sink_;
  const std::size_t prefix_bytes_max_;
  std::atomic<std::size_t> prefix_bytes_{0};  // of all shards' tables, and reserved
  ChunkPool pool_;
  const ClosedTraceReader reader_;
  PolicyHistory policies_;
  Shards shards_;
  DecisionLog* log_ = nullptr;
  Shedding shedding_;
  KeptTraceMaker maker_;
  const StoreReport report_;
  const TraceExplainer explainer_;
  std::atomic<std::size_t> next_to_shrink_{0};  // the shard that make_room() asks next
  bool is_held(TimePoint now) const { return now >= held_from_ && now < held_until_; }
  TimePoint held_from_{}, held_until_{};
  Duration lateness(TimePoint now, Duration late);
  TimePoint next_tidy_;               // the sweeper's
  Duration late_ = Duration::zero();  // the sweeper's: how late a sweep was, lately, and when
  TimePoint late_at_ = TimePoint::min() + std::chrono::hours(1);
  std::size_t swept_committed_ = 0;  // the sweeper's: the pool's bytes when it last came
};

}  // namespace tailgate
