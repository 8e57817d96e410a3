// SPDX-License-Identifier: Apache-2.0
#include "web/tempo/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/clock.h"
#include "codec/json_text.h"
#include "web/json_page.h"
#include "web/tempo/door.h"
#include "wire/otlp/item_limits.h"

namespace tailgate {
namespace {

constexpr std::uint64_t kTempoSearchMax = 10'000, kSpansMax = 100;
constexpr std::size_t kPiece = 64 << 10;  // of an answer; smaller ones are sent whole

std::uint64_t seconds(Params& params, std::string_view name) {
  return params.text(name).empty() ? 0 : params.number(name, 0, 0, std::numeric_limits<std::uint32_t>::max());
}

// "500", "-1.5": what is a number in TraceQL too.
bool is_number(std::string_view text) {
  constexpr std::size_t kDigitsMax = 18;
  if (text.starts_with('-')) text.remove_prefix(1);
  const std::size_t dot = std::min(text.find('.'), text.size());
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.size() <= kDigitsMax &&
           std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  return digits(text.substr(0, dot)) && (dot == text.size() || digits(text.substr(dot + 1)));
}

// One tag of Tempo's oldest form of a search, as TraceQL. A value is a text there, whatever its type in the span.
std::string condition_of(const std::string& key, const std::string& value) {
  const std::string text = json_quoted(value);
  if (key == "name" || key == "root.name" || key == "root.service.name")
    return fmt::format("{} = {}", key == "name" ? "name" : key == "root.name" ? "rootName" : "rootServiceName", text);
  if (key == "status.code") return "status = " + value;
  const std::string attribute = '.' + json_quoted(key);
  std::string out = fmt::format("{} = {}", attribute, text);
  if (is_number(value) || value == "true" || value == "false") out += fmt::format(" || {} = {}", attribute, value);
  return out;
}

// Each condition on some span of the trace.
Result<void> read_tags(Params& params, TraceQuestion& out) {
  auto words = read_attribute_words(params.text("tags"), "tags");
  if (!words) return tl::unexpected(words.error());
  std::string text;
  const auto add = [&](const std::string& condition) {
    text += fmt::format("{}{{ {} }}", text.empty() ? "" : " && ", condition);
  };
  for (const auto& [key, value] : *words) {
    if (key == "status.code" && !traceql::status_of_word(value)) {
      return fail(ErrorKind::kBadInput,
                  fmt::format("tags: status.code: expected unset, ok or error, got '{}'", value.substr(0, 80)));
    }
    add(condition_of(key, value));
  }
  const auto min = params.duration_ns("minDuration"), max = params.duration_ns("maxDuration");
  if (min && max && *max < *min) params.fail("maxDuration", "no less than minDuration", params.text("maxDuration"));
  if (min) add(fmt::format("traceDuration >= {}ns", *min));
  if (max) add(fmt::format("traceDuration <= {}ns", *max));
  if (text.empty()) return {};
  Result<traceql::Query> query = traceql::parse_query(text);
  if (!query) return fail(ErrorKind::kBadInput, "tags: as TraceQL: " + query.error().text);
  out.query = std::move(*query);
  return {};
}

// --- the answer. Fields that have their default value are left out, as protobuf's JSON does.

class Object {
 public:
  explicit Object(std::string& out) : out_(out) { out_ += '{'; }
  ~Object() { out_ += '}'; }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  std::string& key(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    append_json_string(out_, name);
    out_ += ':';
    return out_;
  }
  void text(std::string_view name, ByteView value) {
    if (!value.empty()) append_json_string(key(name), value);
  }
  void number(std::string_view name, std::uint64_t value) {
    if (value != 0) append_number(key(name), value);
  }
  void number64(std::string_view name, std::uint64_t value) {
    if (value != 0) append_quoted(key(name), value);
  }

 private:
  std::string& out_;
  bool first_ = true;
};

template <class List, class Append>
void append_list(std::string& out, const List& list, Append append) {
  out += '[';
  bool first = true;
  for (const auto& one : list) {
    if (!first) out += ',';
    first = false;
    append(one);
  }
  out += ']';
}

void append_double(std::string& out, double value) {
  if (std::isnan(value)) {
    out += R"("NaN")";
  } else if (std::isinf(value)) {
    out += value > 0 ? R"("Infinity")" : R"("-Infinity")";
  } else {
    append_number(out, value);
  }
}

void append_value(std::string& out, const AttributeValue& value, int depth);

void append_attribute(std::string& out, ByteView key, const AttributeValue& value, int depth) {
  Object object(out);
  object.text("key", key);
  append_value(object.key("value"), value, depth);
}

void append_value(std::string& out, const AttributeValue& value, int depth) {
  using Kind = AttributeValue::Kind;
  Object object(out);
  if (depth > kValueDepthMax) return;
  switch (value.kind) {
    case Kind::kUnset:
      return;
    case Kind::kString:
      return append_json_string(object.key("stringValue"), value.bytes);
    case Kind::kBool:
      object.key("boolValue") += value.bits != 0 ? "true" : "false";
      return;
    case Kind::kInt:
      return append_quoted(object.key("intValue"), static_cast<std::int64_t>(value.bits));
    case Kind::kDouble:
      return append_double(object.key("doubleValue"), std::bit_cast<double>(value.bits));
    case Kind::kBytes:
      return append_quoted_base64(object.key("bytesValue"), value.bytes);
    case Kind::kArray: {
      Object list(object.key("arrayValue"));
      append_list(list.key("values"), array_of(value),
                  [&](const AttributeValue& one) { append_value(out, one, depth + 1); });
      return;
    }
    case Kind::kMap: {
      Object list(object.key("kvlistValue"));
      append_list(list.key("values"), map_of(value),
                  [&](const AttributeView& one) { append_attribute(out, one.key, one.value, depth + 1); });
      return;
    }
  }
}

void append_attributes(Object& object, std::string& out, const std::vector<traceql::NamedValue>& attributes) {
  if (attributes.empty()) return;
  append_list(object.key("attributes"), attributes,
              [&](const traceql::NamedValue& one) { append_attribute(out, one.key, one.value(), 0); });
}

void append_span(std::string& out, const FoundTrace& found, const traceql::Query& query, std::uint32_t number) {
  const TraceView::Span& span = found.view.spans()[number];
  Object object(out);
  append_quoted_hex(object.key("spanID"), span.span_id);
  if (query.uses_name()) object.text("name", span.name);
  object.number64("startTimeUnixNano", span.start_ns);
  object.number64("durationNanos", span.duration_ns);
  append_attributes(object, out, query.span_attributes(found.view, number, found.steps));
}

void append_set(std::string& out, const FoundTrace& found, const traceql::Spanset& set, const TempoSearch& search) {
  Object object(out);
  std::vector<std::uint32_t> spans = set.spans;
  if (search.spans_max != 0 && spans.size() > search.spans_max) spans.resize(search.spans_max);
  append_list(object.key("spans"), spans,
              [&](std::uint32_t number) { append_span(out, found, *search.question.query, number); });
  object.number("matched", set.spans.size());
  append_attributes(object, out, set.attributes);
}

}  // namespace

void read_tempo_window(Params& params, TraceQuestion& out) {
  const std::uint64_t start = seconds(params, "start"), end = seconds(params, "end");
  if (!params.good() || (start == 0 && end == 0)) return;
  if (start == 0) params.fail("start", "Unix seconds, since there is an end", params.text("start"));
  if (end <= start) params.fail("end", "Unix seconds after start", params.text("end"));
  out.from_ns = start * kNsPerSecond;
  out.to_ns = end * kNsPerSecond;
}

Result<TempoSearch> read_tempo_search(std::string_view query) {
  Params params(query);
  TempoSearch out;
  read_tempo_window(params, out.question);
  if (!params.text("limit").empty()) out.question.limit = params.number("limit", 20, 1, kTempoSearchMax);
  if (!params.text("spss").empty()) out.spans_max = params.number("spss", 3, 0, kSpansMax);
  const std::string text = params.text("q");
  const bool has_tags = !params.text("tags").empty();
  const bool has_durations = !params.text("minDuration").empty() || !params.text("maxDuration").empty();
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    if (Result<void> good = read_tags(params, out.question); !good) return tl::unexpected(good.error());
  } else if (has_tags || has_durations) {
    return fail(ErrorKind::kBadInput,
                "expected either q, or tags with minDuration and maxDuration; in q the duration of a trace is "
                "traceDuration");
  } else {
    Result<traceql::Query> parsed = traceql::parse_query(text);
    if (!parsed) return fail(ErrorKind::kBadInput, "invalid TraceQL query: " + parsed.error().text);
    out.question.query = std::move(*parsed);
    out.has_sets = true;
  }
  if (!params.good()) return fail(ErrorKind::kBadInput, params.error());
  return out;
}

void append_tempo_trace(std::string& out, const FoundTrace& found, const TempoSearch& search) {
  const TraceView& view = found.view;
  const std::string id = found.stored.id.hex();
  Object object(out);
  object.text("traceID", ByteView(id).substr(std::min(id.find_first_not_of('0'), id.size() - 1)));
  if (view.root() == nullptr) {
    object.text("rootServiceName", "<root span not yet received>");
  } else {
    object.text("rootServiceName", view.root_service());
    object.text("rootTraceName", view.root_name());
  }
  object.number64("startTimeUnixNano", view.start_ns());
  object.number("durationMs",
                std::min<std::uint64_t>(view.duration_ns() / 1'000'000, std::numeric_limits<std::uint32_t>::max()));
  if (search.has_sets) {
    append_list(object.key("spanSets"), found.spansets,
                [&](const traceql::Spanset& set) { append_set(out, found, set, search); });
  }
  Object services(object.key("serviceStats"));
  for (const TraceView::Service& service : view.services()) {
    Object one(services.key(service.name));
    one.number("spanCount", service.spans);
    one.number("errorCount", service.errors);
  }
}

void answer_tempo_search(StoreReader& store, const SearchLimits& limits, const TempoSearch& search,
                         LaterAnswer& answer) {
  const TimePoint until = monotonic_now() + limits.time_max;
  std::string body = R"({"traces":[)";
  bool begun = false, gone = false, any = false;
  const auto send = [&] {
    if (!begun) answer.begin(json_head());
    begun = true;
    gone = gone || !answer.write(body, until);
    body.clear();
  };
  const Result<SearchOutcome> found = find_traces(
      store, search.question, limits, [&] { return gone || answer.cancelled(); },
      [&](const FoundTrace& one) {
        if (any) body += ',';
        any = true;
        append_tempo_trace(body, one, search);
        if (body.size() >= kPiece) send();
      });
  if (gone) return;
  const std::string why = !found ? "" : found->cut.empty() && found->damaged != 0 ? found->damage() : found->cut;
  const bool failed = !found || (!any && !why.empty());
  if (failed && begun) return answer.give_up();
  if (!found) return answer.answer(tempo_error(found.error()));
  if (failed) return answer.answer(plain_response(422, "nothing was found: " + why));
  body += R"(],"metrics":)";
  {
    Object metrics(body);
    metrics.number("inspectedTraces", found->traces);
    metrics.number64("inspectedBytes", found->bytes);
    // Fewer jobs done than there are: the search was cut, or traces are damaged. The answer has no other place for it.
    metrics.number("completedJobs", why.empty() ? 1 : 0);
    metrics.number("totalJobs", 1);
  }
  body += '}';
  if (!begun) {
    Response whole = json_head();
    whole.body = std::move(body);
    return answer.answer(std::move(whole));
  }
  send();
  if (!gone) answer.end();
}

}  // namespace tailgate
