// SPDX-License-Identifier: Apache-2.0
// The language of conditions: what is true of one span. contrib v0.140's OTTL, run over the same span, says the same,
// but that it cannot parse the negation of a path.
#include <catch2/catch.hpp>

#include "decide/condition/value.h"
#include "support/conditions.h"

using namespace tailgate;
using namespace tailgate::condition;
using namespace tailgate::test;

TEST_CASE("conditions compare values by OTTL's table", "[decide]") {
  check({
      // equal types
      {R"~(attributes["str"] == "hello")~", "true"},
      {R"~(attributes["str"] != "hello")~", "false"},
      {R"~(attributes["str"] < "help")~", "true"},
      {R"~(attributes["str"] >= "help")~", "false"},
      {R"~("hello" == attributes["str"])~", "true"},
      {R"~("help" > attributes["str"])~", "true"},
      {R"~(attributes["int"] == 42)~", "true"},
      {R"~(attributes["int"] > 41)~", "true"},
      {R"~(attributes["int"] <= 41)~", "false"},
      {R"~(attributes["negative"] == -7)~", "true"},
      {R"~(attributes["negative"] < +3)~", "true"},
      {R"~(attributes["double"] == 2.5)~", "true"},
      {R"~(attributes["double"] < 2.51)~", "true"},
      {R"~(attributes["yes"] == true)~", "true"},
      {R"~(attributes["yes"] > attributes["no"])~", "true"},
      {R"~(attributes["no"] <= false)~", "true"},
      {R"~(attributes["bytes"] == 0x01ff)~", "true"},
      {R"~(attributes["bytes"] > 0x01fe)~", "true"},
      // integers and doubles
      {R"~(attributes["int"] == 42.0)~", "true"},
      {R"~(attributes["whole"] == 42)~", "true"},
      {R"~(attributes["int"] < 42.5)~", "true"},
      {R"~(attributes["double"] >= 3)~", "false"},
      // unlike types: only != is true
      {R"~(attributes["int"] == "42")~", "false"},
      {R"~(attributes["int"] != "42")~", "true"},
      {R"~(attributes["int"] < "99")~", "false"},
      {R"~(attributes["str"] != 1)~", "true"},
      {R"~(attributes["yes"] == 1)~", "false"},
      {R"~(attributes["yes"] != 1)~", "true"},
      {R"~(attributes["bytes"] == "x")~", "false"},
      {R"~(attributes["list"] != 3)~", "true"},
      {R"~(attributes["list"] < 3)~", "false"},
      // nil
      {R"~(attributes["missing"] == nil)~", "true"},
      {R"~(attributes["missing"] != nil)~", "false"},
      {R"~(attributes["missing"] <= nil)~", "true"},
      {R"~(attributes["missing"] < nil)~", "false"},
      {R"~(attributes["missing"] == "")~", "false"},
      {R"~(attributes["missing"] != "")~", "true"},
      {R"~(attributes["missing"] < 3)~", "false"},
      {R"~(attributes["unset"] == nil)~", "true"},
      {R"~(attributes["void"] == nil)~", "false"},
      {R"~(attributes["str"] != nil)~", "true"},
      {R"~(nil == attributes["str"])~", "false"},
      {"nil == nil", "true"},
      // maps and lists: equal or not, and 1 is not 1.0 inside them
      {R"~(attributes["list"] == ["one", 2, 3.0])~", "true"},
      {R"~(attributes["list"] == ["one", 2, 3])~", "false"},
      {R"~(attributes["list"] != ["one"])~", "true"},
      {R"~(attributes["map"] == {"k": "v", "inner": [7]})~", "true"},
      {R"~(attributes["map"] == {"inner": [7] "k": "v"})~", "true"},
      {R"~(attributes["map"] == {"k": "v"})~", "false"},
      {R"~(attributes["map"] < {"k": "v"})~", "false"},
      // times and durations
      {R"~(end_time - start_time == Duration("1500ms"))~", "true"},
      {R"~(end_time - start_time > Duration("1s"))~", "true"},
      {"end_time > start_time", "true"},
      {R"~(start_time + Duration("1500ms") == end_time)~", "true"},
      {R"~(end_time - start_time > 1)~", "false"},
      // constants on both sides
      {"1 == 1.0", "true"},
      {R"~("a" == "b")~", "false"},
  });
}

TEST_CASE("conditions join and negate by OTTL's precedence", "[decide]") {
  check({
      {"true", "true"},
      {"not true", "false"},
      {"not false and true", "true"},
      {"true or true and false", "true"},
      {"(true or true) and false", "false"},
      {"not (true and false)", "true"},
      {R"~(not name == "x" and kind == 2)~", "true"},
      {"false or false or true", "true"},
      // an error ends it, but only where it is reached
      {R"~(true or Len(1.5 * Double("2")) == 1)~",
       "column 9: Len: expected a string, a list or a map to take the length of"},
      {R"~(true or Len(attributes["int"]) == 1)~", "true"},
      {R"~(false and Len(attributes["int"]) == 1)~", "false"},
      {R"~(false or Len(attributes["int"]) == 1)~", "error"},
      {R"~(not (Len(attributes["int"]) == 1))~", "error"},
  });
}

TEST_CASE("conditions calculate", "[decide]") {
  check({
      {R"~(attributes["int"] + 1 == 43)~", "true"},
      {R"~(attributes["int"] + 2 * 3 == 48)~", "true"},
      {R"~((attributes["int"] + 2) * 3 == 132)~", "true"},
      {R"~(attributes["int"] - 40 - 1 == 1)~", "true"},
      {R"~(attributes["int"] / 5 == 8)~", "true"},
      {R"~(attributes["negative"] / 2 == -3)~", "true"},
      {R"~(attributes["double"] * 2.0 == 5)~", "true"},
      {R"~(attributes["int"] + 0.5 == 42.5)~", "true"},
      {R"~(-attributes["negative"] == 7)~", "true"},
      {R"~(-(attributes["int"] + 1) == -43)~", "true"},
      {"9223372036854775807 + 1 < 0", "true"},
      {"-9223372036854775808 < 0", "true"},
      {R"~(attributes["int"] / 0 == 1)~", "error"},
      {R"~(attributes["double"] / 0.0 == 1)~", "error"},
      {R"~(attributes["str"] + 1 == 1)~", "error"},
      {R"~(attributes["missing"] + 1 == 1)~", "error"},
      {R"~(start_time + end_time == start_time)~", "error"},
      {R"~(start_time * 2 == 1)~", "error"},
      {"(end_time_unix_nano - start_time_unix_nano) / 1000000 == 1500", "true"},
  });
}

TEST_CASE("conditions read every field of a span", "[decide]") {
  check({
      {R"~(name == "GET /users/42")~", "true"},
      {R"~(span.name == "GET /users/42")~", "true"},
      {"kind == SPAN_KIND_SERVER", "true"},
      {"kind == 2", "true"},
      {R"~(kind.string == "Server")~", "true"},
      {R"~(kind.deprecated_string == "SPAN_KIND_SERVER")~", "true"},
      {"status.code == STATUS_CODE_ERROR", "true"},
      {R"~(status.message == "it broke")~", "true"},
      {"start_time_unix_nano == 1700000000123456789", "true"},
      {"end_time_unix_nano == 1700000001623456789", "true"},
      {"trace_id == TraceID(0x0102030405060708090a0b0c0d0e0f10)", "true"},
      {"trace_id == 0x0102030405060708090a0b0c0d0e0f10", "false"},
      {R"~(trace_id.string == "0102030405060708090a0b0c0d0e0f10")~", "true"},
      {"span_id == SpanID(0x0102030405060708)", "true"},
      {R"~(span_id.string == "0102030405060708")~", "true"},
      {"parent_span_id == SpanID(0x0000000000000000)", "true"},
      {R"~(parent_span_id.string == "0000000000000000")~", "true"},
      {"span_id < SpanID(0xffffffffffffffff)", "false"},
      {R"~(trace_state == "vendor=gold,other=x")~", "true"},
      {R"~(trace_state["vendor"] == "gold")~", "true"},
      {R"~(trace_state["missing"] == "")~", "true"},
      {R"~(trace_state["missing"] == nil)~", "false"},
      {"dropped_attributes_count == 5", "true"},
      {"dropped_events_count == 6", "true"},
      {"dropped_links_count == 7", "true"},
      {"Len(events) == 2", "true"},
      {"Len(links) == 1", "true"},
      {"Len(attributes) == 18", "true"},
      {"events == nil", "false"},
      {R"~(attributes["map"]["k"] == "v")~", "true"},
      {R"~(attributes["map"]["inner"][0] == 7)~", "true"},
      {R"~(attributes["map"]["none"] == nil)~", "true"},
      {R"~(attributes["none"]["k"] == nil)~", "true"},
      {R"~(attributes["list"][1] == 2)~", "true"},
      {R"~(attributes["list"][3] == 2)~", "error"},
      {R"~(attributes["str"]["k"] == 2)~", "error"},
      {R"~(attributes["list"]["k"] == 2)~", "error"},
      {R"~(attributes[Concat(["st", "r"], "")] == "hello")~", "true"},
      {R"~(resource.attributes["service.name"] == "web")~", "true"},
      {R"~(resource.attributes["str"] == "of the resource")~", "true"},
      {R"~(resource.attributes["replicas"] > 3)~", "true"},
      {"Len(resource.attributes) == 3", "true"},
      {"resource.dropped_attributes_count == 3", "true"},
      {R"~(resource.schema_url == "https://schema/resource")~", "true"},
      {R"~(instrumentation_scope.name == "lib")~", "true"},
      {R"~(scope.version == "1.2")~", "true"},
      {R"~(scope.attributes["scoped"] == true)~", "true"},
      {"scope.dropped_attributes_count == 2", "true"},
      {R"~(scope.schema_url == "https://schema/scope")~", "true"},
  });
}

TEST_CASE("conditions on events read the event first", "[decide]") {
  check(
      {
          {R"~(name == "exception")~", "true"},
          {R"~(name == "nothing")~", "false"},
          {R"~(attributes["str"] == "of the event")~", "true"},
          {R"~(spanevent.attributes["exception.type"] == "Timeout")~", "true"},
          {R"~(span.attributes["str"] == "hello")~", "true"},
          {R"~(span.name == "GET /users/42" and name == "start")~", "true"},
          {"time_unix_nano == 1700000000123456809", "true"},
          {R"~(time - span.start_time == Duration("20ns"))~", "true"},
          {"dropped_attributes_count == 9", "true"},
          {"event_index == 1", "true"},
          {"event_index == 2", "false"},
          {R"~(resource.attributes["service.name"] == "web")~", "true"},
          {R"~(scope.name == "lib")~", "true"},
      },
      ConditionKind::kSpanEvent);
}

TEST_CASE("literals of conditions are Go's", "[decide]") {
  check({
      {R"~("a\tb" == "a	b")~", "true"},
      {R"~("\x41\102\u0043" == "ABC")~", "true"},
      {R"~("\u00e9" == "é")~", "true"},
      {R"~("\"" == "\x22")~", "true"},
      {".5 == 0.5", "true"},
      {"1.5e3 == 1500", "true"},
      {"0x0a == 0x0A", "true"},
      {"[] == []", "true"},
      {"{} == {}", "true"},
  });
}

TEST_CASE("the short way of comparing says what the long way says, however an attribute is encoded", "[decide]") {
  // Encodings of the KeyValue "k", most of them legal and never written by an SDK: what follows is its content.
  const std::string key("\x0a\x01k", 3), x("\x12\x03\x0a\x01x", 5), seven("\x12\x02\x18\x07", 4);
  const std::string long_text = std::string("\x12\xcb\x01\x0a\xc8\x01", 6) + std::string(200, 'x');
  const std::vector<std::string> encodings = {
      key + x,
      x + key,
      key + seven,
      key + x + seven,
      key + seven + x,
      key,
      key + std::string("\x12\x00", 2),
      key + std::string("\x12\x02\x10\x01", 4),                                       // true
      key + std::string("\x12\x09\x21\0\0\0\0\0\0\x1c\x40", 11),                      // 7.0
      key + std::string("\x12\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13),  // -1
      key + std::string("\x12\x05\x0a\x01y\x18\x07", 7),                              // "y", then 7: the last wins
      key + std::string("\x12\x05\x18\x07\x0a\x01x", 7),
      key + std::string("\x12\x83\x00\x0a\x01x", 6),  // a length of two bytes
      key + std::string("\x12\x04\x0a\x81\x00x", 6),
      std::string("\x0a\x81\x00k", 4) + x,
      key + x + std::string("\x18\x05", 2),  // an unknown field after it
      key + long_text,
      key + std::string("\x12\x03\x0a\x05x", 5),  // a text that passes the end
      key + std::string("\x12\x02\x18\x87", 4),   // half a number
  };
  for (const std::string& encoding : encodings) {
    twin::TracesData data = rich_trace();
    auto* span = data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0);
    span->clear_attributes();
    // field 9 of the Span, as an unknown field of the twin
    span->GetReflection()->MutableUnknownFields(span)->AddLengthDelimited(9, encoding);
    for (const char* op : {"==", "!=", "<", "<=", ">", ">="}) {
      for (const char* constant : {"\"x\"", "\"\"", "7", "7.0", "-1", "true", "nil"}) {
        const std::string rest = std::string(" ") + op + " " + constant;
        INFO(encoding << rest);
        CHECK(ask("attributes[\"k\"]" + rest, ConditionKind::kSpan, data) ==
              ask("Coalesce([attributes[\"k\"]])" + rest, ConditionKind::kSpan, data));
      }
    }
  }
}

TEST_CASE("an attribute whose value comes in two fields has what protobuf's merge makes of them", "[decide]") {
  // key "k", value {string "v"}, and `value` again without a member: it changes nothing.
  const std::string empty_last("\x0a\x01k\x12\x03\x0a\x01v\x12\x00", 10);
  CHECK(decode_key_value(empty_last).text == "v");
  twin::KeyValue merged;
  REQUIRE(merged.ParseFromString(empty_last));
  CHECK(merged.value().string_value() == "v");
  const std::string other_last("\x0a\x01k\x12\x03\x0a\x01v\x12\x02\x18\x07", 12);
  CHECK(decode_key_value(other_last).kind == ValueKind::kInt);
}
