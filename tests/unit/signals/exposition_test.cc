// SPDX-License-Identifier: Apache-2.0
#include "signals/exposition.h"

#include <array>
#include <catch2/catch.hpp>

using namespace tailgate;

TEST_CASE("a histogram adds its buckets up, and OpenMetrics wants bounds with a point", "[signals]") {
  const std::array<double, 2> bounds = {0.5, 1};
  const std::array<std::uint64_t, 3> counts = {2, 0, 1};
  const auto page = [&](OpenMetrics format) {
    Exposition out(format);
    out.family("d", MetricType::kHistogram, "Help.");
    out.histogram("a=\"b\"", bounds, counts, 2.25);
    return out.take();
  };
  CHECK(page(OpenMetrics::kNo) ==
        "# HELP d Help.\n# TYPE d histogram\nd_bucket{a=\"b\",le=\"0.5\"} 2\nd_bucket{a=\"b\",le=\"1\"} 2\n"
        "d_bucket{a=\"b\",le=\"+Inf\"} 3\nd_sum{a=\"b\"} 2.25\nd_count{a=\"b\"} 3\n");
  CHECK(page(OpenMetrics::kYes).find("le=\"1.0\"") != std::string::npos);
  CHECK(page(OpenMetrics::kYes).ends_with("# EOF\n"));
}

TEST_CASE("a series without labels has no braces", "[signals]") {
  Exposition out(OpenMetrics::kNo);
  out.family("c", MetricType::kCounter, "Help.");
  out.counter("", 1);
  CHECK(out.take() == "# HELP c_total Help.\n# TYPE c_total counter\nc_total 1\n");
}

TEST_CASE("OpenMetrics is for who names it", "[signals]") {
  CHECK(wants_open_metrics("") == OpenMetrics::kNo);
  CHECK(wants_open_metrics("text/plain;version=0.0.4;q=0.3,*/*;q=0.2") == OpenMetrics::kNo);
  CHECK(wants_open_metrics("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3") ==
        OpenMetrics::kYes);
}

TEST_CASE("numbers are written in their shortest form", "[signals]") {
  CHECK(number_text(0.002, false) == "0.002");
  CHECK(number_text(16, false) == "16");
  CHECK(number_text(16, true) == "16.0");
  CHECK(number_text(1e30, true) == "1e+30");
}

TEST_CASE("a page goes in pieces as it is written, and ends when nobody wants more", "[signals]") {
  const std::vector<double> bounds = {0.5, 1};
  const std::vector<std::uint64_t> counts = {3, 2, 1};
  const std::map<std::size_t, std::string> exemplars = {{1, " # {trace_id=\"ab\"} 0.7"}};
  const auto write = [&](Exposition& out) {
    out.family("traces_latency", MetricType::kHistogram, "Durations.");
    for (int i = 0; i < 2000; ++i) out.histogram("a=\"" + std::to_string(i) + "\"", bounds, counts, 4.5, &exemplars);
  };
  Exposition whole(OpenMetrics::kYes);
  write(whole);
  const std::string wanted = whole.take();
  std::string got;
  std::size_t longest = 0;
  int pieces = 0, pieces_max = 1000;
  const auto send = [&](std::string_view piece) {
    got += piece;
    longest = std::max(longest, piece.size());
    return ++pieces < pieces_max;
  };
  Exposition out(OpenMetrics::kYes, send);
  write(out);
  CHECK(out.end());
  CHECK(got == wanted);
  CHECK(longest < Exposition::kPiece + 1024);
  CHECK(pieces > 3);
  pieces = 0;
  pieces_max = 2;
  Exposition cut(OpenMetrics::kYes, send);
  write(cut);
  CHECK_FALSE(cut.end());
  CHECK(pieces == 2);
}
