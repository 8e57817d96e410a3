// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/store_report.h"

#include <array>

namespace tailgate {
namespace {

template <class N, std::size_t kSize>
void add(std::array<N, kSize>& sum, const std::array<N, kSize>& more) {
  for (std::size_t i = 0; i < kSize; ++i) sum[i] += more[i];
}

void add(PolicyTally& sum, const PolicyTally& more) {
  for (std::size_t p = 0; p < more.rows.size(); ++p) {
    const PolicyTally::Row& from = more.rows[p];
    PolicyTally::Row& to = sum.row(static_cast<std::uint16_t>(p));
    to.sampled += from.sampled;
    to.not_sampled += from.not_sampled;
    to.dropped += from.dropped;
    to.kept_traces += from.kept_traces;
    to.kept_spans += from.kept_spans;
    to.kept_bytes += from.kept_bytes;
  }
  for (std::size_t p = 0; p < more.shadows.size(); ++p) {
    const PolicyTally::Shadow& from = more.shadows[p];
    PolicyTally::Shadow& to = sum.shadow(static_cast<std::uint16_t>(p));
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
}

// All members are named, so that one that is added to BufferCounters does not compile until it is added up here.
void add(BufferCounters& sum, const BufferCounters& more) {
  const auto& [received, received_bytes, forwarded, not_sampled, dropped, shed, handed_over, forgotten, incomplete,
               shed_traces, held, held_bytes, late, decided, late_errors, latency, latency_sum, policies] = more;
  add(sum.received, received);
  sum.received_bytes += received_bytes;
  sum.forwarded += forwarded;
  sum.not_sampled += not_sampled;
  sum.dropped += dropped;
  add(sum.shed, shed);
  sum.handed_over += handed_over;
  sum.forgotten += forgotten;
  add(sum.incomplete, incomplete);
  sum.shed_traces += shed_traces;
  sum.held += held;
  sum.held_bytes += held_bytes;
  add(sum.late, late);
  for (std::size_t d = 0; d < decided.size(); ++d) add(sum.decided[d], decided[d]);
  add(sum.late_errors, late_errors);
  add(sum.latency, latency);
  sum.latency_sum += latency_sum;
  add(sum.policies, policies);
}

}  // namespace

StoreSnapshot StoreReport::snapshot() const {
  StoreSnapshot sum;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const MutexLock lock(shard->mutex);
    add(sum.totals, shard->buffer.counters());
    sum.traces += shard->buffer.traces_held();
    sum.cache_kept += shard->buffer.cache_entries(true);
    sum.cache_others += shard->buffer.cache_entries(false);
    sum.prefix_bytes += shard->buffer.prefix_bytes();
  }
  sum.pool_committed = pool_.bytes_committed();
  return sum;
}

void StoreReport::collect(const StoreSnapshot& snapshot, MetricWriter& out) const {
  const BufferCounters& c = snapshot.totals;
  out.add(metric::kReceivedBytes, {}, number(c.received_bytes));
  out.add(metric::kSpansForwarded, {}, number(c.forwarded));
  out.add(metric::kSpansNotSampled, {}, number(c.not_sampled));
  out.add(metric::kSpansDropped, {}, number(c.dropped));
  for (std::size_t i = 0; i < c.shed.size(); ++i) out.add(metric::kSpansShed, {kShedReasons[i]}, number(c.shed[i]));
  out.add(metric::kSpansHandedOver, {}, number(c.handed_over));
  out.add(metric::kSpansForgotten, {}, number(c.forgotten));
  out.add(metric::kTracestateUnwritten, {"unparsable"}, number(maker_.tracestates_unparsable()));
  out.add(metric::kTracestateUnwritten, {"no_room"}, number(maker_.tracestates_without_room()));
  const Repairs repairs = maker_.repairs();
  out.add(metric::kKeptRepairs, {"text"}, number(repairs.texts));
  out.add(metric::kKeptRepairs, {"value"}, number(repairs.values));
  out.add(metric::kBufferTraces, {}, number(snapshot.traces));
  out.add(metric::kBufferSpans, {}, number(c.held));
  out.add(metric::kBufferBytes, {}, number(c.held_bytes));
  for (std::size_t r = 0; r < kCloseReasonNames.size(); ++r) {
    out.add(metric::kLateErrorSpans, {kCloseReasonNames[r]}, number(c.late_errors[r]));
  }
  for (std::size_t d = 0; d < kDecisionNames.size(); ++d) {
    out.add(metric::kTracesIncomplete, {kDecisionNames[d]}, number(c.incomplete[d]));
    out.add(metric::kLateSpans, {kDecisionNames[d]}, number(c.late[d]));
    for (std::size_t r = 0; r < kCloseReasonNames.size(); ++r) {
      out.add(metric::kTracesDecided, {kDecisionNames[d], kCloseReasonNames[r]}, number(c.decided[d][r]));
    }
  }
  collect_policies(c.policies, out);
  out.add(metric::kShedRatio, {}, number(shedding_.step()) / 256);
  out.add(metric::kTracesShed, {"overload"}, number(c.shed_traces));
  collect_shadows(c.policies, out);
  out.add_histogram(metric::kDecisionLatency, kLatencyBounds, c.latency, c.latency_sum);
  out.add(metric::kDecisionCacheEntries, {"sampled"}, number(snapshot.cache_kept));
  out.add(metric::kDecisionCacheEntries, {"not_sampled"}, number(snapshot.cache_others));
}

void StoreReport::collect_policies(const PolicyTally& tally, MetricWriter& out) const {
  for (std::size_t p = 1; p < tables_.names.size(); ++p) {
    const std::string name = tables_.names.name_of(static_cast<std::uint16_t>(p));
    const PolicyTally::Row row = p < tally.rows.size() ? tally.rows[p] : PolicyTally::Row();
    if (!tables_.names.is_part(static_cast<std::uint16_t>(p))) {  // policies vote, their rules and entries do not
      out.add(metric::kPolicyVotes, {name, "sampled"}, number(row.sampled));
      out.add(metric::kPolicyVotes, {name, "not_sampled"}, number(row.not_sampled));
      out.add(metric::kPolicyVotes, {name, "dropped"}, number(row.dropped));
    }
    out.add(metric::kPolicyKeptTraces, {name}, number(row.kept_traces));
    out.add(metric::kPolicyKeptSpans, {name}, number(row.kept_spans));
    out.add(metric::kPolicyKeptBytes, {name}, number(row.kept_bytes));
  }
  for (const auto& [name, errors] : tables_.condition_errors.all()) {
    out.add(metric::kConditionErrors, {name}, number(errors));
  }
  const LegacyHeads::Stats legacy = tables_.legacy_heads.stats();
  out.add(metric::kLegacyHeadServices, {}, number(legacy.services));
  out.add(metric::kLegacyHeadTraces, {}, number(legacy.traces));
  for (const auto& [name, counts] : tables_.limiters.keyed()) {
    out.add(metric::kLimitKeys, {name}, number(counts.keys));
    out.add(metric::kLimitShared, {name}, number(counts.shared));
  }
}

void StoreReport::collect_shadows(const PolicyTally& tally, MetricWriter& out) const {
  const PolicySetPtr set = policies_.current();
  for (std::size_t i = 0; i < set->shadow_size(); ++i) {
    const std::uint16_t policy = set->shadow_number_of(i);
    const std::string name = tables_.names.name_of(policy);
    const PolicyTally::Shadow row = policy < tally.shadows.size() ? tally.shadows[policy] : PolicyTally::Shadow();
    out.add(metric::kShadowKeptTraces, {name}, number(row.kept_traces));
    out.add(metric::kShadowKeptSpans, {name}, number(row.kept_spans));
    out.add(metric::kShadowKeptBytes, {name}, number(row.kept_bytes));
    out.add(metric::kShadowFlips, {name, "add"}, number(row.would_add));
    out.add(metric::kShadowFlips, {name, "lose"}, number(row.would_lose));
  }
}

}  // namespace tailgate
