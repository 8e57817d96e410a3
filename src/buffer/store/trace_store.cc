// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/trace_store.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/invariant.h"
#include "base/kept_memory.h"
#include "decide/limiter.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

constexpr std::size_t kClosePerHold = 32;  // traces closed in one hold of a shard's lock
constexpr std::size_t kClosePerAdd = 4;    // traces looked at when a request comes by: more than it can open on average
constexpr std::size_t kMakeRoomStep = 64;  // traces closed in one hold when memory is short
constexpr Duration kTidyEvery = std::chrono::seconds(1);
// Traces are closed by the sweeper, many at a time: at ordinary rates this costs less than when each request closes one
// or two. Requests help once it is late by this much.
constexpr Duration kHelpLate = std::chrono::milliseconds(100);
constexpr Duration kSweepMin = std::chrono::milliseconds(50);  // a thread that wakes up for a trace costs more than it
constexpr Duration kSweepMax = std::chrono::milliseconds(100);
constexpr Duration kSweepGrowing = std::chrono::milliseconds(5);  // while memory is committed, which it does ahead
constexpr std::size_t kSettleBytes = 2 << 20;                     // of kept traces made before their pieces are freed
constexpr std::size_t kGatherKeep = 256 << 10;                    // of the memory of one copy kept for the next
constexpr Duration kIntervalMost = kLimitInterval + std::chrono::seconds(1);
// Free pieces that a shard may keep to itself, and what is cut to the wrong size.
constexpr std::size_t kLocalSlack = 3 << 20;
static_assert(kLocalSlack >= 2 * LocalChunks::kBytesMax);

}  // namespace

struct TraceStore::Scratch {
  std::vector<std::uint32_t> order;  // trace indices of a batch, sorted by shard
  std::vector<std::uint32_t> begin;  // of each shard in order
  std::vector<std::uint32_t> fill;   // where in order the next trace of each shard goes
  AddResult added;
  std::vector<ClosedTrace> closed;
  std::string payload;                // of the trace in hand, gathered
  std::vector<SettledSpans> settled;  // one per closed trace
  KeptTraceMaker::Scratch kept;
  std::vector<DecidedTrace> decided;
};

TraceStore::TraceStore(const TraceStoreOptions& options, ByteBudget& budget, PolicySetPtr policies,
                       PolicyTables& tables, KeptSink& sink, std::uint64_t seed, TimePoint origin)
    : budget_(budget),
      sink_(sink),
      prefix_bytes_max_(options.prefix_bytes),
      pool_(options.pool_bytes + options.shards * kLocalSlack),
      reader_(pool_),
      policies_(std::move(policies)),
      shards_(options.shards, options.limits, pool_, budget_, policies_.current(), tables, seed, origin),
      shedding_(options.overload_min_wait, origin),
      maker_({options.record_policy, origin, options.limits.wall_at_origin_ns}, budget_, tables, sink_),
      report_(shards_, pool_, tables, policies_, maker_, shedding_),
      explainer_(shards_, tables, policies_),
      next_tidy_(origin + kTidyEvery) {
  policies_.current()->activate();
}

TraceStore::~TraceStore() = default;

bool TraceStore::accept(const SpanBatch& batch, SourceId source, TimePoint now) {
  if (batch.traces.empty()) return true;
  thread_local Scratch scratch;
  const std::size_t pool_bound = order_by_shard(batch, scratch);

  // Reserve what all of it can take at most, before the first append: accepted whole or refused whole. A prefix may be
  // new to every shard.
  const std::size_t prefix_bound = this->prefix_bound(batch);
  if (!reserve(pool_bound, prefix_bound)) {
    // What could not fit into an empty buffer must not empty a full one.
    if (!could_take(pool_bound, prefix_bound) || !make_room(pool_bound, prefix_bound, now, scratch)) return false;
  }

  std::size_t pool_taken = 0;
  std::size_t prefix_taken = 0;
  AddResult& added = scratch.added;
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    const std::size_t count = scratch.begin[s + 1] - scratch.begin[s];
    if (count == 0) continue;
    added.clear();
    Shard& shard = shards_[s];
    {
      const MutexLock lock(shard.mutex);
      // Under load the sweeper would wait for the lock too long, so a request closes what is due while it holds the
      // lock.
      const bool help = shard.buffer.until_due(now) < -kHelpLate && !is_held(now);
      if (help) shard.buffer.look_ahead();
      shard.buffer.set_shed_step(shedding_.step());
      shard.buffer.add(batch, scratch.order.data() + scratch.begin[s], count, source, now, added);
      if (help) shard.buffer.close_due(now, kClosePerAdd, added.closed);
      take_decided(shard, scratch);
    }
    tell(scratch);
    pool_taken += added.pool_bytes;
    prefix_taken += added.prefix_bytes;
    if (!added.late.empty()) settle_late(shard, batch, added.late, now, scratch);
    if (!added.closed.empty()) settle(shard, added.closed, now, scratch);
  }
  INVARIANT(pool_taken <= pool_bound && prefix_taken <= prefix_bound);
  release(pool_bound - pool_taken, prefix_bound - prefix_taken);
  return true;
}

std::size_t TraceStore::prefix_bound(const SpanBatch& batch) const {
  std::size_t out = 0;
  for (const ScopeGroup& group : batch.groups) out += Prefix::bytes_of(group.resource, group.scope);
  return out * std::min(shards_.size(), batch.traces.size());
}

bool TraceStore::could_take(std::size_t pool_bytes, std::size_t prefix_bytes) const {
  return prefix_bytes <= prefix_bytes_max_ && pool_bytes + prefix_bytes <= budget_.cap(Holder::kTraces);
}

bool TraceStore::could_take(const SpanBatch& batch) const {
  std::size_t pool_bytes = 0;
  for (const BatchTrace& trace : batch.traces) pool_bytes += pool_bytes_bound(trace.facts.bytes, trace.facts.spans);
  return could_take(pool_bytes, prefix_bound(batch));
}

// Orders the batch's traces by shard with one counting pass, and starts to load what their look-ups will read. Returns
// what they can take from the pool at most.
std::size_t TraceStore::order_by_shard(const SpanBatch& batch, Scratch& scratch) const {
  std::size_t pool_bound = 0;
  scratch.begin.assign(shards_.size() + 1, 0);
  for (const BatchTrace& trace : batch.traces) {
    ++scratch.begin[shards_.index_of(trace.hash) + 1];
    pool_bound += pool_bytes_bound(trace.facts.bytes, trace.facts.spans);
  }
  for (std::size_t s = 1; s <= shards_.size(); ++s) scratch.begin[s] += scratch.begin[s - 1];
  scratch.order.resize(batch.traces.size());
  scratch.fill.assign(scratch.begin.begin(), scratch.begin.end() - 1);
  for (std::uint32_t t = 0; t < batch.traces.size(); ++t) {
    const std::size_t s = shards_.index_of(batch.traces[t].hash);
    scratch.order[scratch.fill[s]++] = t;
    shards_[s].prefetch(batch.traces[t].id);
  }
  return pool_bound;
}

bool TraceStore::reserve(std::size_t pool_bytes, std::size_t prefix_bytes) {
  const std::size_t before = prefix_bytes_.fetch_add(prefix_bytes, std::memory_order_relaxed);
  if (before + prefix_bytes <= prefix_bytes_max_ && budget_.try_charge(Holder::kTraces, pool_bytes + prefix_bytes))
    return true;
  prefix_bytes_.fetch_sub(prefix_bytes, std::memory_order_relaxed);
  return false;
}

void TraceStore::release(std::size_t pool_bytes, std::size_t prefix_bytes) {
  prefix_bytes_.fetch_sub(prefix_bytes, std::memory_order_relaxed);
  budget_.release(Holder::kTraces, pool_bytes + prefix_bytes);
}

// Decides traces early, soonest due first, some from each shard in turn, until the bytes are reserved (true) or nothing
// is left to decide.
bool TraceStore::make_room(std::size_t pool_bytes, std::size_t prefix_bytes, TimePoint now, Scratch& scratch) {
  std::size_t idle = 0;
  while (idle < shards_.size()) {
    Shard& shard = shards_[next_to_shrink_.fetch_add(1, std::memory_order_relaxed) % shards_.size()];
    scratch.closed.clear();
    std::size_t n = 0;
    std::size_t prefixes_freed = 0;
    const bool prefixes_short = prefix_bytes_.load(std::memory_order_relaxed) + prefix_bytes > prefix_bytes_max_;
    {
      const MutexLock lock(shard.mutex);
      n = shard.buffer.close_early(CloseReason::kMemory, now, kMakeRoomStep, scratch.closed);
      if (n != 0) shedding_.closed_early(n, shard.buffer.last_early_wait());
      if (n == 0 || prefixes_short) prefixes_freed = shard.buffer.tidy(now);
      take_decided(shard, scratch);
    }
    tell(scratch);
    release(0, prefixes_freed);
    if (!scratch.closed.empty()) settle(shard, scratch.closed, now, scratch);
    if (reserve(pool_bytes, prefix_bytes)) return true;
    idle = n == 0 && prefixes_freed == 0 ? idle + 1 : 0;
  }
  return false;
}

TimePoint TraceStore::sweep(TimePoint now) {
  const bool held = is_held(now);
  thread_local Scratch scratch;
  const bool tidy = now >= next_tidy_;
  if (tidy) next_tidy_ = now + kTidyEvery;
  shedding_.adapt(now);
  Duration wait = kSweepMax, late = Duration::zero();
  bool puts_off = false;
  std::size_t freed = 0;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    bool first = true;
    for (bool more = true; more;) {
      scratch.closed.clear();
      {
        const MutexLock lock(shard->mutex);
        if (std::exchange(first, false)) late = std::max(late, -shard->buffer.until_due(now));
        more = !held && shard->buffer.close_due(now, kClosePerHold, scratch.closed);
        if (!more) wait = std::min(wait, shard->buffer.until_due(now));
        puts_off |= shard->buffer.puts_off();
        if (!more && tidy) freed += shard->buffer.tidy(now);
        take_decided(*shard, scratch);
      }
      tell(scratch);
      if (!scratch.closed.empty()) settle(*shard, scratch.closed, now, scratch);
    }
  }
  if (log_ != nullptr && !held && !puts_off) log_->swept(now - lateness(now, late));
  release(0, freed);
  pool_.prepare();
  const std::size_t committed = pool_.bytes_committed();
  if (std::exchange(swept_committed_, committed) != committed) return now + kSweepGrowing;
  return now + std::max(wait, kSweepMin);
}

// A trace that is closed late may still wait for the end of an interval of its rate limit (JudgedTrace::interval), so
// for that long sweeps have decided less than what their time says.
Duration TraceStore::lateness(TimePoint now, Duration late) {
  if (late >= late_ || now - late_at_ > kIntervalMost) {
    late_ = late;
    late_at_ = now;
  }
  return late_;
}

void TraceStore::close_all(CloseReason reason, TimePoint now) {
  thread_local Scratch scratch;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    for (bool more = true; more;) {
      scratch.closed.clear();
      {
        const MutexLock lock(shard->mutex);
        more = shard->buffer.close_early(reason, now, kClosePerHold, scratch.closed) != 0;
        take_decided(*shard, scratch);
      }
      tell(scratch);
      if (!scratch.closed.empty()) settle(*shard, scratch.closed, now, scratch);
    }
  }
}

void TraceStore::hand_over() {
  for (const std::unique_ptr<Shard>& shard : shards_) {
    for (bool more = true; more;) {
      const MutexLock lock(shard->mutex);
      more = shard->buffer.hand_over(kMakeRoomStep) != 0;
    }
  }
}

void TraceStore::forget(SpanOrigin origin) {
  for (const std::unique_ptr<Shard>& shard : shards_) {
    std::size_t from = 0;
    for (bool more = true; more;) {
      const MutexLock lock(shard->mutex);
      more = shard->buffer.forget(from, origin);
    }
  }
}

TimePoint TraceStore::decided_before(TimePoint now) const {
  TimePoint out = now;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const MutexLock lock(shard->mutex);
    out = std::min(out, shard->buffer.oldest(now));
  }
  return out;
}

void TraceStore::set_decision_log(DecisionLog* log) {
  log_ = log;
  maker_.set_decision_log(log);
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const MutexLock lock(shard->mutex);
    shard->buffer.set_decision_log(log);
  }
}

void TraceStore::set_foregone(const Foregone* foregone) {
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const MutexLock lock(shard->mutex);
    shard->buffer.set_foregone(foregone);
  }
}

void TraceStore::set_waits(const std::shared_ptr<const Waits>& waits) {
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const MutexLock lock(shard->mutex);
    shard->buffer.set_waits(waits);
  }
}

Fate TraceStore::fate(const TraceId& id) {
  Shard& shard = shards_.of(id);
  const MutexLock lock(shard.mutex);
  return shard.buffer.fate(id);
}

void TraceStore::remember(const TraceId& id, const Verdict& verdict) {
  Shard& shard = shards_.of(id);
  const MutexLock lock(shard.mutex);
  shard.buffer.remember(id, verdict);
}

TraceStore::KeptAfter TraceStore::keep_after(const AfterAll& what, ByteView otlp, TimePoint now) {
  static const ScanPlan no_plan;
  thread_local Scratch scratch;
  scratch.kept.out.clear();
  scratch.kept.spans.clear();
  TraceFacts facts;
  SpanBatch batch;
  std::vector<std::deque<std::string>> pointed_to;  // prefixes of slices, until the trace is framed
  const auto take = [&](SpanBatch& slice) {
    for (const BatchTrace& trace : slice.traces) {
      if (trace.id != what.id) continue;
      facts.merge(trace.facts);
      append_spans(slice, trace, scratch.kept.spans);
    }
    pointed_to.push_back(std::move(slice.scratch));
    slice.scratch.clear();
    return true;
  };
  if (!scan_request(otlp, no_plan, batch, take).ok) return {};
  take(batch);
  if (scratch.kept.spans.empty()) return {};
  const std::size_t spans = scratch.kept.spans.size();
  const SettledSpans settled =
      maker_.make({what.id, what.verdict, facts, now, nullptr, 0, what.request, what.reason}, scratch.kept);
  if (settled.shed) return {.no_room = *settled.shed == Shed::kQueueFull};
  remember(what.id, what.verdict);
  push(scratch);
  if (log_ != nullptr) {
    // What came before the verdict is in the copy, so a restart has nothing to do with it.
    const DecidedTrace decided{what.id, what.verdict, what.order};
    log_->decided({&decided, 1});
    if (const auto all = log_->delivery({what.id, what.order, 0, 0, now})) all->part_gone();
  }
  return {spans - settled.malformed, false};
}

void TraceStore::take_decided(Shard& shard, Scratch& scratch) const {
  if (log_ != nullptr) shard.buffer.take_decided(scratch.decided);
}

void TraceStore::tell(Scratch& scratch) {
  if (log_ == nullptr || scratch.decided.empty()) return;
  log_->decided(scratch.decided);
  scratch.decided.clear();
}

// Kept traces leave, a few megabytes at a time, because their pieces are free only when all of these are made.
void TraceStore::settle(Shard& shard, std::vector<ClosedTrace>& closed, TimePoint now, Scratch& scratch) {
  // While traces count as closing, a journal gives nothing back: it hears of their end however this ends.
  const struct Closing {
    DecisionLog* log;
    std::size_t traces;
    ~Closing() {
      if (log != nullptr) log->end_closing(traces);
    }
  } closing{log_, closed.size()};
  scratch.kept.out.clear();  // an exception may have left some there
  for (std::size_t begin = 0; begin < closed.size();) {
    scratch.settled.clear();
    std::size_t end = begin;
    for (std::size_t bytes = 0; end < closed.size() && bytes < kSettleBytes; ++end) {
      bytes += reader_.trace(closed[end]).facts.bytes;
      const std::size_t made = scratch.kept.out.size();
      try {
        scratch.settled.push_back(make_kept(shard, closed[end], now, scratch));
      } catch (const std::bad_alloc&) {
        scratch.kept.out.resize(made);
        scratch.settled.push_back({0, Shed::kOverload});
      }
    }
    {
      const MutexLock lock(shard.mutex);
      for (std::size_t i = begin; i < end; ++i) shard.buffer.settle(closed[i], scratch.settled[i - begin]);
    }
    push(scratch);
    begin = end;
  }
}

// The trace's bytes are copied without the lock, one trace after the other, so that the copy is still in the cache when
// the trace is framed from it.
SettledSpans TraceStore::make_kept(Shard& shard, ClosedTrace& closed, TimePoint now, Scratch& scratch) {
  const OpenTrace& trace = reader_.trace(closed);
  const std::uint64_t now_unix_ns = read_spans(shard, closed, scratch.payload, scratch.kept.spans);
  const SettledSpans settled =
      maker_.make({trace.id, closed.verdict, trace.facts, now, &closed, now_unix_ns, 0}, scratch.kept);
  limit_memory(scratch.payload, kGatherKeep);
  return settled;
}

void TraceStore::settle_late(Shard& shard, const SpanBatch& batch, const std::vector<LateSpans>& late, TimePoint now,
                             Scratch& scratch) {
  for (const LateSpans& item : late) {
    const BatchTrace& part = batch.traces[item.trace];
    scratch.kept.out.clear();  // an exception may have left some there
    scratch.kept.spans.clear();
    append_spans(batch, part, scratch.kept.spans);
    const SettledSpans settled =
        maker_.make({part.id, item.verdict, part.facts, now, nullptr, 0, batch.request}, scratch.kept);
    {
      const MutexLock lock(shard.mutex);
      shard.buffer.settle_late(part.facts, settled);
    }
    push(scratch);
  }
}

void TraceStore::push(Scratch& scratch) {
  for (KeptTracePtr& kept : scratch.kept.out) sink_.push(std::move(kept));
  scratch.kept.out.clear();
}

void TraceStore::set_policies(const PolicySetPtr& policies) {
  policies->activate();
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const MutexLock lock(shard->mutex);
    shard->buffer.set_policies(policies);
  }
  policies_.replace(policies);
}

}  // namespace tailgate
