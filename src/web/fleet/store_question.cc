// SPDX-License-Identifier: Apache-2.0
#include "web/fleet/store_question.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/enum_names.h"
#include "codec/base64.h"
#include "web/json_page.h"

namespace tailgate {
namespace {

namespace json = boost::json;
using Ask = StoreQuestion::Ask;

constexpr std::array<std::string_view, 7> kAskNames = {"trace", "search", "services",    "operations",
                                                       "names", "values", "dependencies"};

// The members of an object. After the first that is missing or of another type all are empty, and error() says which.
class Fields {
 public:
  Fields(const json::value& value, std::string_view what) : object_(value.if_object()) {
    if (object_ == nullptr) error_ = fmt::format("expected {} as a JSON object", what);
  }

  std::string text_at(std::string_view key) {
    const json::value* const value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) return miss(key, "a text"), std::string();
    return std::string(value->get_string());
  }
  std::uint64_t number_at(std::string_view key) {
    const json::value* const value = find(key);
    if (value == nullptr) return 0;
    boost::system::error_code bad;
    const auto out = value->is_number() ? value->to_number<std::uint64_t>(bad) : 0;
    if (!value->is_number() || bad) miss(key, "a whole number that is not negative");
    return bad ? 0 : out;
  }
  template <class Enum, class Names>
  Enum choice_at(std::string_view key, const Names& names) {
    const std::uint64_t number = number_at(key);
    if (number >= names.size()) miss(key, fmt::format("a number below {}", names.size()));
    return static_cast<Enum>(number < names.size() ? number : 0);
  }
  bool contains(std::string_view key) const { return object_ != nullptr && object_->contains(key); }

  // Calls `each` with every element; without the key there is none.
  template <class Each>
  void each_of(std::string_view key, const Each& each) {
    if (!contains(key)) return;
    const json::value* const value = find(key);
    if (value == nullptr) return;
    if (!value->is_array()) return miss(key, "a list");
    for (const json::value& one : value->get_array()) each(one);
  }
  void miss(std::string_view key, std::string_view wanted) {
    if (error_.empty()) error_ = fmt::format("{}: expected {}", key, wanted);
  }
  const std::string& error() const { return error_; }

 private:
  const json::value* find(std::string_view key) {
    if (!error_.empty()) return nullptr;
    const json::value* const value = object_->if_contains(key);
    if (value == nullptr) miss(key, "this key");
    return value;
  }
  const json::object* object_;
  std::string error_;
};

Result<json::value> parse(std::string_view text, std::string_view what) {
  boost::system::error_code bad;
  json::value value = json::parse(text, bad);
  if (bad) return fail(ErrorKind::kBadInput, fmt::format("expected {} as JSON: {}", what, bad.message()));
  return value;
}

std::string compact_text(const json::value& value) {
  std::string out;
  append_json(out, value, JsonForm::kCompact);
  return out;
}

json::value scope_number(const std::optional<AttributeScope>& scope) {
  return scope ? json::value(static_cast<std::uint64_t>(*scope)) : json::value(nullptr);
}

json::object search_of(const TraceQuestion& search) {
  const SpanConditions& span = search.span;
  json::array attributes;
  for (const auto& [key, value] : span.attributes) attributes.push_back(json::array{key, value});
  json::object out{{"from", search.from_ns},
                   {"to", search.to_ns},
                   {"limit", search.limit},
                   {"service", span.service},
                   {"operation", span.operation},
                   {"status", span.status},
                   {"duration_min", span.duration_min_ns},
                   {"duration_max", span.duration_max_ns},
                   {"start_min", span.start_min_ns},
                   {"start_max", span.start_max_ns},
                   {"attributes", std::move(attributes)}};
  if (search.query) out["query"] = search.query->text();
  return out;
}

void read_search(Fields& in, TraceQuestion& out) {
  SpanConditions& span = out.span;
  out.limit = in.number_at("limit");
  span.service = in.text_at("service");
  span.operation = in.text_at("operation");
  span.status = in.text_at("status");
  span.duration_min_ns = in.number_at("duration_min");
  span.duration_max_ns = in.number_at("duration_max");
  span.start_min_ns = in.number_at("start_min");
  span.start_max_ns = in.number_at("start_max");
  in.each_of("attributes", [&](const json::value& one) {
    const json::array* const pair = one.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string())
      return in.miss("attributes", "pairs of texts");
    span.attributes.emplace_back((*pair)[0].get_string(), (*pair)[1].get_string());
  });
  if (!in.contains("query")) return;
  Result<traceql::Query> query = traceql::parse_query(in.text_at("query"));
  if (!query) return in.miss("query", "TraceQL: " + query.error().text);
  out.query = std::move(*query);
}

json::object trace_of(const StoredTrace& trace) {
  std::string otlp;
  append_base64(otlp, trace.otlp);
  return {{"id", trace.id.hex()},
          {"start", trace.start_ns},
          {"end", trace.end_ns},
          {"spans", trace.spans},
          {"errors", trace.errors},
          {"root_service", trace.root_service},
          {"root_name", trace.root_name},
          {"policy", trace.policy},
          {"close_reason", static_cast<std::uint64_t>(trace.close_reason)},
          {"parts_lost", trace.parts_lost},
          {"kept", trace.kept ? 1 : 0},
          {"otlp", std::move(otlp)}};
}

std::string read_trace(const json::value& value, StoredTrace& out) {
  Fields in(value, "a trace");
  const std::optional<TraceId> id = TraceId::from_hex(in.text_at("id"));
  if (!id) in.miss("id", "32 hex digits");
  out.id = id.value_or(TraceId());
  out.start_ns = in.number_at("start");
  out.end_ns = in.number_at("end");
  out.spans = in.number_at("spans");
  out.errors = in.number_at("errors");
  out.root_service = in.text_at("root_service");
  out.root_name = in.text_at("root_name");
  out.policy = in.text_at("policy");
  out.close_reason = in.choice_at<CloseReason>("close_reason", kCloseReasonNames);
  out.parts_lost = in.number_at("parts_lost");
  out.kept = in.number_at("kept") != 0;
  if (!read_base64(in.text_at("otlp"), kBase64Strict, out.otlp) || out.otlp.empty()) in.miss("otlp", "bytes in base64");
  return in.error();
}

}  // namespace

std::string write_store_question(const StoreQuestion& question) {
  json::object out;
  if (question.ask == Ask::kSearch) {
    out = search_of(question.search);
    out["time_ms"] = question.time_ms;
    out["bytes_max"] = question.bytes_max;
  } else if (question.ask == Ask::kTrace) {
    out["id"] = question.id.hex();
  } else if (question.ask == Ask::kServices || question.ask == Ask::kDependencies) {
    out["from"] = question.search.from_ns;
    out["to"] = question.search.to_ns;
  } else if (question.ask == Ask::kOperations) {
    out["service"] = question.service;
    if (question.kind) out["kind"] = *question.kind;
  } else {
    out["prefix"] = question.prefix;
    out["limit"] = question.limit;
    if (question.scope) out["scope"] = scope_number(question.scope);
    if (question.ask == Ask::kValues) out["name"] = question.name;
  }
  out["ask"] = kAskNames[static_cast<std::size_t>(question.ask)];
  return compact_text(out);
}

Result<StoreQuestion> read_store_question(std::string_view text) {
  const Result<json::value> value = parse(text, "a question about stored traces");
  if (!value) return tl::unexpected(value.error());
  Fields in(*value, "a question about stored traces");
  StoreQuestion out;
  const std::string ask = in.text_at("ask");
  const auto found = std::find(kAskNames.begin(), kAskNames.end(), ask);
  if (found == kAskNames.end()) {
    in.miss("ask", fmt::format("one of {}", fmt::join(kAskNames, ", ")));
    return fail(ErrorKind::kBadInput, in.error());
  }
  out.ask = static_cast<Ask>(found - kAskNames.begin());
  if (out.ask == Ask::kSearch || out.ask == Ask::kServices || out.ask == Ask::kDependencies) {
    out.search.from_ns = in.number_at("from");
    out.search.to_ns = in.number_at("to");
  }
  if (out.ask == Ask::kSearch) {
    read_search(in, out.search);
    out.time_ms = in.number_at("time_ms");
    out.bytes_max = in.number_at("bytes_max");
  } else if (out.ask == Ask::kTrace) {
    const std::optional<TraceId> id = TraceId::from_hex(in.text_at("id"));
    if (!id) in.miss("id", "32 hex digits");
    out.id = id.value_or(TraceId());
  } else if (out.ask == Ask::kOperations) {
    out.service = in.text_at("service");
    if (in.contains("kind")) out.kind = static_cast<std::uint32_t>(in.number_at("kind"));
  } else if (out.ask == Ask::kNames || out.ask == Ask::kValues) {
    out.prefix = in.text_at("prefix");
    out.limit = in.number_at("limit");
    if (in.contains("scope")) out.scope = in.choice_at<AttributeScope>("scope", std::array<int, kAttributeScopes>{});
    if (out.ask == Ask::kValues) out.name = in.text_at("name");
  }
  if (!in.error().empty()) return fail(ErrorKind::kBadInput, in.error());
  return out;
}

std::string write_store_answer(const StoreAnswer& answer) {
  json::array traces, names, operations, dependencies, damaged;
  for (const StoredTrace& one : answer.traces) traces.push_back(trace_of(one));
  for (const std::string& one : answer.names) names.push_back(json::value(one));
  for (const StoredOperation& one : answer.operations) operations.push_back(json::array{one.name, one.kind});
  for (const StoredDependency& one : answer.dependencies)
    dependencies.push_back(json::array{one.parent, one.child, one.calls});
  for (const std::string& one : answer.outcome.damaged_files) damaged.push_back(json::value(one));
  return compact_text(json::object{{"traces", std::move(traces)},
                                   {"names", std::move(names)},
                                   {"operations", std::move(operations)},
                                   {"dependencies", std::move(dependencies)},
                                   {"looked_at", answer.outcome.traces},
                                   {"bytes", answer.outcome.bytes},
                                   {"damaged", answer.outcome.damaged},
                                   {"damaged_files", std::move(damaged)},
                                   {"cut", answer.outcome.cut}});
}

Result<StoreAnswer> read_store_answer(std::string_view text) {
  const Result<json::value> value = parse(text, "an answer about stored traces");
  if (!value) return tl::unexpected(value.error());
  Fields in(*value, "an answer about stored traces");
  StoreAnswer out;
  out.outcome.traces = in.number_at("looked_at");
  out.outcome.bytes = in.number_at("bytes");
  out.outcome.damaged = in.number_at("damaged");
  out.outcome.cut = in.text_at("cut");
  const auto texts = [&](std::string_view key, const auto& take) {
    in.each_of(key, [&](const json::value& one) {
      if (!one.is_string()) return in.miss(key, "a list of texts");
      take(std::string(one.get_string()));
    });
  };
  texts("names", [&](std::string one) { out.names.push_back(std::move(one)); });
  texts("damaged_files", [&](std::string one) { out.outcome.damaged_files.insert(std::move(one)); });
  // A row of texts and a number at its end.
  const auto row = [&](std::string_view key, const json::value& one, std::size_t size) -> const json::array* {
    const json::array* const out_row = one.if_array();
    bool good = out_row != nullptr && out_row->size() == size;
    for (std::size_t i = 0; good && i != size; ++i)
      good = i + 1 == size ? (*out_row)[i].is_int64() || (*out_row)[i].is_uint64() : (*out_row)[i].is_string();
    if (!good) in.miss(key, fmt::format("rows of {} with a number at the end", size));
    return good ? out_row : nullptr;
  };
  const auto number = [](const json::value& one) {
    return one.is_uint64() ? one.get_uint64() : static_cast<std::uint64_t>(std::max<std::int64_t>(0, one.get_int64()));
  };
  in.each_of("operations", [&](const json::value& one) {
    if (const json::array* const r = row("operations", one, 2))
      out.operations.push_back({std::string((*r)[0].get_string()), static_cast<std::uint32_t>(number((*r)[1]))});
  });
  in.each_of("dependencies", [&](const json::value& one) {
    if (const json::array* const r = row("dependencies", one, 3))
      out.dependencies.push_back(
          {std::string((*r)[0].get_string()), std::string((*r)[1].get_string()), number((*r)[2])});
  });
  in.each_of("traces", [&](const json::value& one) {
    const std::string error = read_trace(one, out.traces.emplace_back());
    if (!error.empty()) in.miss("traces", error);
  });
  if (!in.error().empty()) return fail(ErrorKind::kBadInput, in.error());
  return out;
}

}  // namespace tailgate
