// SPDX-License-Identifier: Apache-2.0
// Random queries over random traces, by the evaluator and by its twin; and the needs of each query, by brute force over
// the traces that it finds. TAILGATE_TWIN_RUNS=10000000 is a long run, TAILGATE_TWIN_SEED=N repeats one case.
#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <set>

#include "traceql/query.h"
#include "unit/traceql/twin.h"
#include "wire/otlp/attribute_text.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace tailgate::traceql;

namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::string text_of(const NamedValue& v) {
  switch (v.kind) {
    case AttributeValue::Kind::kInt:
      return std::to_string(static_cast<std::int64_t>(v.bits));
    case AttributeValue::Kind::kDouble:
      return fmt::format("{}", std::bit_cast<double>(v.bits));
    case AttributeValue::Kind::kBool:
      return v.bits != 0 ? "true" : "false";
    case AttributeValue::Kind::kArray:
      return "[]";
    case AttributeValue::Kind::kString:
      return '"' + v.text + '"';
    default:
      return "?";
  }
}

// As the twin has them: durations as numbers.
std::string text_of_twin(const std::string& text) {
  if (!text.ends_with(" ns")) return text;
  return '"' + format_go_duration(std::stoll(text)) + '"';
}

std::string described(const std::vector<Spanset>& sets) {
  std::string out;
  for (const Spanset& set : sets) {
    for (const std::uint32_t i : set.spans) out += fmt::format("{},", i);
    for (const NamedValue& v : set.attributes) out += fmt::format(" {}={}", v.key, text_of(v));
    out += "; ";
  }
  return out;
}
std::string described(const std::vector<TwinSpanset>& sets) {
  std::string out;
  for (const TwinSpanset& set : sets) {
    for (const std::size_t i : set.spans) out += fmt::format("{},", i);
    for (const auto& [key, text] : set.attributes) out += fmt::format(" {}={}", key, text_of_twin(text));
    out += "; ";
  }
  return out;
}

// All that an index could hold of a trace.
class Index {
 public:
  explicit Index(const TraceView& trace) : trace_(trace) {
    for (const ResourceView& resource : trace.resources()) take(resource.attributes);
    for (const ScopeView& scope : trace.scopes()) take(scope.attributes);
    for (const TraceView::Span& span : trace.spans()) {
      take(span.attributes);
      for (const EventView& event : span.events) take(event.attributes);
      for (const LinkView& link : span.links) take(link.attributes);
      longest_ = std::max(longest_, span.duration_ns);
    }
  }

  bool meets(const TraceNeeds& needs) const {
    const bool terms = std::all_of(needs.all.begin(), needs.all.end(), [&](const std::vector<TraceTerm>& list) {
      return std::any_of(list.begin(), list.end(), [&](const TraceTerm& term) { return has(term); });
    });
    return terms && longest_ >= needs.span_duration_min_ns && trace_.duration_ns() >= needs.trace_duration_min_ns &&
           trace_.duration_ns() <= needs.trace_duration_max_ns;
  }

 private:
  void take(const AttributeViews& attributes) {
    for (const AttributeView& a : attributes) {
      keys_.insert(std::string(a.key));
      const std::vector<AttributeValue> items =
          a.value.kind == AttributeValue::Kind::kArray ? array_of(a.value) : std::vector<AttributeValue>{a.value};
      for (const AttributeValue& item : items) {
        std::string text;
        append_attribute_text(text, item);
        values_.insert({std::string(a.key), text});
      }
    }
  }

  bool has(const TraceTerm& term) const {
    static constexpr const char* kStatus[] = {"unset", "ok", "error"};
    static constexpr const char* kKinds[] = {"unspecified", "internal", "server", "client", "producer", "consumer"};
    if (term.field == TraceTerm::Field::kAttribute)
      return term.value ? values_.contains({term.key, *term.value}) : keys_.contains(term.key);
    return std::any_of(trace_.spans().begin(), trace_.spans().end(), [&](const TraceView::Span& span) {
      if (term.field == TraceTerm::Field::kSpanName) return span.name == *term.value;
      if (term.field == TraceTerm::Field::kStatus)
        return span.status_code <= 2 && *term.value == kStatus[span.status_code];
      return span.kind <= 5 && *term.value == kKinds[span.kind];
    });
  }

  const TraceView& trace_;
  std::set<std::string> keys_;
  std::set<std::pair<std::string, std::string>> values_;
  std::uint64_t longest_ = 0;
};

struct Totals {
  std::uint64_t found = 0, needy = 0, ruled_out = 0;
};

void one_case(std::uint64_t seed, Totals& totals) {
  Random r(seed);
  const twin::TracesData data = random_trace(r);
  const auto tree = RandomQueries(seed * 7 + 1).next();
  const std::string text = print(tree, r);
  INFO("seed " << seed << ": " << text << "\n" << data.ShortDebugString());
  const Result<Query> query = parse_query(text);
  REQUIRE((query ? "" : query.error().text) == std::string());
  const std::string otlp = data.SerializeAsString();
  const Result<TraceView> trace = TraceView::read(otlp);
  REQUIRE(trace);
  Steps steps(10'000'000);
  const std::vector<Spanset> sets = query->evaluate(*trace, steps);
  REQUIRE_FALSE(steps.spent());
  REQUIRE(described(sets) == described(twin_evaluate(tree, data)));
  const TraceNeeds needs = query->needs();
  const bool meets = Index(*trace).meets(needs);
  totals.found += sets.empty() ? 0 : 1;
  totals.needy += needs.all.empty() ? 0 : 1;
  totals.ruled_out += meets ? 0 : 1;
  if (!sets.empty()) REQUIRE(meets);
  // A budget that ends anywhere ends the work, and gives no half answer.
  Steps few(r.below(60));
  const std::vector<Spanset> cut = query->evaluate(*trace, few);
  REQUIRE((few.spent() ? cut.empty() : described(cut) == described(sets)));
}

}  // namespace

TEST_CASE("random queries over random traces have the twin's answers, and what they find meets their needs",
          "[traceql]") {
  Totals totals;
  if (const std::uint64_t seed = setting("TAILGATE_TWIN_SEED", 0); seed != 0) {
    one_case(seed, totals);
    return;
  }
  const std::uint64_t runs = setting("TAILGATE_TWIN_RUNS", 20'000);
  for (std::uint64_t seed = 1; seed <= runs; ++seed) one_case(seed, totals);
  // The test is worth something: of the cases, so many find spans, need terms, and are ruled out by them.
  INFO(totals.found << " found, " << totals.needy << " need terms, " << totals.ruled_out << " ruled out");
  CHECK(totals.found > runs / 4);
  CHECK(totals.needy > runs / 4);
  CHECK(totals.ruled_out > runs / 20);
}
