// SPDX-License-Identifier: Apache-2.0
// A service graph as a test uses it: from YAML, with spans given as sides of requests.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "config/config_file.h"
#include "signals/service_graph.h"
#include "support/otlp_builder.h"
#include "support/span_metrics_fixture.h"

namespace tailgate::test {

// Without start_at_zero series begin with their value.
struct ReadServiceGraph {
  explicit ReadServiceGraph(const std::string& yaml) {
    auto loaded = load_config_text("service_graph: " + yaml + "\n", "test.yaml");
    REQUIRE(loaded);
    config = read_service_graph(loaded->root.child("service_graph"));
    if (yaml.find("start_at_zero") == std::string::npos) config->life.start_at_zero = Duration::zero();
    loaded->root.finish();
    errors = messages(loaded->issues->errors);
  }
  std::optional<ServiceGraphConfig> config;
  std::vector<std::string> errors;
};

inline constexpr int kInternal = 1, kServer = 2, kClient = 3, kProducer = 4, kConsumer = 5;

struct Side {
  std::string service;
  int kind = kServer;
  std::uint64_t trace = 1, id = 1, parent = 0, ms = 1;
  bool failed = false;
  std::vector<std::pair<std::string, std::string>> attributes = {};
};

class CountedGraph {
 public:
  explicit CountedGraph(const std::string& yaml, std::size_t parts = 1)
      : config_{.service_graph = ReadServiceGraph(yaml).config},
        plan_(plan_of(config_)),
        graph_(*config_.service_graph, parts, 7, TimePoint{}) {}

  // A request of one span.
  void add(const Side& side, TimePoint now = TimePoint{}, std::size_t part = 0) {
    twin::TracesData data = traces({{.trace = side.trace,
                                     .id = side.id,
                                     .parent = side.parent,
                                     .end_ms = side.ms,
                                     .status = side.failed ? 2 : 0,
                                     .attributes = side.attributes}},
                                   side.service);
    data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0)->set_kind(
        static_cast<decltype(data.resource_spans(0).scope_spans(0).spans(0).kind())>(side.kind));
    count(data.SerializeAsString(), now, part);
  }
  void count(const std::string& request, TimePoint now = TimePoint{}, std::size_t part = 0) {
    struct Watcher final : SpanWatcher {
      explicit Watcher(GraphNotes& to) : notes(to) {}
      void on_resource(const ByteView* attributes) override { notes.on_resource(attributes); }
      void on_span(const SpanFields& span, std::uint64_t trace_hash) override { notes.on_span(span, trace_hash); }
      GraphNotes& notes;
    } watcher(notes_);
    SpanBatch batch;
    graph_.begin(notes_, plan_);
    const auto slice = [&](SpanBatch&) {
      graph_.take(notes_, part, now);
      notes_.clear();
      return true;
    };
    REQUIRE(scan_request(request, plan_, batch, slice, &watcher).ok);
    slice(batch);
  }
  std::vector<std::string> lines(TimePoint now = TimePoint{}) {
    Exposition out(OpenMetrics::kNo);
    graph_.write(out, now);
    return sample_lines(out.take());
  }
  // {labels} count, of what was counted.
  std::vector<std::string> requests(TimePoint now = TimePoint{}) {
    const std::string name = "traces_service_graph_request_total";
    std::vector<std::string> out = lines_with(lines(now), name);
    for (std::string& line : out) line.erase(0, name.size());
    return out;
  }
  ServiceGraph& graph() { return graph_; }
  // From now on policies ask for other attributes, which have the first slots.
  void reload(const std::vector<std::string>& keys) {
    ScanPlan plan;
    for (const std::string& key : keys) plan.attribute_slot(key);
    for (const std::string& key : config_.attributes()) plan.attribute_slot(key);
    for (const std::string& key : config_.resource_attributes()) plan.attribute_slot(key, Attributes::kOfResources);
    plan_ = std::move(plan);
  }

 private:
  const SignalsConfig config_;
  ScanPlan plan_;
  ServiceGraph graph_;
  GraphNotes notes_;
};

}  // namespace tailgate::test
