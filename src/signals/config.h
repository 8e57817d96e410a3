// SPDX-License-Identifier: Apache-2.0
// The keys of `span_metrics`, as values. Sources of names, labels and buckets: the Collector's spanmetrics connector
// v0.165.1 (names `jaeger`) and the metrics generator of Tempo 2.10 (names `tempo`). Threads: main reads; immutable.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_node.h"
#include "signals/exemplars.h"
#include "signals/series_config.h"

namespace re2 {
class RE2;
}

namespace tailgate {

// What a span's attribute, or else its resource's, adds to the labels of its series.
struct Dimension {
  std::string attribute;
  std::string label;
  std::optional<std::string> otherwise;  // the value of spans without it; none: no label
};

// Replaces every match of a pattern in a span's name.
struct NameRule {
  std::shared_ptr<const re2::RE2> pattern;
  std::string replacement;  // \1 to \9: what a group matched
};

// Who asks for the series: `tempo` is Grafana's view of services, `jaeger` is the tab Monitor of Jaeger.
enum class SpanMetricNames : std::uint8_t { kTempo, kJaeger };

struct SpanMetricsConfig {
  static constexpr std::size_t kBucketsMax = 64;
  static constexpr std::size_t kDimensionsMax = 16;

  std::vector<SpanMetricNames> names = {SpanMetricNames::kTempo};               // families that are written, one or two
  bool service = true, span_name = true, span_kind = true, status_code = true;  // labels; exclude_dimensions
  std::vector<Dimension> dimensions;
  bool durations = true;                 // a histogram of them
  bool sizes = false;                    // a counter of OTLP bytes
  bool milliseconds = false;             // in Jaeger's family; Tempo's has seconds
  std::vector<std::uint64_t> bounds_ns;  // upper ones, inclusive, ascending
  std::size_t series_max = 10'000;
  SeriesLife life;
  std::vector<NameRule> name_rules;
  ExemplarsConfig exemplars;

  bool has(SpanMetricNames family) const { return std::find(names.begin(), names.end(), family) != names.end(); }

  // Bytes that the series take at most, counted in so many parts.
  std::size_t bytes_max(std::size_t parts) const;
};

// Nothing when the section is absent. `span_metrics:` alone and `span_metrics: {}` turn it on.
std::optional<SpanMetricsConfig> read_span_metrics(const ConfigNode& node);

// A name as Prometheus takes it for a label: every other character becomes '_'.
std::string label_name(std::string_view attribute);

}  // namespace tailgate
