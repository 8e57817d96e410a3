// SPDX-License-Identifier: Apache-2.0
#include "web/tempo/tags.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <limits>
#include <set>
#include <utility>

#include "codec/json_text.h"
#include "codec/percent.h"
#include "model/trace_needs.h"
#include "traceql/token.h"
#include "web/json_page.h"
#include "web/params.h"
#include "web/tempo/door.h"
#include "web/tempo/search.h"
#include "wire/otlp/attribute_text.h"

namespace tailgate {
namespace {

namespace json = boost::json;
using traceql::Intrinsic;
using traceql::Scope;

// Longer ones are in no list, as in the catalogue's; and so much text in all.
constexpr std::size_t kValueMax = 256, kValueListBytesMax = 4 << 20;
constexpr std::size_t kTracesMax = 1'000;  // whose spans are looked at for values
constexpr Duration kLookMax = std::chrono::seconds(1);

struct ScopeName {
  std::string_view name;
  Scope scope;
  AttributeScope stored;
};
constexpr std::array kScopes = {
    ScopeName{"resource", Scope::kResource, AttributeScope::kResource},
    ScopeName{"span", Scope::kSpan, AttributeScope::kSpan},
    ScopeName{"event", Scope::kEvent, AttributeScope::kEvent},
    ScopeName{"link", Scope::kLink, AttributeScope::kLink},
    ScopeName{"instrumentation", Scope::kInstrumentation, AttributeScope::kScope},
};

// In Tempo's order.
constexpr std::array<std::string_view, 25> kIntrinsicTags = {"duration",
                                                             "event:name",
                                                             "event:timeSinceStart",
                                                             "instrumentation:name",
                                                             "instrumentation:version",
                                                             "kind",
                                                             "link:spanID",
                                                             "link:traceID",
                                                             "name",
                                                             "rootName",
                                                             "rootServiceName",
                                                             "span:duration",
                                                             "span:id",
                                                             "span:kind",
                                                             "span:name",
                                                             "span:parentID",
                                                             "span:status",
                                                             "span:statusMessage",
                                                             "status",
                                                             "statusMessage",
                                                             "trace:duration",
                                                             "trace:id",
                                                             "trace:rootName",
                                                             "trace:rootService",
                                                             "traceDuration"};

using Values = std::set<std::pair<std::string, std::string_view>>;  // with the type

// 0 and none: as many as there may be.
std::size_t list_limit(Params& params) {
  if (params.text("limit").empty()) return kNamesMax;
  const std::uint64_t limit = params.number("limit", 0, 0, std::numeric_limits<std::uint32_t>::max());
  return limit == 0 ? kNamesMax : std::min<std::uint64_t>(limit, kNamesMax);
}

void take_attribute(const AttributeValue& value, const TakeValue& take) {
  using Kind = AttributeValue::Kind;
  if (value.kind == Kind::kArray) {
    for (const AttributeValue& one : array_of(value)) {
      if (one.kind != Kind::kArray) take_attribute(one, take);
    }
    return;
  }
  const std::string_view type = value.kind == Kind::kString   ? "string"
                                : value.kind == Kind::kInt    ? "int"
                                : value.kind == Kind::kDouble ? "float"
                                : value.kind == Kind::kBool   ? "bool"
                                                              : "";
  if (type.empty()) return;
  std::string text;
  append_attribute_text(text, value);
  take(type, std::move(text));
}

bool take_from(const AttributeViews& attributes, const std::string& name, const TakeValue& take) {
  const AttributeValue* const value = find_attribute(attributes, name);
  if (value != nullptr) take_attribute(*value, take);
  return value != nullptr;
}

void each_attribute(const TempoTag& tag, const TraceView& trace, const TraceView::Span& span, const TakeValue& take) {
  switch (tag.scope) {
    case Scope::kAny:
      if (!take_from(span.attributes, tag.name, take)) take_from(trace.resource(span).attributes, tag.name, take);
      return;
    case Scope::kSpan:
      take_from(span.attributes, tag.name, take);
      return;
    case Scope::kResource:
      take_from(trace.resource(span).attributes, tag.name, take);
      return;
    case Scope::kInstrumentation:
      take_from(trace.scope(span).attributes, tag.name, take);
      return;
    case Scope::kEvent:
      for (const EventView& event : span.events) take_from(event.attributes, tag.name, take);
      return;
    case Scope::kLink:
      for (const LinkView& link : span.links) take_from(link.attributes, tag.name, take);
      return;
    case Scope::kParent:
      return;
  }
}

// Which have values worth a list: the texts. Numbers and ids have none, as in Tempo.
void each_intrinsic(Intrinsic intrinsic, const TraceView& trace, const TraceView::Span& span, const TakeValue& take) {
  const auto text = [&](ByteView value) {
    if (!value.empty()) take("string", std::string(value));
  };
  switch (intrinsic) {
    case Intrinsic::kName:
      return text(span.name);
    case Intrinsic::kStatusMessage:
      return text(span.status_message);
    case Intrinsic::kRootName:
      return text(trace.root_name());
    case Intrinsic::kRootService:
      return text(trace.root_service());
    case Intrinsic::kInstrumentationName:
      return text(trace.scope(span).name);
    case Intrinsic::kInstrumentationVersion:
      return text(trace.scope(span).version);
    case Intrinsic::kEventName:
      for (const EventView& event : span.events) text(event.name);
      return;
    default:
      return;
  }
}

bool has_values(Intrinsic intrinsic) {
  return intrinsic == Intrinsic::kName || intrinsic == Intrinsic::kStatusMessage || intrinsic == Intrinsic::kRootName ||
         intrinsic == Intrinsic::kRootService || intrinsic == Intrinsic::kInstrumentationName ||
         intrinsic == Intrinsic::kInstrumentationVersion || intrinsic == Intrinsic::kEventName;
}

// For a list that need not be whole.
void look_a_moment(SearchLimits& limits) {
  limits.time_max = std::min(limits.time_max, kLookMax);
  limits.ended = {};
}

// What the spans of stored traces have, those that meet the filter if there is one.
Result<void> look(StoreReader& store, SearchLimits limits, const TempoValues& wanted, const LaterAnswer& answer,
                  Values& values) {
  TraceQuestion question = wanted.window;
  question.limit = kTracesMax;
  question.query = wanted.filter;
  if (!wanted.filter) look_a_moment(limits);
  std::size_t bytes = 0;
  const auto enough = [&] {
    return values.size() >= wanted.limit || bytes >= kValueListBytesMax || answer.cancelled();
  };
  const auto found = find_traces(store, question, limits, enough, [&](const FoundTrace& trace) {
    const TakeValue take = [&](std::string_view type, std::string text) {
      if (values.size() >= wanted.limit || bytes >= kValueListBytesMax || text.size() > kValueMax) return;
      const std::size_t size = text.size();
      bytes += values.emplace(std::move(text), type).second ? size : 0;
    };
    const std::vector<TraceView::Span>& spans = trace.view.spans();
    if (!wanted.filter) {
      for (const TraceView::Span& span : spans) each_tempo_value(wanted.tag, trace.view, span, take);
    }
    for (const traceql::Spanset& set : trace.spansets) {
      for (const std::uint32_t span : set.spans) each_tempo_value(wanted.tag, trace.view, spans[span], take);
    }
  });
  if (!found) return tl::unexpected(found.error());
  return {};
}

// The type that a text seems to have, where no span at hand says it.
std::string_view type_of(const std::string& text) {
  if (text == "true" || text == "false") return "bool";
  const char* const end = text.data() + text.size();
  std::int64_t whole = 0;
  double real = 0;
  if (const auto read = std::from_chars(text.data(), end, whole); read.ec == std::errc() && read.ptr == end)
    return "int";
  if (const auto read = std::from_chars(text.data(), end, real); read.ec == std::errc() && read.ptr == end)
    return "float";
  return "string";
}

// The index knows texts only, so that the types of numbers are looked up in traces that have the attribute.
Result<void> known_values(StoreReader& store, SearchLimits limits, const TempoValues& wanted, const LaterAnswer& answer,
                          Values& values) {
  std::set<std::string> texts;
  std::string_view prefix;
  for (const ScopeName& one : kScopes) {
    const bool is_either = one.scope == Scope::kSpan || one.scope == Scope::kResource;
    if (one.scope != wanted.tag.scope && !(wanted.tag.scope == Scope::kAny && is_either)) continue;
    if (one.scope == wanted.tag.scope) prefix = one.name;
    const auto known = store.attribute_values(one.stored, wanted.tag.name, "", wanted.limit);
    if (!known) return tl::unexpected(known.error());
    texts.insert(known->begin(), known->end());
  }
  Values seen;
  if (std::any_of(texts.begin(), texts.end(), [](const std::string& text) { return type_of(text) != "string"; })) {
    TempoValues having = wanted;
    having.limit = kNamesMax;
    if (auto query = traceql::parse_query(fmt::format("{{ {}.{} != nil }}", prefix, json_quoted(wanted.tag.name))))
      having.filter = std::move(*query);
    look_a_moment(limits);
    if (Result<void> good = look(store, limits, having, answer, seen); !good) return good;
  }
  for (const std::string& text : texts) {
    const auto begin = seen.lower_bound({text, ""});
    if (begin == seen.end() || begin->first != text) values.emplace(text, type_of(text));
    for (auto it = begin; it != seen.end() && it->first == text; ++it) values.insert(*it);
  }
  return {};
}

Result<void> collect(StoreReader& store, const SearchLimits& limits, const TempoValues& wanted,
                     const LaterAnswer& answer, Values& values) {
  const auto keywords = [&](const auto& words) {
    for (const std::string_view word : words) values.emplace(std::string(word), "keyword");
  };
  const TempoTag& tag = wanted.tag;
  if (tag.intrinsic == Intrinsic::kStatus) {
    keywords(kStatusWords);
  } else if (tag.intrinsic == Intrinsic::kKind) {
    keywords(kKindWords);
  } else if (tag.intrinsic && !has_values(*tag.intrinsic)) {
    return {};
  } else if (wanted.filter) {
    return look(store, limits, wanted, answer, values);
  } else if (tag.intrinsic == Intrinsic::kName) {
    const auto known = store.operations("", std::nullopt);
    if (!known) return tl::unexpected(known.error());
    for (const StoredOperation& one : *known) values.emplace(one.name, "string");
  } else if (tag.intrinsic) {
    return look(store, limits, wanted, answer, values);
  } else {
    return known_values(store, limits, wanted, answer, values);
  }
  return {};
}

}  // namespace

TempoTag read_tempo_tag(std::string_view text) {
  if (const traceql::IntrinsicInfo* const info = traceql::find_intrinsic(text)) return {.intrinsic = info->intrinsic};
  TempoTag out;
  std::string_view name = text;
  if (name.starts_with('.')) name.remove_prefix(1);
  for (const ScopeName& one : kScopes) {
    if (!text.starts_with(one.name) || text.size() == one.name.size() || text[one.name.size()] != '.') continue;
    out.scope = one.scope;
    name = text.substr(one.name.size() + 1);
  }
  out.name = name;
  if (name.find_first_of("\"`") != std::string_view::npos) {
    const traceql::Tokens tokens = traceql::lex("." + out.name);
    if (tokens.read && tokens.list.size() == 2 && tokens.list[0].kind == traceql::TokenKind::kAttribute)
      out.name = tokens.list[0].value;
  }
  return out;
}

void each_tempo_value(const TempoTag& tag, const TraceView& trace, const TraceView::Span& span, const TakeValue& take) {
  if (tag.intrinsic) {
    each_intrinsic(*tag.intrinsic, trace, span, take);
  } else {
    each_attribute(tag, trace, span, take);
  }
}

Result<TempoTags> read_tempo_tags(std::string_view query) {
  Params params(query);
  TempoTags out;
  const std::string scope =
      params.choice("scope", "none", {"resource", "span", "intrinsic", "event", "link", "instrumentation", "none"});
  if (scope == "intrinsic") out.scopes = TempoTags::Scopes::kIntrinsic;
  for (const ScopeName& one : kScopes) {
    if (one.name != scope) continue;
    out.scopes = TempoTags::Scopes::kOne;
    out.scope = one.stored;
  }
  out.limit = list_limit(params);
  if (!params.good()) return fail(ErrorKind::kBadInput, params.error());
  return out;
}

void answer_tempo_tags(StoreReader& store, const TempoTags& tags, bool v2, LaterAnswer& answer) {
  json::array scopes;
  std::set<std::string> all;
  for (const ScopeName& one : kScopes) {
    if (tags.scopes == TempoTags::Scopes::kIntrinsic) break;
    if (tags.scopes == TempoTags::Scopes::kOne && tags.scope != one.stored) continue;
    auto names = store.attribute_names(one.stored, "", tags.limit);
    if (!names) return answer.answer(tempo_error(names.error()));
    if (!names->empty())
      scopes.push_back(json::object{{"name", one.name}, {"tags", json::array(names->begin(), names->end())}});
    all.insert(names->begin(), names->end());
  }
  // Without a scope they are in the second version of the list only.
  if (tags.scopes == TempoTags::Scopes::kIntrinsic || (v2 && tags.scopes == TempoTags::Scopes::kAll)) {
    scopes.push_back(
        json::object{{"name", "intrinsic"}, {"tags", json::array(kIntrinsicTags.begin(), kIntrinsicTags.end())}});
    if (!v2) all.insert(kIntrinsicTags.begin(), kIntrinsicTags.end());
  }
  json::object out;
  if (v2) {
    out["scopes"] = std::move(scopes);
  } else {
    json::array names(all.begin(), all.end());
    if (names.size() > tags.limit) names.resize(tags.limit);
    out["tagNames"] = std::move(names);
  }
  out["metrics"] = json::object{};
  answer.answer(json_response(200, out));
}

Result<TempoValues> read_tempo_values(std::string_view tag, std::string_view query) {
  Params params(query);
  TempoValues out{.tag = read_tempo_tag(percent_decoded_leniently(tag))};
  read_tempo_window(params, out.window);
  out.limit = list_limit(params);
  // A query that is being typed; what cannot be understood filters nothing.
  std::string filter = params.text("q");
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  filter.erase(std::remove_if(filter.begin(), filter.end(), is_blank), filter.end());
  if (!filter.empty() && filter != "{}") out.filter = traceql::filter_of_incomplete(params.text("q"));
  if (!params.good()) return fail(ErrorKind::kBadInput, params.error());
  return out;
}

void answer_tempo_values(StoreReader& store, const SearchLimits& limits, const TempoValues& wanted, bool v2,
                         LaterAnswer& answer) {
  Values values;
  if (const Result<void> good = collect(store, limits, wanted, answer, values); !good)
    return answer.answer(tempo_error(good.error()));
  json::array list;
  const std::string* last = nullptr;
  for (const auto& [text, type] : values) {
    if (list.size() == wanted.limit) break;
    if (v2) {
      list.push_back(json::object{{"type", type}, {"value", text}});
    } else if (last == nullptr || *last != text) {
      list.emplace_back(text);
    }
    last = &text;
  }
  answer.answer(json_response(200, json::object{{"tagValues", std::move(list)}}));
}

}  // namespace tailgate
