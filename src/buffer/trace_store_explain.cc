// TraceStore: why traces were kept or not.
#include <algorithm>
#include <array>

#include "buffer/trace_store_impl.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

constexpr std::size_t kLookedAt = 100'000;   // records of a shard for one list
constexpr std::size_t kLookedAtOnce = 1000;  // in one hold of the lock
constexpr std::array<std::string_view, 4> kVoteNames = {"not_asked", "not_sampled", "sampled", "dropped"};

std::string hex_of(std::uint64_t id_bytes) {
  SpanId id;
  std::memcpy(id.bytes.data(), &id_bytes, sizeof id_bytes);
  return id.hex();
}

}  // namespace

// Asks the predicates that kept a trace again, of its framed spans, for the first span that each is true of. Now() is
// the moment of closing here: when each span came is not remembered.
void TraceStore::find_deciding_spans(Work& work, std::uint64_t now_unix_ns, ClosedTrace& closed) const {
  if (closed.deciding_count == 0) return;
  const ScanPlan& plan = closed.judged_by->plan();
  std::vector<ByteView> attributes(plan.attribute_keys().size() + 1), resource_attributes(attributes.size());
  std::vector<std::uint64_t> words;
  SpanContext context;
  context.now_unix_ns = now_unix_ns;
  context.again = true;
  context.resource_attributes = resource_attributes.data();
  std::size_t left = closed.deciding_count;
  for (const FrameSpan& span : work.frame) {
    if (span.resource.data() != context.resource.data() || words.empty()) {
      words.assign(plan.words(), 0);
      ask_resource(plan, span.resource, resource_attributes.data(), words.data());
    }
    context.resource = span.resource;
    context.scope = span.scope;
    SpanFields fields;
    if (!scan_span(span.span, plan, fields, attributes.data())) continue;
    fields.context = &context;
    for (std::size_t i = 0; i < closed.deciding_count; ++i) {
      ClosedTrace::Deciding& by = closed.deciding[i];
      if (by.span_id != 0) continue;
      const bool by_resource = (words[by.bit >> 6] >> (by.bit & 63) & 1) != 0;
      if (!by_resource && !plan.predicates[by.bit]->on_span(fields)) continue;
      by.span_id = load_le<std::uint64_t>(fields.span_id.data());
      --left;
    }
    if (left == 0) return;
  }
}

PolicySetPtr TraceStore::policies_of(std::uint32_t epoch) const {
  const std::lock_guard lock(policies_mutex_);
  if (policies_->epoch() == epoch) return policies_;
  for (const PolicySetPtr& set : past_) {
    if (set->epoch() == epoch) return set;
  }
  return nullptr;
}

Explanation TraceStore::explanation(const Shard& shard, TraceBuffer::Remembered&& what) const {
  const ExplainRecord& record = what.record;
  Explanation out;
  out.id = record.id;
  out.decided = !what.open;
  out.verdict = record.verdict;
  if (record.verdict.policy != 0) out.policy = tables_.names.name_of(record.verdict.policy);
  if (record.shed != 0) out.shed = kShedReasons[record.shed - 1u];
  out.complete = record.verdict.complete;
  out.missing_count = record.missing;
  {
    const std::lock_guard lock(shard.mutex);
    out.first_seen_unix_ns = shard.buffer.wall_ns(record.first_ms);
    if (out.decided) out.decided_unix_ns = shard.buffer.wall_ns(record.closed_ms);
  }
  out.duration_ns = record.duration_ns;
  out.spans = record.spans;
  out.errors = record.errors;
  out.late_spans = record.late_spans;
  out.bytes = record.bytes;
  out.root_service = std::move(what.service);
  out.root_name = std::move(what.name);
  out.random = record.random;
  out.shed_threshold = static_cast<std::uint64_t>(record.shed_step) << (kRandomBits - 8);
  out.threshold = tables_.thresholds.value_of(record.verdict.threshold);
  const PolicySetPtr set = out.decided ? policies_of(record.epoch) : nullptr;
  for (std::size_t i = 0; set != nullptr && i < what.votes.size() && i < set->size(); ++i) {
    if (what.votes[i] == Vote::kNotAsked) continue;
    ExplainedVote vote{tables_.names.name_of(set->number_of(i)),
                       std::string(kVoteNames[static_cast<std::size_t>(what.votes[i])]),
                       {},
                       {}};
    for (std::size_t k = 0; what.detail && k < what.detail->vote_count; ++k) {
      const ExplainDetail::Vote& by = what.detail->votes[k];
      if (by.policy != i) continue;
      if (by.span_id != 0) vote.span_id = hex_of(by.span_id);
      vote.attribute = set->attribute_of(by.bit);
    }
    out.votes.push_back(std::move(vote));
  }
  for (std::size_t k = 0; what.detail && k < what.detail->missing_count; ++k) {
    out.missing_parents.push_back(hex_of(what.detail->missing[k]));
  }
  const std::uint64_t exporters =
      record.verdict.decision == Decision::kSampled ? tables_.routes.exporters_of(record.verdict.route) : 0;
  for (std::size_t i = 0; i < 64; ++i) {
    if ((exporters >> i & 1) != 0) out.exporters.push_back(i);
  }
  return out;
}

std::optional<Explanation> TraceStore::explain(const TraceId& id) const {
  Shard& shard = *shards_[shard_of(hash_bytes(id.view(), seed_))];
  std::optional<TraceBuffer::Remembered> what;
  {
    const std::lock_guard lock(shard.mutex);
    what = shard.buffer.explain(id);
  }
  if (!what) return std::nullopt;
  return explanation(shard, std::move(*what));
}

std::vector<Explanation> TraceStore::explain_recent(const ExplainQuery& query) const {
  std::vector<Explanation> all;
  const std::optional<std::uint16_t> policy = query.policy.empty() ? 0 : tables_.names.find(query.policy);
  if (!policy) return all;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    std::vector<TraceBuffer::Remembered> found;
    std::uint64_t written = 0;  // when the first of them was looked at
    for (std::uint64_t age = 0; age < kLookedAt && found.size() < query.limit; age += kLookedAtOnce) {
      const std::lock_guard lock(shard->mutex);
      if (age == 0) written = shard->buffer.records_written();
      for (std::uint64_t a = age; a < age + kLookedAtOnce && found.size() < query.limit; ++a) {
        const ExplainRecord* const record = shard->buffer.recent(a, written);
        if (record == nullptr) {
          age = kLookedAt;
          break;
        }
        const bool fits = (query.decision.empty() ||
                           query.decision == kDecisionNames[static_cast<std::size_t>(record->verdict.decision)]) &&
                          (*policy == 0 || record->verdict.policy == *policy);
        if (fits) found.push_back(shard->buffer.remembered(*record));
      }
    }
    for (TraceBuffer::Remembered& what : found) all.push_back(explanation(*shard, std::move(what)));
  }
  std::sort(all.begin(), all.end(),
            [](const Explanation& a, const Explanation& b) { return a.decided_unix_ns > b.decided_unix_ns; });
  if (all.size() > query.limit) all.resize(query.limit);
  return all;
}

}  // namespace tailgate
