// SPDX-License-Identifier: Apache-2.0
// The query strings of Tempo's API and the names of tags in its paths, as anybody may send them: the same input as each
// of them. Nothing may crash or hang, an error has a text, and what is taken is within its bounds and can be asked of a
// trace.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "support/demand.h"
#include "support/query_fixture.h"
#include "web/tempo/search.h"
#include "web/tempo/tags.h"

using namespace tailgate;
using test::demand;

namespace {

const TraceView& fixture() {
  static const auto* const bytes = new std::string(test::fixture_traces()[0]);
  static const auto* const view = new TraceView(std::move(*TraceView::read(*bytes)));
  return *view;
}

void demand_window(const TraceQuestion& question) {
  demand(question.from_ns < question.to_ns, "a window that ends before it begins");
}

void search(std::string_view query) {
  const Result<TempoSearch> search = read_tempo_search(query);
  if (!search) return demand(!search.error().text.empty(), "an error without a text");
  demand_window(search->question);
  demand(search->question.limit >= 1 && search->question.limit <= 10'000, "limit");
  demand(search->spans_max <= 100, "spss");
  demand(!search->has_sets || search->question.query.has_value(), "sets without a query");
  if (!search->question.query) return;
  traceql::Steps steps(20'000);
  const std::vector<traceql::Spanset> sets = search->question.query->evaluate(fixture(), steps);
  StoredTrace stored;
  std::string json;
  append_tempo_trace(json, {stored, fixture(), sets, steps}, *search);
  demand(json.starts_with('{') && json.ends_with('}'), "not an object");
}

void tags(std::string_view tag, std::string_view query) {
  if (const Result<TempoTags> tags = read_tempo_tags(query)) {
    demand(tags->limit >= 1 && tags->limit <= 5'000, "limit of tags");
  } else {
    demand(!tags.error().text.empty(), "an error without a text");
  }
  const Result<TempoValues> values = read_tempo_values(tag, query);
  if (!values) return demand(!values.error().text.empty(), "an error without a text");
  demand_window(values->window);
  demand(values->limit >= 1 && values->limit <= 5'000, "limit of values");
  for (const TraceView::Span& span : fixture().spans()) {
    each_tempo_value(values->tag, fixture(), span, [](std::string_view type, const std::string& text) {
      demand(!type.empty() && !text.empty(), "a value without a type or a text");
    });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = std::min(input.find('\n'), input.size());
  search(input);
  tags(input.substr(0, line), input.substr(std::min(line + 1, input.size())));
  return 0;
}
