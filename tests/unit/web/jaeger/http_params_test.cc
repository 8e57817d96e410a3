// SPDX-License-Identifier: Apache-2.0
// The parameters of Jaeger's HTTP API, each right and wrong.
#include "web/jaeger/http_params.h"

#include <catch2/catch.hpp>
#include <string>

using namespace tailgate;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000, kNow = 1'700'000'000 * kSecond;
using Pairs = std::vector<std::pair<std::string, std::string>>;

TraceQuestion v1(const std::string& query) {
  const Result<JaegerSearch> out = read_jaeger_v1_search(query, kNow);
  if (!out) FAIL(out.error().text);
  return out->question;
}
std::string v1_error(const std::string& query) {
  const Result<JaegerSearch> out = read_jaeger_v1_search(query, kNow);
  REQUIRE_FALSE(out);
  return out.error().text;
}

const std::string kTimes = "query.startTimeMin=2026-11-29T09:00:00Z&query.startTimeMax=2026-11-29T10:00:00Z";

TraceQuestion v3(const std::string& query) {
  const Result<TraceQuestion> out = read_jaeger_v3_search(query);
  if (!out) FAIL(out.error().text);
  return *out;
}
std::string v3_error(const std::string& query) {
  const Result<TraceQuestion> out = read_jaeger_v3_search(query);
  REQUIRE_FALSE(out);
  return out.error().text;
}

}  // namespace

TEST_CASE("a search by Jaeger's first API", "[web]") {
  const TraceQuestion plain = v1("service=shop");
  CHECK(plain.span.service == "shop");
  CHECK(plain.from_ns == kNow - 48 * 3600 * kSecond);
  CHECK(plain.to_ns == kNow);
  CHECK(plain.span.start_min_ns == plain.from_ns);
  CHECK(plain.span.start_max_ns == plain.to_ns);
  CHECK(plain.span.duration_max_ns == std::numeric_limits<std::uint64_t>::max());
  CHECK(plain.limit == 100);
  const TraceQuestion all =
      v1("service=a+b&operation=GET%20/&start=1699999999000001&end=1700000000000000&limit=7&minDuration=1.5ms&"
         "maxDuration=1h2m&tag=a:b:c&tag=x:&tags=%7B%22error%22%3A%22true%22%7D&raw=true&lookback=custom&prettyPrint="
         "true");
  CHECK(all.span.service == "a b");
  CHECK(all.span.operation == "GET /");
  CHECK(all.from_ns == 1'699'999'999'000'001'000);
  CHECK(all.to_ns == kNow);
  CHECK(all.limit == 7);
  CHECK(all.span.duration_min_ns == 1'500'000);
  CHECK(all.span.duration_max_ns == 3'720 * kSecond);
  CHECK(all.span.attributes == Pairs{{"a", "b:c"}, {"x", ""}, {"error", "true"}});
  CHECK(v1("service=a&start=&end=&minDuration=&maxDuration=&tags=").to_ns == kNow);  // as the form of the UI sends them
  CHECK(v1("service=a&end=9999999999999999999").to_ns == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("traces by several ids need no service", "[web]") {
  const auto out = read_jaeger_v1_search("traceID=1&traceID=%20AB%20", kNow);
  REQUIRE(out);
  REQUIRE(out->ids.size() == 2);
  CHECK(out->ids[1].hex() == "000000000000000000000000000000ab");
  CHECK(v1_error("traceID=1&traceID=xyz") == "traceID: expected a trace id of 1 to 32 hex digits, not zero, got 'xyz'");
}

TEST_CASE("each parameter of the first API that is wrong is named", "[web]") {
  CHECK(v1_error("") == "service: expected the name of a service, or traceID, got ''");
  CHECK(v1_error("service=a&start=-1") == "start: expected 0 to 18446744073709551615, got '-1'");
  CHECK(v1_error("service=a&end=now") == "end: expected 0 to 18446744073709551615, got 'now'");
  CHECK(v1_error("service=a&limit=0") == "limit: expected 1 to 1000000, got '0'");
  CHECK(v1_error("service=a&minDuration=5") == "minDuration: expected a duration like 1.5s or 300ms, got '5'");
  CHECK(v1_error("service=a&maxDuration=x") == "maxDuration: expected a duration like 1.5s or 300ms, got 'x'");
  CHECK(v1_error("service=a&minDuration=2s&maxDuration=1s") ==
        "maxDuration: expected no less than minDuration, got '1s'");
  CHECK(v1_error("service=a&tag=error") == "tag: expected key:value, got 'error'");
  CHECK(v1_error("service=a&tag=:x") == "tag: expected key:value, got ':x'");
  for (const char* tags : {"{", "[]", R"({"a":1})"}) {
    CHECK(v1_error(std::string("service=a&tags=") + tags) ==
          std::string(R"(tags: expected a JSON object of texts like {"error":"true"}, got ')") + tags + "'");
  }
  CHECK(v1_error("service=a&raw=maybe") == "raw: expected true or false, got 'maybe'");
}

TEST_CASE("a search by Jaeger's third API, in its old and new spellings", "[web]") {
  const TraceQuestion camel =
      v3(kTimes +
         "&query.serviceName=shop&query.operationName=pay&query.durationMin=1s&query.durationMax=2s&"
         "query.searchDepth=5&query.attributes=%7B%22a%22%3A%22b%22%7D&query.rawTraces=true");
  const TraceQuestion snake =
      v3("query.start_time_min=2026-11-29T09:00:00Z&query.start_time_max=2026-11-29T10:00:00Z&query.service_name=shop&"
         "query.operation_name=pay&query.duration_min=1s&query.duration_max=2s&query.num_traces=5&"
         "query.attributes=%7B%22a%22%3A%22b%22%7D&query.raw_traces=1");
  for (const TraceQuestion& q : {camel, snake}) {
    CHECK(q.span.service == "shop");
    CHECK(q.span.operation == "pay");
    CHECK(q.to_ns - q.from_ns == 3'600 * kSecond);
    CHECK(q.span.start_max_ns == q.to_ns);
    CHECK(q.span.duration_min_ns == kSecond);
    CHECK(q.span.duration_max_ns == 2 * kSecond);
    CHECK(q.limit == 5);
    CHECK(q.span.attributes == Pairs{{"a", "b"}});
  }
  CHECK(v3(kTimes + "&query.search_depth=6").limit == 6);
  CHECK(v3(kTimes).limit == 100);
}

TEST_CASE("each parameter of the third API that is wrong is named", "[web]") {
  CHECK(v3_error("") == "query.startTimeMin: expected a time like 2026-11-29T09:31:03Z, got ''");
  CHECK(v3_error("query.start_time_min=1") ==
        "query.start_time_min: expected a time like 2026-11-29T09:31:03Z, got '1'");
  CHECK(v3_error("query.startTimeMin=2026-11-29T09:00:00Z&query.startTimeMax=2026-11-29T09:00:00Z") ==
        "query.startTimeMax: expected a time after the first, got '2026-11-29T09:00:00Z'");
  CHECK(v3_error(kTimes + "&query.durationMin=1") ==
        "query.durationMin: expected a duration like 1.5s or 300ms, got '1'");
  CHECK(v3_error(kTimes + "&query.durationMin=2s&query.duration_max=1s") ==
        "query.duration_max: expected no less than query.durationMin, got '1s'");
  CHECK(v3_error(kTimes + "&query.num_traces=-1") == "query.num_traces: expected 1 to 1000000, got '-1'");
  CHECK(v3_error(kTimes + "&query.attributes=a") ==
        R"(query.attributes: expected a JSON object of texts like {"error":"true"}, got 'a')");
  CHECK(v3_error(kTimes + "&query.rawTraces=2") == "query.rawTraces: expected true or false, got '2'");
  CHECK(v3_error(kTimes + "&query.filter={}") ==
        "query.filter: expected the plain parameters, since structured filters are not supported, got '{}'");
}

TEST_CASE("the times of dependencies are milliseconds", "[web]") {
  const auto times = [](const char* query) { return read_jaeger_v1_times(query, kNow).value(); };
  CHECK(times("").to_ns == kNow);
  CHECK(times("").from_ns == kNow - 24 * 3600 * kSecond);
  CHECK(times("endTs=1700000001000&lookback=1000").from_ns == kNow);
  CHECK(times("lookback=99999999999999").from_ns == 0);
  CHECK(read_jaeger_v1_times("endTs=x", kNow).error().text == "endTs: expected 0 to 18446744073709551615, got 'x'");
  CHECK(read_jaeger_v1_times("lookback=1h", kNow).error().text ==
        "lookback: expected 0 to 18446744073709551615, got '1h'");
}

TEST_CASE("times of RFC 3339 are read, with a blank for the plus that nobody escaped", "[web]") {
  constexpr std::uint64_t kNine = 1'795'942'800 * kSecond;
  CHECK(rfc3339_ns("2026-11-29T09:00:00Z") == kNine);
  CHECK(rfc3339_ns("2026-11-29t09:00:00z") == kNine);
  CHECK(rfc3339_ns("2026-11-29T09:00:00.5Z") == kNine + kSecond / 2);
  CHECK(rfc3339_ns("2026-11-29T09:00:00.1234567899Z") == kNine + 123'456'789);
  for (const char* text : {"2026-11-29T11:00:00+02:00", "2026-11-29T11:00:00 02:00", "2026-11-29T07:30:00-01:30"})
    CHECK(rfc3339_ns(text) == kNine);
  CHECK(rfc3339_ns("1970-01-01T00:00:00Z") == 0U);
  CHECK(rfc3339_ns("9999-12-31T23:59:59Z") == std::numeric_limits<std::uint64_t>::max());
  for (const char* text :
       {"", "now", "2026-11-29", "2026-11-29T09:00:00", "2026-11-29 09:00:00Z", "2026-13-29T09:00:00Z",
        "2026-11-32T09:00:00Z", "2026-11-29T24:00:00Z", "2026-11-29T09:60:00Z", "2026-11-29T09:00:61Z",
        "2026-11-29T09:00:00.Z", "2026-11-29T09:00:00+2:00", "2026-11-29T09:00:00+02:0x", "2026-11-29T09:00:00Zz",
        "1969-12-31T23:59:59Z", "2026/11/29T09:00:00Z"}) {
    INFO(text);
    CHECK_FALSE(rfc3339_ns(text));
  }
}
