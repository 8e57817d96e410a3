// SPDX-License-Identifier: Apache-2.0
#include "signals/config.h"

#include <catch2/catch.hpp>

#include "support/service_graph_fixture.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

TEST_CASE("one line turns span metrics on, and no line leaves them off", "[signals]") {
  CHECK(ReadSpanMetrics("{}").config);
  CHECK(ReadSpanMetrics("").config);
  const auto doc = load_config_text("a: 1", "test.yaml");
  CHECK_FALSE(read_span_metrics(doc->root.child("span_metrics")));
}

TEST_CASE("the buckets of each family, to the nanosecond", "[signals]") {
  const SpanMetricsConfig tempo = *ReadSpanMetrics("{}").config;
  CHECK(tempo.bounds_ns.size() == 14);
  CHECK(tempo.bounds_ns.front() == 2'000'000);
  CHECK(tempo.bounds_ns.back() == 16'384'000'000);
  CHECK_FALSE(tempo.milliseconds);
  const SpanMetricsConfig jaeger = *ReadSpanMetrics("{names: jaeger}").config;
  CHECK(jaeger.bounds_ns.size() == 16);
  CHECK(jaeger.bounds_ns[4] == 10'000'000);
  CHECK(jaeger.bounds_ns.back() == 15'000'000'000);
  CHECK(jaeger.milliseconds);
  CHECK_FALSE(ReadSpanMetrics("{names: jaeger, histogram: {unit: s}}").config->milliseconds);
  const SpanMetricsConfig both = *ReadSpanMetrics("{names: [jaeger, tempo]}").config;
  CHECK(both.bounds_ns == jaeger.bounds_ns);
  CHECK(both.milliseconds);
  CHECK(ReadSpanMetrics("{names: [tempo, jaeger]}").config->bounds_ns == tempo.bounds_ns);
  CHECK(ReadSpanMetrics("{names: [tempo]}").config->names == tempo.names);
  CHECK(ReadSpanMetrics("{histogram: {explicit: {buckets: [100us, 1s]}}}").config->bounds_ns ==
        std::vector<std::uint64_t>{100'000, 1'000'000'000});
  CHECK(ReadSpanMetrics("{histogram: {exponential: {start: 1ms, factor: 10, count: 3}}}").config->bounds_ns ==
        std::vector<std::uint64_t>{1'000'000, 10'000'000, 100'000'000});
  CHECK(ReadSpanMetrics("{histogram: {disable: true}}").config->bounds_ns.empty());
}

TEST_CASE("a series begins at zero for 15 seconds, unless that is turned off", "[signals]") {
  const auto doc = load_config_text("span_metrics: {}\nservice_graph: {}\n", "test.yaml");
  CHECK(read_span_metrics(doc->root.child("span_metrics"))->life.start_at_zero == 15s);
  CHECK(read_service_graph(doc->root.child("service_graph"))->life.start_at_zero == 15s);
  CHECK(ReadSpanMetrics("{start_at_zero: 0s}").config->life.start_at_zero == 0s);
  CHECK(ReadSpanMetrics("{start_at_zero: 1h, series_expiration: 0s}").errors.empty());
}

TEST_CASE("a bad value of span metrics is an error that says where and what was wanted", "[signals]") {
  const auto error = [](const std::string& yaml) {
    const ReadSpanMetrics read(yaml);
    INFO(yaml);
    REQUIRE(read.errors.size() == 1);
    return read.errors[0];
  };
  CHECK(error("{names: zipkin}") == "test.yaml:1:23: span_metrics.names: expected one of tempo, jaeger, got 'zipkin'");
  CHECK(error("{names: [tempo, zipkin]}") ==
        "test.yaml:1:31: span_metrics.names[1]: expected tempo or jaeger, each once, got 'zipkin'");
  CHECK(error("{names: [tempo, tempo]}").find("names[1]: expected tempo or jaeger, each once") != std::string::npos);
  CHECK(error("{names: []}").find("names: expected tempo, jaeger, or a list of both") != std::string::npos);
  CHECK(error("{names: [tempo], histogram: {unit: ms}}").find("expected s: with `names: tempo`") != std::string::npos);
  CHECK(error("{histogram: {unit: ms}}").find("expected s: with `names: tempo`") != std::string::npos);
  CHECK(error("{histogram: {explicit: {buckets: [2ms, 1ms]}}}").find("over the one before it") != std::string::npos);
  CHECK(error("{histogram: {explicit: {buckets: []}}}").find("expected 1 to 64 durations") != std::string::npos);
  CHECK(error("{histogram: {explicit: {buckets: [0s, 1s]}}}").find("a duration over 0") != std::string::npos);
  CHECK(error("{histogram: {exponential: {factor: 1}}}").find("expected 1.01 to 100") != std::string::npos);
  CHECK(error("{histogram: {explicit: {}, exponential: {}}}").find("one of `explicit`") != std::string::npos);
  CHECK(error("{histogram: {exponential: {factor: 100, count: 64}}}").find("292 years") != std::string::npos);
  CHECK(error("{dimensions: [a.b, a_b]}").find("`a_b` is taken") != std::string::npos);
  CHECK(error("{dimensions: [{name: le}]}").find("`le` is taken") != std::string::npos);
  CHECK(error("{dimensions: [__name__]}").find("`__name__` does, got '__name__'") != std::string::npos);
  CHECK(error("{dimensions: [{name: ..a}]}").find("does not begin with __, as Prometheus' own; `__a` does") !=
        std::string::npos);
  CHECK(error("{dimensions: [{default: x}]}").find("the name of an attribute") != std::string::npos);
  CHECK(error("{exclude_dimensions: [http.route]}").find("expected one of service.name") != std::string::npos);
  CHECK(error("{span_names: [{pattern: '(', replacement: x}]}").find("missing )") != std::string::npos);
  CHECK(error("{span_names: [{pattern: 'a', replacement: '\\1'}]}").find("expected a text whose") != std::string::npos);
  CHECK(error("{exclude_dimensions: [service.name, span.name, span.kind, status.code]}").find("a label to be left") !=
        std::string::npos);
  CHECK(error("{exemplars: {enabled: true}, histogram: {disable: true}}").find("whose buckets") != std::string::npos);
  CHECK(error("{exemplars: {max: 0}}").find("exemplars.max") != std::string::npos);
  CHECK(error("{series_max: 0}").find("series_max") != std::string::npos);
  CHECK(error("{series_expiration: 1s}").find("at least 1m") != std::string::npos);
  CHECK(error("{start_at_zero: 16m}").find("expected at most series_expiration") != std::string::npos);
  CHECK(error("{start_at_zero: 2h, series_expiration: 0s}").find("expected at most 1h") != std::string::npos);
  CHECK(error("{dimension: [a]}").find("dimensions") != std::string::npos);
}

TEST_CASE("a section of the Collector's connector is taken, or says what to use instead", "[signals]") {
  const ReadSpanMetrics pasted(
      "{namespace: traces.span.metrics, histogram: {unit: s, explicit: {buckets: [2ms, 1s]}}, dimensions: [{name: "
      "http.method, default: GET}], exclude_dimensions: [status.code], exemplars: {enabled: true, max_per_data_point: "
      "5}, metrics_flush_interval: 15s, dimensions_cache_size: 1000, resource_metrics_cache_size: 1000, "
      "resource_metrics_key_attributes: [service.name], series_expiration: 5m, "
      "aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE}");
  CHECK(pasted.errors.empty());
  CHECK(pasted.config->names == std::vector<SpanMetricNames>{SpanMetricNames::kJaeger});
  CHECK(pasted.notices.size() == 5);
  CHECK(pasted.notices[1].find("metrics_flush_interval: accepted, but without effect here") != std::string::npos);
  const auto error = [](const std::string& yaml) {
    const ReadSpanMetrics read(yaml);
    INFO(yaml);
    REQUIRE(read.errors.size() == 1);
    return read.errors[0];
  };
  CHECK(error("{aggregation_cardinality_limit: 100}").find("expected `series_max`") != std::string::npos);
  CHECK(error("{metrics_expiration: 5m}").find("expected `series_expiration`") != std::string::npos);
  CHECK(error("{calls_dimensions: [{name: a}]}").find("expected `dimensions`") != std::string::npos);
  CHECK(error("{histogram: {dimensions: [{name: a}]}}").find("expected `dimensions`") != std::string::npos);
  CHECK(error("{histogram: {exponential: {max_size: 160}}}").find("`start`, `factor`") != std::string::npos);
  CHECK(error("{aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA}").find("_CUMULATIVE") != std::string::npos);
  CHECK(error("{namespace: span.metrics}").find("which is `names: jaeger`") != std::string::npos);
  CHECK(error("{namespace: ''}").find("which is `names: jaeger`") != std::string::npos);
  CHECK(error("{namespace: traces.span.metrics, names: tempo}").find("expected `names` with") != std::string::npos);
  CHECK(ReadSpanMetrics("{namespace: traces.span.metrics, names: [tempo, jaeger]}").errors.empty());
}

TEST_CASE("a label's name is what Prometheus takes", "[signals]") {
  CHECK(label_name("http.request.method") == "http_request_method");
  CHECK(label_name("2nd-choice") == "key_2nd_choice");
}
