// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/trace_explainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/enum_names.h"
#include "decide/glob.h"

namespace tailgate {
namespace {

constexpr std::size_t kLookedAt = 100'000;   // records of a shard for one list
constexpr std::size_t kLookedAtOnce = 1000;  // in one hold of the lock
constexpr std::size_t kNamesListed = 100;    // in an error
// Of a pattern, which is matched against names while a shard's lock is held.
constexpr std::size_t kPatternBytes = 1000;
constexpr std::ptrdiff_t kPatternStars = 16;
// By Vote; the log never holds kPending.
constexpr std::array<std::string_view, 4> kVoteNames = {"not_asked", "not_sampled", "sampled", "dropped"};
static_assert(names_end_with(kVoteNames, Vote::kDropped, "dropped"));

std::string hex_of(std::uint64_t id_bytes) {
  SpanId id;
  std::memcpy(id.bytes.data(), &id_bytes, sizeof id_bytes);
  return id.hex();
}

// A trace as far as it is remembered.
class RememberedShape final : public TraceShape {
 public:
  explicit RememberedShape(const ExplainRecord& record) : record_(record) {}
  std::uint32_t missing_parents() const override { return record_.missing; }
  std::uint32_t depth() const override { return record_.depth; }
  std::uint32_t services() const override { return record_.services; }

 private:
  const ExplainRecord& record_;
};

// The values that a trace had where no wanted value matched. A value that matched is among the wanted ones.
class RememberedValues final : public SeenValues {
 public:
  RememberedValues(const ExplainValues& values, const PolicySet& set, const JudgedTrace& trace)
      : values_(values), keys_(set.plan().attribute_keys()), trace_(trace) {}
  std::string value(std::size_t bit, std::string_view attribute) const override {
    const auto slot = static_cast<std::size_t>(std::find(keys_.begin(), keys_.end(), attribute) - keys_.begin());
    return slot == keys_.size() || trace_.bit(bit) ? "" : values_.words(slot);
  }

 private:
  const ExplainValues& values_;
  const std::vector<std::string>& keys_;
  const JudgedTrace& trace_;
};

TraceFacts facts_of(const ExplainRecord& record) {
  TraceFacts facts;
  facts.start_min_ns = 1;  // only the duration is known
  facts.end_max_ns = 1 + static_cast<std::uint64_t>(std::max<std::int64_t>(record.duration_ns, 0));
  facts.bytes = record.bytes;
  facts.spans = record.spans;
  facts.errors = record.errors;
  facts.root_seen = record.root_seen;
  return facts;
}

// Long names are remembered without their ends, so a name that may have been cut fits a longer text that begins with
// it.
bool fits(const Glob& wanted, const std::string& text, ByteView name) {
  constexpr std::size_t kMayBeCut = 32;
  return wanted.matches(name) || (name.size() >= kMayBeCut && text.starts_with(name));
}

class Wanted {
 public:
  Wanted(const ExplainQuery& query, const std::vector<std::uint16_t>& policies)
      : query_(query), policies_(policies), service_(query.service), root_(query.root) {}
  bool operator()(const ExplainRecord& record) const {
    return (query_.decision.empty() ||
            query_.decision == kDecisionNames[static_cast<std::size_t>(record.verdict.decision)]) &&
           (query_.policy.empty() ||
            std::find(policies_.begin(), policies_.end(), record.verdict.policy) != policies_.end()) &&
           (query_.service.empty() || fits(service_, query_.service, record.service())) &&
           (query_.root.empty() || fits(root_, query_.root, record.name()));
  }

 private:
  const ExplainQuery& query_;
  const std::vector<std::uint16_t>& policies_;
  Glob service_, root_;
};

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
  out.verdict_only = what.verdict_only;
  out.missing_count = record.missing;
  if (!what.verdict_only) {
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
  const PolicySetPtr set = out.decided && !out.verdict_only ? policies_.of_epoch(what.record.epoch) : nullptr;
  if (set == nullptr) return;
  const RememberedShape shape(what.record);
  const TraceFacts facts = facts_of(what.record);
  const bool reasons = what.words.size() == set->plan().words();
  const std::uint64_t* const words = reasons ? what.words.data() : nullptr;
  const std::uint64_t* const counters = reasons ? words + set->plan().bit_words() : nullptr;
  JudgedTrace judged{what.record.id, facts, words, counters, &shape, what.record.verdict.reason};
  judged.random = what.record.random;
  judged.again = true;
  const ExplainValues noted = what.values.value_or(ExplainValues());
  const RememberedValues values(noted, *set, judged);
  for (std::size_t i = 0; i < what.votes.size() && i < set->size(); ++i) {
    if (what.votes[i] == Vote::kNotAsked) continue;
    ExplainedVote vote{tables_.names.name_of(set->number_of(i)),
                       std::string(kVoteNames[static_cast<std::size_t>(what.votes[i])]),
                       {},
                       {},
                       reasons ? set->policy(i).why({judged, what.votes[i], &values}) : ""};
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

Result<std::vector<Explanation>> TraceExplainer::recent(const ExplainQuery& query) const {
  const std::vector<std::uint16_t> policies = tables_.names.find(query.policy);
  if (!query.policy.empty() && policies.empty()) {
    std::string known;
    const std::size_t names = tables_.names.size();
    for (std::size_t i = 1; i < std::min(names, kNamesListed + 1); ++i)
      known += (i == 1 ? "" : ", ") + tables_.names.name_of(static_cast<std::uint16_t>(i));
    if (names > kNamesListed + 1) known += fmt::format(" and {} more", names - kNamesListed - 1);
    return fail(ErrorKind::kBadInput, "policy: expected one of " + known + ", got '" + query.policy + "'");
  }
  const Wanted wanted(query, policies);
  for (const std::string& pattern : {query.service, query.root}) {
    const auto stars = std::count(pattern.begin(), pattern.end(), '*');
    if (pattern.size() > kPatternBytes || stars > kPatternStars || !Glob(pattern).good()) {
      return fail(ErrorKind::kBadInput, fmt::format("service and root: expected at most {} bytes and {} stars",
                                                    kPatternBytes, kPatternStars));
    }
  }
  struct Found {
    std::uint64_t decided_unix_ns;
    Shard* shard;
    TraceBuffer::Remembered what;
  };
  std::vector<Found> all;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    std::size_t found = 0;
    std::uint64_t written = 0;  // when the first of them was looked at
    for (std::uint64_t age = 0; age < kLookedAt && found < query.limit; age += kLookedAtOnce) {
      const MutexLock lock(shard->mutex);
      if (age == 0) written = shard->buffer.records_written();
      for (std::uint64_t a = age; a < age + kLookedAtOnce && found < query.limit; ++a) {
        const ExplainRecord* const record = shard->buffer.recent(a, written);
        if (record == nullptr) {
          age = kLookedAt;
          break;
        }
        if (!wanted(*record)) continue;
        all.push_back({shard->buffer.wall_ns(record->closed_ms), shard.get(), shard->buffer.remembered(*record)});
        ++found;
      }
    }
  }
  std::sort(all.begin(), all.end(),
            [](const Found& a, const Found& b) { return a.decided_unix_ns > b.decided_unix_ns; });
  // The words cost more than the search, so only the explanations that are shown get them.
  std::vector<Explanation> out;
  for (std::size_t i = 0; i < std::min(all.size(), query.limit); ++i)
    out.push_back(explanation(*all[i].shard, std::move(all[i].what)));
  return out;
}

}  // namespace tailgate
