// SPDX-License-Identifier: Apache-2.0
#include "telemetry/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <sstream>
#include <utility>
#include <vector>

#include "base/invariant.h"

namespace tailgate {
namespace {

prometheus::MetricType type_of(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return prometheus::MetricType::Counter;
    case MetricType::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricType::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

// "a,b" and {x, y} to label pairs. A wrong number of values is a bug of the caller.
std::vector<prometheus::ClientMetric::Label> labels_of(const Metric& metric,
                                                       std::initializer_list<std::string_view> values) {
  std::vector<prometheus::ClientMetric::Label> out;
  std::string_view names = metric.labels;
  auto value = values.begin();
  while (!names.empty()) {
    const std::size_t comma = std::min(names.find(','), names.size());
    INVARIANT(value != values.end());
    out.push_back({std::string(names.substr(0, comma)), std::string(*value++)});
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
  INVARIANT(value == values.end());
  return out;
}

}  // namespace

struct MetricWriter::Families {
  std::vector<prometheus::MetricFamily> list;  // in the order they were first written
  std::map<std::string_view, std::size_t> by_name;
  std::map<std::pair<std::string_view, std::vector<prometheus::ClientMetric::Label>>, std::size_t> series;

  prometheus::MetricFamily& of(const Metric& metric) {
    const auto [found, fresh] = by_name.try_emplace(metric.name, list.size());
    if (fresh) list.push_back({std::string(metric.name), std::string(metric.help), type_of(metric.type), {}});
    return list[found->second];
  }
};

MetricWriter::MetricWriter() : families_(std::make_unique<Families>()) {}
MetricWriter::~MetricWriter() = default;

void MetricWriter::add(const Metric& metric, std::initializer_list<std::string_view> label_values, double value) {
  prometheus::MetricFamily& family = families_->of(metric);
  auto labels = labels_of(metric, label_values);
  const auto [found, fresh] = families_->series.try_emplace({metric.name, labels}, family.metric.size());
  if (fresh) {
    family.metric.emplace_back();
    family.metric.back().label = std::move(labels);
  }
  prometheus::ClientMetric& series = family.metric[found->second];
  (metric.type == MetricType::kCounter ? series.counter.value : series.gauge.value) += value;
}

void MetricWriter::add_histogram(const Metric& metric, std::span<const double> bounds,
                                 std::span<const std::uint64_t> counts, double sum) {
  INVARIANT(metric.type == MetricType::kHistogram && counts.size() == bounds.size() + 1);
  prometheus::ClientMetric series;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    total += counts[i];
    series.histogram.bucket.push_back({total, bounds[i]});
  }
  series.histogram.sample_count = total + counts.back();
  series.histogram.sample_sum = sum;
  families_->of(metric).metric.push_back(std::move(series));  // the serializer adds the +Inf bucket
}

std::string MetricWriter::text() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families_->list);
  return std::move(out).str();
}

}  // namespace tailgate
