// SPDX-License-Identifier: Apache-2.0
// The search of stored traces that people and other people's programs ask for: some plain conditions, all on one span,
// and a TraceQL query. The index of the store gives candidates; here each is decoded and looked at. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/reader.h"
#include "traceql/query.h"
#include "wire/trace/trace_view.h"

namespace tailgate {

// What one span of a trace must have, as Jaeger searches: docs/web.md. Empty fields match everything.
struct SpanConditions {
  std::string service = {}, operation = {};
  std::string status = {};  // unset, ok, error
  std::uint64_t duration_min_ns = 0, duration_max_ns = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t start_min_ns = 0, start_max_ns = std::numeric_limits<std::uint64_t>::max();
  // Values as append_attribute_text writes them. Looked for in the span, its resource, scope, events and links; the
  // keys error, span.kind, span.status, scope.name and scope.version mean these, and resource.X the resource's X.
  std::vector<std::pair<std::string, std::string>> attributes = {};

  bool any() const;
};

struct TraceQuestion {
  std::uint64_t from_ns = 0, to_ns = std::numeric_limits<std::uint64_t>::max();
  SpanConditions span;
  std::optional<traceql::Query> query;
  std::size_t limit = 20;
};

// The order of a search: newest start first, of the same start the largest id first.
bool newest_first(const StoredTrace& a, const StoredTrace& b);
// What two searches together looked at and left out.
void add(SearchOutcome& sum, const SearchOutcome& more);

// What other stores than the one that is searched have found: the newest traces that meet the question, in
// that order, each with all its parts, also those in the store that is searched.
struct FoundElsewhere {
  std::vector<StoredTrace> traces;
  SearchOutcome outcome;
};

// What all searches of a process share.
struct SearchLimits {
  Duration time_max = std::chrono::seconds(10);
  std::uint64_t bytes_max = std::uint64_t{1} << 30;  // of OTLP, unpacked
  std::uint64_t steps_max = 200'000'000;             // of TraceQL, over all traces
  std::size_t dependencies_max = 10'000;             // pairs of services in one answer
  // Told of each search that ended by itself, for the metrics; may be empty. Any thread.
  std::function<void(const SearchOutcome&)> ended = {};
  // Asks other stores, for no longer than this time; may be empty. Any thread.
  std::function<FoundElsewhere(const TraceQuestion&, Duration)> elsewhere = {};
};

// Of one list of names: services, attributes, values and the like.
inline constexpr std::size_t kNamesMax = 5'000;
// Of a name in a list of traces, in bytes: senders choose how long names are.
inline constexpr std::size_t kNameShown = 200;

// What the doors for other people's programs are made with.
struct StoreDoorOptions {
  std::shared_ptr<StoreReader> store;  // null: nothing is stored, and every question is told so
  SearchLimits limits = {};
};

struct FoundTrace {
  const StoredTrace& stored;
  const TraceView& view;
  const std::vector<traceql::Spanset>& spansets;  // of `query`; empty without one
  traceql::Steps& steps;
};

// Hands the newest traces that meet `question` to `take`, at most `limit`. `cancelled` is asked between two traces.
Result<SearchOutcome> find_traces(StoreReader& store, const TraceQuestion& question, const SearchLimits& limits,
                                  const std::function<bool()>& cancelled,
                                  const std::function<void(const FoundTrace&)>& take);

bool meets(const TraceView& trace, const TraceView::Span& span, const SpanConditions& wanted);

// "a=b c=\"d e\"", as people write attributes into one field. Fails with the name of the field and what was expected.
Result<std::vector<std::pair<std::string, std::string>>> read_attribute_words(std::string_view text,
                                                                              std::string_view field = "attributes");

}  // namespace tailgate
