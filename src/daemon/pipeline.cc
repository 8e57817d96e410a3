// SPDX-License-Identifier: Apache-2.0
#include "daemon/pipeline.h"

#include <algorithm>

#include "base/clock.h"

namespace tailgate {

void ExporterSink::push(KeptTracePtr kept) {
  const TimePoint now = monotonic_now();
  if (signals_ != nullptr && signals_->wants_kept()) signals_->kept(*kept, now, wall_now_ns());
  if (head_ != nullptr && head_->wants_kept()) head_->kept(*kept);
  exporters_.push(kept, now);
}

bool ExporterSink::make_room(std::size_t bytes, bool by_chance) { return exporters_.make_room(bytes, by_chance); }

SpanWatcher& BothWatches::begin(const ScanPlan& plan) {
  struct Both final : SpanWatcher {
    void on_resource(const ByteView* attributes) override {
      first->on_resource(attributes);
      second->on_resource(attributes);
    }
    void on_span(const SpanFields& span, std::uint64_t trace_hash) override {
      first->on_span(span, trace_hash);
      second->on_span(span, trace_hash);
    }
    SpanWatcher* first = nullptr;
    SpanWatcher* second = nullptr;
  };
  thread_local Both of_this_thread;
  of_this_thread.first = &first_.begin(plan);
  of_this_thread.second = &second_.begin(plan);
  return of_this_thread;
}

void BothWatches::taken(TimePoint now) {
  first_.taken(now);
  second_.taken(now);
}

void BothWatches::refused() {
  first_.refused();
  second_.refused();
}

// The plan is a part of the set, and keeps it alive.
std::shared_ptr<const ScanPlan> StoreTarget::plan() const {
  PolicySetPtr policies = store_.policies();
  const ScanPlan* const plan = &policies->plan();
  return {std::move(policies), plan};
}

bool StoreTarget::take(const SpanBatch& batch, SourceId source, TimePoint now) {
  return store_.accept(batch, source, now);
}

bool StoreTarget::could_take(const SpanBatch& batch) const { return store_.could_take(batch); }

std::uint64_t StoreTarget::hash_seed() const { return store_.hash_seed(); }

std::optional<Explanation> StoreExplanations::explain(const TraceId& id) const {
  return store_.explainer().explain(id);
}

Result<std::vector<Explanation>> StoreExplanations::recent(const ExplainQuery& query) const {
  return store_.explainer().recent(query);
}

ShadowReport StoreExplanations::shadow() const {
  const StoreSnapshot snapshot = store_.report().snapshot();
  const PolicyTally& tally = snapshot.totals.policies;
  ShadowReport report;
  const PolicySetPtr set = store_.policies();
  for (std::size_t i = 0; i < set->shadow_size(); ++i) {
    const std::uint16_t number = set->shadow_number_of(i);
    const PolicyTally::Shadow row = number < tally.shadows.size() ? tally.shadows[number] : PolicyTally::Shadow();
    report.policies.push_back({policy_names_.name_of(number), row.traces, row.kept_traces, row.kept_spans,
                               row.kept_bytes, row.would_add, row.would_lose, row.lost_errors});
  }
  for (std::size_t d = 0; d < kDecisionNames.size(); ++d) {
    for (const std::uint64_t n : snapshot.totals.decided[d]) {
      report.traces += n;
      if (d == static_cast<std::size_t>(Decision::kSampled)) report.kept_traces += n;
    }
  }
  for (const PolicyTally::Row& row : tally.rows) {
    report.kept_spans += row.kept_spans;
    report.kept_bytes += row.kept_bytes;
  }
  return report;
}

SamplingAnswers sampling_answers(HeadSampling& head) {
  return {.json = [&head](std::string_view service) { return head.json(service, monotonic_now()); },
          .grpc = [&head](ByteView request) { return head.grpc(request, monotonic_now()); },
          .refused = [&head] { head.count_refused_get(); },
          .explain = [&head](std::string_view service) { return head.explain(service); }};
}

AllCalls calls_of(const Signals* signals) {
  ServiceGraph* const graph = signals != nullptr ? signals->service_graph() : nullptr;
  if (graph == nullptr) return {};
  return [graph](std::uint64_t from_ns, std::uint64_t to_ns, std::size_t max) {
    const TimePoint now = monotonic_now();
    const std::uint64_t now_ns = wall_now_ns();
    // Our clock at a moment of the wall clock, at most a week off: nothing is older.
    const auto at = [&](std::uint64_t unix_ns) {
      constexpr std::uint64_t kWeek = 7ULL * 86'400 * 1'000'000'000;
      return unix_ns >= now_ns ? now + Duration(static_cast<std::int64_t>(std::min(unix_ns - now_ns, kWeek)))
                               : now - Duration(static_cast<std::int64_t>(std::min(now_ns - unix_ns, kWeek)));
    };
    ServiceGraph::Calls calls = graph->calls(at(from_ns), at(to_ns), now, max);
    Dependencies out{{}, calls.left_out};
    for (ServiceCalls& one : calls.most) out.most.push_back({std::move(one.client), std::move(one.server), one.calls});
    return out;
  };
}

std::optional<ServiceMap> service_map(const Signals* signals) {
  ServiceGraph* const graph = signals != nullptr ? signals->service_graph() : nullptr;
  if (graph == nullptr) return std::nullopt;
  ServiceMap out;
  out.bounds_ns = graph->bounds_ns();
  for (ServiceGraph::Edge& edge : graph->edges(monotonic_now())) {
    out.edges.push_back({std::move(edge.client), std::move(edge.server), std::move(edge.type), edge.requests,
                         edge.failed, std::move(edge.server_buckets), std::move(edge.client_buckets)});
  }
  out.overflow = graph->stats().overflow_requests;
  return out;
}

}  // namespace tailgate
