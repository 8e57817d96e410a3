// SPDX-License-Identifier: Apache-2.0
#include "telemetry/metrics.h"

#include <catch2/catch.hpp>
#include <set>

using namespace tailgate;

TEST_CASE("every metric of the table is named as the conventions say", "[telemetry]") {
  std::set<std::string_view> names;
  for (const Metric& m : kMetrics) {
    CAPTURE(m.name);
    CHECK(names.insert(m.name).second);
    CHECK((m.name.starts_with("tailgate_") || m.name.starts_with("process_")));
    CHECK(m.name.ends_with("_total") == (m.type == MetricType::kCounter));
    CHECK(m.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos);
    CHECK(m.labels.find_first_not_of("abcdefghijklmnopqrstuvwxyz_,") == std::string_view::npos);
    CHECK(m.help.ends_with('.'));
  }
}

TEST_CASE("every metric of the table can be written and shows its labels", "[telemetry]") {
  MetricWriter writer;
  for (const Metric& m : kMetrics) {
    if (m.type == MetricType::kHistogram) continue;
    const auto commas = std::count(m.labels.begin(), m.labels.end(), ',');
    if (m.labels.empty()) writer.add(m, {}, 1);
    if (!m.labels.empty() && commas == 0) writer.add(m, {"a"}, 1);
    if (commas == 1) writer.add(m, {"a", "b"}, 1);
    if (commas == 2) writer.add(m, {"a", "b", "c"}, 1);
  }
  const std::string text = writer.text();
  for (const Metric& m : kMetrics) {
    if (m.type == MetricType::kHistogram) continue;
    CAPTURE(m.name);
    CHECK(text.find("# HELP " + std::string(m.name) + " ") != std::string::npos);
  }
  CHECK(text.find("tailgate_spans_refused_total{receiver=\"a\",reason=\"b\"} 1\n") != std::string::npos);
  CHECK(text.find("tailgate_build_info{version=\"a\",commit=\"b\",compiler=\"c\"} 1\n") != std::string::npos);
}

TEST_CASE("a series written twice is the sum, and counts keep every digit", "[telemetry]") {
  MetricWriter writer;
  writer.add(metric::kExportSpans, {"x"}, 9007199254740990.0);
  writer.add(metric::kExportSpans, {"y"}, 5);
  writer.add(metric::kExportSpans, {"x"}, 1);
  const std::string text = writer.text();
  CHECK(text.find("tailgate_export_spans_total{exporter=\"x\"} 9007199254740991\n") != std::string::npos);
  CHECK(text.find("tailgate_export_spans_total{exporter=\"y\"} 5\n") != std::string::npos);
}

TEST_CASE("a histogram is cumulative and ends in +Inf", "[telemetry]") {
  MetricWriter writer;
  const double bounds[] = {0.5, 1, 2};
  const std::uint64_t counts[] = {1, 0, 3, 4};
  writer.add_histogram(metric::kDecisionLatency, bounds, counts, 12.5);
  const std::string text = writer.text();
  CHECK(text.find("tailgate_decision_latency_seconds_count 8\n") != std::string::npos);
  CHECK(text.find("tailgate_decision_latency_seconds_sum 12.5\n") != std::string::npos);
  CHECK(text.find("tailgate_decision_latency_seconds_bucket{le=\"2\"} 4\n") != std::string::npos);
  CHECK(text.find("tailgate_decision_latency_seconds_bucket{le=\"+Inf\"} 8\n") != std::string::npos);
}
