// SPDX-License-Identifier: Apache-2.0
#include "daemon/decide_input.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <utility>
#include <vector>

#include "wire/jaeger/query_json.h"
#include "wire/tempo/json.h"
#include "wire/zipkin/zipkin.h"

namespace tailgate {
namespace {

// What an object without spans is, by its first field that OTLP's traces do not have.
struct Foreign {
  std::string_view field, is;
};
constexpr std::array kForeign = {
    Foreign{"resourceLogs", "these are logs of OTLP, not traces"},
    Foreign{"resourceMetrics", "these are metrics of OTLP, not traces"},
    Foreign{"data", "expected traces under `data`, as Jaeger has them: {traceID, spans, processes}"},
    Foreign{"traces", "this looks like the answer of a search in Tempo: get each trace by its id"},
    Foreign{"traceID", "this looks like one trace or span of Jaeger: put it into {\"data\": [...]} as its API does"},
    Foreign{"traceId", "this looks like one span without its request: expected `resourceSpans`, or a list of Zipkin's"},
    Foreign{"policies", "this looks like a configuration, which goes behind --config"},
    Foreign{"receivers", "this looks like a configuration, which goes behind --config"},
};

Result<std::vector<std::string>> fields_of(std::string_view object) {
  std::vector<std::string> out;
  boost::json::error_code ec;
  boost::json::parse_options options;
  options.max_depth = 256;  // as for Tempo's
  const boost::json::value root =
      boost::json::parse(boost::json::string_view(object.data(), object.size()), ec, {}, options);
  if (ec) return fail(ErrorKind::kBadInput, "expected JSON: " + ec.message());
  if (!root.is_object()) return out;
  for (const auto& member : root.get_object()) out.emplace_back(member.key());
  return out;
}

// Why an object without spans has none; "" where that is plain.
std::string why_no_spans(std::string_view object, const std::string& unknown_field) {
  const Result<std::vector<std::string>> fields = fields_of(object);
  if (!fields) return fields.error().text;  // OTLP is read more leniently
  for (const Foreign& f : kForeign) {
    if (std::find(fields->begin(), fields->end(), f.field) != fields->end()) return std::string(f.is);
  }
  if (unknown_field.empty()) return {};
  return fmt::format("its field '{}' is not known; expected OTLP, or JSON of Jaeger, Tempo or Zipkin", unknown_field);
}

// What is not OTLP as it should be, by its fields.
enum class Dialect : std::uint8_t { kNone, kJaeger, kTempo };

Dialect dialect_of(std::string_view object) {
  const Result<std::vector<std::string>> fields = fields_of(object);
  if (!fields) return Dialect::kNone;
  for (const std::string& field : *fields) {
    if (field == "data") return Dialect::kJaeger;
    // With resourceSpans: protobuf's own JSON (ids in base64, enums by name), which Tempo's second version has inside.
    if (field == "batches" || field == "trace" || field == "resourceSpans") return Dialect::kTempo;
  }
  return Dialect::kNone;
}

}  // namespace

void DecideInput::add(const std::string& name, const std::string& content) {
  const std::string_view text = content;
  if (text.empty()) return problem(name, "is empty: expected spans");
  if (text.starts_with("\x1f\x8b"))
    return problem(name, "expected OTLP, got gzip: `zcat FILE | tailgate decide ... -`");
  // Blanks and a byte order mark before the `{` are JSON's too, but a line feed is also how a TracesData begins, and
  // its length may look like a `{` or `[`: protobuf goes first then.
  const std::size_t from = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
  const std::size_t first = std::min(text.find_first_not_of(" \t\r\n", from), text.size());
  const bool maybe_json = first < text.size() && (text[first] == '{' || text[first] == '[');
  if (!maybe_json || first != 0) {
    const ScanResult result = judge_.add(content);
    if (result.ok || !maybe_json) return report(name, result, true);
  }
  if (text[first] == '{') return add_lines(name, text.substr(from));
  ByteSink zipkin;
  const Result<void> read = zipkin_json_to_otlp(text.substr(first), {}, zipkin);
  if (!read) return problem(name, "expected OTLP or a list of Zipkin's spans: " + read.error().text);
  report(name, judge_.add(std::string(zipkin.view())), true);
}

void DecideInput::add_lines(const std::string& name, std::string_view text) {
  std::size_t line = 0;
  bool first_line = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view one = text.substr(at, end - at);
    at = end + 1;
    ++line;
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", name, line);
    Result<OtlpFromJson> otlp = otlp_json_to_proto(one);
    if (!otlp && std::exchange(first_line, false)) {  // one object over many lines, as tools print it for people
      Result<OtlpFromJson> whole = otlp_json_to_proto(text);
      if (whole) return add_json(name, text, *whole);
      const Result<bool> foreign = add_foreign(name, text);
      if (foreign && *foreign) return;
      // In a file of lines each line is an object of its own. Otherwise the whole file is bad, which is one error and
      // not one per line.
      const std::size_t next = text.find_first_not_of(" \t\r\n", at);
      if (next != std::string_view::npos && text[next] != '{')
        return problem(name, foreign ? whole.error().text : foreign.error().text);
    }
    first_line = false;
    if (otlp) {
      add_json(where, one, *otlp);
    } else if (const Result<bool> foreign = add_foreign(where, one); !foreign || !*foreign) {
      problem(where, otlp.error().text);
    }
  }
}

void DecideInput::add_json(const std::string& where, std::string_view text, OtlpFromJson& otlp) {
  if (otlp.repaired_texts != 0) {
    fmt::print(stderr, "{}: {} text{} not Unicode and read with U+FFFD\n", where, otlp.repaired_texts,
               otlp.repaired_texts == 1 ? " is" : "s are");
  }
  const bool holds_something = !otlp.bytes.empty() || !otlp.unknown_field.empty();
  const ScanResult result = judge_.add(std::move(otlp.bytes));
  if (!result.ok || result.spans != 0 || !holds_something) return report(where, result, holds_something);
  const Result<bool> foreign = add_foreign(where, text);
  if (!foreign) return problem(where, foreign.error().text);
  if (!*foreign) report(where, result, true, why_no_spans(text, otlp.unknown_field));
}

// True: `text` is of another dialect and was taken. An error: it is, and cannot be read.
Result<bool> DecideInput::add_foreign(const std::string& where, std::string_view text) {
  std::string otlp;
  const Dialect dialect = dialect_of(text);
  if (dialect == Dialect::kJaeger) {
    ByteSink jaeger;
    if (const Result<void> read = jaeger_query_json_to_otlp(text, jaeger); !read)
      return fail(ErrorKind::kBadInput, "expected what Jaeger's query API gives: " + read.error().text);
    otlp = jaeger.view();
  } else if (dialect == Dialect::kTempo) {
    const Result<std::string> json = tempo_json_to_otlp_json(text);
    if (!json) return tl::unexpected(json.error());
    const Result<OtlpFromJson> read = otlp_json_to_proto(*json);
    if (!read) return fail(ErrorKind::kBadInput, "expected what Tempo's query API gives: " + read.error().text);
    otlp = read->bytes;
  }
  if (otlp.empty()) return false;
  const ScanResult result = judge_.add(std::move(otlp));
  if (result.ok && result.spans == 0) return false;
  report(where, result, true);
  return true;
}

void DecideInput::report(const std::string& where, const ScanResult& result, bool holds_something,
                         const std::string& why) {
  if (!result.ok) return problem(where, result.error);
  spans_ += result.spans;
  if (result.spans == 0 && holds_something) {
    return problem(where, why.empty() ? "holds no spans" : "holds no spans: " + why);
  }
  if (result.bad_ids == 0) return;
  const std::string_view plural = result.bad_ids == 1 ? "" : "s";
  problem(where, fmt::format("{} span{} left out, first: {}", result.bad_ids, plural, result.first_bad_id));
}

void DecideInput::problem(const std::string& where, std::string_view what) {
  fmt::print(stderr, "{}: {}\n", where, what);
  all_good_ = false;
}

bool DecideInput::finish() {
  if (spans_ == 0 && all_good_) {
    fmt::print(stderr, "the input holds no spans: nothing was judged\n");
    all_good_ = false;
  }
  return all_good_;
}

}  // namespace tailgate
