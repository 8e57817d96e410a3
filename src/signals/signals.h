// SPDX-License-Identifier: Apache-2.0
// Signals: what is known of all spans before sampling takes most of them away. It sees every span that the receivers
// take, and writes the page /metrics/spans.
//
// Threads: any.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "signals/service_graph.h"
#include "signals/span_metrics.h"
#include "wire/span_watch.h"

namespace tailgate {

struct SignalsConfig {
  std::optional<SpanMetricsConfig> span_metrics = {};
  std::optional<ServiceGraphConfig> service_graph = {};
  std::size_t parts = 1;  // threads that count at the same time; further ones share their locks

  bool any() const { return span_metrics || service_graph; }
  // Attributes that the scan must find: of spans and resources, and of resources only.
  std::vector<std::string> attributes() const;
  std::vector<std::string> resource_attributes() const;
  std::size_t bytes_max() const;  // that all of it takes
};

class Signals final : public SpanWatch {
 public:
  Signals(const SignalsConfig& config, std::uint64_t seed, TimePoint now);

  SpanWatcher& begin(const ScanPlan& plan) override;
  void taken(TimePoint now) override;
  void refused() override;

  // Writes the page. bytes_max() counts what one takes at a time.
  void write(Exposition& out, TimePoint now);

  // A trace was kept and is on its way to exporters. `unix_ns` is `now` by the wall clock.
  void kept(const KeptTrace& trace, TimePoint now, std::uint64_t unix_ns) {
    if (span_metrics_ != nullptr) span_metrics_->kept(trace, now, unix_ns);
  }
  bool wants_kept() const { return span_metrics_ != nullptr && span_metrics_->has_exemplars(); }

  // What has waited long enough ends. To be called every second or so.
  void tick(TimePoint now);

  SpanMetrics* span_metrics() const { return span_metrics_.get(); }     // null: off
  ServiceGraph* service_graph() const { return service_graph_.get(); }  // null: off

 private:
  const std::size_t parts_;
  std::unique_ptr<SpanMetrics> span_metrics_;
  std::unique_ptr<ServiceGraph> service_graph_;
};

}  // namespace tailgate
