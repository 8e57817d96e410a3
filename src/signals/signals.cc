// SPDX-License-Identifier: Apache-2.0
#include "signals/signals.h"

#include <algorithm>

#include "base/thread_number.h"

namespace tailgate {
namespace {

// What a thread notes of the request that it works on.
class Notes final : public SpanWatcher {
 public:
  void begin(bool with_spans, bool with_graph) {
    with_spans_ = with_spans;
    with_graph_ = with_graph;
  }
  void clear() {
    spans.clear();
    graph.clear();
  }

  void on_resource(const ByteView* attributes) override {
    if (with_spans_) spans.on_resource(attributes);
    if (with_graph_) graph.on_resource(attributes);
  }
  void on_span(const SpanFields& span, std::uint64_t trace_hash) override {
    if (with_spans_) spans.on_span(span);
    if (with_graph_) graph.on_span(span, trace_hash);
  }

  SpanNotes spans;
  GraphNotes graph;

 private:
  bool with_spans_ = false, with_graph_ = false;
};

Notes& notes() {
  thread_local Notes of_this_thread;
  return of_this_thread;
}

}  // namespace

std::vector<std::string> SignalsConfig::attributes() const {
  std::vector<std::string> out;
  if (span_metrics) {
    for (const Dimension& one : span_metrics->dimensions) out.push_back(one.attribute);
  }
  if (service_graph) {
    for (std::string& one : GraphNotes::attributes(*service_graph)) out.push_back(std::move(one));
  }
  return out;
}

std::vector<std::string> SignalsConfig::resource_attributes() const {
  if (!any()) return {};
  return {"service.name"};
}

std::size_t SignalsConfig::bytes_max() const {
  return (span_metrics ? span_metrics->bytes_max(parts) : 0) + (service_graph ? service_graph->bytes_max(parts) : 0);
}

Signals::Signals(const SignalsConfig& config, std::uint64_t seed, TimePoint now)
    : parts_(std::max<std::size_t>(1, config.parts)) {
  if (config.span_metrics) span_metrics_ = std::make_unique<SpanMetrics>(*config.span_metrics, parts_, seed);
  if (config.service_graph) {
    service_graph_ = std::make_unique<ServiceGraph>(*config.service_graph, parts_, seed, now);
  }
}

SpanWatcher& Signals::begin(const ScanPlan& plan) {
  Notes& mine = notes();
  mine.begin(span_metrics_ != nullptr, service_graph_ != nullptr);
  if (span_metrics_ != nullptr) span_metrics_->begin(mine.spans, number_of_this_thread() % parts_, plan);
  if (service_graph_ != nullptr) service_graph_->begin(mine.graph, plan);
  return mine;
}

void Signals::taken(TimePoint now) {
  Notes& mine = notes();
  const std::size_t part = number_of_this_thread() % parts_;
  if (span_metrics_ != nullptr) span_metrics_->count(mine.spans, part);
  if (service_graph_ != nullptr) service_graph_->take(mine.graph, part, now);
  mine.clear();
}

void Signals::refused() { notes().clear(); }

void Signals::tick(TimePoint now) {
  if (service_graph_ != nullptr) service_graph_->tick(now);
}

void Signals::write(Exposition& out, TimePoint now) {
  if (span_metrics_ != nullptr) span_metrics_->write(out, now);
  if (service_graph_ != nullptr) service_graph_->write(out, now);
}

}  // namespace tailgate
