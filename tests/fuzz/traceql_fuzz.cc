// SPDX-License-Identifier: Apache-2.0
// TraceQL over anything: a query, and after a zero byte the bytes of a trace. Whatever parses is asked of that trace
// and of those of the query fixture, within its steps. Nothing may crash, hang or grow; sets are in order and never
// empty, a query that is cut has no answer, and the same question has the same answer twice.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "support/demand.h"
#include "support/query_fixture.h"
#include "traceql/query.h"

using namespace tailgate;
using test::demand;
using namespace tailgate::traceql;

namespace {

void ask(const Query& query, const TraceView& trace) {
  Steps steps(200'000);
  const std::vector<Spanset> sets = query.evaluate(trace, steps);
  demand(!steps.spent() || sets.empty(), "a query that was cut has an answer");
  for (const Spanset& set : sets) {
    demand(!set.spans.empty(), "a set without spans");
    demand(std::adjacent_find(set.spans.begin(), set.spans.end(), std::greater_equal<>()) == set.spans.end(),
           "the spans of a set are not in order");
    demand(set.spans.back() < trace.spans().size(), "a span that is not there");
  }
  if (!sets.empty()) {
    Steps few(20'000);
    query.span_attributes(trace, sets[0].spans[0], few);
  }
  Steps again(200'000);
  demand(query.evaluate(trace, again).size() == sets.size() && again.left() == steps.left(),
         "two answers to one question");
}

const std::vector<TraceView>& fixture() {
  static const auto bytes = new auto(test::fixture_traces());
  static const auto traces = [] {
    auto* const out = new std::vector<TraceView>();
    for (const std::string& otlp : *bytes) out->push_back(std::move(*TraceView::read(otlp)));
    return out;
  }();
  return *traces;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view text = input.substr(0, input.find('\0'));
  const std::string_view otlp = input.substr(std::min(text.size() + 1, input.size()));
  if (const std::optional<Query> filter = filter_of_incomplete(text)) ask(*filter, fixture()[0]);
  const Result<Query> query = parse_query(text);
  if (!query) {
    demand(!query.error().text.empty(), "an error without a text");
    return 0;
  }
  query->needs();
  for (const TraceView& trace : fixture()) ask(*query, trace);
  if (const Result<TraceView> trace = TraceView::read(otlp)) ask(*query, *trace);
  return 0;
}
