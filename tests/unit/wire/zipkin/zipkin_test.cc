// SPDX-License-Identifier: Apache-2.0
// Zipkin to OTLP: the mapping table row by row, then generated lists against the slow twin, in both forms.
#include "wire/zipkin/zipkin.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "support/foreign_cases.h"
#include "support/foreign_twin.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

std::vector<FlatSpan> from_json(const std::string& json, ZipkinOptions options = {}) {
  ByteSink out;
  const auto converted = zipkin_json_to_otlp(json, options, out);
  INFO(json);
  INFO((converted ? "" : converted.error().text));
  REQUIRE(converted);
  return flatten(parsed(out));
}

// One span with these members beside its ids.
FlatSpan span_of(const std::string& members, ZipkinOptions options = {}) {
  const auto flat = from_json(R"([{"traceId":"463ac35c9f6413ad","id":"a2fb4a1d1a96d312")" + members + "}]", options);
  REQUIRE(flat.size() == 1);
  return flat[0];
}
FlatSpan tagged(const std::string& tags, ZipkinOptions options = {}) {
  return span_of(R"(,"timestamp":1,"tags":{)" + tags + "}", options);
}

std::string problem(const std::string& json) {
  ByteSink out;
  const auto r = zipkin_json_to_otlp(json, {}, out);
  return r ? "" : r.error().text;
}

std::string json_of(const twin::zipkin::Endpoint& e) {
  std::string out = fmt::format("{{\"port\":{}", e.port());
  if (!e.service_name().empty()) out += ",\"serviceName\":" + twin_quoted(e.service_name());
  if (!e.ipv4().empty()) out += ",\"ipv4\":\"" + dotted(e.ipv4()) + "\"";
  if (!e.ipv6().empty()) out += R"(,"ipv6":"::1")";
  return out + "}";
}
std::string json_of(const twin::zipkin::ListOfSpans& list) {
  constexpr const char* kKinds[] = {"?", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"};
  std::string out = " [";
  for (const auto& s : list.spans()) {
    if (out.back() == '}') out += " ,\n";
    out += fmt::format(R"({{"unknown":[{{"traceId":1}},null],"traceId":"{}","id":"{}")", twin_hex(s.trace_id()),
                       twin_hex(s.id(), true));
    if (!s.parent_id().empty()) out += ",\"parentId\":\"" + twin_hex(s.parent_id()) + "\"";
    if (s.kind() != 0) out += fmt::format(",\"kind\":\"{}\"", kKinds[s.kind()]);
    out += ",\"name\":" + twin_quoted(s.name());
    if (s.timestamp() != 0) out += fmt::format(",\"timestamp\":{}", s.timestamp());
    out += fmt::format(",\"duration\":{},\"debug\":{},\"shared\":{}", s.duration(), s.debug(), s.shared());
    if (s.has_local_endpoint()) out += ",\"localEndpoint\":" + json_of(s.local_endpoint());
    out += ",\"remoteEndpoint\":" + (s.has_remote_endpoint() ? json_of(s.remote_endpoint()) : "null");
    out += ",\"annotations\":[";
    for (const auto& a : s.annotations()) {
      out += fmt::format("{}{{\"timestamp\":{},\"value\":{}}}", out.back() == '[' ? "" : ",", a.timestamp(),
                         twin_quoted(a.value()));
    }
    out += "],\"tags\":{";
    for (const auto& t : s.tags())
      out += (out.back() == '{' ? "" : ",") + twin_quoted(t.key()) + ":" + twin_quoted(t.value());
    out += "}}";
  }
  return out + "]\n";
}

}  // namespace

TEST_CASE("Zipkin: ids are hex, short ones padded, and what is none is left for the scanner", "[wire]") {
  CHECK(twin_hex(span_of("").span.trace_id()) == "0000000000000000463ac35c9f6413ad");
  const auto flat =
      from_json(R"([{"traceId":"5982fe77008310cc80f1da5e10147517","id":"1","parentId":"BD7A977555F6B982"}])");
  CHECK(twin_hex(flat[0].span.trace_id()) == "5982fe77008310cc80f1da5e10147517");
  CHECK(twin_hex(flat[0].span.span_id()) == "0000000000000001");
  CHECK(twin_hex(flat[0].span.parent_span_id()) == "bd7a977555f6b982");
  CHECK(from_json(R"([{"traceId":"no hex","id":"12345678901234567"}])")[0].span.trace_id().empty());
  CHECK(from_json(R"([{"traceId":"1","id":"1","parentId":"zz"}])")[0].span.parent_span_id() == "z");
  CHECK(span_of(R"(,"parentId":"a2fb4a1d1a96d312")").span.parent_span_id().empty());  // its own parent
}

TEST_CASE("Zipkin: kinds, times, endpoints, annotations", "[wire]") {
  for (const auto& [word, kind] :
       std::map<std::string, int>{{"SERVER", 2}, {"CLIENT", 3}, {"PRODUCER", 4}, {"CONSUMER", 5}, {"LOCAL", 0}}) {
    CHECK(span_of(",\"kind\":\"" + word + "\"").span.kind() == kind);
  }
  CHECK(tagged(R"("span.kind":"internal")").span.kind() == 1);
  FlatSpan flat = span_of(
      R"(,"name":"get","timestamp":1472470996199000,"duration":207000.0,"localEndpoint":{"serviceName":"front","ipv4":"1.2.3.4","port":80},)"
      R"("remoteEndpoint":{"serviceName":"back","ipv6":"::2","port":9000},"annotations":[{"timestamp":5,"value":"ws|x"}])");
  CHECK(flat.span.start_time_unix_nano() == 1472470996199000000);
  CHECK(flat.span.end_time_unix_nano() == 1472470996406000000);
  CHECK(flat.resource["service.name"].string_value() == "front");
  AttributeMap a = to_map(flat.span.attributes());
  CHECK(a.size() == 8);
  CHECK(a["network.local.address"].string_value() == "1.2.3.4");
  CHECK(a["network.peer.address"].string_value() == "::2");
  CHECK(a["service.peer.name"].string_value() == "back");
  CHECK(a["net.host.ip"].string_value() == "1.2.3.4");
  CHECK(a["net.host.port"].int_value() == 80);
  CHECK(a["net.peer.ip"].string_value() == "::2");
  CHECK(a["net.peer.port"].int_value() == 9000);
  CHECK(a["peer.service"].string_value() == "back");
  CHECK(flat.span.events(0).name() == "ws|x");
  CHECK(flat.span.events(0).time_unix_nano() == 5000);
  a = to_map(span_of(R"(,"tags":{"peer.service":"said"},"remoteEndpoint":{"serviceName":"back"},"duration":3)")
                 .span.attributes());
  CHECK(a["peer.service"].string_value() == "said");
  CHECK(a["otel.zipkin.absentField.startTime"].bool_value());
}

TEST_CASE("Zipkin: what was renamed has its new and its old name, or the new one alone", "[wire]") {
  const std::string members =
      R"(,"timestamp":1,"remoteEndpoint":{"serviceName":"back","ipv4":"1.2.3.4","port":7},"tags":{"http.status_code":"500"})";
  CHECK(to_map(span_of(members).span.attributes()).size() == 7);
  const AttributeMap a = to_map(span_of(members, {.old_attribute_names = false}).span.attributes());
  CHECK(a.size() == 4);
  CHECK(a.at("http.response.status_code").string_value() == "500");
  CHECK(a.at("service.peer.name").string_value() == "back");
  CHECK(a.at("network.peer.address").string_value() == "1.2.3.4");
  CHECK(a.at("net.peer.port").int_value() == 7);
  CHECK(to_map(tagged(R"("http.status_code":"500")", {.parse_string_tags = true}).span.attributes())
            .at("http.response.status_code")
            .int_value() == 500);
  // A tag of the sender goes before, under each name.
  const AttributeMap both =
      to_map(tagged(R"("http.status_code":"1","http.response.status_code":"2")").span.attributes());
  CHECK(both.at("http.status_code").string_value() == "1");
  CHECK(both.at("http.response.status_code").string_value() == "2");
  const AttributeMap said =
      to_map(span_of(R"(,"timestamp":1,"remoteEndpoint":{"serviceName":"back"},"tags":{"service.peer.name":"said"})")
                 .span.attributes());
  CHECK(said.at("service.peer.name").string_value() == "said");
  CHECK(said.at("peer.service").string_value() == "back");
}

TEST_CASE("Zipkin: that there is a tag `error` means error", "[wire]") {
  CHECK(tagged("").span.status().code() == 0);
  CHECK(tagged(R"("error":"true")").span.status().code() == 2);
  CHECK(tagged(R"("error":"true")").span.attributes_size() == 0);
  CHECK(tagged(R"("error":"")").span.status().code() == 2);
  CHECK(tagged(R"("error":true)").span.status().code() == 2);
  CHECK(tagged(R"("error":"timeout")").span.status().message() == "timeout");
  CHECK(tagged(R"("error":"timeout")").span.attributes_size() == 1);
  CHECK(tagged(R"("error":"False")").span.status().code() == 0);
  CHECK(tagged(R"("otel.status_code":"OK")").span.status().code() == 1);
  CHECK(tagged(R"("otel.status_code":"STATUS_CODE_ERROR","otel.status_description":"d","error":"e")")
            .span.status()
            .message() == "d");
}

TEST_CASE("Zipkin: OpenTelemetry's exporter says debug of all that is sampled, and keeps nothing by it", "[wire]") {
  for (const char* scope :
       {R"("otel.scope.name":"shop")", R"("otel.library.name":"shop")", R"("otel.scope.name":"")"}) {
    const FlatSpan flat = span_of(fmt::format(R"(,"debug":true,"tags":{{{}}})", scope));
    CHECK(flat.span.keep_mark() == 0);
    CHECK(flat.span.flags() == 1);
  }
  CHECK(span_of(R"(,"debug":true,"tags":{"otel.scope.version":"1"})").span.keep_mark() == 1);
}

TEST_CASE("Zipkin: debug is marked, shared spans stay apart, tags stay texts unless asked", "[wire]") {
  CHECK(span_of(R"(,"debug":true)").span.keep_mark() == 1);
  CHECK(span_of(R"(,"debug":true)").span.flags() == 1);
  CHECK(span_of(R"(,"debug":false)").span.flags() == 0);
  CHECK(
      from_json(R"([{"traceId":"1","id":"2","kind":"CLIENT"},{"traceId":"1","id":"2","kind":"SERVER","shared":true}])")
          .size() == 2);
  CHECK(tagged(R"("n":"12")").span.attributes(0).value().string_value() == "12");
  CHECK(tagged(R"("n":12)").span.attributes(0).value().string_value() == "12");
  const ZipkinOptions parse{.parse_string_tags = true};
  CHECK(tagged(R"("n":"-12")", parse).span.attributes(0).value().int_value() == -12);
  CHECK(tagged(R"("n":"1.5")", parse).span.attributes(0).value().double_value() == 1.5);
  CHECK(tagged(R"("n":"TRUE")", parse).span.attributes(0).value().bool_value());
  CHECK(tagged(R"("n":"1.5s")", parse).span.attributes(0).value().string_value() == "1.5s");
}

TEST_CASE("Zipkin: what is not a list of spans is refused with its place", "[wire]") {
  CHECK(problem("[]").empty());
  CHECK(problem("{}") == "the document: expected an array, got an object");
  CHECK(problem("null") == "the document: expected an array, got null");
  CHECK(problem("[1]") == "[0]: expected an object, got a number");
  CHECK(problem(R"([{},{"tags":[]}])") == "[1].tags: expected an object, got an array");
  CHECK(problem(R"([{"localEndpoint":{"port":"x"}}])") == "[0].localEndpoint.port: expected a number, got a string");
  CHECK(problem(R"([{"annotations":[{},"x"]}])") == "[0].annotations[1]: expected an object, got a string");
  CHECK(problem(R"([{"name":1}])") == "[0].name: expected a string, got a number");
  CHECK(problem(R"([{"tags":{"a":{}}}])").find("[0].tags") == 0);
  CHECK(problem("[] x").find("extra data") != std::string::npos);
  CHECK(problem("[{").find("incomplete") != std::string::npos);
  CHECK_FALSE(problem("").empty());
  CHECK_FALSE(problem(R"([{"x":)" + std::string(100, '[')).empty());
}

TEST_CASE("generated Zipkin lists equal the slow twin, field by field, in both forms", "[wire]") {
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    ForeignCases cases(seed);
    const twin::zipkin::ListOfSpans list = cases.zipkin();
    INFO("seed " << seed);
    const auto want = sorted_texts(expected_of(list));
    REQUIRE(sorted_texts(from_json(json_of(list))) == want);
    ByteSink out;
    REQUIRE(zipkin_proto_to_otlp(list.SerializeAsString(), {}, out));
    REQUIRE(sorted_texts(flatten(parsed(out))) == want);
  }
}

TEST_CASE("Zipkin: protobuf that is malformed is refused", "[wire]") {
  ByteSink out;
  CHECK(zipkin_proto_to_otlp("", {}, out));
  const auto bad = zipkin_proto_to_otlp(ByteView("\x0A\x02\x0A\x7F", 4), {}, out);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().text == "not a Zipkin ListOfSpans: spans[0] is malformed, near byte 1 of 4");
}

TEST_CASE("Zipkin: numbers as text and kinds of any case are taken", "[wire]") {
  const FlatSpan flat =
      span_of(R"(,"timestamp":"1700000000000000","duration":"2.0e1","kind":"server","localEndpoint":{"port":"8080"},)"
              R"("annotations":[{"timestamp":"1700000000000001","value":"a"}])");
  CHECK(flat.span.start_time_unix_nano() == 1'700'000'000'000'000'000);
  CHECK(flat.span.end_time_unix_nano() == 1'700'000'000'000'020'000);
  CHECK(flat.span.kind() == 2);
  CHECK(flat.span.events(0).time_unix_nano() == 1'700'000'000'000'001'000);
  CHECK(to_map(flat.span.attributes()).at("net.host.port").int_value() == 8080);
  CHECK(span_of(R"(,"kind":"Client")").span.kind() == 3);
  CHECK(span_of(R"(,"kind":"cronjob")").span.kind() == 0);
  CHECK(span_of(R"(,"remoteEndpoint":{"port":"-1"})").span.attributes_size() == 1);  // none; the other is of the start
  CHECK(problem(R"([{"duration":"long"}])") == "[0].duration: expected a number, got a string");
  CHECK(problem(R"([{"localEndpoint":{"port":""}}])") == "[0].localEndpoint.port: expected a number, got a string");
}

TEST_CASE("Zipkin: a parent of eight letters that are not hex is no parent", "[wire]") {
  CHECK(span_of(R"(,"parentId":"zzzzzzzz")").span.parent_span_id().size() == 1);  // the scanner refuses it
}

TEST_CASE("a Zipkin text that is not Unicode does not cost the request its spans", "[wire]") {
  for (const std::string bad : {R"(\ud83d)", R"(\ude00)", "\xE9"}) {
    const std::string json = R"([{"traceId":"463ac35c9f6413ad","id":"a2fb4a1d1a96d312","name":"one"},)"
                             R"({"traceId":"463ac35c9f6413ad","id":"a2fb4a1d1a96d313","name":"x)" +
                             bad + R"(","tags":{"k)" + bad + R"(":"v)" + bad +
                             R"("},"localEndpoint":{"serviceName":"s)" + bad + R"("},"unknown)" + bad + R"(":[")" +
                             bad + R"("]}])";
    ByteSink out;
    REQUIRE(zipkin_json_to_otlp(json, {}, out));
    CHECK(out.repaired_texts() == 6);
    const auto flat = flatten(parsed(out));
    REQUIRE(flat.size() == 2);
    CHECK(flat[0].span.name() == "one");
    CHECK(flat[1].span.name() == "x\uFFFD");
    CHECK(flat[1].span.attributes(0).key() == "k\uFFFD");
    CHECK(flat[1].span.attributes(0).value().string_value() == "v\uFFFD");
    CHECK(flat[1].resource.at("service.name").string_value() == "s\uFFFD");
  }
  CHECK(span_of(",\"name\":\"two\nlines\"").span.name() == "two\nlines");
  CHECK(problem("[{\"name\":\"\xE9\",}]") == "[0].name: syntax error");
}

TEST_CASE("a text of Zipkin's protobuf that is not UTF-8 is repaired and counted", "[wire]") {
  twin::zipkin::ListOfSpans list;
  auto* span = list.add_spans();
  span->set_trace_id(std::string(16, 'T'));
  span->set_id("span-001");
  span->set_name("op\xFF");
  span->add_annotations()->set_value("caf\xE9");
  auto* tag = span->add_tags();
  tag->set_key("k");
  tag->set_value("v\xC0\x80");
  ByteSink out;
  REQUIRE(zipkin_proto_to_otlp(list.SerializeAsString(), {}, out));
  CHECK(out.repaired_texts() == 3);
  const FlatSpan flat = flatten(parsed(out)).at(0);
  CHECK(flat.span.name() == "op\uFFFD");
  CHECK(flat.span.events(0).name() == "caf\uFFFD");
  CHECK(flat.span.attributes(0).value().string_value() == "v\uFFFD\uFFFD");
}

TEST_CASE("the text of a Zipkin tag is asked for before it grows", "[wire]") {
  struct Room final : ConversionRoom {
    std::size_t asked = 0;
    bool grow(std::size_t bytes) override { return (asked += bytes) <= 1 << 20; }
  };
  std::string text;  // escapes: it is put together from parts
  for (int i = 0; i < 4'000'000; ++i) text += "a\\n";
  const std::string span = R"([{"traceId":"000000000000000a","id":"000000000000000b",)";
  for (const std::string& json :
       {span + R"("tags":{"k":")" + text + R"("}}])", span + R"("tags":{")" + text + R"(":"v"}}])",
        span + R"("name":")" + text + R"("}])"}) {
    Room room;
    ByteSink out(&room);
    CHECK_FALSE(zipkin_json_to_otlp(json, {}, out));
    CHECK(out.failed());
    CHECK(room.asked < 3 << 20);  // refused at the first step past 1 MiB, of 8 MB
  }
}
