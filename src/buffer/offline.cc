// SPDX-License-Identifier: Apache-2.0
#include "buffer/offline.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "base/hash.h"
#include "base/invariant.h"
#include "decide/words.h"

namespace tailgate {
namespace {

constexpr std::uint64_t kSeed = 0x7a11;  // of ids' hashes; the same each time, so that a run can be repeated

}  // namespace

std::size_t OfflineJudge::IdHash::operator()(const TraceId& id) const { return hash_bytes(id.view(), kSeed); }

class OfflineJudge::Shape final : public TraceShape {
 public:
  Shape(const Trace& trace, const std::vector<Group>& groups, LinkScan& scan)
      : trace_(trace), groups_(groups), scan_(scan) {
    scan_.links.clear();
    for (const Span& span : trace.spans) scan_.links.push_back(span.link);
  }
  std::uint32_t missing_parents() const override {
    if (!missing_) missing_ = scan_.missing_parents();
    return *missing_;
  }
  std::uint32_t depth() const override { return scan_.depth(); }
  std::uint32_t services() const override {
    std::set<std::uint32_t> seen;
    std::set<ByteView> names;
    for (const Span& span : trace_.spans) {
      if (seen.insert(span.group).second) names.insert(service_name(groups_[span.group].resource));
    }
    return static_cast<std::uint32_t>(names.size());
  }

 private:
  const Trace& trace_;
  const std::vector<Group>& groups_;
  LinkScan& scan_;
  mutable std::optional<std::uint32_t> missing_;
};

// The stored answers on a trace do not say which span gave them, nor what the other spans said. So this asks the spans
// again, one by one.
class OfflineJudge::Seen final : public SeenValues {
 public:
  Seen(const OfflineJudge& judge, const Trace& trace)
      : plan_(judge.policies_->plan()), first_(plan_.predicates.size()), values_(plan_.attribute_keys().size()) {
    std::vector<ByteView> attributes(values_.size() + 1), resource_attributes(attributes.size());
    std::vector<std::uint64_t> resource_words(plan_.words()), words(plan_.words());
    SpanContext context;
    context.again = true;
    context.resource_attributes = resource_attributes.data();
    std::uint32_t last_group = kNoIndex;
    for (const Span& span : trace.spans) {
      if (span.group != last_group) {
        const Group& group = judge.groups_[span.group];
        context.resource = group.resource;
        context.scope = group.scope;
        context.now_unix_ns = group.now_unix_ns;
        std::fill(resource_words.begin(), resource_words.end(), 0);
        ask_resource(plan_, context.resource, resource_attributes.data(), resource_words.data());
        last_group = span.group;
      }
      SpanFields fields;
      INVARIANT(scan_span(span.bytes, plan_, fields, attributes.data()));  // it was scanned once before
      fields.context = &context;
      words = resource_words;
      ask_span(plan_, fields, words.data());
      take(fields, words.data(), resource_words.data());
    }
  }

  std::string value(std::size_t bit, std::string_view attribute) const override {
    const std::vector<std::string>& keys = plan_.attribute_keys();
    const auto slot = static_cast<std::size_t>(std::find(keys.begin(), keys.end(), attribute) - keys.begin());
    if (slot == keys.size()) return "";
    if (first_[bit].span) {
      const ByteView own = first_[bit].attributes[slot];
      return own.data() != nullptr ? value_words(own) : "";
    }
    const std::vector<ByteView>& values = values_[slot];
    std::string out = values.empty() ? "on no span" : "";
    for (std::size_t i = 0; i < std::min(values.size(), kValues); ++i)
      out += (i == 0 ? "" : ", ") + value_words(values[i]);
    return values.size() > kValues ? out + " and others" : out;
  }
  std::optional<SpanId> span_of(std::size_t bit) const { return first_[bit].span; }

 private:
  static constexpr std::size_t kValues = 3;  // different ones of an attribute

  // A span's attribute hides its resource's, unless it was the resource that was asked.
  void take(const SpanFields& fields, const std::uint64_t* words, const std::uint64_t* resource_words) {
    const auto is_set = [](const std::uint64_t* of, std::size_t bit) { return (of[bit >> 6] >> (bit & 63) & 1) != 0; };
    const auto value_of = [&](std::size_t slot, bool of_resource = false) {
      const ByteView own = of_resource ? ByteView() : fields.attributes[slot];
      return own.data() != nullptr ? own : fields.context->resource_attributes[slot];
    };
    for (std::size_t slot = 0; slot < values_.size(); ++slot) {
      std::vector<ByteView>& known = values_[slot];
      if (known.size() > kValues) continue;
      const ByteView value = value_of(slot);
      if (value.data() != nullptr && std::find(known.begin(), known.end(), value) == known.end())
        known.push_back(value);
    }
    for (std::size_t bit = 0; bit < first_.size(); ++bit) {
      if (first_[bit].span || !is_set(words, bit)) continue;
      first_[bit].span = SpanId::from(fields.span_id.data());
      for (std::size_t slot = 0; slot < values_.size(); ++slot)
        first_[bit].attributes.push_back(value_of(slot, is_set(resource_words, bit)));
    }
  }

  struct First {
    std::optional<SpanId> span;  // the first of which the predicate is true
    std::vector<ByteView> attributes;
  };
  const ScanPlan& plan_;
  std::vector<First> first_;                   // by bit
  std::vector<std::vector<ByteView>> values_;  // by slot: the first few different KeyValues
};

OfflineJudge::OfflineJudge(PolicySetPtr policies, const BufferLimits& limits)
    : policies_(std::move(policies)), limits_(limits) {
  policies_->activate();
}

ScanResult OfflineJudge::add(std::string otlp) {
  requests_.push_back(std::move(otlp));
  const ByteView request = requests_.back();

  // The first scan asks no questions: it finds out whether the request is well formed and when its last span ended.
  static const ScanPlan kNothing;
  std::uint64_t end_ns = 0;
  const auto look = [&](const SpanBatch& batch) {
    for (const BatchTrace& trace : batch.traces) end_ns = std::max(end_ns, trace.facts.end_max_ns);
    return true;
  };
  batch_.clear();
  batch_.hash_seed = kSeed;
  ScanResult result = scan_request(request, kNothing, batch_, look);
  if (!result.ok) {
    requests_.pop_back();
    return result;
  }
  look(batch_);

  batch_.clear();
  batch_.now_unix_ns = end_ns;
  const auto keep = [&](SpanBatch& batch) {
    take(batch);
    return true;
  };
  result = scan_request(request, policies_->plan(), batch_, keep);
  take(batch_);
  return result;
}

void OfflineJudge::take(SpanBatch& batch) {
  const auto first_group = static_cast<std::uint32_t>(groups_.size());
  for (const ScopeGroup& group : batch.groups) groups_.push_back({group.resource, group.scope, batch.now_unix_ns});
  if (!batch.scratch.empty()) scratch_.push_back(std::exchange(batch.scratch, {}));
  for (std::uint32_t t = 0; t < batch.traces.size(); ++t) {
    const BatchTrace& part = batch.traces[t];
    const auto [at, is_new] = by_id_.try_emplace(part.id, static_cast<std::uint32_t>(traces_.size()));
    if (is_new) traces_.push_back({part.id, {}, std::vector<std::uint64_t>(batch.words_per_trace), {}});
    Trace& trace = traces_[at->second];
    trace.facts.merge(part.facts);
    policies_->plan().merge(trace.words.data(), batch.words_of(t));
    for (std::uint32_t s = part.first; s != kNoIndex; s = batch.spans[s].next) {
      const BatchSpan& span = batch.spans[s];
      trace.spans.push_back(
          {ByteView(span.data, span.size), first_group + span.group, {span.id_hash, span.parent_hash}});
    }
  }
}

// Intervals are numbered in 32 bits of seconds, so an end beyond these is cut to the latest that has a number.
TimePoint OfflineJudge::end_of(const Trace& trace) {
  constexpr std::uint64_t kLatest = (UINT32_MAX - 2ULL) * 1'000'000'000ULL;
  return TimePoint(Duration(static_cast<std::int64_t>(std::min(trace.facts.end_max_ns, kLatest))));
}

CloseReason OfflineJudge::reason_of(const Trace& trace, const TraceShape& shape) const {
  const std::uint64_t largest = limits_.maximum_trace_size_bytes;
  if (largest != 0 && trace.facts.bytes > largest) return CloseReason::kTooLarge;
  if (trace.facts.bytes >= limits_.trace_bytes_max || trace.facts.spans >= limits_.trace_spans_max) {
    return CloseReason::kSize;
  }
  const bool by_root = limits_.decision_wait_after_root > Duration::zero() && trace.facts.root_seen;
  return by_root && shape.missing_parents() == 0 ? CloseReason::kRoot : CloseReason::kTimeout;
}

std::vector<OfflineTrace> OfflineJudge::finish(const std::function<bool()>& stop) {
  std::vector<std::optional<OfflineTrace>> judged(traces_.size());
  std::vector<std::uint32_t> order(traces_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return end_of(traces_[a]) < end_of(traces_[b]); });
  // Limits that choose by randomness see all candidates of an interval before any of them is answered.
  std::vector<std::uint32_t> waiting;
  bool stopped = false;
  const auto judge_one = [&](std::uint32_t t, std::uint32_t interval) {
    stopped = stopped || (stop && stop());
    if (stopped) return true;
    OfflineTrace trace;
    const bool done = judge(traces_[t], interval, trace);
    if (done) judged[t] = std::move(trace);
    return done;
  };
  for (std::size_t i = 0; i < order.size() && !stopped;) {
    const std::uint32_t interval = limit_interval(end_of(traces_[order[i]]));
    waiting.clear();
    for (; i < order.size() && limit_interval(end_of(traces_[order[i]])) == interval; ++i) {
      if (!judge_one(order[i], 0)) waiting.push_back(order[i]);
    }
    for (const std::uint32_t t : waiting) INVARIANT(judge_one(t, interval));
  }
  std::vector<OfflineTrace> out;
  out.reserve(judged.size());
  for (std::optional<OfflineTrace>& trace : judged) {
    if (trace) out.push_back(std::move(*trace));
  }
  return out;
}

bool OfflineJudge::judge(const Trace& trace, std::uint32_t interval, OfflineTrace& out) {
  out.id = trace.id;
  out.facts = trace.facts;
  const Shape shape(trace, groups_, links_);
  const CloseReason reason = reason_of(trace, shape);
  if (reason != CloseReason::kTooLarge) {
    const ScanPlan& plan = policies_->plan();
    const std::uint64_t* const words = trace.words.data();
    JudgedTrace judged{trace.id, trace.facts, words, words + plan.bit_words(), &shape, reason};
    judged.now = interval == 0 ? end_of(trace) : end_of_interval(interval);
    judged.interval = interval;
    judged.again = interval != 0;
    judged.random = randomness_of(trace.id);
    if (const auto i = plan.randomness(); i && judged.counters[*i] != 0) {
      judged.random = judged.counters[*i] & (kNever - 1);
    }
    const std::optional<Verdict> verdict = policies_->decide(judged, tally_, ballots_);
    if (!verdict) return false;
    out.verdict = *verdict;
    explain(judged, trace, out.votes);
  }
  out.verdict.reason = reason;
  out.verdict.complete = trace.facts.root_seen && shape.missing_parents() == 0;
  return true;
}

void OfflineJudge::explain(const JudgedTrace& judged, const Trace& trace, std::vector<OfflineVote>& votes) const {
  const Seen seen(*this, trace);
  for (std::size_t i = 0; i < ballots_.size(); ++i) {
    const Ballot& one = ballots_[i];
    if (one.vote == Vote::kNotAsked) continue;
    const Policy& policy = policies_->policy(i);
    OfflineVote& vote = votes.emplace_back();
    vote.policy = policies_->number_of(i);
    vote.vote = one.vote;
    vote.threshold = one.threshold;
    vote.why = policy.why({judged, one.vote, &seen});
    const int bit = one.vote == Vote::kSampled || one.vote == Vote::kDropped ? policy.deciding_bit(judged) : -1;
    if (bit < 0) continue;
    vote.span = seen.span_of(static_cast<std::size_t>(bit));
    if (vote.span) vote.attribute = policies_->attribute_of(static_cast<std::size_t>(bit));
  }
}

}  // namespace tailgate
