// SPDX-License-Identifier: Apache-2.0
// A stored trace in the JSON of Jaeger's query API. e2e.jaeger_storage compares it with what a real Jaeger writes.
#include "wire/jaeger/trace_json.h"

#include <catch2/catch.hpp>
#include <string>

#include "simdjson.h"
#include "support/query_fixture.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

std::string trace_json(const std::string& otlp) {
  std::string out;
  CHECK(append_jaeger_trace(out, otlp));
  simdjson::dom::parser parser;
  CHECK(parser.parse(out).error() == simdjson::SUCCESS);
  return out;
}

std::string trace_json(const twin::TracesData& data) { return trace_json(data.SerializeAsString()); }

bool holds(const std::string& text, const std::string& part) {
  INFO(text);
  INFO(part);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a trace in the JSON of Jaeger's query API", "[wire]") {
  CHECK(trace_json(fixture_traces()[0]) ==
        R"({"traceID":"a0000000000000000000000000000001","spans":[)"
        R"({"traceID":"a0000000000000000000000000000001","spanID":"b100000000000001","operationName":"GET /checkout",)"
        R"("references":[],"startTime":1700000000000000,"duration":1200000,"tags":[)"
        R"({"key":"otel.scope.name","type":"string","value":"http"},)"
        R"({"key":"otel.scope.version","type":"string","value":"1.0.0"},)"
        R"({"key":"http.method","type":"string","value":"GET"},)"
        R"({"key":"http.status_code","type":"int64","value":200},)"
        R"({"key":"span.kind","type":"string","value":"server"}],"logs":[],"processID":"p1","warnings":null},)"
        R"({"traceID":"a0000000000000000000000000000001","spanID":"b100000000000002","operationName":"POST /pay",)"
        R"("references":[{"refType":"CHILD_OF","traceID":"a0000000000000000000000000000001",)"
        R"("spanID":"b100000000000001"},{"refType":"FOLLOWS_FROM","traceID":"a0000000000000000000000000000002",)"
        R"("spanID":"b100000000000006"}],"startTime":1700000000100000,"duration":800000,"tags":[)"
        R"({"key":"otel.scope.name","type":"string","value":"http"},)"
        R"({"key":"otel.scope.version","type":"string","value":"1.0.0"},)"
        R"({"key":"http.status_code","type":"int64","value":500},)"
        R"({"key":"peer.service","type":"string","value":"payment"},)"
        R"({"key":"span.kind","type":"string","value":"client"},)"
        R"({"key":"otel.status_code","type":"string","value":"ERROR"},)"
        R"({"key":"error","type":"bool","value":true},)"
        R"({"key":"otel.status_description","type":"string","value":"boom"}],)"
        R"("logs":[],"processID":"p1","warnings":null},)"
        R"({"traceID":"a0000000000000000000000000000001","spanID":"b100000000000003","operationName":"POST /pay",)"
        R"("references":[{"refType":"CHILD_OF","traceID":"a0000000000000000000000000000001",)"
        R"("spanID":"b100000000000002"}],"startTime":1700000000150000,"duration":700000,"tags":[)"
        R"({"key":"otel.scope.name","type":"string","value":"grpc"},)"
        R"({"key":"otel.scope.version","type":"string","value":"2.0.0"},)"
        R"({"key":"http.status_code","type":"int64","value":500},)"
        R"({"key":"span.kind","type":"string","value":"server"},)"
        R"({"key":"otel.status_code","type":"string","value":"ERROR"},)"
        R"({"key":"error","type":"bool","value":true}],)"
        R"("logs":[{"timestamp":1700000000160000,"fields":[{"key":"event","type":"string","value":"exception"},)"
        R"({"key":"exception.message","type":"string","value":"card declined"}]}],"processID":"p2","warnings":null},)"
        R"({"traceID":"a0000000000000000000000000000001","spanID":"b100000000000004","operationName":"SELECT",)"
        R"("references":[{"refType":"CHILD_OF","traceID":"a0000000000000000000000000000001",)"
        R"("spanID":"b100000000000003"}],"startTime":1700000000200000,"duration":100000,"tags":[)"
        R"({"key":"otel.scope.name","type":"string","value":"grpc"},)"
        R"({"key":"otel.scope.version","type":"string","value":"2.0.0"},)"
        R"({"key":"db.system","type":"string","value":"postgresql"},)"
        R"({"key":"ratio","type":"float64","value":1.5},)"
        R"({"key":"tags","type":"string","value":"[\"a\",\"b\"]"},)"
        R"({"key":"span.kind","type":"string","value":"client"},)"
        R"({"key":"otel.status_code","type":"string","value":"OK"}],"logs":[],"processID":"p2","warnings":null},)"
        R"({"traceID":"a0000000000000000000000000000001","spanID":"b100000000000005","operationName":"cache get",)"
        R"("references":[{"refType":"CHILD_OF","traceID":"a0000000000000000000000000000001",)"
        R"("spanID":"b100000000000003"}],"startTime":1700000000310000,"duration":2000,"tags":[)"
        R"({"key":"otel.scope.name","type":"string","value":"grpc"},)"
        R"({"key":"otel.scope.version","type":"string","value":"2.0.0"},)"
        R"({"key":"db.system","type":"string","value":"redis"},)"
        R"({"key":"hit","type":"bool","value":true},)"
        R"({"key":"span.kind","type":"string","value":"internal"}],"logs":[],"processID":"p2","warnings":null}],)"
        R"("processes":{)"
        R"("p1":{"serviceName":"frontend","tags":[{"key":"deployment.environment","type":"string","value":"prod"}]},)"
        R"("p2":{"serviceName":"payment","tags":[{"key":"deployment.environment","type":"string","value":"prod"}]}},)"
        R"("warnings":null})");
}

TEST_CASE("numbers that JavaScript rounds are texts, bytes are base64, and ids may be short", "[wire]") {
  twin::TracesData data;
  auto& scope = add_fixture_scope(data, "shop", "");
  auto& span = add_fixture_span(scope, 1, 1, 0, "a \"b\" \xff", 0, 10, 5);  // it ends before it begins
  span.set_trace_id(std::string(8, '\0') + "\x01\x02\x03\x04\x05\x06\x07\x08");
  span.set_trace_state("k=v");
  const auto add = [&](const char* key) -> twin::AnyValue& {
    auto& attribute = *span.add_attributes();
    attribute.set_key(key);
    return *attribute.mutable_value();
  };
  constexpr std::int64_t kSafe = (std::int64_t{1} << 53) - 1;
  add("safe").set_int_value(kSafe);
  add("large").set_int_value(kSafe + 1);
  add("minus").set_int_value(-kSafe);
  add("least").set_int_value(-kSafe - 1);
  add("bytes").set_bytes_value(std::string("\x00\xff\x10", 3));
  add("http.response.status_code").set_int_value(404);
  add("nothing");
  auto& link = *span.add_links();
  link.set_trace_id(span.trace_id());
  link.set_span_id("12345678");
  set_attributes(*link.mutable_attributes(), {{"opentracing.ref_type", "child_of"}});
  const std::string out = trace_json(data);
  CHECK(holds(out, R"({"traceID":"0102030405060708","spans":[{"traceID":"0102030405060708",)"));
  CHECK(holds(out, "\"operationName\":\"a \\\"b\\\" \xEF\xBF\xBD\""));
  CHECK(holds(out, R"("startTime":1700000000010000,"duration":0,)"));
  CHECK(holds(out, R"({"key":"safe","type":"int64","value":9007199254740991})"));
  CHECK(holds(out, R"({"key":"large","type":"int64","value":"9007199254740992"})"));
  CHECK(holds(out, R"({"key":"minus","type":"int64","value":-9007199254740991})"));
  CHECK(holds(out, R"({"key":"least","type":"int64","value":"-9007199254740992"})"));
  CHECK(holds(out, R"({"key":"bytes","type":"binary","value":"AP8Q"})"));
  CHECK(holds(out, R"({"key":"http.status_code","type":"int64","value":404})"));
  CHECK(holds(out, R"({"key":"nothing","type":"string","value":""})"));
  CHECK(holds(out, R"({"key":"w3c.tracestate","type":"string","value":"k=v"})"));
  CHECK(holds(out, R"([{"refType":"CHILD_OF","traceID":"0102030405060708","spanID":"3132333435363738"}])"));
  CHECK_FALSE(holds(out, "span.kind"));
}

TEST_CASE("equal processes have one name, and one without attributes has Jaeger's", "[wire]") {
  twin::TracesData data;
  add_fixture_span(add_fixture_scope(data, "a", "prod"), 1, 1, 0, "x", 1, 0, 1);
  add_fixture_span(add_fixture_scope(data, "b", "prod"), 1, 2, 1, "x", 1, 0, 1);
  add_fixture_span(add_fixture_scope(data, "a", "prod"), 1, 3, 1, "x", 1, 0, 1);
  add_fixture_span(*data.add_resource_spans()->add_scope_spans(), 1, 4, 1, "x", 1, 0, 1);
  const std::string out = trace_json(data);
  for (const char* name : {"p1", "p2", "p3"}) CHECK(holds(out, std::string("\"processID\":\"") + name + "\""));
  CHECK(holds(out, R"("p3":{"serviceName":"OTLPResourceNoServiceName","tags":[]})"));
  CHECK_FALSE(holds(out, "p4"));
}

TEST_CASE("without spans, or where bytes are malformed, the JSON is whole", "[wire]") {
  CHECK(trace_json(std::string()) == R"({"traceID":"","spans":[],"processes":{},"warnings":null})");
  std::string out;
  CHECK_FALSE(append_jaeger_trace(out, fixture_traces()[1] + "\x0a\x02\x12\x7f"));
  simdjson::dom::parser parser;
  CHECK(parser.parse(out).error() == simdjson::SUCCESS);
}
