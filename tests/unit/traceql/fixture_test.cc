// SPDX-License-Identifier: Apache-2.0
// Queries with answers that Tempo's own engine gave, and the errors that it gives.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "support/query_fixture.h"
#include "traceql/query.h"
#include "unit/traceql/error_of.h"

using namespace tailgate;
using namespace tailgate::traceql;

namespace {

const std::array<std::string, 3>& traces() {
  static const std::array<std::string, 3> all = test::fixture_traces();
  return all;
}

std::string named_text(const NamedValue& v) {
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
      for (const NamedValue& v : set.attributes) one += ' ' + named_text(v);
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

struct Case {
  std::string query, answer;
};

// A section of tests/support/traceql_cases.txt.
std::vector<Case> cases(const std::string& section) {
  std::ifstream file(TAILGATE_SOURCE_DIR "/tests/support/traceql_cases.txt");
  REQUIRE(file);
  std::vector<Case> out;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos) {
      if (line.starts_with('[')) inside = line == '[' + section + ']';
    } else if (inside) {
      out.push_back({line.substr(0, tab), line.substr(tab + 1)});
    }
  }
  return out;
}

}  // namespace

TEST_CASE("queries find the spans that Tempo finds", "[traceql]") {
  const std::vector<Case> all = cases("spans");
  REQUIRE(all.size() >= 79);
  for (const Case& c : all) {
    INFO(c.query);
    CHECK(spans_of(c.query) == (c.answer == "none" ? "" : c.answer));
  }
}

TEST_CASE("sets carry what divided and measured them", "[traceql]") {
  const std::vector<Case> all = cases("sets");
  REQUIRE(all.size() >= 12);
  for (const Case& c : all) {
    INFO(c.query);
    CHECK(sets_of(c.query) == c.answer);
  }
}

TEST_CASE("a wrong query is told by its place and what was expected", "[traceql]") {
  const std::vector<Case> all = cases("errors");
  REQUIRE(all.size() >= 17);
  for (const Case& c : all) {
    INFO(c.query << " -> " << error_of(c.query));
    CHECK(error_of(c.query).starts_with(c.answer));
  }
}
