// SPDX-License-Identifier: Apache-2.0
#include "signals/span_metrics.h"

#include <catch2/catch.hpp>

#include "support/otlp_builder.h"
#include "support/span_metrics_fixture.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

namespace {

// A page with one bucket, so that a test shows all of it.
constexpr const char* kSmall = "{histogram: {explicit: {buckets: [100ms]}}}";

}  // namespace

TEST_CASE("a span is counted by service, name, kind and status, with its duration", "[signals]") {
  CountedSpans spans(kSmall);
  spans.count(request({{.id = 1, .end_ms = 100, .name = "GET /pay"}, {.id = 2, .end_ms = 101, .name = "GET /pay"}}));
  spans.count(request({{.id = 3, .end_ms = 5, .status = 2, .name = "GET /pay"}}));
  const std::string unset =
      R"(service="web",span_name="GET /pay",span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_UNSET")";
  const std::string error =
      R"(service="web",span_name="GET /pay",span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_ERROR")";
  Lines expected = {
      "traces_spanmetrics_calls_total{" + unset + "} 2",
      "traces_spanmetrics_calls_total{" + error + "} 1",
      "traces_spanmetrics_latency_bucket{" + unset + ",le=\"0.1\"} 1",
      "traces_spanmetrics_latency_bucket{" + unset + ",le=\"+Inf\"} 2",
      "traces_spanmetrics_latency_sum{" + unset + "} 0.201",
      "traces_spanmetrics_latency_count{" + unset + "} 2",
      "traces_spanmetrics_latency_bucket{" + error + ",le=\"0.1\"} 1",
      "traces_spanmetrics_latency_bucket{" + error + ",le=\"+Inf\"} 1",
      "traces_spanmetrics_latency_sum{" + error + "} 0.005",
      "traces_spanmetrics_latency_count{" + error + "} 1",
  };
  std::sort(expected.begin(), expected.end());
  CHECK(spans.lines() == expected);
}

TEST_CASE("the names that Jaeger's Monitor asks for, in milliseconds", "[signals]") {
  CountedSpans spans("{names: jaeger, histogram: {explicit: {buckets: [2ms]}}, sizes: true}");
  const std::string bytes = request({{.end_ms = 3}});
  spans.count(bytes);
  const std::string labels =
      R"({service_name="web",span_name="op",span_kind="SPAN_KIND_SERVER",status_code="STATUS_CODE_UNSET")";
  CHECK(spans.lines("traces_span_metrics_calls_total") == Lines{"traces_span_metrics_calls_total" + labels + "} 1"});
  CHECK(spans.lines("traces_span_metrics_duration_milliseconds_sum") ==
        Lines{"traces_span_metrics_duration_milliseconds_sum" + labels + "} 3"});
  CHECK(spans.lines("traces_span_metrics_duration_milliseconds_bucket") ==
        Lines{"traces_span_metrics_duration_milliseconds_bucket" + labels + ",le=\"+Inf\"} 1",
              "traces_span_metrics_duration_milliseconds_bucket" + labels + ",le=\"2\"} 0"});
  CHECK(spans.lines("traces_span_metrics_size_total").size() == 1);
}

TEST_CASE("both families are written from one count, each with its names and unit", "[signals]") {
  const auto both = [](const std::string& names) {
    CountedSpans spans("{names: " + names + ", sizes: true, dimensions: [zone], " +
                       "histogram: {explicit: {buckets: [2ms]}}, exemplars: {enabled: true}, series_max: 2}");
    for (const char* zone : {"a", "b", "c"}) spans.count(request({{.end_ms = 3, .attributes = {{"zone", zone}}}}));
    KeptTrace kept;
    kept.exporters = 1;
    kept.otlp = request({{.end_ms = 3, .attributes = {{"zone", "b"}}}});
    spans.metrics().kept(kept, after_start(1s), 1'000'000'000);
    return sample_lines(spans.page(after_start(1s), OpenMetrics::kYes));
  };
  Lines expected = both("tempo");
  for (const std::string& line : both("jaeger")) expected.push_back(line);
  std::sort(expected.begin(), expected.end());
  // What is told apart by families besides names: bounds are those that the configuration has.
  CHECK(both("[tempo, jaeger]") == expected);
  CHECK(both("[jaeger, tempo]") == expected);
  CHECK(lines_with(expected, R"(traces_spanmetrics_latency_bucket{service="web",)").size() == 4);
  CHECK(lines_with(expected, R"(traces_span_metrics_duration_milliseconds_bucket{service_name="web",)").size() == 4);
  CHECK(std::count_if(expected.begin(), expected.end(), [](const std::string& line) {
          return line.find(R"(zone="b",le="+Inf"} 1 # {trace_id=)") != std::string::npos;
        }) == 2);
}

TEST_CASE("a page says what its families are, in both formats", "[signals]") {
  CountedSpans spans("{histogram: {disable: true}}");
  CHECK(spans.page() ==
        "# HELP traces_spanmetrics_calls_total Spans received.\n# TYPE traces_spanmetrics_calls_total counter\n");
  CHECK(spans.page(TimePoint{}, OpenMetrics::kYes) ==
        "# HELP traces_spanmetrics_calls Spans received.\n# TYPE traces_spanmetrics_calls counter\n# EOF\n");
}

TEST_CASE("a dimension is read of the span, then of the resource, then its default", "[signals]") {
  CountedSpans spans(
      "{histogram: {disable: true}, exclude_dimensions: [span.kind, status.code], "
      "dimensions: [http.route, {name: env, default: none}, region]}");
  twin::TracesData data = traces({{.id = 1, .attributes = {{"http.route", "/a"}, {"env", "test"}}},
                                  {.id = 2, .attributes = {{"env", "test"}}},
                                  {.id = 3}});
  auto* region = data.mutable_resource_spans(0)->mutable_resource()->add_attributes();
  region->set_key("region");
  region->mutable_value()->set_int_value(7);
  spans.count(data.SerializeAsString());
  CHECK(
      spans.lines() ==
      Lines{R"(traces_spanmetrics_calls_total{service="web",span_name="op",env="none",region="7"} 1)",
            R"(traces_spanmetrics_calls_total{service="web",span_name="op",env="test",region="7"} 1)",
            R"(traces_spanmetrics_calls_total{service="web",span_name="op",http_route="/a",env="test",region="7"} 1)"});
}

TEST_CASE("an attribute that is written otherwise and reads the same counts in the same series", "[signals]") {
  CountedSpans spans("{histogram: {disable: true}, exclude_dimensions: [span.kind, status.code], dimensions: [n]}");
  twin::TracesData data = traces({{.id = 1, .attributes = {{"n", "7"}}}, {.id = 2}});
  auto* n = data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(1)->add_attributes();
  n->set_key("n");
  n->mutable_value()->set_int_value(7);
  spans.count(data.SerializeAsString());
  CHECK(spans.lines() == Lines{R"(traces_spanmetrics_calls_total{service="web",span_name="op",n="7"} 2)"});
}

TEST_CASE("spans that are refused are not counted", "[signals]") {
  CountedSpans spans(kSmall);
  spans.refuse(request({{.id = 1}}));
  CHECK(spans.lines().empty());
  spans.count(request({{.id = 1}}));
  CHECK(spans.lines("traces_spanmetrics_calls_total").size() == 1);
}

TEST_CASE("a span that ends before it starts took no time, and one of 584 years is summed", "[signals]") {
  CountedSpans spans(kSmall);
  spans.count(request({{.id = 1, .start_ms = 9, .end_ms = 1}}));
  CHECK(spans.lines("traces_spanmetrics_latency_sum").at(0).ends_with("} 0"));
  twin::TracesData data = traces({{.id = 2}, {.id = 3}, {.id = 4}});
  for (auto& span : *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans()) {
    span.set_start_time_unix_nano(0);
    span.set_end_time_unix_nano(UINT64_MAX);
  }
  spans.count(data.SerializeAsString());
  CHECK(spans.lines("traces_spanmetrics_latency_sum").at(0).ends_with("} 55340232221.128654"));
}

TEST_CASE("beyond series_max spans are counted in one series, and the others go on", "[signals]") {
  CountedSpans spans("{series_max: 2, histogram: {disable: true}, exclude_dimensions: [span.kind, status.code]}");
  for (const char* name : {"a", "b", "c", "d", "a", "c"}) spans.count(request({{.name = name}}));
  CHECK(spans.lines() == Lines{R"(traces_spanmetrics_calls_total{otel_metric_overflow="true"} 3)",
                               R"(traces_spanmetrics_calls_total{service="web",span_name="a"} 2)",
                               R"(traces_spanmetrics_calls_total{service="web",span_name="b"} 1)"});
  CHECK(spans.metrics().stats().series == 2);
  CHECK(spans.metrics().stats().overflow_spans == 3);
}

TEST_CASE("long labels take room, and beyond it spans are counted in the series for overflow", "[signals]") {
  CountedSpans spans("{series_max: 4, histogram: {disable: true}}");
  for (char c = 'a'; c < 'e'; ++c) spans.count(request({{.name = std::string(900, c)}}));
  CHECK(spans.metrics().stats().series == 1);
  CHECK(spans.metrics().stats().overflow_spans == 3);
}

TEST_CASE("a series without a span for series_expiration goes, and makes room", "[signals]") {
  CountedSpans spans(
      "{series_max: 2, series_expiration: 10m, histogram: {disable: true}, exclude_dimensions: [span.kind, "
      "status.code]}",
      2);
  spans.count(request({{.name = "a"}}), 0);
  spans.count(request({{.name = "a"}}), 1);
  spans.count(request({{.name = "b"}}), 0);
  spans.count(request({{.name = "c"}}), 0);
  CHECK(spans.lines(after_start(0s)).size() == 3);
  spans.count(request({{.name = "b"}}), 1);
  CHECK(spans.lines(after_start(5min)).size() == 3);
  CHECK(spans.lines(after_start(10min)).size() == 3);  // for the last time
  CHECK(spans.lines(after_start(11min)) == Lines{R"(traces_spanmetrics_calls_total{otel_metric_overflow="true"} 1)",
                                                 R"(traces_spanmetrics_calls_total{service="web",span_name="b"} 2)"});
  CHECK(spans.metrics().stats().expired_series == 1);
  spans.count(request({{.name = "c"}}), 0);  // which had no room before
  spans.count(request({{.name = "b"}}), 0);
  CHECK(spans.lines(after_start(12min)) == Lines{R"(traces_spanmetrics_calls_total{otel_metric_overflow="true"} 1)",
                                                 R"(traces_spanmetrics_calls_total{service="web",span_name="b"} 3)",
                                                 R"(traces_spanmetrics_calls_total{service="web",span_name="c"} 1)"});
  spans.count(request({{.name = "a"}}), 1);  // overflow again
  CHECK(spans.lines(after_start(13min)).front() == R"(traces_spanmetrics_calls_total{otel_metric_overflow="true"} 2)");
}

TEST_CASE("names are made alike by patterns, and what still looks like an id is told", "[signals]") {
  CountedSpans spans(
      R"({histogram: {disable: true}, exclude_dimensions: [span.kind, status.code], span_names: [)"
      R"({pattern: '/[0-9]+', replacement: '/{id}'}, {pattern: '^(GET|HEAD) ', replacement: 'READ \1 '}]})");
  spans.count(request({{.name = "GET /user/1/cart/22"}, {.name = "GET /user/31/cart/4"}, {.name = "job 8d3b1c0a"}}));
  CHECK(spans.lines() ==
        Lines{R"(traces_spanmetrics_calls_total{service="web",span_name="READ GET /user/{id}/cart/{id}"} 2)",
              R"(traces_spanmetrics_calls_total{service="web",span_name="job 8d3b1c0a"} 1)"});
  const auto told = spans.metrics().take_id_names();
  REQUIRE(told);
  CHECK(told->count == 1);
  CHECK(told->last == "job 8d3b1c0a");
  CHECK_FALSE(spans.metrics().take_id_names());
}

TEST_CASE("a new series reads 0 until who scrapes has seen that, and so does one that comes back", "[signals]") {
  CountedSpans spans(
      "{start_at_zero: 15s, series_expiration: 1m, series_max: 1, sizes: true, "
      "histogram: {explicit: {buckets: [100ms]}}, exclude_dimensions: [span.kind, status.code]}");
  const auto values = [&](Duration when) {
    std::string out;
    for (const std::string& line : spans.lines(after_start(when))) {
      if (!line.starts_with("traces_spanmetrics_size")) out += line.substr(line.rfind(' '));
    }
    return out;
  };
  spans.count(request({{.name = "a"}, {.end_ms = 200, .name = "a"}}));
  CHECK(values(10s) == " 0 0 0 0 0");  // calls, two buckets, count and sum
  CHECK(lines_with(spans.lines(after_start(11s)), "traces_spanmetrics_size").at(0).ends_with(" 0"));
  spans.count(request({{.name = "a"}}));
  CHECK(values(24s) == " 0 0 0 0 0");  // for who scrapes besides, and began later
  CHECK(values(25s) == " 3 3 2 3 0.202");
  spans.count(request({{.name = "b"}}));  // one too many
  CHECK(values(26s) == " 0 3 0 0 3 2 0 3 0 0.202");
  CHECK(values(41s) == " 1 3 1 1 3 2 1 3 0.001 0.202");

  CHECK(values(83s) == " 1 3 1 1 3 2 1 3 0.001 0.202");
  CHECK(values(84s) == " 1 3 1 1 3 2 1 3 0.001 0.202");  // for the last time
  CHECK(spans.metrics().stats().expired_series == 1);
  spans.count(request({{.name = "a"}}));
  CHECK(values(87s) == " 1 0 1 1 0 0 1 0 0.001 0");
  CHECK(values(102s) == " 1 1 1 1 1 1 1 1 0.001 0.001");
}

namespace {

KeptTrace kept_trace(std::uint64_t trace, const std::vector<SpanSpec>& spans) {
  KeptTrace out;
  out.id = id_of_trace(trace);
  out.exporters = 1;
  out.otlp = request(spans);
  return out;
}

// What stands behind the samples of a page, by bucket.
Lines exemplars(CountedSpans& spans, TimePoint now) {
  Lines out;
  for (const std::string& line : sample_lines(spans.page(now, OpenMetrics::kYes))) {
    if (const std::size_t at = line.find(" # "); at != std::string::npos)
      out.push_back(line.substr(line.find("le="), line.find('}') - line.find("le=")) + line.substr(at));
  }
  return out;
}

}  // namespace

TEST_CASE("a bucket has the last span of a kept trace that was counted there", "[signals]") {
  CountedSpans spans("{histogram: {explicit: {buckets: [100ms, 1s]}}, exemplars: {enabled: true, max_age: 1m}}");
  const std::vector<SpanSpec> slow = {{.trace = 1, .id = 10, .end_ms = 2000}, {.trace = 1, .id = 11, .end_ms = 3}};
  const std::vector<SpanSpec> later = {{.trace = 2, .id = 12, .end_ms = 4}};
  spans.count(request(slow));
  spans.count(request(later));
  spans.count(request({{.trace = 3, .id = 13, .end_ms = 500}}));
  CHECK(exemplars(spans, after_start(0s)).empty());  // no verdict yet

  spans.metrics().kept(kept_trace(1, slow), after_start(1s), 1'790'000'000'123'456'789ULL);
  spans.metrics().kept(kept_trace(2, later), after_start(2s), 1'790'000'001'000'000'000ULL);
  CHECK(
      exemplars(spans, after_start(2s)) ==
      Lines{
          R"(le="+Inf" # {trace_id="01000000000000000000000000000001",span_id="000000000000000a"} 2.0 1790000000.123)",
          R"(le="0.1" # {trace_id="01000000000000000000000000000002",span_id="000000000000000c"} 0.004 1790000001.000)"});
  CHECK(spans.page(after_start(2s)).find(" # ") == std::string::npos);  // not in the plain format
  CHECK(spans.metrics().stats().exemplars.held == 2);
  CHECK(exemplars(spans, after_start(62s)).size() == 1);
  CHECK(exemplars(spans, after_start(63s)).empty());
}

TEST_CASE("no exemplar comes from our own traces or from those that no exporter gets, and they are few", "[signals]") {
  CountedSpans spans("{exemplars: {enabled: true, traces_per_second: 3}}");
  const std::vector<SpanSpec> some = {{.name = "a"}, {.id = 2, .name = "b"}, {.id = 3, .name = "c"}};
  spans.count(request(some));
  KeptTrace own = kept_trace(1, some), nowhere = kept_trace(1, some);
  own.own = true;
  nowhere.exporters = 0;
  spans.metrics().kept(own, after_start(1s), 1);
  spans.metrics().kept(nowhere, after_start(1s), 1);
  CHECK(exemplars(spans, after_start(1s)).empty());
  for (int i = 0; i < 5; ++i) spans.metrics().kept(kept_trace(1, some), after_start(2s), 1);
  CHECK(exemplars(spans, after_start(2s)).size() == 3);
  CHECK(spans.metrics().stats().exemplars.passed_by == 2);
  spans.metrics().kept(kept_trace(1, some), after_start(3s), 1);
  CHECK(spans.metrics().stats().exemplars.passed_by == 2);

  CountedSpans off("{}");
  off.count(request(some));
  off.metrics().kept(kept_trace(1, some), after_start(1s), 1);
  CHECK(exemplars(off, after_start(1s)).empty());
}

TEST_CASE("when there is no room for one more exemplar, the oldest gives way", "[signals]") {
  CountedSpans spans(
      "{histogram: {explicit: {buckets: [100ms]}}, exemplars: {enabled: true, max: 2, max_age: 1m}, "
      "exclude_dimensions: [span.kind, status.code]}");
  const auto keep = [&](std::uint64_t trace, std::uint64_t ms, Duration when) {
    const std::vector<SpanSpec> one = {{.trace = trace, .id = trace, .end_ms = ms, .name = ms < 1000 ? "a" : "b"}};
    spans.count(request(one));
    spans.metrics().kept(kept_trace(trace, one), after_start(when), 1'000'000'000);
  };
  const auto traces_of = [&](Duration when) {
    std::string out;
    for (const std::string& line : exemplars(spans, after_start(when))) out += line[line.find("\",span_id") - 1];
    std::sort(out.begin(), out.end());
    return out;
  };
  keep(1, 1, 1s);    // a, the first bucket
  keep(2, 200, 2s);  // a, the last
  keep(3, 1, 3s);    // the first again: the last is the oldest now
  CHECK(traces_of(3s) == "23");
  CHECK(spans.metrics().stats().exemplars.given_way == 0);
  keep(4, 5000, 4s);  // b, which is new: the bucket of a spike
  CHECK(traces_of(4s) == "34");
  CHECK(spans.metrics().stats().exemplars.given_way == 1);
  CHECK(spans.metrics().stats().exemplars.held == 2);
  keep(5, 200, 64s);  // trace 3 is too old, and nobody had to give way
  CHECK(traces_of(64s) == "45");
  CHECK(spans.metrics().stats().exemplars.given_way == 1);
}
