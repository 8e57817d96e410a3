// SPDX-License-Identifier: Apache-2.0
// The joints of the pipeline: what one room needs of the next, so that no room knows the one behind it.
//
//   IngestPipeline -> StoreTarget -> TraceStore -> ExporterSink -> Exporters
//   the pages /explain and /shadow -> StoreExplanations -> TraceStore
//   /sampling -> sampling_answers -> HeadSampling
//   /jaeger/api/dependencies, the view of services -> calls_of, service_map -> ServiceGraph
//
// Threads: any, as of what they call. Each refers to what it calls, which outlives it.
#pragma once

#include "buffer/store/trace_store.h"
#include "export/exporters.h"
#include "head/head_sampling.h"
#include "receive/ingest.h"
#include "signals/signals.h"
#include "web/explain.h"
#include "web/jaeger/doors.h"
#include "web/sampling.h"
#include "web/service_map.h"

namespace tailgate {

class ExporterSink final : public KeptSink {
 public:
  // `signals` and `head`, if any, see what is kept.
  ExporterSink(Exporters& exporters, Signals* signals, HeadSampling* head)
      : exporters_(exporters), signals_(signals), head_(head) {}

  void push(KeptTracePtr kept) override;
  bool make_room(std::size_t bytes, bool by_chance) override;

 private:
  Exporters& exporters_;
  Signals* const signals_;
  HeadSampling* const head_;
};

// Two that see the same spans.
class BothWatches final : public SpanWatch {
 public:
  BothWatches(SpanWatch& first, SpanWatch& second) : first_(first), second_(second) {}

  SpanWatcher& begin(const ScanPlan& plan) override;
  void taken(TimePoint now) override;
  void refused() override;

 private:
  SpanWatch& first_;
  SpanWatch& second_;
};

class StoreTarget final : public IngestTarget {
 public:
  explicit StoreTarget(TraceStore& store) : store_(store) {}

  std::shared_ptr<const ScanPlan> plan() const override;
  bool take(const SpanBatch& batch, SourceId source, TimePoint now) override;
  bool could_take(const SpanBatch& batch) const override;
  std::uint64_t hash_seed() const override;

 private:
  TraceStore& store_;
};

class StoreExplanations final : public ExplainSource {
 public:
  StoreExplanations(const TraceStore& store, const NamesTable& policy_names)
      : store_(store), policy_names_(policy_names) {}

  std::optional<Explanation> explain(const TraceId& id) const override;
  Result<std::vector<Explanation>> recent(const ExplainQuery& query) const override;
  ShadowReport shadow() const override;

 private:
  const TraceStore& store_;
  const NamesTable& policy_names_;
};

// The service graph as the pages ask for it; nothing where there is none. `signals`, which may be null, outlives them.
AllCalls calls_of(const Signals* signals);
std::optional<ServiceMap> service_map(const Signals* signals);

SamplingAnswers sampling_answers(HeadSampling& head);  // `head` outlives them

}  // namespace tailgate
