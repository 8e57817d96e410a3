// SPDX-License-Identifier: Apache-2.0
#include "buffer/trace_buffer.h"

#include <algorithm>

#include "base/invariant.h"
#include "codec/protobuf.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

// What the table costs per open trace, besides the pool: 13 to 26 bytes by its load, 13 more while it grows.
constexpr std::size_t kMapBytes = 40;
// Wait after the end of an interval, for threads that read the clock before it and got the shard's lock after it.
constexpr Duration kIntervalGrace = std::chrono::milliseconds(20);
constexpr std::uint32_t kAskAgainMs = 1'000;  // of a trace that waits

std::uint32_t whole_ms(Duration d) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 0, 1'000'000'000));  // 11 days; the clock wraps at 49
}

bool later(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) > 0; }

}  // namespace

TraceBuffer::TraceBuffer(const BufferLimits& limits, ChunkPool& pool, ByteBudget& budget, PolicySetPtr policies,
                         PolicyTables& tables, std::uint64_t seed, TimePoint origin)
    : limits_(limits),
      wait_ms_(whole_ms(limits.decision_wait)),
      after_root_ms_(limits.decision_wait_after_root > Duration::zero()
                         ? std::max<std::uint32_t>(1, whole_ms(limits.decision_wait_after_root))
                         : 0),
      wall_at_origin_ns_(limits.wall_at_origin_ns),
      pool_(pool),
      budget_(budget),
      policies_(std::move(policies)),
      tables_(tables),
      origin_(origin),
      chunks_(pool),
      seed_(seed),
      wheel_(pool),
      cache_(limits.cache_bytes, seed + 1),
      explain_(limits.explain_bytes, limits.explain_policies, limits.explain_words, seed + 2) {}

std::uint32_t TraceBuffer::advance(TimePoint now) {
  const std::uint32_t now_ms = to_ms(now);
  if (later(now_ms, latest_ms_)) latest_ms_ = now_ms;
  latest_ = std::max(latest_, now);
  return latest_ms_;
}

void TraceBuffer::add(const SpanBatch& batch, const std::uint32_t* traces, std::size_t count, SourceId source,
                      TimePoint now, AddResult& result) {
  const std::uint32_t now_ms = advance(now);
  const std::uint32_t generation = now_ms / kGenerationMs;
  const std::size_t prefix_bytes_before = prefixes_.bytes();
  prefix_of_group_.assign(batch.groups.size(), kNoPrefix);  // not asked yet
  std::uint64_t spans = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const BatchTrace& part = batch.traces[traces[i]];
    spans += part.facts.spans;
    counters_.received_bytes += part.facts.bytes;
    const std::uint64_t hash = hash_of(part.id);
    ChunkRef ref = by_id_.find(hash, [&](ChunkRef other) { return trace(other).id == part.id; });
    const bool is_new = ref == kNoChunk;
    if (is_new) {
      if (const std::optional<Verdict> verdict = cache_.find(part.id)) {
        count_late(*verdict, part, traces[i], result);
        continue;
      }
      if (shed_step_ != 0 && sheds(batch, part, traces[i], now_ms)) continue;
      ref = open_trace(chunks_, part.id, now_ms, batch.policy_epoch, batch.words_per_trace, part.facts.bytes,
                       part.facts.spans);
      trace(ref).shed_step = shed_step_;
      trace(ref).origin = batch.origin;
      by_id_.insert(hash, ref);
      prefixes_.count_trace(generation);
      budget_.charge(Holder::kTraces, kMapBytes);
      trace(ref).due_ms = now_ms + wait_ms_;
      wheel_.insert(ref, now_ms + wait_ms_);
    }
    OpenTrace& open = trace(ref);
    const std::size_t pool_before = is_new ? 0 : open.pool_bytes();
    append(open, batch, part, generation);
    if (open.epoch == batch.policy_epoch && batch.policy_epoch == policies_->epoch()) {
      policies_->plan().merge(open.word_array(), batch.words_of(traces[i]));
    } else {
      open.epoch = OpenTrace::kMixedEpochs;
    }
    if (open.root_name == 0 && part.root_group != kNoIndex && explain_.on()) {
      bool fresh = false;
      open.root_name = roots_.add(prefixes_.at(prefix_of_group_[part.root_group]).service, part.root_name, fresh);
      if (fresh) budget_.charge(Holder::kTraces, RootNames::kEntryBytes);
    }
    open.last_ms = now_ms;
    open.waits_for_parent = false;
    if (open.origin != batch.origin) open.mixed_origins = true;
    result.pool_bytes += open.pool_bytes() - pool_before;
    counters_.held_bytes += part.facts.bytes;
    counters_.held += part.facts.spans;

    if (limits_.maximum_trace_size_bytes != 0 && open.facts.bytes > limits_.maximum_trace_size_bytes) {
      close(ref, CloseReason::kTooLarge, now_ms, Wait::kMayNot, result.closed);
    } else if (open.facts.bytes >= limits_.trace_bytes_max || open.facts.spans >= limits_.trace_spans_max) {
      close(ref, CloseReason::kSize, now_ms, Wait::kMayNot, result.closed);
    } else if (const std::uint32_t due = due_ms(open); later(open.due_ms, due)) {
      wheel_.remove(ref);
      wheel_.insert(ref, due);
    }
  }
  counters_.received[source] += spans;
  result.prefix_bytes = prefixes_.bytes() - prefix_bytes_before;
}

void TraceBuffer::prefetch_header(ChunkRef ref) const {
  const char* const header = pool_.at(ref);
  for (std::size_t at = 0; at < kHeaderTypical; at += 64) __builtin_prefetch(header + at, 1);
}

// The trace that closes next has not been touched since its last span, so it is not in the cache. Its header is loaded
// one step before it is read here, and the tables' lines for its id one step before it is closed.
void TraceBuffer::look_ahead(ChunkRef ref) const {
  if (ref == kNoChunk) return;
  const OpenTrace& next = trace(ref);
  prefetcher()(next.id);
  explain_.prefetch(next.id);
  if (next.wheel_next != kNoChunk) prefetch_header(next.wheel_next);
}

void TraceBuffer::append(OpenTrace& open, const SpanBatch& batch, const BatchTrace& part, std::uint32_t generation) {
  std::size_t coming = record_bytes(part.facts.bytes, part.facts.spans);
  for (std::uint32_t s = part.first; s != kNoIndex; s = batch.spans[s].next) {
    const BatchSpan& span = batch.spans[s];
    std::uint32_t& prefix = prefix_of_group_[span.group];
    if (prefix == kNoPrefix) prefix = prefixes_.intern(batch.groups[span.group], generation);
    append_span(chunks_, open, {span.data, span.size}, prefix, {span.id_hash, span.parent_hash}, coming);
  }
  open.facts.merge(part.facts);
}

std::uint32_t TraceBuffer::due_ms(const OpenTrace& open) const {
  if (open.interval != 0) return to_ms(end_of_interval(open.interval) + kIntervalGrace);
  const std::uint32_t hard = open.first_ms + wait_ms_;
  if (after_root_ms_ == 0 || !open.facts.root_seen || open.waits_for_parent) return hard;
  const std::uint32_t soft = open.last_ms + after_root_ms_;
  return later(hard, soft) ? soft : hard;
}

bool TraceBuffer::is_due(OpenTrace& open, std::uint32_t now_ms, CloseReason& reason) {
  if (!later(open.first_ms + wait_ms_, now_ms)) {
    reason = CloseReason::kTimeout;
    return true;
  }
  if (later(due_ms(open), now_ms)) return false;
  // A trace that waited for its interval was found linked before. Spans that came since then do not delay it again.
  if (open.interval == 0) {
    read_links(pool_, open, links_.links);
    if (links_.missing_parents() != 0) {
      open.waits_for_parent = true;
      return false;
    }
  }
  reason = CloseReason::kRoot;
  return true;
}

// Nobody waits with a trace whose verdict is known.
bool TraceBuffer::waits(const OpenTrace& open) const {
  return waits_ != nullptr && (*waits_)(open.id) && !(foregone_ != nullptr && foregone_->find(open.id));
}

void TraceBuffer::put_off(std::uint32_t until_ms) {
  if (!puts_off_ || later(until_ms, put_off_ms_)) put_off_ms_ = until_ms;
  puts_off_ = true;
}

bool TraceBuffer::close_due(TimePoint now, std::size_t max, std::vector<ClosedTrace>& closed) {
  const std::uint32_t now_ms = advance(now);
  bool more = true;
  for (std::size_t n = 0; n < max; ++n) {
    const ChunkRef ref = wheel_.next_due(now_ms);
    if (ref == kNoChunk) {
      more = false;
      break;
    }
    OpenTrace& open = trace(ref);
    look_ahead(open.wheel_next);
    CloseReason reason = CloseReason::kTimeout;
    const bool due = is_due(open, now_ms, reason);
    if (due && !waits(open)) {
      // It may have waited, and now waits for the end of an interval.
      if (!close(ref, reason, now_ms, Wait::kMay, closed) && puts_off_) put_off(due_ms(open));
      continue;
    }
    wheel_.remove(ref);
    wheel_.insert(ref, due ? now_ms + kAskAgainMs : due_ms(open));
    if (due) put_off(now_ms + kAskAgainMs);
  }
  if (!more && puts_off_ && later(now_ms, put_off_ms_)) puts_off_ = false;
  if (const ChunkRef next = wheel_.first(); next != kNoChunk) prefetch_header(next);
  return more;
}

std::size_t TraceBuffer::close_early(CloseReason reason, TimePoint now, std::size_t max,
                                     std::vector<ClosedTrace>& closed) {
  std::size_t n = 0;
  for (; n < max; ++n) {
    const ChunkRef ref = wheel_.first();
    if (ref == kNoChunk) break;
    last_early_wait_ms_ = advance(now) - trace(ref).first_ms;
    close(ref, reason, latest_ms_, Wait::kMayNot, closed);
  }
  return n;
}

Fate TraceBuffer::fate(const TraceId& id) const {
  if (by_id_.find(hash_of(id), [&](ChunkRef r) { return trace(r).id == id; }) != kNoChunk) return Fate::kOpen;
  const std::optional<Verdict> verdict = cache_.find(id);
  if (!verdict) return Fate::kUnknown;
  return verdict->decision == Decision::kSampled ? Fate::kKept : Fate::kNotKept;
}

bool TraceBuffer::close(ChunkRef ref, CloseReason reason, std::uint32_t now_ms, Wait wait,
                        std::vector<ClosedTrace>& closed) {
  OpenTrace& open = trace(ref);
  wheel_.remove(ref);
  const OpenTraceShape shape(pool_, open, links_, [&] { return count_services(open); });
  Verdict verdict;
  std::optional<Foregone::Known> known;
  if (foregone_ != nullptr) known = foregone_->find(open.id);
  const bool unjudged =
      known || reason == CloseReason::kTooLarge || (reason == CloseReason::kShutdown && limits_.drop_on_shutdown);
  if (!unjudged) {
    const std::optional<Verdict> judged = judge(open, reason, wait, shape);
    if (!judged) {
      open.interval = limit_interval(latest_);
      wheel_.insert(ref, due_ms(open));
      return false;
    }
    verdict = *judged;
  }
  verdict.reason = reason;
  const std::uint32_t missing = shape.missing_parents();
  verdict.complete = open.facts.root_seen && missing == 0;
  if (open.shed_step != 0 && verdict.decision == Decision::kSampled) {
    // Only traces above the shedding threshold could come this far, so that threshold is part of their chance.
    const std::uint64_t threshold = tables_.thresholds.value_of(verdict.threshold);
    const std::uint64_t shed = static_cast<std::uint64_t>(open.shed_step) << (kRandomBits - 8);
    verdict.threshold = tables_.thresholds.code_of(
        policies_->use_tracestate() && !legacy_head_ ? std::max(threshold, shed) : kUnknownChance);
  }
  if (known) verdict = known->verdict;
  by_id_.erase(hash_of(open.id), ref);
  cache_.put(open.id, verdict);
  const std::uint64_t order = known ? known->order : log_ != nullptr ? log_->next_order() : 0;
  const std::uint64_t upto = log_ != nullptr ? log_->position() : 0;
  if (log_ != nullptr && !known) decided_.push_back({open.id, verdict, order, upto, false, open.origin});
  if (unjudged) ballots_.clear();
  if (explain_.on()) remember(open, verdict, now_ms, shape);

  const double seconds = static_cast<double>(now_ms - open.first_ms) / 1000;
  const auto bucket = std::lower_bound(kLatencyBounds.begin(), kLatencyBounds.end(), seconds) - kLatencyBounds.begin();
  ++counters_.latency[static_cast<std::size_t>(bucket)];
  counters_.latency_sum += seconds;
  counters_.incomplete[static_cast<std::size_t>(verdict.decision)] += !verdict.complete;
  ++counters_.decided[static_cast<std::size_t>(verdict.decision)][static_cast<std::size_t>(reason)];
  if (verdict.decision == Decision::kSampled) {
    PolicyTally::Row& row = counters_.policies.row(verdict.policy);
    ++row.kept_traces;
    row.kept_spans += open.facts.spans;
    row.kept_bytes += open.facts.bytes;
    ClosedTrace& kept = closed.emplace_back();
    kept.ref = ref;
    kept.verdict = verdict;
    kept.judged_by = policies_;
    kept.order = order;
    kept.upto = upto;
    kept.first = latest_ - std::chrono::milliseconds(latest_ms_ - open.first_ms + 1);
    if (log_ != nullptr) log_->begin_closing();
    if (explain_.on()) note_deciding(open, shape, kept);
    return true;
  }
  (verdict.decision == Decision::kDropped ? counters_.dropped : counters_.not_sampled) += open.facts.spans;
  release(ref);
  return true;
}

std::optional<Verdict> TraceBuffer::judge(OpenTrace& open, CloseReason reason, Wait wait, const TraceShape& shape) {
  const ScanPlan& plan = policies_->plan();
  const std::uint64_t* words = open.word_array();
  if (open.epoch != policies_->epoch()) {
    ask_again(open);
    words = words_.data();
  }
  words_of_judged_ = words;
  JudgedTrace judged{open.id, open.facts, words, words + plan.bit_words(), &shape, reason};
  judged.now = latest_;
  judged.interval = open.interval;
  judged.may_wait = wait == Wait::kMay;
  judged.again = open.interval != 0;
  random_ = judged.random = random_of(open.id, judged.counters);
  legacy_head_ = has_legacy_head(open, judged.counters);
  if (legacy_head_) random_ = judged.random = hashed_randomness(open.id);
  std::optional<Verdict> verdict = policies_->decide(judged, counters_.policies, ballots_);
  if (legacy_head_ && verdict && verdict->threshold != ThresholdTable::kCertainCode)
    verdict->threshold = ThresholdTable::kUnknownCode;  // the head's share is not known
  return verdict;
}

// A trace that waited for its interval was counted before.
bool TraceBuffer::has_legacy_head(const OpenTrace& open, const std::uint64_t* counters) const {
  const std::optional<std::size_t> i = policies_->plan().randomness();
  if (!i || counters[*i] != 0) return false;
  const std::string_view service = open.root_name != 0 ? std::string_view(roots_.at(open.root_name).service) : "";
  if (open.interval != 0) return tables_.legacy_heads.is_legacy(service);
  return tables_.legacy_heads.see(service, randomness_of(open.id), latest_);
}

std::uint64_t TraceBuffer::random_of(const TraceId& id, const std::uint64_t* counters) const {
  const std::optional<std::size_t> i = policies_->plan().randomness();
  return i && counters[*i] != 0 ? counters[*i] & (kNever - 1) : randomness_of(id);
}

// The policies changed while the trace was open: its stored bytes are scanned once more, by the set that judges it.
void TraceBuffer::ask_again(const OpenTrace& open) {
  const ScanPlan& plan = policies_->plan();
  words_.assign(plan.words(), 0);
  attributes_.resize(plan.attribute_keys().size() + 1);
  resource_attributes_.resize(attributes_.size());
  gather_payload(pool_, open, payload_);
  std::uint32_t last_prefix = kNoPrefix;
  std::uint64_t bytes = 0;
  SpanContext context;
  context.resource_attributes = resource_attributes_.data();
  context.now_unix_ns = wall_at_origin_ns_ + static_cast<std::uint64_t>((latest_ - origin_).count());
  for_each_span(payload_, [&](std::uint32_t number, ByteView span) {
    if (number != last_prefix) {
      const Prefix& prefix = prefixes_.at(number);
      context.resource = prefix.resource();
      context.scope = prefix.scope;
      ask_resource(plan, context.resource, resource_attributes_.data(), words_.data());
      bytes += context.resource.size() + context.scope.size() + 6;
    }
    last_prefix = number;
    SpanFields fields;
    INVARIANT(scan_span(span, plan, fields, attributes_.data()));  // it was scanned once before
    fields.context = &context;
    ask_span(plan, fields, words_.data());
    bytes += 1 + pb::varint_size(span.size()) + span.size();
  });
  // Where one request ended and the next began is not known any more, so this is only close to the true number.
  if (const std::optional<std::size_t> i = plan.request_bytes()) words_[plan.bit_words() + *i] = bytes;
}

std::uint32_t TraceBuffer::count_services(const OpenTrace& open) {
  gather_payload(pool_, open, payload_);
  std::vector<std::uint32_t> numbers;
  for_each_span(payload_, [&](std::uint32_t number, ByteView) {
    if (numbers.empty() || numbers.back() != number) numbers.push_back(number);
  });
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  std::vector<ByteView> names;
  for (const std::uint32_t number : numbers) names.push_back(prefixes_.at(number).service);
  std::sort(names.begin(), names.end());
  return static_cast<std::uint32_t>(std::unique(names.begin(), names.end()) - names.begin());
}

bool TraceBuffer::sheds(const SpanBatch& batch, const BatchTrace& part, std::uint32_t index, std::uint32_t now_ms) {
  std::uint64_t random = randomness_of(part.id);
  const ScanPlan& plan = policies_->plan();
  if (plan.randomness() && batch.policy_epoch == plan.epoch) {
    const std::uint64_t explicit_random = batch.words_of(index)[plan.bit_words() + *plan.randomness()];
    if (explicit_random != 0) {
      random = explicit_random & (kNever - 1);
    } else if (part.root_group != kNoIndex) {
      const ByteView service = service_name(batch.groups[part.root_group].resource);
      if (tables_.legacy_heads.is_legacy(service.substr(0, RootNames::kServiceBytes)))
        random = hashed_randomness(part.id);
    }
  }
  if (random >> (kRandomBits - 8) >= shed_step_) return false;
  Verdict verdict;
  verdict.reason = CloseReason::kMemory;
  verdict.shed = true;
  cache_.put(part.id, verdict);
  if (log_ != nullptr)
    decided_.push_back({part.id, verdict, log_->next_order(), log_->position(), false, batch.origin});
  counters_.shed[static_cast<std::size_t>(Shed::kOverload)] += part.facts.spans;
  ++counters_.shed_traces;
  if (explain_.on()) {
    ballots_.clear();
    ExplainRecord& record = explain_.put(part.id, ballots_);
    record.random = random;
    record.duration_ns = part.facts.duration_ns();
    record.bytes = part.facts.bytes;
    record.first_ms = record.closed_ms = now_ms;
    record.spans = part.facts.spans;
    record.errors = part.facts.errors;
    record.verdict = verdict;
    record.shed = static_cast<std::uint8_t>(static_cast<int>(Shed::kOverload) + 1);
    record.shed_step = shed_step_;
    if (part.root_group != kNoIndex)
      record.set_root(service_name(batch.groups[part.root_group].resource), part.root_name);
  }
  return true;
}

void TraceBuffer::count_late(const Verdict& verdict, const BatchTrace& part, std::uint32_t index, AddResult& result) {
  const std::uint32_t spans = part.facts.spans;
  counters_.late[static_cast<std::size_t>(verdict.decision)] += spans;
  if (verdict.decision == Decision::kNotSampled && !verdict.shed) {
    counters_.late_errors[static_cast<std::size_t>(verdict.reason)] += part.facts.errors;
  }
  if (ExplainRecord* const record = explain_.find(part.id)) {
    record->late_spans += spans;
    record->late_errors += part.facts.errors;
  }
  switch (verdict.decision) {
    case Decision::kSampled:
      counters_.held += spans;  // until settle_late
      counters_.held_bytes += part.facts.bytes;
      result.late.push_back({index, verdict});
      return;
    case Decision::kNotSampled:
      (verdict.shed ? counters_.shed[static_cast<std::size_t>(Shed::kOverload)] : counters_.not_sampled) += spans;
      return;
    case Decision::kDropped:
      counters_.dropped += spans;
      return;
  }
}

void TraceBuffer::release(ChunkRef ref) {
  const OpenTrace& open = trace(ref);
  counters_.held -= open.facts.spans;
  counters_.held_bytes -= open.facts.bytes;
  prefixes_.uncount_trace(open.first_ms / kGenerationMs);
  if (open.root_name != 0 && roots_.remove(open.root_name)) budget_.release(Holder::kTraces, RootNames::kEntryBytes);
  budget_.release(Holder::kTraces, open.pool_bytes() + kMapBytes);
  free_trace(chunks_, ref);
}

void TraceBuffer::settle(const ClosedTrace& closed, const SettledSpans& settled) {
  const auto& [malformed, shed] = settled;
  const std::uint32_t spans = trace(closed.ref).facts.spans - malformed;
  counters_.shed[static_cast<std::size_t>(Shed::kMalformed)] += malformed;
  (shed ? counters_.shed[static_cast<std::size_t>(*shed)] : counters_.forwarded) += spans;
  if (ExplainRecord* const record = explain_.find(trace(closed.ref).id)) {
    if (shed) record->shed = static_cast<std::uint8_t>(static_cast<int>(*shed) + 1);
    for (std::size_t i = 0; i < closed.deciding_count; ++i) {
      ExplainDetail& detail = explain_.detail(*record);
      if (detail.vote_count == ExplainDetail::kVotes) break;
      const ClosedTrace::Deciding& by = closed.deciding[i];
      detail.votes[detail.vote_count++] = {by.span_id, by.bit, by.policy};
    }
  }
  release(closed.ref);
}

void TraceBuffer::settle_late(const TraceFacts& late, const SettledSpans& settled) {
  const auto& [malformed, shed] = settled;
  counters_.held -= late.spans;
  counters_.held_bytes -= late.bytes;
  counters_.shed[static_cast<std::size_t>(Shed::kMalformed)] += malformed;
  (shed ? counters_.shed[static_cast<std::size_t>(*shed)] : counters_.forwarded) += late.spans - malformed;
}

std::size_t TraceBuffer::tidy(TimePoint now) {
  const std::size_t before = prefixes_.bytes();
  prefixes_.evict(advance(now) / kGenerationMs);
  return before - prefixes_.bytes();
}

Duration TraceBuffer::until_due(TimePoint now) const {
  if (wheel_.empty()) return Duration::max();
  return std::chrono::milliseconds(static_cast<std::int32_t>(wheel_.next_ms() - to_ms(now)));
}

}  // namespace tailgate
