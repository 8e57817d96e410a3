// SPDX-License-Identifier: Apache-2.0
// What people are told when a condition is wrong: where, and what was wanted.
#include <catch2/catch.hpp>

#include "decide/condition/span_field.h"
#include "support/conditions.h"

using namespace tailgate;
using namespace tailgate::test;

TEST_CASE("a wrong condition is told by column and what was wanted", "[decide]") {
  const auto error = [](const std::string& text) { return ask(text); };
  CHECK(error("") == "column 1: expected a condition, got nothing");
  CHECK(error("attributes[\"a\"]") ==
        "column 1: expected a comparison such as `... == \"x\"`, a converter that answers yes or no, true or false");
  CHECK(error("name = \"x\"") == "column 6: expected '==' to compare, got '='");
  CHECK(error("name == 'x'") == "column 9: strings stand in double quotes");
  CHECK(error("name == \"x\" && true") == "column 13: expected `and` / `or` in words");
  CHECK(error("name == \"x") == "column 9: the string has no closing '\"'");
  CHECK(error("IsMatch(name, \"\\d+\")") ==
        "column 16: '\\d' is not an escape; a backslash that is meant is written '\\\\d'");
  CHECK(error("IsMatch(name, \"(\")") == "column 15: expected a regular expression as RE2 reads it (missing ): ()");
  CHECK(error("IsMatch(name)") == "column 1: 'pattern' is missing; expected IsMatch(target, pattern)");
  CHECK(error("IsMatch(name, \"a\", 3)") == "column 20: an argument too many; expected IsMatch(target, pattern)");
  CHECK(error("IsMatch(name, pat = \"a\")") == "column 15: no parameter 'pat'; expected IsMatch(target, pattern)");
  CHECK(error("IsMatch(target = name, \"a\")") ==
        "column 24: expected arguments without names before those with names");
  CHECK(error("IsMatch(name, target = \"a\")") == "column 15: 'target' is given twice");
  CHECK(error("Substring(name, \"0\", 3) == \"GET\"") ==
        "column 17: expected an integer for 'start', got a string; Substring(target, start, length, utf8_safe?)");
  CHECK(error("kindd == 2") == "column 1: no field 'kindd'; did you mean 'kind'?");
  CHECK(error("status == 2") == "column 1: expected status.code or status.message, got 'status'");
  CHECK(error("spanevent.name == \"x\"") ==
        "column 1: a condition on spans has no event at hand; put it under `spanevent:`");
  CHECK(error("name[\"x\"] == 1") == "column 6: 'name' has no keys");
  CHECK(error("attributes[0] == 1") == "column 12: expected an attribute's key in quotes");
  CHECK(error("ismatch(name, \"a\")") == "column 1: 'ismatch(': names of converters begin with a capital letter");
  CHECK(error("kind == SPAN_KIND_SERVR").starts_with("column 9: expected one of SPAN_KIND_UNSPECIFIED, "));
  CHECK(error("kind == 2 kind == 3") == "column 11: expected `and`, `or` or the end, got 'kind'");
  CHECK(error("1 == 1 == 1") == "column 8: expected `and` or `or`: comparisons do not chain, got '=='");
  CHECK(error("(kind == 2") == "column 11: expected ')', but the condition ends here");
  CHECK(error("(kind == 2) == true") == "column 2: expected a value here, got a condition");
  CHECK(error("kind == 99999999999999999999") ==
        "column 9: expected a number within 64 bits, got '99999999999999999999'");
  CHECK(error("kind == 0x123") == "column 9: expected bytes as 0x and an even number of hexadecimal digits");
  CHECK(error("kind == 12ms") == "column 9: expected a number such as 12, -3 or 1.5e3, or \"...\" for a string");
  CHECK(error("Duration(\"2 seconds\") == nil") ==
        "column 1: Duration: expected a duration such as \"300ms\", \"2s\" or \"1h30m\"");
  CHECK(error("IsInCIDR(\"a\", [\"10.0.0.0/99\"])") ==
        "column 15: expected networks such as \"10.0.0.0/8\" or \"fd00::/8\", got '10.0.0.0/99'");
  CHECK(error("1 / 0 == 1") == "column 3: division by zero");
  CHECK(error("kind == \x01") == "column 9: byte 0x01 has no meaning here");
  CHECK(ask("IsRootSpan()", ConditionKind::kSpanEvent).starts_with("column 1: no converter 'IsRootSpan'; known are "));
}

TEST_CASE("an unknown converter lists the known ones", "[decide]") {
  const std::string text = ask("IsMatched(name, \"a\")");
  CHECK(
      text.starts_with("column 1: no converter 'IsMatched'; did you mean 'IsMatch'?; known are Base64Decode, Bool, "));
  for (const char* name : {"IsMatch", "IsRootSpan", "Substring", "ExtractPatterns", "IsInCIDR", "URL"}) {
    CHECK(text.find(name) != std::string::npos);
  }
}

TEST_CASE("a condition is bounded in length and depth", "[decide]") {
  CHECK(ask(std::string(16 * 1024 + 1, ' ')).find("at most 16384 bytes") != std::string::npos);
  const auto nested = [](int n) {
    return std::string(static_cast<std::size_t>(n), '(') + "true" + std::string(static_cast<std::size_t>(n), ')');
  };
  CHECK(ask(nested(50)) == "true");
  CHECK(ask(nested(5000)).find("expected at most 64 levels inside each other") != std::string::npos);
  std::string nots, lists = "1", sums = "1", keys = "attributes";
  for (int i = 0; i < 3000; ++i) nots += "not ";
  CHECK(ask(nots + "true").find("levels inside each other") != std::string::npos);
  for (int i = 0; i < 2000; ++i) lists = "[" + lists + "]";
  CHECK(ask(lists + " == 1").find("levels inside each other") != std::string::npos);
  for (int i = 0; i < 4000; ++i) sums += "+1";
  CHECK(ask(sums + " == 1").find("at most 256 operators") != std::string::npos);
  for (int i = 0; i < 2000; ++i) keys += "[\"a\"]";
  CHECK(ask(keys + " == nil") == "true");
}

namespace {

std::vector<std::string> notices(const std::string& condition, ConditionKind kind = ConditionKind::kSpan) {
  ScanPlan plan;
  const Result<Condition> parsed = parse_condition(condition, kind, plan);
  INFO(condition);
  REQUIRE(parsed);
  return parsed->notices();
}

}  // namespace

TEST_CASE("a comparison that has one answer for every span is told", "[decide]") {
  using Notices = std::vector<std::string>;
  const std::string duration = "; a duration is Duration(\"300ms\")";
  CHECK(notices("end_time - start_time > 300") ==
        Notices{"column 10: is never true: a duration is compared with an integer" + duration});
  CHECK(notices("name == \"x\" or not (end_time - start_time > \"300ms\")") ==
        Notices{"column 30: is never true: a duration is compared with a string" + duration});
  CHECK(notices("status.code != \"ERROR\"") ==
        Notices{"column 1: is always true: an integer is compared with a string"});
  CHECK(notices("start_time < end_time - start_time").size() == 1);
  CHECK(notices("trace_id > span_id").size() == 1);
  CHECK(notices("root.duration > 300", ConditionKind::kTrace).size() == 1);
  CHECK(notices("duration > 2s and (any(kind == \"server\") or count(name > 3) > 1)", ConditionKind::kTrace).size() ==
        2);
  CHECK(notices("time > \"2026\"", ConditionKind::kSpanEvent).size() == 1);
  for (const char* good :
       {"end_time - start_time > Duration(\"300ms\")", "end_time_unix_nano - start_time_unix_nano > 300", "kind == 2.0",
        "attributes[\"a\"] > 300", "attributes[\"a\"] - 1 > \"x\"", "trace_state[\"a\"] == nil", "name != nil",
        "1 == 2", "Duration(\"1s\") > 1", "start_time + Duration(\"1s\") > end_time"}) {
    INFO(good);
    CHECK(notices(good).empty());
  }
}

TEST_CASE("what is told to be never or always true is so, of a full span and of an empty one", "[decide]") {
  twin::TracesData empty;
  auto* const span = empty.add_resource_spans()->add_scope_spans()->add_spans();
  span->set_trace_id(rich_trace().resource_spans(0).scope_spans(0).spans(0).trace_id());
  span->set_span_id(std::string(8, '\x01'));
  std::size_t told = 0;
  for (const PathRow& row : kPaths) {
    if (row.context == "spanevent") continue;
    const std::string path = std::string(row.context) + "." + std::string(row.name);
    for (const char* op : {"==", "!=", "<", "<=", ">", ">="}) {
      for (const char* with : {"1", "1.5", "\"x\"", "true", "0x01ff", "Duration(\"1s\")", "start_time", "trace_id",
                               "end_time - start_time", "attributes", "events"}) {
        const std::string condition = path + " " + op + " " + with;
        if (notices(condition).empty()) continue;
        ++told;
        INFO(condition);
        const std::string always = std::string_view(op) == "!=" ? "true" : "false";
        CHECK(ask(condition) == always);
        CHECK(ask(condition, ConditionKind::kSpan, empty) == always);
      }
    }
  }
  CHECK(told > 1000);
}
