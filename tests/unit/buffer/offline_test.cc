// SPDX-License-Identifier: Apache-2.0
#include "buffer/offline.h"

#include <catch2/catch.hpp>

#include "support/otlp_builder.h"
#include "support/policies.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

struct Judged {
  Judged(const std::string& yaml, const std::vector<std::string>& requests, BufferLimits limits = {},
         PolicySetOptions options = {})
      : policies(yaml, {{}}, 1, options) {
    REQUIRE(policies.errors == std::vector<std::string>{});
    OfflineJudge judge(policies.set, limits);
    for (const std::string& one : requests) REQUIRE(judge.add(one).ok);
    traces = judge.finish();
  }
  std::string policy(std::size_t trace) const {
    return policies.tables->names.name_of(traces.at(trace).verdict.policy);
  }
  std::size_t kept() const {
    return static_cast<std::size_t>(std::count_if(
        traces.begin(), traces.end(), [](const OfflineTrace& t) { return t.verdict.decision == Decision::kSampled; }));
  }

  Policies policies;
  std::vector<OfflineTrace> traces;
};

constexpr const char* kErrors = "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]";

}  // namespace

TEST_CASE("a trace in several requests is one, and traces come in the order of their first span", "[offline]") {
  const Judged judged(kErrors, {request({{.trace = 9, .id = 1}}), request({{.trace = 2, .id = 1}}),
                                request({{.trace = 9, .id = 2, .parent = 1, .status = 2}})});
  REQUIRE(judged.traces.size() == 2);
  CHECK(judged.traces[0].id.view() == trace_id(9));
  CHECK(judged.traces[0].facts.spans == 2);
  CHECK(judged.policy(0) == "errors");
  CHECK(judged.traces[1].verdict.decision == Decision::kNotSampled);
  CHECK(judged.policy(1) == "none");
}

TEST_CASE("a vote names the first span that decided, and the attribute it was by", "[offline]") {
  const std::string yaml = R"([
      {name: route, type: string_attribute, string_attribute: {key: http.route, values: [/pay]}},
      {name: service, type: string_attribute, string_attribute: {key: service.name, values: [bank]}},
      {name: errors, type: status_code, status_code: {status_codes: [ERROR]}},
      {name: slow, type: latency, latency: {threshold_ms: 0}},
      {name: both, type: and, and: {and_sub_policy: [
        {name: long, type: latency, latency: {threshold_ms: 0}},
        {name: route, type: string_attribute, string_attribute: {key: http.route, values: [/pay]}}]}},
      {name: never, type: string_attribute, string_attribute: {key: http.route, values: [/other]}}])";
  const Judged judged(yaml, {request({{.id = 1, .attributes = {{"http.route", "/cart"}}}}),
                             request({{.id = 2, .parent = 1}, {.id = 3, .parent = 1, .status = 2}}, "bank"),
                             request({{.id = 4, .parent = 1, .status = 2, .attributes = {{"http.route", "/pay"}}}})});
  const std::vector<OfflineVote>& votes = judged.traces.at(0).votes;
  REQUIRE(votes.size() == 6);
  const auto span = [&](std::size_t i) { return votes[i].span ? votes[i].span->hex().substr(15) : "none"; };
  CHECK((span(0) == "4" && votes[0].attribute == "http.route"));
  CHECK((span(1) == "2" && votes[1].attribute == "service.name"));
  CHECK((span(2) == "3" && votes[2].attribute == "status.code"));
  CHECK((span(3) == "none" && votes[3].vote == Vote::kSampled));
  CHECK((span(4) == "4" && votes[4].attribute == "http.route"));
  CHECK((span(5) == "none" && votes[5].vote == Vote::kNotSampled));
}

TEST_CASE("policies that were not asked have no vote", "[offline]") {
  const std::string yaml = R"([
      {name: all, type: always_sample},
      {name: no-errors, type: drop, drop: {drop_sub_policy: [
        {name: e, type: status_code, status_code: {status_codes: [ERROR]}}]}}])";
  const Judged judged(yaml, {request({{.trace = 1, .status = 2}, {.trace = 2}})});
  REQUIRE(judged.traces.at(0).votes.size() == 1);
  CHECK(judged.traces[0].verdict.decision == Decision::kDropped);
  CHECK(judged.traces[0].votes[0].vote == Vote::kDropped);
  CHECK(judged.traces[0].votes[0].span.has_value());
  CHECK(judged.traces.at(1).votes.size() == 2);
  CHECK(judged.traces[1].verdict.decision == Decision::kSampled);
}

TEST_CASE("the close reason is what the end of the input comes to", "[offline]") {
  const std::vector<std::string> requests = {
      request({{.trace = 1, .id = 1}, {.trace = 1, .id = 2, .parent = 1}}),  // whole
      request({{.trace = 2, .id = 1}, {.trace = 2, .id = 3, .parent = 2}}),  // a parent is missing
      request({{.trace = 3, .id = 2, .parent = 1}}),                         // no root
      request({{.trace = 4, .status = 2, .name = std::string(2000, 'x')}})};
  const auto reason = [](const Judged& judged, std::size_t i) { return judged.traces.at(i).verdict.reason; };
  const Judged waits(kErrors, requests);
  CHECK(reason(waits, 0) == CloseReason::kTimeout);
  CHECK(waits.traces[0].verdict.complete);
  const Judged by_root(kErrors, requests, {.decision_wait_after_root = 1s, .maximum_trace_size_bytes = 1000});
  CHECK(reason(by_root, 0) == CloseReason::kRoot);
  CHECK(reason(by_root, 1) == CloseReason::kTimeout);
  CHECK_FALSE(by_root.traces[1].verdict.complete);
  CHECK(reason(by_root, 2) == CloseReason::kTimeout);
  CHECK(reason(by_root, 3) == CloseReason::kTooLarge);
  CHECK(by_root.traces[3].verdict.decision == Decision::kNotSampled);
  CHECK(by_root.traces[3].votes.empty());
  const Judged small(kErrors, requests, {.trace_spans_max = 2});
  CHECK(reason(small, 0) == CloseReason::kSize);
  CHECK(reason(small, 3) == CloseReason::kTimeout);
}

TEST_CASE("rate limits run on the ends of the traces, in whatever order they are read", "[offline]") {
  const std::string cap = "[{name: cap, type: rate_limiting, rate_limiting: {spans_per_second: 1, burst_capacity: 2}}]";
  const auto at = [](std::uint64_t trace, std::uint64_t end_ms) {
    return request({{.trace = trace, .start_ms = 0, .end_ms = end_ms}});
  };
  // Two at once are the burst; the third has nothing left; ten seconds later there is room again.
  const Judged judged(cap, {at(4, 10'000), at(1, 100), at(3, 102), at(2, 101)});
  REQUIRE(judged.traces.size() == 4);
  CHECK(judged.policy(0) == "cap");
  CHECK(judged.policy(1) == "cap");
  CHECK(judged.policy(2) == "none");
  CHECK(judged.policy(3) == "cap");
}

TEST_CASE("with use_tracestate a second's room goes to the highest randomness", "[offline]") {
  const std::string cap = "[{name: cap, type: rate_limiting, rate_limiting: {spans_per_second: 2, burst_capacity: 2}}]";
  std::vector<std::string> requests;
  for (std::uint64_t second = 0; second < 40; ++second) {
    for (std::uint64_t i = 1; i <= 4; ++i) {
      requests.push_back(request({{.trace = i << 53 | second, .end_ms = second * 1000 + 500}}));
    }
  }
  const Judged judged(cap, requests, {}, {.use_tracestate = true});
  REQUIRE(judged.traces.size() == 160);
  for (std::size_t i = 0; i < 160; ++i) {
    INFO(i);
    CHECK((judged.traces[i].verdict.decision == Decision::kSampled) == (i % 4 >= 2));
  }
}

TEST_CASE("a malformed input is refused whole and bad ids alone", "[offline]") {
  const Policies policies(kErrors);
  OfflineJudge judge(policies.set, {});
  const std::string good = request({{.status = 2}});
  CHECK_FALSE(judge.add(good.substr(0, good.size() - 3)).ok);
  twin::TracesData data = traces({{.trace = 7}, {.trace = 8}});
  data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0)->set_trace_id("short");
  const ScanResult result = judge.add(data.SerializeAsString());
  CHECK((result.ok && result.bad_ids == 1));
  const std::vector<OfflineTrace> traces = judge.finish();
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].id.view() == trace_id(8));
}

TEST_CASE("judging stops between traces when it is told to", "[offline]") {
  const Policies policies("[{name: few, type: rate_limiting, rate_limiting: {spans_per_second: 2}}]");
  for (int allowed = 0; allowed <= 9; ++allowed) {
    OfflineJudge judge(policies.set, {});
    for (std::uint64_t i = 1; i <= 4; ++i) REQUIRE(judge.add(request({{.trace = i, .end_ms = i * 2000}})).ok);
    int asked = 0;
    const std::size_t judged = judge.finish([&] { return ++asked > allowed; }).size();
    CAPTURE(allowed);
    CHECK(judged <= 4);
    CHECK(judged <= static_cast<std::size_t>(allowed));
    if (allowed >= 8) CHECK(judged == 4);
  }
}

TEST_CASE("a request of many slices is judged as a whole", "[offline]") {
  std::vector<SpanSpec> spans;
  for (std::uint64_t i = 0; i < 3 * kSpansPerSlice; ++i) spans.push_back({.trace = i % 7, .id = i + 1, .parent = 1});
  spans.back().attributes = {{"http.route", "/pay"}};
  twin::TracesData data = traces(spans);
  data.mutable_resource_spans(0)->set_schema_url("v1");  // the resource's fields do not lie together
  const Judged judged(
      "[{name: p, type: string_attribute, string_attribute: {key: http.route, values: [/pay]}},"
      " {name: s, type: string_attribute, string_attribute: {key: service.name, values: [web]}}]",
      {data.SerializeAsString()});
  REQUIRE(judged.traces.size() == 7);
  CHECK(judged.kept() == 7);
  const OfflineTrace& last = judged.traces[(3 * kSpansPerSlice - 1) % 7];
  CHECK(last.facts.spans >= 3 * kSpansPerSlice / 7);
  CHECK(last.votes[0].span->view() == span_id(3 * kSpansPerSlice));
  CHECK(last.votes[1].span->view() == span_id((3 * kSpansPerSlice - 1) % 7 + 1));
}

TEST_CASE("every vote says what was seen against what was wanted", "[offline]") {
  const std::string sub = "{name: e, type: status_code, status_code: {status_codes: [ERROR]}}";
  struct Case {
    std::string policy, why;
  };
  const std::vector<Case> cases = {
      {"type: always_sample", "keeps every trace"},
      {"type: status_code, status_code: {status_codes: [ERROR, OK]}", "no span with status ERROR or OK"},
      {"type: latency, latency: {threshold_ms: 1000}", "duration 48 ms, wanted > 1000 ms"},
      {"type: latency, latency: {threshold_ms: 10, upper_threshold_ms: 20}",
       "duration 48 ms, wanted > 10 ms and <= 20 ms"},
      {"type: string_attribute, string_attribute: {key: http.route, values: [/pay, /b]}",
       "http.route \"/cart\", \"/home\", wanted \"/pay\" or \"/b\""},
      {"type: string_attribute, string_attribute: {key: http.route, values: [^/c], enabled_regex_matching: true}",
       "http.route \"/cart\", wanted matching \"^/c\""},
      {"type: string_attribute, string_attribute: {key: none, values: [a, b, c, d, e, f, g]}",
       "none on no span, wanted \"a\", \"b\", \"c\", \"d\", \"e\" or 2 more"},
      {"type: string_attribute, string_attribute: {key: service.name, values: [web], invert_match: true}",
       "service.name \"web\", wanted not \"web\""},
      {"type: numeric_attribute, numeric_attribute: {key: http.route, min_value: 5, max_value: 9}",
       "http.route \"/cart\", \"/home\", wanted 5 to 9"},
      {"type: numeric_attribute, numeric_attribute: {key: code, min_value: 500}", "code on no span, wanted >= 500"},
      {"type: boolean_attribute, boolean_attribute: {key: vip, value: true}", "vip on no span, wanted true"},
      {"type: trace_flags", "no span with the flag `sampled`"},
      {"type: trace_state, trace_state: {key: v, values: [gold, silver]}",
       "no span with v \"gold\" or \"silver\" in its tracestate"},
      {"type: span_count, span_count: {min_spans: 3}", "2 spans, wanted >= 3"},
      {"type: rate_limiting, rate_limiting: {spans_per_second: 10}", "2 spans, room in 10 a second"},
      {"type: rate_limiting, rate_limiting: {spans_per_second: 10, burst_capacity: 1}",
       "2 spans, wanted at most 1 at once"},
      {"type: ottl_condition, ottl_condition: {span: ['attributes[\"http.route\"] == \"/x\"']}",
       "no span with attributes[\"http.route\"] == \"/x\"; http.route \"/cart\", \"/home\""},
      {"type: ottl_condition, ottl_condition: {error_mode: propagate, span: ['name == \"x\"', 'name == \"y\"']}",
       "no span with name == \"x\" or name == \"y\""},
      {"type: trace, trace: {condition: 'duration > 2s and error_count >= 1 and depth > 1 and complete'}",
       "duration 48ms, error_count 0, depth 2, complete true, wanted duration > 2s and error_count >= 1 and depth > 1 "
       "and complete"},
      {"type: trace, trace: {condition: 'any(name == \"x\")'}", "not true: any(name == \"x\")"},
      {"type: and, and: {and_sub_policy: [{name: a, type: always_sample}, " + sub + "]}",
       "e: no span with status ERROR"},
      {"type: and, and: {and_sub_policy: [{name: a, type: always_sample}, {name: l, type: rate_limiting, "
       "rate_limiting: {spans_per_second: 5, burst_capacity: 1}}]}",
       "l: 2 spans, wanted at most 1 at once"},
      {"type: not, not: {not_sub_policy: " + sub + "}", "no span with status ERROR, as it should be"},
      {"type: drop, drop: {drop_sub_policy: [" + sub + "]}", "e: no span with status ERROR"},
      {"type: composite, composite: {max_total_spans_per_second: 10, composite_sub_policy: [" + sub +
           ", {name: rest, type: always_sample}]}",
       "rest: keeps every trace; 2 spans, room in 5 a second"},
      {"type: endpoint, endpoint: [{route: /pay/*, latency: 300ms}, {service: shop, span: x, error: true}]",
       "no span of service * with route /pay/* longer than 300ms, none of service shop with name x with status ERROR"},
      {"type: endpoint, endpoint: [{name: cart, route: /cart}]", "entry cart: a span of service * with route /cart"},
      {"type: first_match, first_match: [{name: bad, policy: " + sub +
           "}, {policy: {type: latency, latency: "
           "{threshold_ms: 9}}, percentage: 0}]",
       "rule 2: duration 48 ms, wanted > 9 ms; its share is 0"},
      {"type: first_match, first_match: [{name: bad, policy: " + sub + "}]",
       "no rule matches: rule bad: no span with status ERROR"},
      {"type: first_match, first_match: [{name: all}]", "rule all: every trace that comes so far"},
  };
  for (const auto& [policy, why] : cases) {
    INFO(policy);
    const Judged judged("[{name: p, " + policy + "}]",
                        {request({{.id = 1, .end_ms = 48, .attributes = {{"http.route", "/cart"}}},
                                  {.id = 2, .parent = 1, .attributes = {{"http.route", "/home"}}}})});
    CHECK(judged.traces.at(0).votes.at(0).why == why);
  }
}

TEST_CASE("chance is told in plain decimals that tell it from the share", "[offline]") {
  const auto why = [](const std::string& share) {
    const Judged judged("[{name: p, type: probabilistic, probabilistic: {sampling_percentage: " + share + "}}]",
                        {request({{.id = 1}})});
    return judged.traces.at(0).votes.at(0).why;
  };
  CHECK(why("0.00001") == "chance 0.573, wanted < 0.0000001");
  CHECK(why("100") == "keeps every trace");
  CHECK(why("0") == "its share is 0");
}

TEST_CASE("the verdict names the rule or the entry that kept the trace, where it has a name", "[offline]") {
  const std::string yaml = R"([{name: rules, type: first_match, first_match: [
      {name: errors, policy: {type: status_code, status_code: {status_codes: [ERROR]}}},
      {policy: {type: latency, latency: {threshold_ms: 5}}},
      {name: never, percentage: 0}]},
    {name: api, type: endpoint, endpoint: [{name: slow, route: /a, latency: 1ms}, {route: /b}]}])";
  const Judged judged(yaml, {request({{.trace = 1, .status = 2},
                                      {.trace = 2, .end_ms = 9},
                                      {.trace = 3, .end_ms = 3, .attributes = {{"http.route", "/a"}}},
                                      {.trace = 4, .attributes = {{"http.route", "/b"}}},
                                      {.trace = 5}})});
  CHECK(judged.policy(0) == "rules/errors");
  CHECK(judged.policy(1) == "rules");
  CHECK(judged.policy(2) == "api/slow");
  CHECK(judged.policy(3) == "api");
  CHECK(judged.policy(4) == "none");
  CHECK(judged.policies.tables->names.find("rules").size() == 3);
  CHECK(judged.policies.tables->names.find("rules/errors").size() == 1);
  const Policies twice(
      "[{name: r, type: first_match, first_match: [{name: a, policy: {type: always_sample}}, {name: a}]}]");
  CHECK(twice.errors.size() == 1);
}
