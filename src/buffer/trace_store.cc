#include "buffer/trace_store_impl.h"

#include <algorithm>
#include <array>
#include <deque>

#include "base/hash.h"
#include "base/invariant.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

constexpr std::size_t kClosePerHold = 32;  // traces closed in one hold of a shard's lock
constexpr std::size_t kClosePerAdd = 4;    // traces looked at when a request comes by: more than it can open on average
constexpr std::size_t kRelieveStep = 64;   // the same when memory is short
constexpr Duration kTidyEvery = std::chrono::seconds(1);
constexpr Duration kAdaptEvery = std::chrono::milliseconds(200);
constexpr Duration kSweepMin = std::chrono::milliseconds(5);
constexpr Duration kSweepMax = std::chrono::milliseconds(100);
constexpr std::size_t kGatherBytes = 2 << 20;  // of kept traces copied out at a time
constexpr std::size_t kPartBytes = 2 << 20;    // of spans in one KeptTrace
constexpr std::size_t kPastSets = 16;          // whose votes can still be named
constexpr std::size_t kLocalSlack =
    3 << 20;  // free pieces a shard may keep to itself, and what is cut to the wrong size

}  // namespace

namespace {

// What the daemon says about a kept trace: its root (or its first span) and the name of that span's service.
struct Headline {
  ByteView resource;
  ByteView name;
  const char* span = nullptr;  // its bytes
  bool root = false;
};

// One span with broken nested bytes would make a backend refuse its whole batch, strangers' traces included: such spans
// are left out. Returns how many.
std::uint32_t drop_malformed(std::vector<FrameSpan>& frame, Headline& headline) {
  static const ScanPlan no_plan;
  ByteView good_resource, good_scope;
  const std::size_t before = frame.size();
  std::erase_if(frame, [&](const FrameSpan& span) {
    if (span.resource.data() != good_resource.data() || span.resource.size() != good_resource.size()) {
      if (!resource_prefix_is_well_formed(span.resource)) return true;
      good_resource = span.resource;
    }
    if (span.scope.data() != good_scope.data() || span.scope.size() != good_scope.size()) {
      if (!scope_prefix_is_well_formed(span.scope)) return true;
      good_scope = span.scope;
    }
    if (!span_is_well_formed(span.span)) return true;
    if (!headline.root) {
      SpanFields fields;
      ByteView no_attributes;
      scan_span(span.span, no_plan, fields, &no_attributes);
      if (headline.span == nullptr || !fields.has_parent()) {
        headline = {span.resource, fields.name, span.span.data(), !fields.has_parent()};
      }
    }
    return false;
  });
  return static_cast<std::uint32_t>(before - frame.size());
}

}  // namespace

TraceStore::TraceStore(const TraceStoreOptions& options, ByteBudget& budget, PolicySetPtr policies,
                       PolicyTables& tables, KeptSink sink, std::uint64_t seed, TimePoint origin)
    : budget_(budget),
      tables_(tables),
      sink_(std::move(sink)),
      seed_(seed),
      prefix_bytes_max_(options.prefix_bytes),
      record_(options.record_policy),
      origin_(origin),
      wall_at_origin_ns_(options.limits.wall_at_origin_ns),
      pool_(options.pool_bytes + options.shards * kLocalSlack),
      next_tidy_(origin + kTidyEvery),
      overload_min_wait_(options.overload_min_wait),
      next_adapt_(origin + kAdaptEvery),
      policies_(std::move(policies)) {
  policies_->activate();
  BufferLimits limits = options.limits;
  limits.cache_bytes /= options.shards;
  limits.explain_bytes /= options.shards;
  for (std::size_t i = 0; i < options.shards; ++i) {
    shards_.push_back(std::make_unique<Shard>(limits, pool_, budget_, policies_, tables_, seed + 2 * i + 1, origin));
  }
}

TraceStore::~TraceStore() = default;

std::size_t TraceStore::shard_of(std::uint64_t hash) const {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::size_t>(static_cast<Wide>(hash) * shards_.size() >> 64);
}

bool TraceStore::accept(const SpanBatch& batch, SourceId source, TimePoint now) {
  if (batch.traces.empty()) return true;
  thread_local Work work;

  // Order the traces by shard with one counting pass.
  work.begin.assign(shards_.size() + 1, 0);
  std::size_t pool_bound = 0;
  for (const BatchTrace& trace : batch.traces) {
    ++work.begin[shard_of(trace.hash) + 1];
    pool_bound += pool_bytes_bound(trace.facts.bytes, trace.facts.spans);
  }
  for (std::size_t s = 1; s <= shards_.size(); ++s) work.begin[s] += work.begin[s - 1];
  work.order.resize(batch.traces.size());
  std::vector<std::uint32_t>& fill = work.prefix_ids;
  fill.assign(work.begin.begin(), work.begin.end() - 1);
  for (std::uint32_t t = 0; t < batch.traces.size(); ++t) {
    const std::size_t s = shard_of(batch.traces[t].hash);
    work.order[fill[s]++] = t;
    shards_[s]->buffer.prefetch(batch.traces[t].id);
  }

  // Reserve what all of it can take at most, before the first append: accepted whole or refused whole. A prefix may be
  // new to every shard.
  std::size_t prefix_bound = 0;
  for (const ScopeGroup& group : batch.groups) prefix_bound += Prefix::bytes_of(group.resource, group.scope);
  prefix_bound *= std::min(shards_.size(), batch.traces.size());
  if (!reserve(pool_bound, prefix_bound)) {
    // What could not fit into an empty buffer must not empty a full one.
    const bool could_fit =
        prefix_bound <= prefix_bytes_max_ && pool_bound + prefix_bound <= budget_.cap(Holder::kTraces);
    if (!could_fit || !relieve(pool_bound, prefix_bound, now, work)) return false;
  }

  std::size_t pool_taken = 0;
  std::size_t prefix_taken = 0;
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    const std::size_t count = work.begin[s + 1] - work.begin[s];
    if (count == 0) continue;
    work.added.clear();
    Shard& shard = *shards_[s];
    {
      const std::lock_guard lock(shard.mutex);
      shard.buffer.set_shed_step(shed_step_.load(std::memory_order_relaxed));
      shard.buffer.add(batch, work.order.data() + work.begin[s], count, source, now, work.added);
      // What is due goes in the same hold of the lock: under load the sweeper alone would wait for its turn too long.
      shard.buffer.close_due(now, kClosePerAdd, work.added.closed);
    }
    pool_taken += work.added.pool_bytes;
    prefix_taken += work.added.prefix_bytes;
    if (!work.added.late.empty()) settle_late(shard, batch, work.added.late, now, work);
    if (!work.added.closed.empty()) settle(shard, work.added.closed, now, work);
  }
  INVARIANT(pool_taken <= pool_bound && prefix_taken <= prefix_bound);
  release(pool_bound - pool_taken, prefix_bound - prefix_taken);
  return true;
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

bool TraceStore::relieve(std::size_t pool_bytes, std::size_t prefix_bytes, TimePoint now, Work& work) {
  // Decide early: soonest due first, some from each shard in turn, until there is room or nothing is left to decide.
  std::size_t idle = 0;
  while (idle < shards_.size()) {
    Shard& shard = *shards_[next_relief_.fetch_add(1, std::memory_order_relaxed) % shards_.size()];
    work.closed.clear();
    std::size_t n = 0;
    std::size_t prefixes_freed = 0;
    const bool prefixes_short = prefix_bytes_.load(std::memory_order_relaxed) + prefix_bytes > prefix_bytes_max_;
    {
      const std::lock_guard lock(shard.mutex);
      n = shard.buffer.close_early(CloseReason::kMemory, now, kRelieveStep, work.closed);
      if (n != 0)
        early_wait_ms_ = std::chrono::duration_cast<std::chrono::milliseconds>(shard.buffer.last_early_wait()).count();
      if (n == 0 || prefixes_short) prefixes_freed = shard.buffer.tidy(now);
    }
    release(0, prefixes_freed);
    if (!work.closed.empty()) settle(shard, work.closed, now, work);
    if (reserve(pool_bytes, prefix_bytes)) return true;
    idle = n == 0 && prefixes_freed == 0 ? idle + 1 : 0;
  }
  return false;
}

TimePoint TraceStore::sweep(TimePoint now) {
  thread_local Work work;
  const bool tidy = now >= next_tidy_;
  if (tidy) next_tidy_ = now + kTidyEvery;
  if (now >= next_adapt_) adapt_shedding(now);
  Duration wait = kSweepMax;
  std::size_t freed = 0;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    for (bool more = true; more;) {
      work.closed.clear();
      {
        const std::lock_guard lock(shard->mutex);
        more = shard->buffer.close_due(now, kClosePerHold, work.closed);
        if (!more) wait = std::min(wait, shard->buffer.until_due(now));
        if (!more && tidy) freed += shard->buffer.tidy(now);
      }
      if (!work.closed.empty()) settle(*shard, work.closed, now, work);
    }
  }
  release(0, freed);
  pool_.prepare();
  return now + std::max(wait, kSweepMin);
}

// Shedding takes over where deciding early would go too far: a trace that is decided before its spans have come is
// judged by a part of itself. The share of new traces taken in follows how long those closed early had been open, since
// what is held is that wait times what comes in; it moves slowly, as the wait answers only after as long.
void TraceStore::adapt_shedding(TimePoint now) {
  next_adapt_ = now + kAdaptEvery;
  const std::int64_t wait_ms = early_wait_ms_.exchange(-1);
  if (overload_min_wait_ == Duration::zero()) return;
  if (wait_ms < 0) {
    taken_share_ = std::min(1.0, taken_share_ * 1.05 + 0.005);
  } else {
    const double ratio = static_cast<double>(wait_ms) * 1e6 / static_cast<double>(overload_min_wait_.count());
    taken_share_ = std::clamp(taken_share_ * std::clamp(ratio, 0.8, 1.05), 1.0 / 256, 1.0);
  }
  shed_step_ = static_cast<std::uint8_t>(std::min(255.0, (1 - taken_share_) * 256));
}

void TraceStore::close_all(CloseReason reason, TimePoint now) {
  thread_local Work work;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    for (bool more = true; more;) {
      work.closed.clear();
      {
        const std::lock_guard lock(shard->mutex);
        more = shard->buffer.close_early(reason, now, kClosePerHold, work.closed) != 0;
      }
      if (!work.closed.empty()) settle(*shard, work.closed, now, work);
    }
  }
}

// Kept traces leave: their bytes are gathered and framed without the lock, their prefixes looked up under it once for
// all.
void TraceStore::settle(Shard& shard, std::vector<ClosedTrace>& closed, TimePoint now, Work& work) {
  // A few megabytes at a time: what is gathered is not in the budget.
  std::vector<ClosedTrace> some;
  for (std::size_t i = 0; i < closed.size();) {
    some.clear();
    for (std::size_t bytes = 0;
         i < closed.size() && (some.empty() || bytes + shard.buffer.trace(closed[i].ref).payload_bytes <= kGatherBytes);
         ++i) {
      bytes += shard.buffer.trace(closed[i].ref).payload_bytes;
      some.push_back(closed[i]);
    }
    settle_some(shard, some, now, work);
  }
}

void TraceStore::settle_some(Shard& shard, std::vector<ClosedTrace>& closed, TimePoint now, Work& work) {
  const auto number_of = [&](std::uint32_t id) {
    return static_cast<std::size_t>(std::lower_bound(work.prefix_ids.begin(), work.prefix_ids.end(), id) -
                                    work.prefix_ids.begin());
  };
  if (work.payloads.size() < closed.size()) work.payloads.resize(closed.size());
  work.prefix_ids.clear();
  for (std::size_t i = 0; i < closed.size(); ++i) {
    gather_payload(pool_, shard.buffer.trace(closed[i].ref), work.payloads[i]);
    for_each_span(work.payloads[i], [&](std::uint32_t id, ByteView) {
      if (work.prefix_ids.empty() || work.prefix_ids.back() != id) work.prefix_ids.push_back(id);
    });
  }
  std::sort(work.prefix_ids.begin(), work.prefix_ids.end());
  work.prefix_ids.erase(std::unique(work.prefix_ids.begin(), work.prefix_ids.end()), work.prefix_ids.end());
  work.prefixes.clear();
  std::uint64_t now_unix_ns = 0;
  {
    const std::lock_guard lock(shard.mutex);
    for (const std::uint32_t id : work.prefix_ids) work.prefixes.push_back(&shard.buffer.prefix(id));
    now_unix_ns = shard.buffer.wall_latest_ns();
  }
  struct End {
    std::uint32_t malformed;
    std::optional<Shed> shed;
  };
  std::vector<End> ends;
  work.out.clear();
  for (std::size_t i = 0; i < closed.size(); ++i) {
    const OpenTrace& open = shard.buffer.trace(closed[i].ref);
    work.frame.clear();
    for_each_span(work.payloads[i], [&](std::uint32_t id, ByteView span) {
      const Prefix& prefix = *work.prefixes[number_of(id)];
      work.frame.push_back({prefix.resource(), prefix.scope, span});
    });
    find_deciding_spans(work, now_unix_ns, closed[i]);
    End end{};
    end.shed = make_kept(work, open.id, closed[i].verdict, open.facts, false, now, end.malformed);
    ends.push_back(end);
    if (work.payloads[i].capacity() > 256 << 10) std::string().swap(work.payloads[i]);
  }
  {
    const std::lock_guard lock(shard.mutex);
    for (std::size_t i = 0; i < closed.size(); ++i) shard.buffer.settle(closed[i], ends[i].malformed, ends[i].shed);
  }
  for (KeptTracePtr& kept : work.out) sink_.push(std::move(kept));
  work.out.clear();
}

void TraceStore::settle_late(Shard& shard, const SpanBatch& batch, const std::vector<LateSpans>& late, TimePoint now,
                             Work& work) {
  for (const LateSpans& item : late) {
    const BatchTrace& part = batch.traces[item.trace];
    work.frame.clear();
    for (std::uint32_t s = part.first; s != kNone; s = batch.spans[s].next) {
      const BatchSpan& span = batch.spans[s];
      work.frame.push_back(
          {batch.groups[span.group].resource, batch.groups[span.group].scope, ByteView(span.data, span.size)});
    }
    std::uint32_t malformed = 0;
    work.out.clear();
    const std::optional<Shed> shed = make_kept(work, part.id, item.verdict, part.facts, true, now, malformed);
    {
      const std::lock_guard lock(shard.mutex);
      shard.buffer.settle_late(item, part.facts.spans, part.facts.bytes, malformed, shed);
    }
    for (KeptTracePtr& kept : work.out) sink_.push(std::move(kept));
    work.out.clear();
  }
}

// Makes what goes out of work.frame and appends it to work.out, charged to the queues: all of the trace or nothing.
std::optional<Shed> TraceStore::make_kept(Work& work, const TraceId& id, const Verdict& verdict,
                                          const TraceFacts& facts, bool late, TimePoint now, std::uint32_t& malformed) {
  Headline headline;
  malformed = drop_malformed(work.frame, headline);
  if (work.frame.empty()) return std::nullopt;
  TraceSummary summary;
  summary.id = id;
  summary.verdict = verdict;
  summary.policy = tables_.names.name_of(verdict.policy);
  summary.exporters = tables_.routes.exporters_of(verdict.route);
  summary.start_ns = facts.start_min_ns;
  summary.end_ns = facts.end_max_ns;
  summary.errors = facts.errors;
  summary.has_root = facts.root_seen;
  summary.root_service = service_name(headline.resource);
  summary.root_name = headline.name;
  summary.late = late;
  if (summary.exporters == 0) return Shed::kNoExporter;
  stamp(work, summary, headline.span, now);

  std::vector<std::shared_ptr<KeptTrace>> parts;
  for (std::size_t from = 0; from < work.frame.size();) {
    std::size_t to = from;
    std::size_t bytes = 0;
    while (to < work.frame.size() && (to == from || bytes + work.frame[to].size() <= kPartBytes))
      bytes += work.frame[to++].size();
    auto part = std::make_shared<KeptTrace>();
    static_cast<TraceSummary&>(*part) = summary;
    part->part = static_cast<std::uint32_t>(parts.size());
    part->spans = static_cast<std::uint32_t>(to - from);
    if (part->spans == work.frame.size()) {
      frame_trace(work.frame, part->otlp);
    } else {
      std::vector<FrameSpan> spans(work.frame.begin() + static_cast<std::ptrdiff_t>(from),
                                   work.frame.begin() + static_cast<std::ptrdiff_t>(to));
      frame_trace(spans, part->otlp);
    }
    part->charge = Charge(budget_, Holder::kQueues);
    if (!part->charge.try_grow(part->bytes()) &&
        !(sink_.make_room(part->bytes(), verdict.by_chance()) && part->charge.try_grow(part->bytes()))) {
      return Shed::kQueueFull;
    }
    parts.push_back(std::move(part));
    from = to;
  }
  for (const std::shared_ptr<KeptTrace>& part : parts) {
    part->parts = static_cast<std::uint32_t>(parts.size());
    work.out.push_back(part);
  }
  return std::nullopt;
}

void TraceStore::stamp(Work& work, const TraceSummary& summary, const char* root, TimePoint now) {
  work.stamps.clear();
  const StampInput in{summary.id,
                      summary.verdict,
                      summary.policy,
                      tables_.thresholds.value_of(summary.verdict.threshold),
                      wall_at_origin_ns_ + static_cast<std::uint64_t>((now - origin_).count()),
                      summary.late};
  const StampResult result = stamp_thresholds(in, work.frame, work.stamps);
  if (result.unparsable != 0) unparsable_ += result.unparsable;
  if (result.no_room != 0) no_room_ += result.no_room;
  if (record_ == RecordPolicy::kOff) return;
  std::size_t at = 0;
  while (at + 1 < work.frame.size() && work.frame[at].span.data() != root) ++at;
  stamp_policy(in, record_, at, work.frame, work.stamps);
}

void TraceStore::set_policies(const PolicySetPtr& policies) {
  policies->activate();
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    shard->buffer.set_policies(policies);
  }
  const std::lock_guard lock(policies_mutex_);
  past_.push_back(std::exchange(policies_, policies));
  if (past_.size() > kPastSets) past_.pop_front();
}

PolicySetPtr TraceStore::policies() const {
  const std::lock_guard lock(policies_mutex_);
  return policies_;
}

TraceStore::Snapshot TraceStore::snapshot() const {
  Snapshot sum;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    const BufferCounters& c = shard->buffer.counters();
    BufferCounters& t = sum.totals;
    for (std::size_t i = 0; i < kSourcesMax; ++i) t.received[i] += c.received[i];
    t.forwarded += c.forwarded;
    t.not_sampled += c.not_sampled;
    t.dropped += c.dropped;
    for (std::size_t i = 0; i < t.shed.size(); ++i) t.shed[i] += c.shed[i];
    t.shed_traces += c.shed_traces;
    t.held += c.held;
    t.held_bytes += c.held_bytes;
    for (std::size_t d = 0; d < 3; ++d) {
      t.late[d] += c.late[d];
      t.incomplete[d] += c.incomplete[d];
      for (std::size_t r = 0; r < 6; ++r) t.decided[d][r] += c.decided[d][r];
    }
    for (std::size_t i = 0; i < t.latency.size(); ++i) t.latency[i] += c.latency[i];
    t.latency_sum += c.latency_sum;
    for (std::size_t p = 0; p < c.policies.rows.size(); ++p) {
      const PolicyTally::Row& from = c.policies.rows[p];
      PolicyTally::Row& to = t.policies.row(static_cast<std::uint16_t>(p));
      to.sampled += from.sampled;
      to.not_sampled += from.not_sampled;
      to.dropped += from.dropped;
      to.kept_traces += from.kept_traces;
      to.kept_spans += from.kept_spans;
      to.kept_bytes += from.kept_bytes;
    }
    for (std::size_t p = 0; p < c.policies.shadows.size(); ++p) {
      const PolicyTally::Shadow& from = c.policies.shadows[p];
      PolicyTally::Shadow& to = t.policies.shadow(static_cast<std::uint16_t>(p));
      to.traces += from.traces;
      to.kept_traces += from.kept_traces;
      to.kept_spans += from.kept_spans;
      to.kept_bytes += from.kept_bytes;
      to.would_add += from.would_add;
      to.would_lose += from.would_lose;
      for (const TraceId& id : from.lost_errors) {
        if (to.lost_errors.size() < PolicyTally::kLostErrorsMax) to.lost_errors.push_back(id);
      }
    }
    sum.traces += shard->buffer.traces_held();
    sum.cache_kept += shard->buffer.cache_entries(true);
    sum.cache_others += shard->buffer.cache_entries(false);
    sum.prefix_bytes += shard->buffer.prefix_bytes();
  }
  sum.pool_committed = pool_.bytes_committed();
  return sum;
}

void TraceStore::collect(const Snapshot& snapshot, MetricWriter& out) const {
  const auto number = [](auto n) { return static_cast<double>(n); };
  const BufferCounters& c = snapshot.totals;
  out.add(metric::kSpansForwarded, {}, number(c.forwarded));
  out.add(metric::kSpansNotSampled, {}, number(c.not_sampled));
  out.add(metric::kSpansDropped, {}, number(c.dropped));
  for (std::size_t i = 0; i < c.shed.size(); ++i) out.add(metric::kSpansShed, {kShedReasons[i]}, number(c.shed[i]));
  out.add(metric::kTracestateUnwritten, {"unparsable"}, number(unparsable_.load()));
  out.add(metric::kTracestateUnwritten, {"no_room"}, number(no_room_.load()));
  out.add(metric::kBufferTraces, {}, number(snapshot.traces));
  out.add(metric::kBufferSpans, {}, number(c.held));
  out.add(metric::kBufferBytes, {}, number(c.held_bytes));
  for (std::size_t d = 0; d < kDecisionNames.size(); ++d) {
    out.add(metric::kTracesIncomplete, {kDecisionNames[d]}, number(c.incomplete[d]));
    out.add(metric::kLateSpans, {kDecisionNames[d]}, number(c.late[d]));
    for (std::size_t r = 0; r < kCloseReasonNames.size(); ++r) {
      out.add(metric::kTracesDecided, {kDecisionNames[d], kCloseReasonNames[r]}, number(c.decided[d][r]));
    }
  }
  for (std::size_t p = 1; p < tables_.names.size(); ++p) {
    const auto policy = static_cast<std::uint16_t>(p);
    const std::string name = tables_.names.name_of(policy);
    const PolicyTally::Row row = p < c.policies.rows.size() ? c.policies.rows[p] : PolicyTally::Row();
    out.add(metric::kPolicyVotes, {name, "sampled"}, number(row.sampled));
    out.add(metric::kPolicyVotes, {name, "not_sampled"}, number(row.not_sampled));
    out.add(metric::kPolicyVotes, {name, "dropped"}, number(row.dropped));
    out.add(metric::kPolicyKeptTraces, {name}, number(row.kept_traces));
    out.add(metric::kPolicyKeptSpans, {name}, number(row.kept_spans));
    out.add(metric::kPolicyKeptBytes, {name}, number(row.kept_bytes));
  }
  for (const auto& [name, errors] : tables_.condition_errors.all()) {
    out.add(metric::kConditionErrors, {name}, number(errors));
  }
  out.add(metric::kShedRatio, {}, number(shed_step_.load()) / 256);
  out.add(metric::kTracesShed, {"overload"}, number(c.shed_traces));
  const PolicySetPtr set = policies();
  for (std::size_t i = 0; i < set->shadow_size(); ++i) {
    const std::uint16_t policy = set->shadow_number_of(i);
    const std::string name = tables_.names.name_of(policy);
    const PolicyTally::Shadow row =
        policy < c.policies.shadows.size() ? c.policies.shadows[policy] : PolicyTally::Shadow();
    out.add(metric::kShadowKeptTraces, {name}, number(row.kept_traces));
    out.add(metric::kShadowKeptSpans, {name}, number(row.kept_spans));
    out.add(metric::kShadowKeptBytes, {name}, number(row.kept_bytes));
    out.add(metric::kShadowFlips, {name, "add"}, number(row.would_add));
    out.add(metric::kShadowFlips, {name, "lose"}, number(row.would_lose));
  }
  out.add_histogram(metric::kDecisionLatency, kLatencyBounds, c.latency, c.latency_sum);
  out.add(metric::kDecisionCacheEntries, {"sampled"}, number(snapshot.cache_kept));
  out.add(metric::kDecisionCacheEntries, {"not_sampled"}, number(snapshot.cache_others));
}

}  // namespace tailgate
