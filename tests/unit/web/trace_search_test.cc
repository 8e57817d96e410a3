// SPDX-License-Identifier: Apache-2.0
// The conditions of a search, on the three traces of query_fixture.h. Whole searches: component/daemon/query_test.py.
#include "web/trace_search.h"

#include <catch2/catch.hpp>
#include <string>

#include "support/query_fixture.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

// The numbers of the spans that meet the conditions.
std::string spans_with(const SpanConditions& wanted) {
  std::string out;
  for (const std::string& otlp : fixture_traces()) {
    const Result<TraceView> trace = TraceView::read(otlp);
    REQUIRE(trace);
    std::string here;
    for (int n = 1; n <= 7; ++n) {
      for (const TraceView::Span& span : trace->spans()) {
        if (span.span_id == fixture_span_id(n) && meets(*trace, span, wanted)) out += std::to_string(n);
      }
    }
  }
  return out;
}

std::string with(std::string key, std::string value) {
  SpanConditions wanted;
  wanted.attributes.emplace_back(std::move(key), std::move(value));
  return spans_with(wanted);
}

}  // namespace

TEST_CASE("one span meets all conditions of a search", "[web]") {
  CHECK_FALSE(SpanConditions{}.any());
  CHECK(spans_with({}) == "1234567");
  CHECK(spans_with({.service = "payment"}) == "345");
  CHECK(spans_with({.service = "Payment"}).empty());
  CHECK(spans_with({.operation = "POST /pay"}) == "23");
  CHECK(spans_with({.service = "payment", .operation = "POST /pay"}) == "3");
  CHECK(spans_with({.status = "error"}) == "23");
  CHECK(spans_with({.status = "ok"}) == "4");
  CHECK(spans_with({.status = "unset"}) == "1567");
  CHECK(spans_with({.duration_min_ns = 800'000'000}) == "126");
  CHECK(spans_with({.duration_min_ns = 800'000'000, .duration_max_ns = 1'200'000'000}) == "12");
  CHECK(spans_with({.duration_max_ns = 2'000'000}) == "5");
  constexpr std::uint64_t kBegin = 1'700'000'000'000'000'000;
  CHECK(spans_with({.start_min_ns = kBegin + 150'000'000}) == "345");
  CHECK(spans_with({.start_min_ns = kBegin + 100'000'000, .start_max_ns = kBegin + 200'000'000}) == "234");
  CHECK(spans_with({.service = "payment", .attributes = {{"db.system", "redis"}, {"hit", "true"}}}) == "5");
  CHECK(spans_with({.service = "frontend", .attributes = {{"db.system", "redis"}}}).empty());
}

TEST_CASE("attributes are looked for in span, resource, scope, events and links, as texts", "[web]") {
  CHECK(with("http.status_code", "500") == "236");  // two numbers and a text
  CHECK(with("ratio", "1.5") == "4");
  CHECK(with("hit", "true") == "5");
  CHECK(with("tags", "a") == "4");
  CHECK(with("tags", R"(["a","b"])") == "4");
  CHECK(with("deployment.environment", "prod") == "12345");
  CHECK(with("lang", "go") == "12");
  CHECK(with("exception.message", "card declined") == "3");
  CHECK(with("why", "retry") == "2");
  CHECK(with("my attr", "x") == "7");
  CHECK(with("none", "x").empty());
  CHECK(with("error", "true") == "23");
  CHECK(with("error", "false") == "14567");
  CHECK(with("error", "yes").empty());
  CHECK(with("span.kind", "SERVER") == "13");
  CHECK(with("span.kind", "unspecified").empty());
  CHECK(with("span.kind", "robot").empty());  // stands for the unspecified one, which no span has
  CHECK(with("span.status", "OK") == "4");
  CHECK(with("span.status", "ERROR") == "23");
  CHECK(with("span.status", "error") == "1567");  // an unknown word, as Jaeger has it
  CHECK(with("resource.deployment.environment", "prod") == "12345");
  CHECK(with("resource.service.name", "shadow").empty());  // an attribute of a span
  CHECK(with("scope.name", "grpc") == "345");
  CHECK(with("scope.version", "1.0.0") == "12");
}

TEST_CASE("attributes are written as words, with quotes where they have blanks", "[web]") {
  using Words = std::vector<std::pair<std::string, std::string>>;
  const auto read = [](std::string_view text) { return read_attribute_words(text).value(); };
  CHECK(read("").empty());
  CHECK(read("  \t ").empty());
  CHECK(read("a=b") == Words{{"a", "b"}});
  CHECK(read(" a=b  c.d=\"e f\" g=") == Words{{"a", "b"}, {"c.d", "e f"}, {"g", ""}});
  CHECK(read(R"(a="\"x\\" b=c=d)") == Words{{"a", "\"x\\"}, {"b", "c=d"}});
  for (const char* wrong : {"a", "=b", "a b=c", "a=\"b", "a=\"b\"c", "\"a\"=b"}) {
    CAPTURE(wrong);
    const auto result = read_attribute_words(wrong);
    REQUIRE_FALSE(result);
    CHECK(result.error().text.starts_with("attributes: expected key=value"));
  }
}
