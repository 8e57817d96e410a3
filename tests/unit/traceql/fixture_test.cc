// SPDX-License-Identifier: Apache-2.0
// Queries with answers that Tempo's own engine gave, and the errors that it gives.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "support/query_fixture.h"
#include "traceql/query.h"

using namespace tailgate;
using namespace tailgate::traceql;

namespace {

const std::array<std::string, 3>& traces() {
  static const std::array<std::string, 3> all = test::fixture_traces();
  return all;
}

std::string text_of(const NamedValue& v) {
  std::string out = v.key + "=";
  switch (v.kind) {
    case AttributeValue::Kind::kInt:
      return out + std::to_string(static_cast<std::int64_t>(v.bits));
    case AttributeValue::Kind::kDouble:
      return out + fmt::format("{}", std::bit_cast<double>(v.bits));
    case AttributeValue::Kind::kBool:
      return out + (v.bits != 0 ? "true" : "false");
    case AttributeValue::Kind::kArray:
      return out + "[]";
    default:
      return out + '"' + v.text + '"';
  }
}

// "1,2 count()=2; 6": the spans of each set and its attributes, over all traces.
std::string sets_of(const std::string& text) {
  const Result<Query> query = parse_query(text);
  if (!query) return query.error().text;
  std::vector<std::string> out;
  for (const std::string& otlp : traces()) {
    const Result<TraceView> trace = TraceView::read(otlp);
    Steps steps(1'000'000);
    for (const Spanset& set : query->evaluate(*trace, steps)) {
      std::vector<int> numbers;
      for (const std::uint32_t i : set.spans) numbers.push_back(trace->spans()[i].span_id[7]);
      std::sort(numbers.begin(), numbers.end());
      std::string one = fmt::format("{}", fmt::join(numbers, ","));
      for (const NamedValue& v : set.attributes) one += ' ' + text_of(v);
      out.push_back(one);
    }
  }
  return fmt::format("{}", fmt::join(out, "; "));
}

// The spans of all sets.
std::string spans_of(const std::string& text) {
  const Result<Query> query = parse_query(text);
  if (!query) return query.error().text;
  std::vector<int> numbers;
  for (const std::string& otlp : traces()) {
    const Result<TraceView> trace = TraceView::read(otlp);
    Steps steps(1'000'000);
    for (const Spanset& set : query->evaluate(*trace, steps)) {
      for (const std::uint32_t i : set.spans) numbers.push_back(trace->spans()[i].span_id[7]);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  return fmt::format("{}", fmt::join(numbers, ","));
}

std::string error_of(const std::string& text) {
  const Result<Query> query = parse_query(text);
  return query ? "none" : query.error().text;
}

struct Case {
  std::string query, spans;
};

}  // namespace

TEST_CASE("queries find the spans that Tempo finds", "[traceql]") {
  static const Case kCases[] = {
      {"{}", "1,2,3,4,5,6,7"},
      {R"({ resource.service.name = "payment" })", "3,4,5"},
      {R"({ .service.name = "batch" })", ""},
      {R"({ .service.name = "shadow" })", "6"},
      {R"({ resource.service.name = "shadow" })", ""},
      {R"({ name = "POST /pay" && kind = server })", "3"},
      {"{ span:kind != server }", "2,4,5,6,7"},
      {"{ status != error }", "1,4,5,6,7"},
      {"{ status = unset && kind = internal }", "5,7"},
      {R"({ statusMessage != "" })", "2"},
      {"{ duration > 1s }", "1,6"},
      {"{ duration > 1000000000 }", "1,6"},
      {"{ duration >= 0.7s && duration <= 0.8s }", "2,3"},
      {"{ traceDuration > 2s }", "6"},
      {"{ trace:duration < 1.5s }", "1,2,3,4,5,7"},
      {R"({ traceDuration > 1s && resource.service.name = "payment" })", "3,4,5"},
      {R"({ rootName =~ ".*checkout" && status = error })", "2,3"},
      {R"({ rootServiceName != "frontend" })", "6,7"},
      {R"({ trace:id = "a0000000000000000000000000000001" })", "1,2,3,4,5"},
      {R"({ span:parentID = "b100000000000003" })", "4,5"},
      {"{ span.http.status_code = 500 }", "2,3"},
      {R"({ span.http.status_code = "500" })", "6"},
      {"{ span.http.status_code != 500 }", "1"},
      {R"({ span.http.status_code >= "400" })", "6"},
      {"{ .http.status_code = 500 }", "2,3"},
      {"{ 500 = span.http.status_code }", "2,3"},
      {"{ span.http.status_code > 100 * 4 }", "2,3"},
      {"{ span.ratio = 1.5 }", "4"},
      {"{ span.hit }", "5"},
      {"{ span.hit != true }", ""},
      {"{ span.foo = nil }", "1,2,3,4,5,6"},
      {"{ span.foo != nil }", "7"},
      {R"({ span.foo != "bar" })", ""},
      {R"({ resource.deployment.environment != "prod" })", "6"},
      {R"({ span.db.system =~ "postgres" })", ""},
      {R"({ span.db.system =~ "postgres.*" })", "4"},
      {R"({ span.db.system !~ "postgres.*" })", "5"},
      {R"({ name =~ "(?i)post.*" })", "2,3"},
      {R"({ resource.service.name =~ "PAY.*" })", ""},
      {R"({ name > "P" })", "2,3,4,5,6,7"},
      {R"({ span.tags = "a" })", "4"},
      {R"({ span.tags =~ "b|z" })", "4"},
      {R"({ span."my attr" = "x" })", "7"},
      {"{ span.foo = `bar` }", "7"},
      {R"({ event:name = "exception" })", "3"},
      {R"({ event.exception.message =~ ".*declined" })", "3"},
      {"{ event:timeSinceStart > 5ms }", "3"},
      {R"({ .exception.message = "card declined" })", ""},
      {R"({ link:traceID = "a0000000000000000000000000000002" })", "2"},
      {R"({ link.why = "retry" })", "2"},
      {R"({ instrumentation:name != "grpc" })", "1,2,6,7"},
      {R"({ instrumentation.lang = "go" })", "1,2"},
      {"{ nestedSetParent < 0 }", "1,6"},
      {"{ kind = server && (status = error || duration > 1s) }", "1,3"},
      {R"({ resource.service.name = "payment" || resource.service.name = "worker" && status = error })", "3"},
      {R"({(resource.service.name!="payment" && resource.service.name!="worker")})", "1,2,6"},
      {R"({ resource.service.name = "frontend" } && { span.db.system = "redis" })", "1,2,5"},
      {R"({ resource.service.name = "frontend" && span.db.system = "redis" })", ""},
      {R"({ status = error } || { status = ok } && { span.db.system = "mysql" })", ""},
      {R"({ span.hit = true } || { name = "job" } && { status = ok })", "4,5"},
      {R"({ resource.service.name = "frontend" } >> { span.db.system = "redis" })", "5"},
      {R"({ resource.service.name = "frontend" } > { span.db.system = "redis" })", ""},
      {R"({ resource.service.name = "frontend" } > { status = error })", "2,3"},
      {R"({ span.db.system = "redis" } << { resource.service.name = "frontend" })", "1,2"},
      {"{ status = error } < { kind = server }", "1"},
      {"{ kind = client } ~ { kind = internal }", "5"},
      {R"({ name = "GET /checkout" } >> { status = error } >> { span.db.system = "redis" })", "5"},
      {"{ status = error } !< { status = error }", "3"},
      {"{ status = error } !>> { status = error }", "2"},
      {"{ status = error } !> { }", "1,2,6"},
      {"{ kind = server } &> { kind = client }", "1,2,3,4"},
      {"{ kind = server } !~ { kind = client }", "2,4"},
      {"{ status = error } | count() = 2", "2,3"},
      {"{ kind = client } | max(duration) = 800ms", "2,4"},
      {"{ } | sum(span.ratio) = 1.5", "1,2,3,4,5"},
      {R"(({ status = error } | count() > 1) && ({ span.hit = true }))", "2,3,5"},
      {"count() > 3", "1,2,3,4,5"},
      {"{ false }", ""},
      {"{ 1 = 2 }", ""},
  };
  for (const Case& c : kCases) {
    INFO(c.query);
    CHECK(spans_of(c.query) == c.spans);
  }
}

TEST_CASE("sets carry what divided and measured them", "[traceql]") {
  CHECK(sets_of("{ } | count() > 3") == "1,2,3,4,5 count()=5");
  CHECK(sets_of("{ } | avg(duration) > 500ms") == "1,2,3,4,5 avg(duration)=\"560.4ms\"; 6 avg(duration)=\"5s\"");
  CHECK(sets_of("{ } | count() >= 1 | count() < 2") == "6 count()=1; 7 count()=1");
  CHECK(sets_of("{ } | by(resource.service.name) | count() > 2") ==
        "3,4,5 by(resource.service.name)=\"payment\" count()=3");
  CHECK(sets_of("{ } | by(status) | count() > 1") ==
        "1,5 by(status)=\"unset\" count()=2; 2,3 by(status)=\"error\" count()=2");
  CHECK(sets_of("{ } | by(name) | coalesce() | count() = 5") == "1,2,3,4,5 count()=5");
  CHECK(sets_of("{ status = error } | count() > 1 | { kind = server }") == "3 count()=2");
  CHECK(sets_of("{ } | by(span.db.system)") ==
        "1,2,3 by(span.db.system)=\"nil\"; 4 by(span.db.system)=\"postgresql\"; 5 by(span.db.system)=\"redis\"; "
        "6 by(span.db.system)=\"nil\"; 7 by(span.db.system)=\"nil\"");
  CHECK(sets_of("{ } | sum(span.ratio) = 1.5") == "1,2,3,4,5 sum(span.ratio)=1.5");
  CHECK(sets_of("{ } | max(span.http.status_code) > 1") == "1,2,3,4,5 max(span.http.status_code)=500");
  CHECK(sets_of("{ } | avg(span.http.status_code) > 1") == "1,2,3,4,5 avg(span.http.status_code)=400");
  CHECK(sets_of("{ } | by(1+span.http.status_code / 2) | count() > 1") ==
        "2,3 by(1 + (span.http.status_code / 2))=251 count()=2; 4,5 by(1 + (span.http.status_code / 2))=\"nil\" "
        "count()=2");
}

TEST_CASE("a wrong query is told by its place and what was expected", "[traceql]") {
  const auto begins = [](const std::string& query, const std::string& error) {
    INFO(query << " -> " << error_of(query));
    CHECK(error_of(query).starts_with(error));
  };
  begins(R"({ kind = "server" })",
         "line 1, column 10: expected a kind (server, client, internal, producer, consumer "
         "or unspecified, without quotes), got a string");
  begins(R"({ status = "error" })",
         "line 1, column 12: expected a status (error, ok or unset, without quotes), got a "
         "string");
  begins("{ status = 2 }", "line 1, column 12: expected a status (error, ok or unset, without quotes), got an integer");
  begins("{ status == error }", "line 1, column 11: expected a value after '=', got '=': equal is written as one '='");
  begins(R"({ http.method = "GET" })",
         "line 1, column 3: expected a scope before the name of an attribute, as in 'span.http.method', "
         "'resource.http.method' or '.http.method', got 'http.method'");
  begins("{ name = POST }",
         "line 1, column 10: expected an attribute with its scope (span.POST, resource.POST, .POST)"
         ", an intrinsic such as name, or a \"string\" in quotes, got 'POST'");
  begins("{ span.foo = 'bar' }",
         "line 1, column 14: expected a string in double quotes or backquotes, got a single "
         "quote");
  begins(R"({ span.foo =~ "[" })", "line 1, column 15: expected a regular expression as RE2 reads it (missing ]: [)");
  begins("{ name }", "line 1, column 3: expected a condition such as span.x = 1, got a string");
  begins("{ 1 + 1 }", "line 1, column 3: expected a condition such as span.x = 1, got an integer");
  begins("{ status = nil }", "line 1, column 12: expected an attribute beside nil");
  begins("{ resource.service.name = nil }",
         "line 1, column 27: expected a string, got nil: resource.service.name is "
         "always there");
  begins(R"({ parent.name = "x" })", "line 1, column 3: parent is not supported");
  begins("{ } | count()",
         "line 1, column 14: expected a comparison such as '> 2' after count(), got the end of the "
         "query");
  begins("{ status = error } | count() > 1 && { span.hit = true }",
         "line 1, column 34: expected '|', an operator between { ... } or the end of the query, got '&&'");
  begins("{ .a < 3", "line 1, column 9: expected '}' or an operator, got the end of the query");
  begins("{ span. }", "line 1, column 8: expected the name of an attribute after the dot");
}
