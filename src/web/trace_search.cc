// SPDX-License-Identifier: Apache-2.0
#include "web/trace_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "model/trace_needs.h"
#include "net/http/http.h"
#include "wire/otlp/attribute_text.h"

namespace tailgate {
namespace {

bool has_text(const AttributeValue& value, const std::string& wanted) {
  if (value.kind == AttributeValue::Kind::kArray) {
    const std::vector<AttributeValue> elements = array_of(value);
    if (std::any_of(elements.begin(), elements.end(), [&](const AttributeValue& e) { return has_text(e, wanted); }))
      return true;
  }
  std::string text;
  append_attribute_text(text, value);
  return text == wanted;
}

bool has(const AttributeViews& attributes, const std::string& key, const std::string& wanted) {
  const AttributeValue* const value = find_attribute(attributes, key);
  return value != nullptr && has_text(*value, wanted);
}

bool has_anywhere(const TraceView& trace, const TraceView::Span& span, const std::string& key,
                  const std::string& wanted) {
  return has(span.attributes, key, wanted) || has(trace.resource(span).attributes, key, wanted) ||
         has(trace.scope(span).attributes, key, wanted) ||
         std::any_of(span.events.begin(), span.events.end(),
                     [&](const EventView& event) { return has(event.attributes, key, wanted); }) ||
         std::any_of(span.links.begin(), span.links.end(),
                     [&](const LinkView& link) { return has(link.attributes, key, wanted); });
}

constexpr std::string_view kResourcePrefix = "resource.";

// As Jaeger reads them: a kind in any case, and an unknown word is the unspecified one; unknown statuses are unset.
std::string_view kind_word(const std::string& wanted) {
  for (std::uint32_t kind = 1; kind <= 5; ++kind) {
    if (equal_ignoring_case(kind_text(kind), wanted)) return kind_text(kind);
  }
  return kind_text(0);
}
std::string_view status_word(const std::string& wanted) {
  return wanted == "OK" ? "ok" : wanted == "ERROR" ? "error" : "unset";
}

// Whether `key` means a field of the span, and then whether it has that value.
std::optional<bool> meets_field(const TraceView& trace, const TraceView::Span& span, const std::string& key,
                                const std::string& wanted) {
  if (key == "error") {
    if (wanted != "true" && wanted != "false") return false;
    return (status_text(span.status_code) == "error") == (wanted == "true");
  }
  if (key == "span.kind") return kind_text(span.kind) == kind_word(wanted);
  if (key == "span.status") return status_text(span.status_code) == status_word(wanted);
  if (key == "scope.name") return trace.scope(span).name == wanted;
  if (key == "scope.version") return trace.scope(span).version == wanted;
  if (key.starts_with(kResourcePrefix))
    return has(trace.resource(span).attributes, key.substr(kResourcePrefix.size()), wanted);
  return std::nullopt;
}

void add_term(TraceNeeds& needs, TraceTerm::Field field, std::string key, std::optional<std::string> value) {
  needs.all.push_back({TraceTerm{field, std::move(key), std::move(value)}});
}

TraceNeeds needs_of(const TraceQuestion& question) {
  TraceNeeds needs = question.query ? question.query->needs() : TraceNeeds{};
  const SpanConditions& span = question.span;
  if (!span.operation.empty()) add_term(needs, TraceTerm::Field::kSpanName, {}, span.operation);
  if (!span.status.empty()) add_term(needs, TraceTerm::Field::kStatus, {}, span.status);
  for (const auto& [key, value] : span.attributes) {
    if (key == "error") {
      if (value == "true") add_term(needs, TraceTerm::Field::kStatus, {}, "error");
    } else if (key == "span.kind") {
      add_term(needs, TraceTerm::Field::kKind, {}, std::string(kind_word(value)));
    } else if (key == "span.status") {
      add_term(needs, TraceTerm::Field::kStatus, {}, std::string(status_word(value)));
    } else if (key != "scope.name" && key != "scope.version") {
      std::string name = key.starts_with(kResourcePrefix) ? key.substr(kResourcePrefix.size()) : key;
      // The index has the elements of an array, not its text.
      const bool is_array = value.starts_with('[');
      add_term(needs, TraceTerm::Field::kAttribute, std::move(name), is_array ? std::nullopt : std::optional(value));
    }
  }
  needs.span_duration_min_ns = std::max(needs.span_duration_min_ns, span.duration_min_ns);
  return needs;
}

// A search of the trace with one id: the catalogue knows where it is.
Result<SearchOutcome> look_at_one(StoreReader& store, const SearchRequest& request,
                                  const std::function<bool(const StoredTrace&)>& look) {
  Result<StoredTrace> stored = store.trace(*request.needs.id);
  if (!stored) return tl::unexpected(stored.error());
  SearchOutcome out;
  if (stored->otlp.empty()) return out;
  out.traces = 1;
  out.bytes = stored->otlp.size();
  out.damaged = stored->parts_lost != 0 ? 1 : 0;
  if (stored->start_ns <= request.to_ns && std::max(stored->start_ns, stored->end_ns) >= request.from_ns) look(*stored);
  return out;
}

// Puts what others found between what comes from the own store, in the order of both.
class Merge {
 public:
  Merge(std::vector<StoredTrace> others, const std::function<bool(const StoredTrace&)>& look)
      : others_(std::move(others)), look_(look) {
    for (const StoredTrace& one : others_) ids_.insert(one.id);
  }

  // False: enough is found.
  bool own(const StoredTrace& stored) {
    while (next_ != others_.size() && newest_first(others_[next_], stored)) {
      if (!hand(others_[next_++])) return false;
    }
    return ids_.contains(stored.id) || hand(stored);
  }
  void rest() {
    while (!ended_ && next_ != others_.size()) hand(others_[next_++]);
  }

 private:
  bool hand(const StoredTrace& one) {
    ended_ = !look_(one);
    return !ended_;
  }

  const std::vector<StoredTrace> others_;
  const std::function<bool(const StoredTrace&)>& look_;
  std::set<TraceId> ids_;
  std::size_t next_ = 0;
  bool ended_ = false;
};

}  // namespace

bool newest_first(const StoredTrace& a, const StoredTrace& b) {
  return a.start_ns != b.start_ns ? a.start_ns > b.start_ns : a.id.view() > b.id.view();
}

void add(SearchOutcome& sum, const SearchOutcome& more) {
  sum.traces += more.traces;
  sum.bytes += more.bytes;
  sum.damaged += more.damaged;
  sum.damaged_files.insert(more.damaged_files.begin(), more.damaged_files.end());
  if (more.cut.empty()) return;
  if (!sum.cut.empty()) sum.cut += ' ';
  sum.cut += more.cut;
}

bool SpanConditions::any() const {
  return !service.empty() || !operation.empty() || !status.empty() || duration_min_ns != 0 ||
         duration_max_ns != std::numeric_limits<std::uint64_t>::max() || start_min_ns != 0 ||
         start_max_ns != std::numeric_limits<std::uint64_t>::max() || !attributes.empty();
}

bool meets(const TraceView& trace, const TraceView::Span& span, const SpanConditions& wanted) {
  if (!wanted.service.empty() && trace.service_of(span) != wanted.service) return false;
  if (!wanted.operation.empty() && span.name != wanted.operation) return false;
  if (!wanted.status.empty() && status_text(span.status_code) != wanted.status) return false;
  if (span.duration_ns < wanted.duration_min_ns || span.duration_ns > wanted.duration_max_ns) return false;
  if (span.start_ns < wanted.start_min_ns || span.start_ns > wanted.start_max_ns) return false;
  return std::all_of(wanted.attributes.begin(), wanted.attributes.end(), [&](const auto& attribute) {
    const auto& [key, value] = attribute;
    const std::optional<bool> field = meets_field(trace, span, key, value);
    return field ? *field : has_anywhere(trace, span, key, value);
  });
}

Result<SearchOutcome> find_traces(StoreReader& store, const TraceQuestion& question, const SearchLimits& limits,
                                  const std::function<bool()>& cancelled,
                                  const std::function<void(const FoundTrace&)>& take) {
  SearchRequest request;
  request.from_ns = question.from_ns;
  request.to_ns = question.to_ns;
  request.service = question.span.service;
  request.needs = needs_of(question);
  request.budget.bytes_max = limits.bytes_max;
  request.budget.deadline = monotonic_now() + limits.time_max;
  request.budget.clock = monotonic_now;
  request.budget.cancelled = cancelled;
  traceql::Steps steps(limits.steps_max, [&] { return cancelled() || monotonic_now() >= request.budget.deadline; });
  std::size_t found = 0;
  const bool conditions = question.span.any();
  const std::function<bool(const StoredTrace&)> look = [&](const StoredTrace& stored) {
    const Result<TraceView> view = TraceView::read(stored.otlp);
    if (!view) return true;
    if (conditions && std::none_of(view->spans().begin(), view->spans().end(),
                                   [&](const TraceView::Span& span) { return meets(*view, span, question.span); }))
      return true;
    std::vector<traceql::Spanset> spansets;
    if (question.query) {
      spansets = question.query->evaluate(*view, steps);
      if (steps.spent()) return false;
      if (spansets.empty()) return true;
    }
    take({stored, *view, spansets, steps});
    return ++found < question.limit;
  };
  Result<SearchOutcome> outcome = SearchOutcome();
  if (request.needs.id) {  // of all stores, if there are several
    outcome = look_at_one(store, request, look);
  } else {
    FoundElsewhere others;
    if (limits.elsewhere) others = limits.elsewhere(question, limits.time_max / 2);
    Merge merge(std::move(others.traces), look);
    outcome = store.search(request, [&](const StoredTrace& stored) { return merge.own(stored); });
    if (outcome) {
      merge.rest();
      add(*outcome, others.outcome);
    }
  }
  if (outcome && steps.spent() && outcome->cut.empty())
    outcome->cut = steps.stopped() ? "The search ended at its time limit."
                                   : "The query needs too much work for the traces that were looked at.";
  if (outcome && limits.ended && !cancelled()) limits.ended(*outcome);
  return outcome;
}

Result<std::vector<std::pair<std::string, std::string>>> read_attribute_words(std::string_view text,
                                                                              std::string_view field) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto bad = [&](std::string_view at) {
    return fail(ErrorKind::kBadInput,
                fmt::format("{}: expected key=value or key=\"a value\", got '{}'", field, at.substr(0, 80)));
  };
  std::size_t at = 0;
  const auto blank = [&] { return text[at] == ' ' || text[at] == '\t'; };
  for (;;) {
    while (at < text.size() && blank()) ++at;
    if (at == text.size()) return out;
    const std::size_t begin = at;
    const std::size_t equals = text.find('=', at);
    if (equals == std::string_view::npos || equals == at ||
        text.substr(at, equals - at).find_first_of(" \t\"") != std::string_view::npos)
      return bad(text.substr(begin));
    std::string value;
    at = equals + 1;
    if (at < text.size() && text[at] == '"') {
      for (++at; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\' && at + 1 < text.size()) ++at;
        value += text[at];
      }
      if (at == text.size()) return bad(text.substr(begin));
      if (++at < text.size() && !blank()) return bad(text.substr(begin));
    } else {
      while (at < text.size() && !blank()) value += text[at++];
    }
    out.emplace_back(std::string(text.substr(begin, equals - begin)), std::move(value));
  }
}

}  // namespace tailgate
