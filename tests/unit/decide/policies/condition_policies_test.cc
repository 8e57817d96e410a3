// SPDX-License-Identifier: Apache-2.0
// The policies that take conditions: ottl_condition and trace.
#include <catch2/catch.hpp>

#include "unit/decide/policies/judge.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

struct FixedShape final : TraceShape {
  std::uint32_t missing_parents() const override { return missing; }
  std::uint32_t depth() const override { return 3; }
  std::uint32_t services() const override {
    ++asked;
    return 2;
  }
  std::uint32_t missing = 0;
  mutable int asked = 0;
};

bool keeps_trace(const std::string& condition, const std::vector<SpanSpec>& spans, const FixedShape& shape = {}) {
  INFO(condition);
  const Policies policies("[{name: p, type: trace, trace: {condition: '" + condition + "'}}]");
  return judge(policies, request(spans), &shape, CloseReason::kRoot).decision == Decision::kSampled;
}

std::string first_error(const std::string& policy) {
  const Policies policies("[" + policy + "]");
  return policies.errors.empty() ? "" : policies.errors[0];
}

const SpanSpec kFailing{.id = 1, .name = "a", .attributes = {{"n", "x"}}};
const SpanSpec kMatching{.id = 2, .name = "b"};
const std::string kEither = R"(span: ['Double(attributes["n"]) == 1', 'name == "b"'])";

}  // namespace

TEST_CASE("ottl_condition keeps a trace in which one condition is true of one span", "[decide]") {
  const std::string policy =
      R"({name: p, type: ottl_condition, ottl_condition: {span: ['name == "x"', 'attributes["k"] == "v" and kind == 2']}})";
  CHECK(keeps(policy, {{.id = 1}, {.id = 2, .name = "x"}}));
  CHECK(keeps(policy, {{.id = 1, .attributes = {{"k", "v"}}}}));
  CHECK_FALSE(keeps(policy, {{.id = 1, .attributes = {{"k", "w"}}}, {.id = 2}}));
}

TEST_CASE("ottl_condition asks events after their span", "[decide]") {
  const Policies events(
      R"([{name: p, type: ottl_condition, ottl_condition: {spanevent: ['name == "exception" and span.name == "op"']}}])");
  twin::TracesData data = traces({{}});
  CHECK(judge(events, data.SerializeAsString()).decision == Decision::kNotSampled);
  auto* span = data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0);
  span->add_events()->set_name("start");
  CHECK(judge(events, data.SerializeAsString()).decision == Decision::kNotSampled);
  span->add_events()->set_name("exception");
  CHECK(judge(events, data.SerializeAsString()).decision == Decision::kSampled);
}

TEST_CASE("ottl_condition passes over errors unless they propagate, and then the first to speak decides", "[decide]") {
  for (const char* mode : {"error_mode: ignore, ", "error_mode: silent, ", ""}) {
    const std::string policy = "{name: p, type: ottl_condition, ottl_condition: {" + std::string(mode) + kEither + "}}";
    CHECK(keeps(policy, {kFailing, kMatching}));
    CHECK(keeps(policy, {kMatching, kFailing}));
    CHECK_FALSE(keeps(policy, {kFailing}));
  }
  const std::string propagate =
      "{name: p, type: ottl_condition, ottl_condition: {error_mode: propagate, " + kEither + "}}";
  CHECK_FALSE(keeps(propagate, {kFailing, kMatching}));
  CHECK(keeps(propagate, {kMatching, kFailing}));
  CHECK(keeps(propagate, {kMatching}));
  // an error is no "no" that could be turned around
  const std::string inverted =
      "{name: p, type: not, not: {not_sub_policy: {name: q, type: ottl_condition, ottl_condition: "
      "{error_mode: propagate, " +
      kEither + "}}}}";
  CHECK_FALSE(keeps(inverted, {kFailing}));
  CHECK(keeps(inverted, {{.name = "c"}}));
}

TEST_CASE("a condition that failed is not told as `no span`, since none was asked after it", "[decide]") {
  const Policies policies("[{name: p, type: ottl_condition, ottl_condition: {error_mode: propagate, " + kEither +
                          "}}]");
  REQUIRE(policies.errors.empty());
  const auto why = [&](const std::vector<SpanSpec>& spans) {
    const std::string bytes = request(spans);
    const Scanned scanned(bytes, policies.set->plan());
    const BatchTrace& trace = scanned.batch.traces.at(0);
    const std::uint64_t* const words = scanned.batch.words_of(0);
    const JudgedTrace judged{trace.id, trace.facts, words, words + policies.set->plan().bit_words()};
    return policies.set->policy(0).why({judged, Vote::kNotSampled});
  };
  const std::string wanted = R"(with Double(attributes["n"]) == 1 or name == "b")";
  CHECK(why({kFailing, kMatching}) == "a condition failed before one was true of a span " + wanted);
  CHECK(why({kMatching, kFailing}) == "a span " + wanted);
  CHECK(why({{.name = "c"}}) == "no span " + wanted);
}

TEST_CASE("ottl_condition says where a condition is wrong", "[decide]") {
  CHECK(
      first_error(R"({name: p, type: ottl_condition, ottl_condition: {span: ['true', 'nam == "x"']}})") ==
      "test.yaml:1:66: [0].ottl_condition.span[1]: column 1: no field 'nam'; did you mean 'name'?, got 'nam == \"x\"'");
  CHECK(first_error("{name: p, type: ottl_condition, ottl_condition: {error_mode: silent}}")
            .find("expected at least one condition under `span` or `spanevent`") != std::string::npos);
  CHECK(first_error("{name: p, type: ottl_condition, ottl_condition: {error_mode: loud, span: ['true']}}")
            .find("error_mode") != std::string::npos);
}

TEST_CASE("conditions over one key share its slot", "[decide]") {
  const Policies two(
      R"([{name: a, type: ottl_condition, ottl_condition: {span: ['attributes["k"] == "1"', 'attributes["k"] == "2"']}},
                         {name: b, type: string_attribute, string_attribute: {key: k, values: [x]}}])");
  REQUIRE(two.errors.empty());
  CHECK(two.set->plan().attribute_keys().size() == 1);
}

TEST_CASE("trace conditions ask facts of the whole trace", "[decide]") {
  const std::vector<SpanSpec> three = {{.id = 1, .end_ms = 2500, .name = "root"},
                                       {.id = 2, .parent = 1, .status = 2, .attributes = {{"db.system", "redis"}}},
                                       {.id = 3, .parent = 1, .status = 2}};
  CHECK(keeps_trace("duration > 2s", three));
  CHECK_FALSE(keeps_trace("duration > 2500ms", three));
  CHECK(keeps_trace("duration >= Duration(\"2.5s\")", three));
  CHECK(keeps_trace("Milliseconds(duration) == 2500", three));
  CHECK(keeps_trace("span_count == 3 and error_count == 2", three));
  CHECK(keeps_trace("error_count * 2 > span_count", three));
  CHECK(keeps_trace("service_count == 2 and depth == 3", three));
  CHECK(keeps_trace("complete and close_reason == \"root\"", three));
  CHECK_FALSE(keeps_trace("not complete", three));
  CHECK(keeps_trace("any(span.attributes[\"db.system\"] == \"redis\")", three));
  CHECK_FALSE(keeps_trace("any(name == \"none\")", three));
  CHECK_FALSE(keeps_trace("all(status.code == STATUS_CODE_ERROR)", three));
  CHECK(keeps_trace("all(kind == 2)", three));
  CHECK(keeps_trace("count(status.code == STATUS_CODE_ERROR) == 2", three));
  CHECK(keeps_trace("count(parent_span_id.string == \"0000000000000001\") + 1 == 3", three));
  CHECK(keeps_trace("count(not IsRootSpan()) > 1 or false", three));
  CHECK(
      keeps_trace("duration > 2s and error_count >= 1 and root.service == \"web\" and "
                  "any(span.attributes[\"db.system\"] == \"redis\")",
                  three));
}

TEST_CASE("root.* is the root's, and nil where there is none", "[decide]") {
  const std::vector<SpanSpec> rooted = {{.id = 2, .parent = 1, .name = "child", .attributes = {{"k", "c"}}},
                                        {.id = 1, .end_ms = 40, .name = "GET /", .attributes = {{"k", "v"}}}};
  const std::vector<SpanSpec> rootless = {{.id = 2, .parent = 1, .name = "GET /", .attributes = {{"k", "v"}}}};
  CHECK(keeps_trace("root.name == \"GET /\"", rooted));
  CHECK_FALSE(keeps_trace("root.name == \"child\"", rooted));
  CHECK(keeps_trace("root.attributes[\"k\"] == \"v\" and root.service == \"web\"", rooted));
  CHECK(keeps_trace("root.resource.attributes[\"service.name\"] == \"web\"", rooted));
  CHECK(keeps_trace("root.kind == SPAN_KIND_SERVER and root.status.code == STATUS_CODE_UNSET", rooted));
  CHECK(keeps_trace("root.duration > 39ms and root.duration < 41ms", rooted));
  CHECK(keeps_trace("IsMatch(root.name, \"^GET\")", rooted));
  CHECK(keeps_trace("not (root.name == \"child\")", rooted));
  CHECK_FALSE(keeps_trace("root.name == nil", rooted));
  CHECK_FALSE(keeps_trace("root.name == \"GET /\"", rootless));
  CHECK(keeps_trace("root.name == nil", rootless));
  CHECK(keeps_trace("root.name != \"GET /\"", rootless));
  CHECK(keeps_trace("root.service == nil and root.duration == nil", rootless));
}

TEST_CASE("what needs a walk over the trace is asked last", "[decide]") {
  FixedShape shape;
  CHECK_FALSE(keeps_trace("service_count > 1 and span_count > 100", {{}}, shape));
  CHECK(keeps_trace("service_count > 1 or span_count > 0", {{}}, shape));
  CHECK(shape.asked == 0);
  CHECK(keeps_trace("service_count > 1 and span_count > 0", {{}}, shape));
  CHECK(shape.asked == 1);
}

TEST_CASE("a wrong trace condition is told by what was wanted", "[decide]") {
  const auto error = [](const std::string& condition) {
    return first_error("{name: p, type: trace, trace: {condition: '" + condition + "'}}");
  };
  CHECK(error("durations > 2s")
            .find("column 1: no field 'durations'; did you mean 'duration'?; a trace has duration, ") !=
        std::string::npos);
  CHECK(error("span.name == \"x\"").find("'span' is a span's: ask any(...), all(...), count(...), or root.span") !=
        std::string::npos);
  CHECK(error("root.nam == \"x\"").find("column 1: no field 'root.nam'; did you mean 'root.name'?") !=
        std::string::npos);
  CHECK(error("root.name == close_reason").find("column 14: root.* can be compared with constants") !=
        std::string::npos);
  CHECK(error("any(name)").find("column 5: expected a comparison") != std::string::npos);
  CHECK(error("any()").find("column 1: expected one condition on spans: any(...)") != std::string::npos);
  CHECK(error("duration > 2sec").find("expected a duration such as 300ms, 2s or 1h30m") != std::string::npos);
  CHECK(error("duration").find("column 1: expected a comparison") != std::string::npos);
  CHECK(error("").find("expected a condition") != std::string::npos);
}

TEST_CASE("the attribute an ottl_condition is said to have looked at is that of all its conditions, or none",
          "[decide]") {
  const auto attribute = [](const std::string& conditions) {
    const Policies policies("[{name: p, type: ottl_condition, ottl_condition: {span: [" + conditions + "]}}]");
    REQUIRE(policies.errors.empty());
    return policies.set->attribute_of(0);
  };
  CHECK(attribute("'attributes[\"a\"] == 1'") == "a");
  CHECK(attribute("'attributes[\"a\"] == 1', 'attributes[\"a\"] == 2'") == "a");
  CHECK(attribute("'attributes[\"a\"] == 1', 'name == \"x\"'") == "");
  CHECK(attribute("'name == \"x\"', 'attributes[\"a\"] == 1'") == "");
}

namespace {

// What deciding_bit() of the first policy says of a trace, as the attribute that its predicate looks at.
std::string decided_by(const std::string& policy, const std::vector<SpanSpec>& spans) {
  const Policies policies("[" + policy + "]");
  INFO((policies.errors.empty() ? "" : policies.errors[0]));
  REQUIRE(policies.errors.empty());
  const Scanned scanned(request(spans), policies.set->plan());
  const BatchTrace& trace = scanned.batch.traces[0];
  const std::uint64_t* const words = scanned.batch.words_of(0);
  const FixedShape shape;
  JudgedTrace judged{trace.id, trace.facts, words, words + policies.set->plan().bit_words()};
  judged.shape = &shape;
  REQUIRE(policies.set->policy(0).evaluate(judged).sampled());
  const int bit = policies.set->policy(0).deciding_bit(judged);
  return bit < 0 ? "none" : policies.set->attribute_of(static_cast<std::size_t>(bit));
}

std::string trace_policy(const std::string& condition) {
  return "{name: p, type: trace, trace: {condition: '" + condition + "'}}";
}

}  // namespace

TEST_CASE("a trace condition names the question to a span that made it true", "[decide]") {
  const std::vector<SpanSpec> spans = {{.id = 1, .name = "a", .attributes = {{"n", "x"}}},
                                       {.id = 2, .parent = 1, .name = "b", .attributes = {{"m", "y"}}}};
  CHECK(decided_by(trace_policy(R"(any(attributes["m"] == "y"))"), spans) == "m");
  CHECK(decided_by(trace_policy(R"(span_count > 1 and any(attributes["n"] == "x"))"), spans) == "n");
  CHECK(decided_by(trace_policy(R"(any(attributes["n"] == "no") or any(attributes["m"] == "y"))"), spans) == "m");
  CHECK(decided_by(trace_policy(R"(root.attributes["n"] == "x")"), spans) == "n");
  CHECK(decided_by(trace_policy(R"(not any(attributes["n"] == "no"))"), spans) == "none");
  CHECK(decided_by(trace_policy("span_count == 2"), spans) == "none");
  CHECK(decided_by("{name: r, type: first_match, first_match: [{policy: {type: trace, trace: {condition: "
                   "'depth == 3 and any(attributes[\"m\"] == \"y\")'}}, percentage: 100}]}",
                   spans) == "m");
}

TEST_CASE("conditions that cannot be answered are counted by policy", "[decide]") {
  const std::string yaml = "[{name: c, type: ottl_condition, ottl_condition: {" + kEither +
                           "}}, {name: t, type: trace, trace: {condition: 'any(Double(attributes[\"n\"]) > 0)'}},"
                           " {name: e, type: status_code, status_code: {status_codes: [ERROR]}}]";
  const Policies policies(yaml);
  REQUIRE(policies.errors.empty());
  using Counts = std::vector<std::pair<std::string, std::uint64_t>>;
  CHECK(policies.tables->condition_errors.all() == Counts{{"c", 0}, {"t", 0}});
  const Scanned scanned(request({kFailing, kMatching, kFailing}), policies.set->plan());
  const Counts counted = policies.tables->condition_errors.all();
  CAPTURE(counted[0].second, counted[1].second);
  CHECK(counted == Counts{{"c", 1}, {"t", 2}});  // once the second span has answered, nobody asks c again
}

TEST_CASE("a trace's fields are compared with what they are", "[decide]") {
  CHECK(first_error(trace_policy("duration > 2")) ==
        "test.yaml:1:44: [0].trace.condition: column 12: 'duration' is compared with a duration such as 2s or 500ms, "
        "not with "
        "an integer, got 'duration > 2'");
  CHECK(first_error(trace_policy("2000 < duration")).find("column 1: 'duration' is compared with") !=
        std::string::npos);
  CHECK(first_error(trace_policy(R"(span_count > "3")")).find("'span_count' is compared with a number") !=
        std::string::npos);
  CHECK(first_error(trace_policy("complete == 1")).find("'complete' is compared with true or false") !=
        std::string::npos);
  CHECK(first_error(trace_policy("close_reason == 1")).find("'close_reason' is compared with a text") !=
        std::string::npos);
  CHECK(first_error(trace_policy("span_count > 2.5 and duration != nil")).empty());
}

TEST_CASE("errors are counted when a condition is asked of traffic, and not when it is loaded", "[decide]") {
  const Policies policies("[" + trace_policy("1 / Len(root.name) > 5") + "]");
  REQUIRE(policies.errors.empty());
  CHECK(policies.tables->condition_errors.all()[0].second == 0);
}

TEST_CASE("a question about the root that cannot be answered is neither true nor false", "[decide]") {
  const std::vector<SpanSpec> nameless = {{.id = 1, .name = ""}};
  CHECK_FALSE(keeps_trace("1 / Len(root.name) > 5", nameless));
  CHECK_FALSE(keeps_trace("not (1 / Len(root.name) > 5)", nameless));
  CHECK(keeps_trace("not (1 / Len(root.name) > 5)", {{.id = 1, .name = "a"}}));
}
