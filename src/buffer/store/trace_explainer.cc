// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/trace_explainer.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/enum_names.h"

namespace tailgate {
namespace {

constexpr std::size_t kLookedAt = 100'000;   // records of a shard for one list
constexpr std::size_t kLookedAtOnce = 1000;  // in one hold of the lock
// By Vote; the log never holds kPending.
constexpr std::array<std::string_view, 4> kVoteNames = {"not_asked", "not_sampled", "sampled", "dropped"};
static_assert(names_end_with(kVoteNames, Vote::kDropped, "dropped"));

std::string hex_of(std::uint64_t id_bytes) {
  SpanId id;
  std::memcpy(id.bytes.data(), &id_bytes, sizeof id_bytes);
  return id.hex();
}

}  // namespace

Explanation TraceExplainer::explanation(Shard& shard, TraceBuffer::Remembered&& what) const {
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
    const MutexLock lock(shard.mutex);
    out.first_seen_unix_ns = shard.buffer.wall_ns(record.first_ms);
    if (out.decided) out.decided_unix_ns = shard.buffer.wall_ns(record.closed_ms);
  }
  out.duration_ns = record.duration_ns;
  out.spans = record.spans;
  out.errors = record.errors;
  out.late_spans = record.late_spans;
  out.late_errors = record.late_errors;
  out.bytes = record.bytes;
  out.root_service = std::move(what.service);
  out.root_name = std::move(what.name);
  out.random = record.random;
  out.shed_threshold = static_cast<std::uint64_t>(record.shed_step) << (kRandomBits - 8);
  out.threshold = tables_.thresholds.value_of(record.verdict.threshold);
  explain_votes(what, out);
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

void TraceExplainer::explain_votes(const TraceBuffer::Remembered& what, Explanation& out) const {
  const PolicySetPtr set = out.decided ? policies_.of_epoch(what.record.epoch) : nullptr;
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
}

std::optional<Explanation> TraceExplainer::explain(const TraceId& id) const {
  Shard& shard = shards_.of(id);
  std::optional<TraceBuffer::Remembered> what;
  {
    const MutexLock lock(shard.mutex);
    what = shard.buffer.explain(id);
  }
  if (!what) return std::nullopt;
  return explanation(shard, std::move(*what));
}

std::vector<Explanation> TraceExplainer::recent(const ExplainQuery& query) const {
  std::vector<Explanation> all;
  const std::optional<std::uint16_t> policy = query.policy.empty() ? 0 : tables_.names.find(query.policy);
  if (!policy) return all;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    std::vector<TraceBuffer::Remembered> found;
    std::uint64_t written = 0;  // when the first of them was looked at
    for (std::uint64_t age = 0; age < kLookedAt && found.size() < query.limit; age += kLookedAtOnce) {
      const MutexLock lock(shard->mutex);
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
