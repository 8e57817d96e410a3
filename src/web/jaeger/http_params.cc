// SPDX-License-Identifier: Apache-2.0
#include "web/jaeger/http_params.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/clock.h"
#include "codec/calendar.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kHour = 3'600 * kNsPerSecond;
constexpr std::uint64_t kJaegerSearchMax = 1'000'000;

using Attributes = std::vector<std::pair<std::string, std::string>>;

// The first of these names that is there, else the first: Jaeger has renamed its parameters.
std::string_view spelling(const Params& params, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (params.has(name)) return name;
  }
  return *names.begin();
}

// A JSON object of texts.
void read_tags(Params& params, std::string_view name, const std::string& text, Attributes& out) {
  if (text.empty()) return;
  constexpr std::string_view kWanted = R"(a JSON object of texts like {"error":"true"})";
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  if (error || !value.is_object()) return params.fail(name, kWanted, text);
  for (const auto& [key, member] : value.get_object()) {
    if (!member.is_string()) return params.fail(name, kWanted, text);
    out.emplace_back(std::string(key), std::string(member.get_string()));
  }
}

void read_durations(Params& params, std::string_view min, std::string_view max, SpanConditions& span) {
  span.duration_min_ns = params.duration_ns(min).value_or(0);
  if (const std::uint64_t most = params.duration_ns(max).value_or(0); most != 0) span.duration_max_ns = most;
  if (span.duration_max_ns < span.duration_min_ns)
    params.fail(max, fmt::format("no less than {}", min), params.text(max));
}

// A number of units of `unit` nanoseconds; never more than there are.
std::uint64_t number_ns(Params& params, std::string_view name, std::uint64_t unit, std::uint64_t otherwise_ns) {
  if (params.text(name).empty()) return otherwise_ns;
  const std::uint64_t n = params.number(name, 0, 0, UINT64_MAX);
  return n > UINT64_MAX / unit ? UINT64_MAX : n * unit;
}

template <class T>
Result<T> finished(const Params& params, T value) {
  if (!params.good()) return fail(ErrorKind::kBadInput, params.error());
  return value;
}

void begin_between(TraceQuestion& question, std::uint64_t from_ns, std::uint64_t to_ns) {
  question.span.start_min_ns = question.from_ns = from_ns;
  question.span.start_max_ns = question.to_ns = to_ns;
}

// Two digits, or more.
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return std::nullopt;
  int out = 0;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    out = out * 10 + (c - '0');
  }
  return out;
}

// "Z", "+02:00", "-02:00" or " 02:00", in seconds.
std::optional<int> read_offset(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  const std::optional<int> hours = digits(text, 1, 2), minutes = digits(text, 4, 2);
  if (text.size() != 6 || text[3] != ':' || !hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  if (text[0] != '+' && text[0] != '-' && text[0] != ' ') return std::nullopt;
  const int seconds = *hours * 3'600 + *minutes * 60;
  return text[0] == '-' ? -seconds : seconds;
}

}  // namespace

std::optional<std::uint64_t> rfc3339_ns(std::string_view text) {
  const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2),
             hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' || text[16] != ':')
    return std::nullopt;
  if (*month < 1 || *month > 12 || *day < 1 || *day > 31 || *hour > 23 || *minute > 59 || *second > 60)
    return std::nullopt;
  std::string_view rest = text.substr(19);
  std::uint64_t nanos = 0;
  if (rest.starts_with('.')) {
    const std::size_t count = std::min(rest.find_first_not_of("0123456789", 1), rest.size()) - 1;
    if (count == 0) return std::nullopt;
    for (std::size_t i = 0; i < 9; ++i) nanos = nanos * 10 + (i < count ? static_cast<unsigned>(rest[i + 1] - '0') : 0);
    rest.remove_prefix(1 + count);
  }
  const std::optional<int> offset = read_offset(rest);
  if (!offset) return std::nullopt;
  const std::int64_t at =
      unix_seconds({.year = *year, .month = *month, .day = *day, .hour = *hour, .minute = *minute, .second = *second}) -
      *offset;
  if (at < 0) return std::nullopt;
  const auto seconds = static_cast<std::uint64_t>(at);
  return seconds >= UINT64_MAX / kNsPerSecond ? UINT64_MAX : seconds * kNsPerSecond + nanos;
}

Result<JaegerSearch> read_jaeger_v1_search(std::string_view query, std::uint64_t now_ns) {
  Params params(query);
  JaegerSearch out;
  for (const std::string& text : params.all("traceID")) {
    const Result<TraceId> id = read_trace_id(text);
    if (!id) return fail(ErrorKind::kBadInput, "traceID: " + id.error().text);
    out.ids.push_back(*id);
  }
  if (!out.ids.empty()) return finished(params, std::move(out));
  SpanConditions& span = out.question.span;
  span.service = params.text("service");
  if (span.service.empty()) params.fail("service", "the name of a service, or traceID", "");
  span.operation = params.text("operation");
  const std::uint64_t end_ns = number_ns(params, "end", 1'000, now_ns);
  begin_between(out.question, number_ns(params, "start", 1'000, now_ns > 48 * kHour ? now_ns - 48 * kHour : 0), end_ns);
  out.question.limit = params.number("limit", kJaegerSearchDefault, 1, kJaegerSearchMax);
  read_durations(params, "minDuration", "maxDuration", span);
  for (const std::string& tag : params.all("tag")) {
    const std::size_t colon = tag.find(':');
    if (colon == std::string::npos || colon == 0) {
      params.fail("tag", "key:value", tag);
    } else {
      span.attributes.emplace_back(tag.substr(0, colon), tag.substr(colon + 1));
    }
  }
  for (const std::string& tags : params.all("tags")) read_tags(params, "tags", tags, span.attributes);
  (void)params.flag("raw");
  return finished(params, std::move(out));
}

Result<TraceQuestion> read_jaeger_v3_search(std::string_view query) {
  Params params(query);
  TraceQuestion out;
  SpanConditions& span = out.span;
  span.service = params.text(spelling(params, {"query.serviceName", "query.service_name"}));
  span.operation = params.text(spelling(params, {"query.operationName", "query.operation_name"}));
  const auto time = [&](std::string_view name) {
    const std::string text = params.text(name);
    const std::optional<std::uint64_t> at = rfc3339_ns(text);
    if (!at) params.fail(name, "a time like 2026-11-29T09:31:03Z", text);
    return at.value_or(0);
  };
  const std::string_view max = spelling(params, {"query.startTimeMax", "query.start_time_max"});
  const std::uint64_t from_ns = time(spelling(params, {"query.startTimeMin", "query.start_time_min"}));
  begin_between(out, from_ns, time(max));
  if (out.to_ns <= out.from_ns) params.fail(max, "a time after the first", params.text(max));
  read_durations(params, spelling(params, {"query.durationMin", "query.duration_min"}),
                 spelling(params, {"query.durationMax", "query.duration_max"}), span);
  out.limit = params.number(spelling(params, {"query.searchDepth", "query.search_depth", "query.num_traces"}),
                            kJaegerSearchDefault, 1, kJaegerSearchMax);
  read_tags(params, "query.attributes", params.text("query.attributes"), span.attributes);
  (void)params.flag(spelling(params, {"query.rawTraces", "query.raw_traces"}));
  if (const std::string filter = params.text("query.filter"); !filter.empty())
    params.fail("query.filter", "the plain parameters, since structured filters are not supported", filter);
  return finished(params, std::move(out));
}

Result<JaegerTimes> read_jaeger_v1_times(std::string_view query, std::uint64_t now_ns) {
  Params params(query);
  JaegerTimes out;
  out.to_ns = number_ns(params, "endTs", kNsPerMs, now_ns);
  const std::uint64_t lookback = number_ns(params, "lookback", kNsPerMs, 24 * kHour);
  out.from_ns = lookback < out.to_ns ? out.to_ns - lookback : 0;
  return finished(params, out);
}

}  // namespace tailgate
