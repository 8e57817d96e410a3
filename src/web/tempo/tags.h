// SPDX-License-Identifier: Apache-2.0
// What Grafana completes a query with: the names of tags and their values, as Tempo lists them. A tag is an attribute
// with its scope ("span.http.route"), one without (".http.route") or an intrinsic ("name", "event:name"). Any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http/later_answer.h"
#include "store/reader.h"
#include "traceql/ast.h"
#include "traceql/query.h"
#include "web/trace_search.h"

namespace tailgate {

struct TempoTag {
  std::optional<traceql::Intrinsic> intrinsic = {};  // else an attribute
  traceql::Scope scope = traceql::Scope::kAny;       // of the span, or else of the resource
  std::string name = {};
};
// Whatever the text is; what nobody has is the name of an attribute without values. It may be quoted as in a query.
TempoTag read_tempo_tag(std::string_view text);

struct TempoTags {
  enum class Scopes { kAll, kOne, kIntrinsic } scopes = Scopes::kAll;
  AttributeScope scope = AttributeScope::kSpan;  // with kOne
  std::size_t limit = 0;                         // of each scope
};
// scope, limit.
Result<TempoTags> read_tempo_tags(std::string_view query);
void answer_tempo_tags(StoreReader& store, const TempoTags& tags, bool v2, LaterAnswer& answer);

struct TempoValues {
  TempoTag tag;
  std::optional<traceql::Query> filter = {};  // of the spans whose values are wanted
  TraceQuestion window = {};
  std::size_t limit = 0;
};
// q, start, end, limit. `tag` as it stands in the path.
Result<TempoValues> read_tempo_values(std::string_view tag, std::string_view query);
void answer_tempo_values(StoreReader& store, const SearchLimits& limits, const TempoValues& values, bool v2,
                         LaterAnswer& answer);

// A value and its type, in Tempo's words: string, int, float, bool, keyword.
using TakeValue = std::function<void(std::string_view type, std::string text)>;
void each_tempo_value(const TempoTag& tag, const TraceView& trace, const TraceView::Span& span, const TakeValue& take);

}  // namespace tailgate
